"""What a campaign wrote: an append-only list of events in SQLite, and artifacts beside it. No torch.

Nothing is ever changed or removed. The state of a campaign is the replay of its events, in order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from seiko.campaign import artifacts
from seiko.campaign.database import (
    SCHEMA_VERSION,
    blobs_table,
    check_file,
    connect,
    events_table,
    explained,
    meta_table,
    metadata,
)
from seiko.campaign.lock import exclusive
from seiko.errors import CampaignError

DATABASE_NAME = "campaign.sqlite"
ARTIFACTS_NAME = "artifacts"


@dataclass(frozen=True)
class NewEvent:
    """Something about to be written; `payload` holds JSON values, all numbers finite."""

    kind: str
    payload: Mapping[str, Any]
    round: int | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened; never changed afterwards."""

    id: int
    kind: str
    round: int | None
    created_utc: str
    payload: Mapping[str, Any]


class Transaction:
    """Reads and appends that are committed together or not at all; made by :meth:`Store.write`."""

    def __init__(self, connection: Connection, database: Path) -> None:
        self._connection = connection
        self._database = database

    def events(self, *, after: int = 0) -> list[Event]:
        """Events with an id above `after`, in order."""
        rows = self._connection.execute(
            select(events_table).where(events_table.c.id > after).order_by(events_table.c.id)
        )
        return [_event(row, self._database) for row in rows]

    def append(self, events: Sequence[NewEvent], *, blobs: Iterable[bytes] = ()) -> None:
        """Add events, and the blobs that they name, after the last one."""
        self._add_blobs({artifacts.digest_of(blob): blob for blob in blobs})
        if events:
            self._connection.execute(insert(events_table), [_columns(new) for new in events])

    def _add_blobs(self, contents: Mapping[str, bytes]) -> None:
        known = set(self.blobs(contents))
        rows = [
            {"sha256": digest, "content": blob} for digest, blob in contents.items() if digest not in known
        ]
        if rows:
            self._connection.execute(insert(blobs_table), rows)

    def blobs(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Those of the wanted blobs that are stored, by hash."""
        wanted, found = list(digests), {}
        for start in range(0, len(wanted), 500):
            chunk = blobs_table.c.sha256.in_(wanted[start : start + 500])
            for digest, content in self._connection.execute(select(blobs_table).where(chunk)):
                found[digest] = bytes(content)
        return found


class Store:
    """A campaign folder: events and small blobs in ``campaign.sqlite``, weights in ``artifacts/``.

    Several processes may hold one store open. A commit is on the disk when :meth:`append` returns.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> store = Store.create(folder, [NewEvent("created", {"budget": 10})])
        >>> store.append([NewEvent("told", {"id": 0, "value": 1.5}, round=0)])
        >>> [(e.id, e.kind) for e in Store.open(folder).events()]
        [(1, 'created'), (2, 'told')]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / DATABASE_NAME
        self._engine = connect(self.database)

    @classmethod
    def create(cls, path: str | os.PathLike[str], events: Sequence[NewEvent] = ()) -> Store:
        """Make a new campaign folder with these first events; it appears whole or not at all.

        Raises:
            CampaignError: If there is a campaign already, or the folder cannot be made.
        """
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CampaignError(
                f"The campaign folder {folder} cannot be made: {error.strerror}.", hint="Choose another path."
            ) from error
        with exclusive(folder):
            if (folder / DATABASE_NAME).exists():
                raise CampaignError(
                    f"{folder} holds a campaign already.",
                    hint="Open it with Campaign.open, or choose another path.",
                )
            _build_database(folder, events)
        return cls(folder)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Open an existing campaign folder.

        Raises:
            CampaignError: If there is none, its database is not ours or damaged, or is from a later version.
        """
        store = cls(Path(path))
        check_file(store.database)
        with explained(store.database), store._engine.connect() as connection:
            version = connection.execute(select(meta_table.c.schema_version)).scalar()
        if version != SCHEMA_VERSION:
            raise CampaignError(
                f"{store.database} has schema version {version}; this seiko reads version {SCHEMA_VERSION}.",
                hint="Install the version of seiko that wrote it.",
            )
        return store

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction that alone may write; committed at the end of the block, undone by any error.

        Raises:
            CampaignError: If the database stays locked, is damaged, or cannot be written.
        """
        with (
            explained(self.database),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield Transaction(connection, self.database)

    def append(self, events: Sequence[NewEvent], *, blobs: Iterable[bytes] = ()) -> None:
        """Add events, and the blobs that they name, in one transaction."""
        with self.write() as transaction:
            transaction.append(events, blobs=blobs)

    def events(self, *, after: int = 0) -> list[Event]:
        """Events with an id above `after`, in order.

        Raises:
            CampaignError: If the database is damaged; the message names the event.
        """
        with explained(self.database), self._engine.connect() as connection:
            return Transaction(connection, self.database).events(after=after)

    def blobs(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Blobs by hash, each checked against it.

        Raises:
            CampaignError: If one is missing or damaged.
        """
        wanted = set(digests)
        with explained(self.database), self._engine.connect() as connection:
            found = Transaction(connection, self.database).blobs(wanted)
        bad = sorted(d for d in wanted if d not in found or artifacts.digest_of(found[d]) != d)
        if bad:
            raise CampaignError(
                f"{self.database} is damaged: {len(bad)} of {len(wanted)} stored blobs are lost or changed, "
                f"the first {bad[0][:12]}.",
                hint="Restore the file from a copy.",
            )
        return found

    def put_artifact(self, content: bytes) -> str:
        """Write bytes durably under their hash and return it; do this before the event that names it."""
        return artifacts.put(self.path / ARTIFACTS_NAME, content)

    def get_artifact(self, digest: str) -> bytes:
        """The bytes with this hash.

        Raises:
            CampaignError: If they are missing or damaged; the message names the file.
        """
        return artifacts.get(self.path / ARTIFACTS_NAME, digest)


def _build_database(folder: Path, events: Sequence[NewEvent]) -> None:
    """Write the database beside its place and move it there, so that it is never seen half made."""
    building, database = folder / f".{DATABASE_NAME}.part", folder / DATABASE_NAME
    for leftover in folder.glob(f"{building.name}*"):
        leftover.unlink()
    engine = connect(building)
    with explained(database):
        with engine.connect() as connection:
            connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            metadata.create_all(connection)
            connection.execute(insert(meta_table).values(schema_version=SCHEMA_VERSION))
            Transaction(connection, database).append(events)
    (folder / ARTIFACTS_NAME).mkdir(exist_ok=True)
    os.replace(building, database)
    artifacts.fsync_folder(folder)
    artifacts.fsync_folder(folder.absolute().parent)


def _columns(new: NewEvent) -> dict[str, Any]:
    payload = json.dumps(new.payload, allow_nan=False, sort_keys=True)
    created = datetime.now(UTC).isoformat()
    return {
        "kind": new.kind,
        "round": new.round,
        "created_utc": created,
        "payload": payload,
        "sha256": _checksum(new.kind, new.round, created, payload),
    }


def _event(row: Row[Any], database: Path) -> Event:
    if _checksum(row.kind, row.round, row.created_utc, row.payload) != row.sha256:
        raise CampaignError(
            f"{database} is damaged: event {row.id} ({row.kind}) does not have the checksum written with it.",
            hint="Restore the file from a copy; the events before it are intact.",
        )
    return Event(row.id, row.kind, row.round, row.created_utc, json.loads(row.payload))


def _checksum(kind: str, round: int | None, created_utc: str, payload: str) -> str:
    return artifacts.digest_of(json.dumps([kind, round, created_utc, payload]).encode())
