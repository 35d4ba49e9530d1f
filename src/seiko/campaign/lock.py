"""One asker at a time: an advisory lock that the kernel releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seiko.errors import CampaignError

LOCK_NAME = "campaign.lock"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the campaign's lock for the length of the block; never waits.

    Args:
        folder: The campaign folder; it must exist.

    Raises:
        CampaignError: If another process, or another object in this one, holds it.
    """
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CampaignError(
            f"The campaign {folder} cannot be written: {error.strerror}.",
            hint="Check who owns the folder and whether the disk is full.",
        ) from error
    try:
        _acquire(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise CampaignError(
            f"The campaign {folder} is being asked by another run (process {holder}).",
            hint="Wait until it is done, or end it and ask again. Telling is allowed meanwhile.",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
