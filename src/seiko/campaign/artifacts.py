"""Files named by the hash of their content, written so that a half-written one is never seen."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from seiko.errors import CampaignError


def digest_of(content: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable, not only the bytes behind them."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(folder: Path, content: bytes) -> str:
    """Write `content` under its own hash, durably, and return the hash.

    Raises:
        CampaignError: If the folder cannot be written or the disk is full.
    """
    digest = digest_of(content)
    target = folder / digest
    try:
        if not _holds(target, digest):
            folder.mkdir(exist_ok=True)
            _write_durably(target, content)
    except OSError as error:
        raise CampaignError(
            f"The artifact {target} could not be written: {error.strerror or error}.",
            hint="Make room or mend the permissions; nothing else was changed.",
        ) from error
    return digest


def get(folder: Path, digest: str) -> bytes:
    """The bytes whose hash is `digest`.

    Raises:
        CampaignError: If the file is missing, unreadable, or holds something else.
    """
    target = folder / digest
    try:
        content = target.read_bytes()
    except OSError as error:
        raise CampaignError(
            f"The artifact {target} cannot be read: {error.strerror or error}.",
            hint="Restore it from a copy of the campaign folder; no reading depends on it.",
        ) from error
    if digest_of(content) != digest:
        raise CampaignError(
            f"The artifact {target} is damaged: its {len(content)} bytes do not have the hash in its name.",
            hint="Restore it from a copy of the campaign folder; no reading depends on it.",
        )
    return content


def _holds(target: Path, digest: str) -> bool:
    return target.is_file() and digest_of(target.read_bytes()) == digest


def _write_durably(target: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_folder(target.parent)
