"""Where rewards find data that is not part of the package."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from seiko.errors import ParameterError


def data_folder(name: str, folder: str | Path | None = None) -> Path:
    """The given folder, or the folder of that name below the one in the environment variable SEIKO_DATA.

    Raises:
        ParameterError: If neither is given.
    """
    if folder is not None:
        return Path(folder)
    root = os.environ.get("SEIKO_DATA")
    if not root:
        raise ParameterError(
            f"The data {name!r} are not part of the package, and no folder was given.",
            hint="Give `folder`, or set SEIKO_DATA to the folder that holds them.",
        )
    return Path(root) / name


def checked_bytes(path: Path, sha256: str | None = None) -> bytes:
    """The content of a file, its hash compared where one is given.

    Raises:
        ParameterError: If there is no such file, or it has another hash.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ParameterError(
            f"There is no file {path} ({error.strerror}).", hint="Check the folder or SEIKO_DATA."
        ) from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ParameterError(
            f"{path} is damaged or another version: its sha256 is not {sha256}.",
            hint="Fetch it again from its source.",
        )
    return content
