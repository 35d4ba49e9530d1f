"""What a campaign wrote: an append-only journal of events, and what follows from it. No torch.

Nothing in the journal is ever changed or removed. The tables of trials, readings and rounds are its replay,
written in the same transactions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, inspect, select
from sqlalchemy.schema import CreateSchema

from seiko.campaign import lock
from seiko.campaign.artifacts import (
    Artifacts,
    FolderArtifacts,
    RemoteArtifacts,
    StoredArtifacts,
    digest_of,
    fsync_folder,
)
from seiko.campaign.database import check_file, connect, explained, reading, writing
from seiko.campaign.ledger import Event, NewEvent
from seiko.campaign.location import DATABASE_NAME, Location, made
from seiko.campaign.projection import Projection, chunks
from seiko.campaign.tables import SCHEMA_VERSION, blobs_table, events_table, meta_table, metadata
from seiko.errors import CampaignError

ARTIFACTS_NAME = "artifacts"

__all__ = ["DATABASE_NAME", "Event", "NewEvent", "Store", "Transaction"]


class Transaction:
    """Reads and appends of one moment, committed together or not at all; made by a :class:`Store`."""

    def __init__(self, connection: Connection, what: str) -> None:
        self.connection = connection
        self.tables = Projection(connection, what)
        self._what = what

    def events(self, *, after: int = 0) -> Iterator[Event]:
        """Events with an id above `after`, in order; each is checked, and that none is missing."""
        statement = select(events_table).where(events_table.c.id > after).order_by(events_table.c.id)
        last = after
        for row in self.connection.execute(statement.execution_options(yield_per=1000)):
            if row.id != last + 1:
                raise CampaignError(
                    f"{self._what} is damaged: events {last + 1} to {row.id - 1} of its journal are missing.",
                    hint="Restore it from a copy; the events before them are intact.",
                )
            last = row.id
            yield _event(row, self._what)

    def last_id(self) -> int:
        """Id of the last event; 0 if there is none."""
        return self.connection.execute(select(func.max(events_table.c.id))).scalar() or 0

    def append(self, events: Sequence[NewEvent], *, blobs: Iterable[bytes] = ()) -> list[Event]:
        """Add events, and the blobs that they name, after the last one; and write what follows from them."""
        self.add_blobs(blobs)
        first, now = self.last_id() + 1, datetime.now(UTC).isoformat()
        done: list[Event] = []
        for chunk in chunks(events, 5000):
            start = first + len(done)
            added = [Event(start + i, e.kind, e.round, now, e.payload) for i, e in enumerate(chunk)]
            self._insert(added)
            done += added
        return done

    def copy(self, source: Transaction) -> None:
        """Take over the journal and the blobs of another campaign, into an empty one."""
        for chunk in chunks(source.events(), 5000):
            self._insert(chunk)
        statement = select(blobs_table).execution_options(yield_per=1000)
        for rows in chunks(source.connection.execute(statement).mappings(), 1000):
            self.connection.execute(insert(blobs_table), [dict(row) for row in rows])

    def _insert(self, events: Sequence[Event]) -> None:
        self.connection.execute(insert(events_table), [_columns(event) for event in events])
        self.tables.apply(events)

    def add_blobs(self, blobs: Iterable[bytes]) -> None:
        """Add blobs that are not there yet."""
        for chunk in chunks({digest_of(blob): blob for blob in blobs}.items()):
            known = set(self.blobs(digest for digest, _ in chunk))
            rows = [{"sha256": digest, "content": blob} for digest, blob in chunk if digest not in known]
            if rows:
                self.connection.execute(insert(blobs_table), rows)

    def blobs(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Those of the wanted blobs that are stored, by hash."""
        found = {}
        for chunk in chunks(digests):
            for digest, content in self.connection.execute(
                select(blobs_table).where(blobs_table.c.sha256.in_(chunk))
            ):
                found[digest] = bytes(content)
        return found


