"""The tables that follow from the events: written with them, read instead of them, rebuilt from them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, bindparam, delete, func, insert, select, update

from seiko.campaign.ledger import Event, Reading, Round, Row, Sheet, touched
from seiko.campaign.tables import (
    PROJECTIONS,
    meta_table,
    readings_table,
    rounds_table,
    trials_table,
)
from seiko.errors import CampaignError
from seiko.records import TrialState

T = TypeVar("T")
CHUNK = 500
STATES = tuple(TrialState)
OPEN = (TrialState.PENDING, TrialState.RUNNING)
CODES = {state: code for code, state in enumerate(STATES)}
ROW_FIELDS = tuple(f.name for f in fields(Row))
READING_FIELDS = tuple(f.name for f in fields(Reading))
ROUND_FIELDS = tuple(f.name for f in fields(Round))


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The items, in lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def key_hash(key: str) -> int:
    """A signed 64-bit number of a design's key; keys are compared themselves afterwards."""
    digest = sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def crc(values: Iterable[Any]) -> int:
    """The check number of one row of a table."""
    return zlib.crc32(repr(tuple(values)).encode("utf-8", "surrogatepass"))


class Projection:
    """Reads and writes the tables of trials, readings and rounds within one transaction.

    Every row carries a check number, and is checked when it is read.
    """

    def __init__(self, connection: Connection, what: str) -> None:
        self._connection = connection
        self._what = what

    def apply(self, events: Sequence[Event]) -> None:
        """Write what follows from new events."""
        ids = dict.fromkeys(id_ for event in events for id_ in touched(event))
        sheet = Sheet(rows=dict(self.rows(list(ids))), readings=self.readings(list(ids)))
        known, had = set(sheet.rows), {id_: dict(found) for id_, found in sheet.readings.items()}
        for event in events:
            sheet.apply(event)
        self._write_rows(sheet, known)
        self._write_readings(sheet, had)
        self._write_rounds(sheet.rounds)
        if sheet.settings is not None:
            text = json.dumps(sheet.settings, allow_nan=False, sort_keys=True)
            self._connection.execute(update(meta_table).values(settings=text))

    def clear(self) -> None:
        """Remove everything; the events say it all again."""
        for table in PROJECTIONS:
            self._connection.execute(delete(table))

    def _write_rows(self, sheet: Sheet, known: set[int]) -> None:
        new = [_row_columns(row) for id_, row in sheet.rows.items() if id_ not in known]
        changed = [{**_row_columns(sheet.rows[id_]), "at": id_} for id_ in known]
        if new:
            self._connection.execute(insert(trials_table), new)
        if changed:
            statement = update(trials_table).where(trials_table.c.id == bindparam("at"))
            names = [name for name in _MUTABLE if name != "id"]
            self._connection.execute(statement.values({name: bindparam(name) for name in names}), changed)

    def _write_readings(self, sheet: Sheet, had: Mapping[int, Mapping[str, Reading]]) -> None:
        new: list[Reading] = []
        gone: list[int] = []
        for id_, readings in sheet.readings.items():
            before = had.get(id_, {})
            if any(readings.get(name) is not reading for name, reading in before.items()):
                gone.append(id_)
                before = {}
            new += [reading for name, reading in readings.items() if name not in before]
        for chunk in chunks(gone):
            self._connection.execute(delete(readings_table).where(readings_table.c.trial.in_(chunk)))
        if new:
            self._connection.execute(insert(readings_table), [_reading_columns(r) for r in new])

    def _write_rounds(self, rounds: Sequence[Round]) -> None:
        if rounds:
            self._connection.execute(insert(rounds_table), [_round_columns(r) for r in rounds])

    def rows(self, ids: Sequence[int] | None = None) -> Iterator[tuple[int, Row]]:
        """Trials by id, all in order of id if `ids` is None; those that are not there are left out."""
        for statement in _by_ids(_ROWS, trials_table, "id", ids):
            for found in self._connection.execute(statement):
                row = self._row(found)
                yield row.id, row

    def rows_where(self, states: Iterable[TrialState]) -> Iterator[Row]:
        """Trials in any of these recorded states, in order of id."""
        codes = [CODES[state] for state in states]
        statement = _ROWS.where(trials_table.c.state.in_(codes)).order_by(trials_table.c.id)
        return (self._row(found) for found in self._connection.execute(statement))

    def rows_after(self, event: int, *, limit: int | None = None) -> list[Row]:
        """Trials that an event later than this one changed, in order of id."""
        statement = _ROWS.where(trials_table.c.event > event).order_by(trials_table.c.id).limit(limit)
        return [self._row(found) for found in self._connection.execute(statement)]

    def by_key(self, keys: Iterable[str]) -> dict[str, list[Row]]:
        """The trials of some designs, by key."""
        wanted = set(keys)
        found: dict[str, list[Row]] = {}
        for chunk in chunks(sorted(wanted)):
            hashes = trials_table.c.key_hash.in_([key_hash(key) for key in chunk])
            for row in map(self._row, self._connection.execute(_ROWS.where(hashes))):
                if row.key in wanted:
                    found.setdefault(row.key, []).append(row)
        return {key: sorted(rows, key=lambda r: r.id) for key, rows in found.items()}

    def best(self, k: int) -> list[Row]:
        """The complete trials with the highest values, of equal ones the first asked."""
        c = trials_table.c
        statement = _ROWS.where(c.value.is_not(None)).order_by(c.value.desc(), c.id).limit(k)
        return [self._row(found) for found in self._connection.execute(statement)]

    def readings(self, ids: Sequence[int] | None) -> dict[int, dict[str, Reading]]:
        """The readings of trials, by trial and replicate, in the order told."""
        found: dict[int, dict[str, Reading]] = {}
        for reading in self.each_reading(ids):
            found.setdefault(reading.trial, {})[reading.replicate] = reading
        return found

    def each_reading(self, ids: Sequence[int] | None) -> Iterator[Reading]:
        """Readings in order of trial, of one trial in the order told."""
        for statement in _by_ids(_READINGS, readings_table, "trial", ids):
            c = readings_table.c
            for found in self._connection.execute(statement.order_by(c.event, c.replicate)):
                yield self._reading(found)

    def rounds(self) -> list[Round]:
        """What the proposer left, in order."""
        found = self._connection.execute(_ROUNDS.order_by(rounds_table.c.event))
        return [self._round(row) for row in found]

    def last_round(self) -> Round | None:
        """What the proposer last left."""
        found = self._connection.execute(_ROUNDS.order_by(rounds_table.c.event.desc()).limit(1)).first()
        return None if found is None else self._round(found)

    def num_trials(self) -> int:
        """How many trials there are; their ids are 0 to one less."""
        last = self._connection.execute(select(func.max(trials_table.c.id))).scalar()
        return 0 if last is None else last + 1

    def next_round(self) -> int:
        """The number of the next round."""
        last = self._connection.execute(select(func.max(rounds_table.c.round))).scalar()
        return 0 if last is None else last + 1

    def counts(self) -> dict[TrialState, int]:
        """How many trials there are in each recorded state."""
        c = trials_table.c
        found = self._connection.execute(select(c.state, func.count()).group_by(c.state))
        return {STATES[code]: count for code, count in found}

    def count_late(self, now: float) -> dict[TrialState, int]:
        """How many awaited trials are past their deadline, by recorded state."""
        c = trials_table.c
        awaited = c.state.in_([CODES[state] for state in OPEN])
        late = select(c.state, func.count()).where(awaited, c.deadline <= now).group_by(c.state)
        return {STATES[code]: count for code, count in self._connection.execute(late)}

    def count_attached(self) -> int:
        """How many trials were not asked."""
        attached = select(func.count()).select_from(trials_table).where(trials_table.c.round < 0)
        return self._connection.execute(attached).scalar_one()

    def first_open(self, count: int) -> list[int]:
        """The lowest ids of awaited trials."""
        c = trials_table.c
        ids: list[int] = []
        for state in OPEN:
            found = select(c.id).where(c.state == CODES[state]).order_by(c.id).limit(count)
            ids += self._connection.scalars(found)
        return sorted(ids)[:count]

    def charged(self) -> int:
        """All that is charged, in millionths of the budget's unit."""
        return int(self._connection.execute(select(func.sum(trials_table.c.charged))).scalar() or 0)

    def last_change(self) -> int:
        """Id of the last event that changed a trial."""
        return self._connection.execute(select(func.max(trials_table.c.event))).scalar() or 0

    def settings(self) -> Mapping[str, Any] | None:
        """What the campaign was created with, as JSON values."""
        text = self._connection.execute(select(meta_table.c.settings)).scalar()
        return None if text is None else json.loads(text)

    def _row(self, found: Any) -> Row:
        *values, check = found
        state = values[_STATE]
        if crc(values) != check or not 0 <= state < len(STATES):
            raise self._damaged(f"trial {values[0]}")
        values[_STATE] = STATES[state]
        return Row(*values)

    def _reading(self, found: Any) -> Reading:
        *values, check = found
        if crc(values) != check:
            raise self._damaged(f"the reading {values[1]!r} of trial {values[0]}")
        values[2] = STATES[values[2]]
        return Reading(*values)

    def _round(self, found: Any) -> Round:
        *values, check = found
        if crc(values) != check:
            raise self._damaged(f"the round of event {values[0]}")
        values[4] = json.loads(values[4])
        values[5] = None if values[5] is None else json.loads(values[5])
        return Round(*values)

    def _damaged(self, what: str) -> CampaignError:
        return CampaignError(
            f"{self._what} is damaged: {what} does not have the check number written with it.",
            hint="Rebuild the tables from the journal (`seiko doctor`), or restore it from a copy.",
        )


