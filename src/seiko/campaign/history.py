"""The history of a stored campaign: one moment of it, of which trials are read when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Select, select

from seiko.campaign.journal import trial_of
from seiko.campaign.ledger import Row, Sheet
from seiko.campaign.projection import CODES, STATES
from seiko.campaign.store import Store, Transaction
from seiko.campaign.tables import read_text, trials_table
from seiko.records import History, Trial, TrialState

Design = TypeVar("Design")
WAITING = (TrialState.PENDING, TrialState.RUNNING, TrialState.FAILED)


class Snapshot:
    """One moment of a campaign, at the cost of what was waiting then, however much was told before.

    Attributes:
        last: Id of the last event that it knows.
        next_round: The number of the next round.
        waiting: Recorded state of each trial without a reading.
    """

    def __init__(self, transaction: Transaction) -> None:
        self.last = transaction.last_id()
        self.next_round = transaction.tables.next_round()
        self._count = transaction.tables.num_trials()
        c = trials_table.c
        codes = [CODES[state] for state in WAITING]
        found = _raw(transaction, select(c.id, c.state).where(c.state.in_(codes)))
        self.waiting = {id_: STATES[code] for chunk in found for id_, code in chunk}

    def __len__(self) -> int:
        return self._count

    def rows(self, transaction: Transaction, states: Sequence[TrialState]) -> list[Row]:
        """The trials that were in any of these states then, as they stood, whatever was told since."""
        same = [
            row
            for row in transaction.tables.rows_where(states)
            if row.id < self._count and row.event <= self.last
        ]
        before = [row for row in self._changed(transaction) if row.state in states]
        return sorted([*same, *before], key=lambda row: row.id) if before else same

    def _changed(self, transaction: Transaction) -> list[Row]:
        """The trials that changed since, as they stood then."""
        changed = [row for row in transaction.tables.rows_after(self.last) if row.id < self._count]
        told = {row.id for row in changed if row.id not in self.waiting}
        if told:  # a correction or a further replicate came meanwhile: the journal knows what was there
            return self._replayed(transaction, {row.id for row in changed})
        return [_waiting(row, self.waiting[row.id]) for row in changed]

    def _replayed(self, transaction: Transaction, ids: set[int]) -> list[Row]:
        sheet = Sheet()
        for event in transaction.events():
            if event.id > self.last:
                break
            sheet.apply(event)
        return [sheet.rows[id_] for id_ in sorted(ids)]


def _waiting(row: Row, state: TrialState) -> Row:
    return replace(row, state=state, value=None, noise_std=None, note="", num_readings=0)


def _raw(transaction: Transaction, statement: Select[Any]) -> Iterator[Sequence[Any]]:
    """The driver's own rows, in chunks: very many are read several times as fast."""
    cursor = transaction.connection.execute(statement).cursor
    while cursor is not None and (chunk := cursor.fetchmany(20_000)):
        yield chunk


class StoredHistory(History[Design]):
    """A :class:`~seiko.History` that reads trials when they are first looked at.

    Args:
        store: The campaign's.
        snapshot: The moment that it shows.
        decode: Rows to their designs.
        replicate: Whether designs may be asked again: then no key is taken.
    """

    _store: Store
    _snapshot: Snapshot
    _decode: Callable[[Sequence[Row]], Sequence[Design]]
    _replicate: bool

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        decode: Callable[[Sequence[Row]], Sequence[Design]],
        *,
        replicate: bool = False,
    ) -> None:
        self.__dict__.update(_store=store, _snapshot=snapshot, _decode=decode, _replicate=replicate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.trials == other.trials

    def __hash__(self) -> int:
        return hash(self.trials)

    def __repr__(self) -> str:
        return f"<history of {len(self._snapshot)} trials>"

    @cached_property
    def trials(self) -> tuple[Trial[Design], ...]:
        return self._read(STATES)

    @cached_property
    def complete(self) -> tuple[Trial[Design], ...]:
        return self._in(TrialState.COMPLETE)

    @cached_property
    def infeasible(self) -> tuple[Trial[Design], ...]:
        return self._in(TrialState.INFEASIBLE)

    @cached_property
    def open(self) -> tuple[Trial[Design], ...]:
        return self._in(TrialState.PENDING, TrialState.RUNNING)

    @cached_property
    def keys(self) -> frozenset[str]:
        if self._replicate or not len(self._snapshot):
            return frozenset()
        c = trials_table.c
        statement = select(c.key).where(c.id < len(self._snapshot))
        with self._store.read() as transaction:
            return frozenset(
                key if "\\" not in key else read_text(key)
                for chunk in _raw(transaction, statement)
                for (key,) in chunk
            )

    @property
    def next_round(self) -> int:
        return self._snapshot.next_round

    def _in(self, *states: TrialState) -> tuple[Trial[Design], ...]:
        if "trials" in self.__dict__:
            return tuple(t for t in self.trials if t.state in states)
        return self._read(states)

    def _read(self, states: Sequence[TrialState]) -> tuple[Trial[Design], ...]:
        with self._store.read() as transaction:
            rows = self._snapshot.rows(transaction, states)
        designs = self._decode(rows)
        return tuple(trial_of(row, design, row.state) for row, design in zip(rows, designs, strict=True))
