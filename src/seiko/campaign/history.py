"""The history of a stored campaign: what may change is read at once, designs where they are looked at."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import select

from seiko.campaign.journal import trial_of
from seiko.campaign.ledger import Row
from seiko.campaign.projection import CODES, STATES
from seiko.campaign.store import Store, Transaction
from seiko.campaign.tables import trials_table
from seiko.errors import CampaignError
from seiko.records import History, Trial, TrialState

Design = TypeVar("Design")
FRACTION = 0.2
"""From this share of all trials on, they are read in one sweep instead of by id."""


class Snapshot:
    """What may change of every trial, at one moment; its cost is a few columns, whatever the designs are.

    Attributes:
        last: Id of the last event it knows.
        next_round: The number of the next round.
        states: Code of the recorded state of each trial.
    """

    def __init__(self, transaction: Transaction) -> None:
        self.last = transaction.last_id()
        self.next_round = transaction.tables.next_round()
        c = trials_table.c
        self.states = bytearray()
        self._values, self._noise, self._counts = array("d"), array("d"), array("l")
        statement = select(c.id, c.state, c.value, c.noise_std, c.num_readings).order_by(c.id)
        cursor = transaction.connection.execute(statement).cursor
        assert cursor is not None
        while chunk := cursor.fetchmany(20_000):
            self._add(chunk)

    def _add(self, chunk: Sequence[Any]) -> None:
        ids, states, values, noise, counts = zip(*chunk, strict=True)
        if ids[0] != len(self.states) or ids[-1] - ids[0] != len(ids) - 1:
            raise CampaignError(
                f"The campaign is damaged: trials are missing after trial {len(self.states) - 1}.",
                hint="Rebuild the tables from the journal (`seiko doctor`), or restore it from a copy.",
            )
        self.states.extend(states)
        self._values.extend(math.nan if value is None else value for value in values)
        self._noise.extend(math.nan if value is None else value for value in noise)
        self._counts.extend(counts)

    def __len__(self) -> int:
        return len(self.states)

    def ids(self, states: Iterable[TrialState]) -> list[int]:
        """The trials in any of these recorded states."""
        codes = {CODES[state] for state in states}
        return [id_ for id_, code in enumerate(self.states) if code in codes]

    def trial(self, row: Row, design: Any) -> Trial[Any]:
        """A trial as it stood then: what was told since is left out."""
        now = trial_of(row, design, STATES[self.states[row.id]])
        if row.event <= self.last:
            return now
        value, noise = self._values[row.id], self._noise[row.id]
        return Trial(
            id=now.id,
            round=now.round,
            design=design,
            key=now.key,
            state=now.state,
            value=None if math.isnan(value) else value,
            noise_std=None if math.isnan(noise) else noise,
            predicted_mean=now.predicted_mean,
            predicted_std=now.predicted_std,
            num_readings=self._counts[row.id],
        )


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
        return self._read(range(len(self._snapshot)))

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
        with self._store.read() as transaction:
            statement = select(c.key).where(c.id < len(self._snapshot))
            return frozenset(transaction.connection.scalars(statement.execution_options(yield_per=20_000)))

    @property
    def next_round(self) -> int:
        return self._snapshot.next_round

    def _in(self, *states: TrialState) -> tuple[Trial[Design], ...]:
        if "trials" in self.__dict__:
            return tuple(t for t in self.trials if t.state in states)
        return self._read(self._snapshot.ids(states))

    def _read(self, ids: Sequence[int]) -> tuple[Trial[Design], ...]:
        if not ids:
            return ()
        snapshot = self._snapshot
        wanted = None if len(ids) > FRACTION * len(snapshot) else ids
        chosen = None if wanted is not None or len(ids) == len(snapshot) else set(ids)
        with self._store.read() as transaction:
            found = transaction.tables.rows(wanted)
            rows = [row for id_, row in found if id_ < len(snapshot) and (chosen is None or id_ in chosen)]
        return tuple(map(snapshot.trial, rows, self._decode(rows)))
