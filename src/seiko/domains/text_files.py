"""Text files of designs, each perhaps compressed by gzip."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from seiko.errors import ParameterError


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without its mark; a name that ends in ".gz" is unpacked.

    Raises:
        ParameterError: If it cannot be read: it is not there, damaged, or no text.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ParameterError(
            f"{path} cannot be read as text: {error}.", hint="Save it as plain text in UTF-8."
        ) from error