class Store:
    """A campaign's database and artifacts.

    Several processes may hold one store open. A commit is on the disk when :meth:`append` returns.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> store = Store.create(folder, [NewEvent("learned", {"after": 0, "artifacts": {}, "report": {}})])
        >>> [(e.id, e.kind) for e in Store.open(folder).events()]
        [(1, 'learned')]
    """

    def __init__(self, location: Location, *, artifacts: str = "") -> None:
        self.location = location
        self._engine = connect(location)
        self.artifacts = _artifacts(location, artifacts, self)

    @classmethod
    def create(cls, location: str | os.PathLike[str] | Location, events: Sequence[NewEvent] = ()) -> Store:
        """Make a new campaign with these first events; it appears whole or not at all.

        Raises:
            CampaignError: If there is a campaign already, or its place cannot be made.
        """
        return cls._make(Location.of(location), lambda new: new.append(events))

    @classmethod
    def copy(cls, location: Location, source: Transaction, last: NewEvent) -> Store:
        """Make a new campaign with the journal and the blobs of another, and one further event.

        Raises:
            CampaignError: If there is a campaign already, or the source is damaged.
        """

        def fill(new: Transaction) -> None:
            new.copy(source)
            new.append([last])

        return cls._make(location, fill)

    @classmethod
    def _make(cls, where: Location, fill: Callable[[Transaction], object]) -> Store:
        if where.folder is not None:
            _create_folder(where, made(where.folder), fill)
        else:
            with explained(where):
                _build(connect(where), where, fill)
        return cls.open(where)

    @classmethod
    def open(cls, location: str | os.PathLike[str] | Location) -> Store:
        """Open an existing campaign; one of an earlier version is brought up to this one.

        Raises:
            CampaignError: If there is none, its database is not ours or damaged, or is from a later version.
        """
        from seiko.campaign.migrations import migrate

        store = cls(Location.of(location))
        check_file(store.location)
        with explained(store.location):
            version = _version(store)
            if version > SCHEMA_VERSION:
                raise CampaignError(
                    f"{store.location.what} has schema version {version}; this seiko reads versions up to "
                    f"{SCHEMA_VERSION}.",
                    hint="Install the version of seiko that wrote it.",
                )
            if version < SCHEMA_VERSION:
                with store.write() as transaction:
                    migrate(transaction)
            with store.read() as transaction:
                settings = transaction.tables.settings()
        store.artifacts = _artifacts(store.location, (settings or {}).get("artifacts", ""), store)
        return store

    @classmethod
    def exists(cls, location: str | os.PathLike[str] | Location) -> bool:
        """Whether there is something at a location that a new campaign cannot take the place of."""
        where = Location.of(location)
        if where.folder is not None:
            return where.database.exists()
        with explained(where), reading(connect(where)) as connection:
            return inspect(connection).has_schema(where.schema)

    @property
    def path(self) -> Path:
        """The campaign folder.

        Raises:
            CampaignError: If the campaign is in a database on a server.
        """
        if self.location.folder is None:
            raise CampaignError(f"The campaign {self.location} has no folder.", hint="Use its `location`.")
        return self.location.folder

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One moment of the campaign, whatever others write meanwhile."""
        with explained(self.location), reading(self._engine) as connection:
            yield Transaction(connection, self.location.what)

    @contextmanager
    def write(self, *, commit: bool = True) -> Iterator[Transaction]:
        """One transaction that alone may write; committed at the end of the block, undone by any error.

        Args:
            commit: False to undo it in any case: a rehearsal.

        Raises:
            CampaignError: If the database stays locked, is damaged, or cannot be written.
        """
        with explained(self.location), writing(self._engine, commit=commit) as connection:
            yield Transaction(connection, self.location.what)

    def exclusive(self, *, wait: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock of those who ask; telling does not need it."""
        if self.location.folder is not None:
            return lock.exclusive(self.location.folder, wait=wait)
        return self._exclusive_on_server(wait)

    @contextmanager
    def _exclusive_on_server(self, wait: float) -> Iterator[None]:
        with explained(self.location), lock.exclusive_on_server(self._engine, self.location, wait=wait):
            yield

    def append(self, events: Sequence[NewEvent], *, blobs: Iterable[bytes] = ()) -> None:
        """Add events, and the blobs that they name, in one transaction."""
        with self.write() as transaction:
            transaction.append(events, blobs=blobs)

    def events(self, *, after: int = 0) -> list[Event]:
        """Events with an id above `after`, in order.

        Raises:
            CampaignError: If the database is damaged; the message names the event.
        """
        with self.read() as transaction:
            return list(transaction.events(after=after))

    def blobs(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Blobs by hash, each checked against it.

        Raises:
            CampaignError: If one is missing or damaged.
        """
        wanted = set(digests)
        with self.read() as transaction:
            if self.location.folder is None:  # before its first statistics, a server would read the table
                transaction.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            found = transaction.blobs(wanted)
        bad = sorted(d for d in wanted if d not in found or digest_of(found[d]) != d)
        if bad:
            raise CampaignError(
                f"{self.location.what} is damaged: {len(bad)} of {len(wanted)} stored blobs are lost or "
                f"changed, the first {bad[0][:12]}.",
                hint="Restore it from a copy.",
            )
        return found

    def put_artifact(self, content: bytes) -> str:
        """Write bytes durably under their hash and return it; do this before the event that names it."""
        return self.artifacts.put(content)

    def get_artifact(self, digest: str) -> bytes:
        """The bytes with this hash.

        Raises:
            CampaignError: If they are missing or damaged; the message names them.
        """
        return self.artifacts.get(digest)


def _artifacts(location: Location, chosen: str, store: Store) -> Artifacts:
    if "://" in chosen:
        return RemoteArtifacts(chosen)
    if chosen:
        return FolderArtifacts(Path(chosen))
    if location.folder is not None:
        return FolderArtifacts(location.folder / ARTIFACTS_NAME)

    def read(digests: Iterable[str]) -> Mapping[str, bytes]:
        with store.read() as transaction:
            return transaction.blobs(digests)

    return StoredArtifacts(read, lambda blobs: store.append([], blobs=blobs), str(location))


def _version(store: Store) -> int:
    where = store.location
    with reading(store._engine) as connection:
        if where.folder is None and not inspect(connection).has_table(meta_table.name, schema=where.schema):
            raise CampaignError(
                f"There is no campaign {where.name!r} in that database ({where}).",
                hint="Make one with Campaign.create, or mend the name after '#'.",
            )
        version = connection.execute(select(meta_table.c.schema_version)).scalar()
    if version is None:
        raise CampaignError(f"{where.what} is not a campaign database.", hint="Give that of a campaign.")
    return version


def _create_folder(where: Location, folder: Path, fill: Callable[[Transaction], object]) -> None:
    """Write the database beside its place and move it there, so that it is never seen half made."""
    with lock.exclusive(folder):
        if where.database.exists():
            raise CampaignError(
                f"{folder} holds a campaign already.",
                hint="Open it with Campaign.open, or choose another path.",
            )
        building = folder / f".{DATABASE_NAME}.part"
        for leftover in folder.glob(f"{building.name}*"):
            leftover.unlink()
        engine = connect(where, file=building)
        with explained(where):
            with engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
            _build(engine, where, fill)
        (folder / ARTIFACTS_NAME).mkdir(exist_ok=True)
        os.replace(building, where.database)
        fsync_folder(folder)
        fsync_folder(folder.absolute().parent)


def _build(engine: Engine, where: Location, fill: Callable[[Transaction], object]) -> None:
    """Tables and first events in one transaction, under the campaign's write lock."""
    with writing(engine) as connection:
        if where.folder is None:
            if inspect(connection).has_schema(where.schema):
                raise CampaignError(
                    f"There is a campaign at {where} already.",
                    hint="Open it with Campaign.open, or choose another name.",
                )
            connection.execute(CreateSchema(where.schema))
        metadata.create_all(connection)
        connection.execute(insert(meta_table).values(schema_version=SCHEMA_VERSION))
        fill(Transaction(connection, where.what))


def _columns(event: Event) -> dict[str, Any]:
    payload = json.dumps(event.payload, allow_nan=False, sort_keys=True)
    return {
        "id": event.id,
        "kind": event.kind,
        "round": event.round,
        "created_utc": event.created_utc,
        "payload": payload,
        "sha256": _checksum(event.kind, event.round, event.created_utc, payload),
    }


def _event(row: Row[Any], what: str) -> Event:
    if _checksum(row.kind, row.round, row.created_utc, row.payload) != row.sha256:
        raise CampaignError(
            f"{what} is damaged: event {row.id} ({row.kind}) does not have the checksum written with it.",
            hint="Restore it from a copy; the events before it are intact.",
        )
    return Event(row.id, row.kind, row.round, row.created_utc, json.loads(row.payload))


def _checksum(kind: str, round: int | None, created_utc: str, payload: str) -> str:
    return digest_of(json.dumps([kind, round, created_utc, payload]).encode())
