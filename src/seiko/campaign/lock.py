"""One asker at a time: an advisory lock that the kernel, or the database, releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from seiko.campaign.database import advisory_key
from seiko.campaign.location import Location
from seiko.errors import CampaignError, ParameterError
from seiko.records import is_finite_number

LOCK_NAME = "campaign.lock"
PAUSE_SECONDS = 0.05


@contextmanager
def exclusive(folder: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a campaign folder for the length of the block.

    Args:
        folder: The campaign folder; it must exist.
        wait: Seconds to wait for another holder.

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
        if not _tried(lambda: _flock(descriptor), wait):
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise _busy(str(folder), f"process {holder}")
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_on_server(engine: Engine, location: Location, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a campaign in PostgreSQL; if this process dies, it goes with the connection."""
    key = {"key": advisory_key(location, "ask")}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not _tried(lambda: bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key)), wait):
            raise _busy(str(location), _holder(connection, key["key"]))
        connection.detach()  # no pool keeps it: whatever goes wrong below, closing it releases the lock
        try:
            yield
        finally:
            # A server notices a closed connection in its own time, and refuses the next to ask till then.
            with suppress(SQLAlchemyError):
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def _tried(attempt: Callable[[], bool], wait: float) -> bool:
    if not (is_finite_number(wait) and wait >= 0):
        raise ParameterError(f"`wait` must be a number of seconds >= 0; got {wait!r}.")
    until = time.monotonic() + wait
    while not attempt():
        if time.monotonic() >= until:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int) -> None:
    """Leave the process's number for whoever finds the lock taken; of a full disk, nobody needs to know."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError:
        pass


def _holder(connection: Connection, key: int) -> str:
    low, high = key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF
    found = connection.execute(
        text(
            "SELECT a.pid, coalesce(host(a.client_addr), 'local') AS host FROM pg_locks l "
            "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted "
            "AND l.classid::bigint = :high AND l.objid::bigint = :low"
        ),
        {"low": low, "high": high},
    ).first()
    return "unknown" if found is None else f"server process {found.pid} for {found.host}"


def _busy(what: str, holder: str) -> CampaignError:
    return CampaignError(
        f"The campaign {what} is being asked by another run ({holder}).",
        hint="Wait until it is done (`wait=seconds`), or end it and ask again. Telling is allowed meanwhile.",
    )
