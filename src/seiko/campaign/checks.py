"""Is a campaign sound from end to end? Reads everything, and says what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Literal

from sqlalchemy import insert, select

from seiko.campaign.artifacts import digest_of
from seiko.campaign.database import connect, writing
from seiko.campaign.location import Location
from seiko.campaign.migrations import replay
from seiko.campaign.projection import Projection
from seiko.campaign.store import Store, Transaction
from seiko.campaign.tables import (
    PROJECTIONS,
    SCHEMA_VERSION,
    blobs_table,
    meta_table,
    metadata,
    trials_table,
)
from seiko.errors import CampaignError, SeikoError

_REBUILD = "Rebuild the tables from the journal: journal.rebuild(), or seiko doctor --mend."
_COPY = "Restore the campaign from a copy. Everything else is still read."


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a campaign.

    Attributes:
        severity: "error" where something is lost or wrong, "warning" where it heals by itself.
        what: What it is, in words.
        hint: How to mend it.
    """

    severity: Literal["error", "warning"]
    what: str
    hint: str


def check(store: Store, *, deep: bool = True) -> Iterator[Finding]:
    """Everything that is wrong.

    Args:
        store: The campaign's.
        deep: Whether to replay the journal and compare it with the tables, and to read every design and
            artifact; else only the checksums of the journal are read.
    """
    with store.read() as transaction:
        journal = list(_journal(transaction))
        yield from journal
        if deep:
            if not journal:
                yield from _tables(transaction, store.location)
            yield from _blobs(transaction)
    if deep:
        yield from _artifacts(store)


def _journal(transaction: Transaction) -> Iterator[Finding]:
    try:
        for _ in transaction.events():
            pass
    except CampaignError as error:
        yield Finding("error", error.message, _COPY)


def _tables(transaction: Transaction, location: Location) -> Iterator[Finding]:
    """The journal replayed beside the tables, row by row."""
    with TemporaryDirectory() as folder, writing(connect(location, file=f"{folder}/replay")) as connection:
        metadata.create_all(connection)
        connection.execute(insert(meta_table).values(schema_version=SCHEMA_VERSION))
        fresh = Projection(connection, "the replay")
        try:
            replay(transaction, fresh)
        except CampaignError as error:
            yield Finding("error", error.message, _COPY)
            return
        if fresh.settings() != transaction.tables.settings():
            yield Finding("error", "The settings are not those of the journal.", _REBUILD)
        for table in PROJECTIONS:
            statement = select(table).order_by(*table.primary_key.columns)
            ours = connection.execute(statement)
            theirs = transaction.connection.execute(statement.execution_options(yield_per=5000))
            wrong = sum(1 for pair in _side_by_side(ours, theirs) if pair[0] != pair[1])
            if wrong:
                what = f"The table {table.name} does not agree with the journal in {wrong} rows."
                yield Finding("error", what, _REBUILD)


def _side_by_side(ours: object, theirs: object) -> Iterator[tuple[object, object]]:
    from itertools import zip_longest

    for one, other in zip_longest(ours, theirs):  # type: ignore[call-overload]
        yield (None if one is None else tuple(one)), (None if other is None else tuple(other))


def _blobs(transaction: Transaction) -> Iterator[Finding]:
    """Every design and drawing is there, and is what its name says."""
    sound: set[str] = set()
    damaged = 0
    for digest, content in transaction.connection.execute(
        select(blobs_table).execution_options(yield_per=1000)
    ):
        if digest_of(bytes(content)) == digest:
            sound.add(digest)
        else:
            damaged += 1
    c = trials_table.c
    lost: list[int] = []
    for id_, design, drawing in transaction.connection.execute(select(c.id, c.design, c.rendering)):
        if design not in sound or (drawing and drawing not in sound):
            lost.append(id_)
    if lost:
        shown = ", ".join(map(str, lost[:8])) + (", …" if len(lost) > 8 else "")
        yield Finding(
            "error", f"Designs or drawings of {len(lost)} trials are lost or changed: {shown}.", _COPY
        )
    elif damaged:
        yield Finding("warning", f"{damaged} stored blobs that nothing names are damaged.", "Nothing to do.")


def _artifacts(store: Store) -> Iterator[Finding]:
    with store.read() as transaction:
        try:
            rounds = transaction.tables.rounds()
        except CampaignError:
            return  # reported with the tables
    forks = [index for index, left in enumerate(rounds) if left.round is None and left.report is None]
    for index, left in enumerate(rounds):
        if forks and index < forks[-1]:
            continue  # a fork leaves the artifacts of earlier rounds where they are
        for name, digest in left.artifacts.items():
            try:
                store.get_artifact(digest)
            except SeikoError as error:
                heals = (
                    "The next ask learns it again from the readings."
                    if left is rounds[-1]
                    else ("Only needed to look back at that round.")
                )
                yield Finding("warning", f"{name} of entry {index}: {error.message}", heals)