def _by_ids(
    statement: Select[Any], table: Table, name: str, ids: Sequence[int] | None
) -> Iterator[Select[Any]]:
    column = table.c[name]
    if ids is None:
        yield statement.order_by(column).execution_options(yield_per=5000)
        return
    for chunk in chunks(ids):
        yield statement.where(column.in_(chunk)).order_by(column)


_STATE = ROW_FIELDS.index("state")
_MUTABLE = (*ROW_FIELDS[_STATE:], "crc")
_ROWS = select(*(trials_table.c[name] for name in ROW_FIELDS), trials_table.c.crc)
_READINGS = select(*(readings_table.c[name] for name in READING_FIELDS), readings_table.c.crc)
_ROUNDS = select(*(rounds_table.c[name] for name in ROUND_FIELDS), rounds_table.c.crc)


def _row_columns(row: Row) -> dict[str, Any]:
    columns = {name: getattr(row, name) for name in ROW_FIELDS}
    columns["state"] = CODES[row.state]
    return {**columns, "crc": crc(columns.values()), "key_hash": key_hash(row.key)}


def _reading_columns(reading: Reading) -> dict[str, Any]:
    columns = {name: getattr(reading, name) for name in READING_FIELDS}
    columns["state"] = CODES[reading.state]
    return {**columns, "crc": crc(columns.values())}


def _round_columns(round_: Round) -> dict[str, Any]:
    columns = {name: getattr(round_, name) for name in ROUND_FIELDS}
    columns["artifacts"] = json.dumps(columns["artifacts"], sort_keys=True)
    report = columns["report"]
    columns["report"] = None if report is None else json.dumps(report, allow_nan=False)
    return {**columns, "crc": crc(columns.values())}
