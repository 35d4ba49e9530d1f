"""A campaign without its domain and proposer: everything that people do to trials. Starts without torch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seiko.campaign import status
from seiko.campaign.ledger import Event, NewEvent, Row
from seiko.campaign.location import Location
from seiko.campaign.readings import read_readings, warn_of_empty
from seiko.campaign.settings import Settings, check_timeout
from seiko.campaign.store import Store, Transaction
from seiko.campaign.verbs import Desk, changed_ids
from seiko.errors import CampaignError, ParameterError
from seiko.records import Observation, Trial, TrialState

if TYPE_CHECKING:
    from seiko.campaign.checks import Finding

COLUMNS = (
    "trial_id",
    "round",
    "source",
    "state",
    "design",
    "key",
    "value",
    "noise_std",
    "num_readings",
    "note",
    "predicted_mean",
    "predicted_std",
    "attempts",
    "charged",
    "worker",
    "asked_utc",
    "told_utc",
)
TOLD = (TrialState.COMPLETE, TrialState.FAILED, TrialState.INFEASIBLE, TrialState.ABANDONED)
TAIL = 5000
"""So many of the last events are checked whenever a campaign is opened; `check` reads them all."""

Told = float | None | Observation | Sequence[Observation]


class Journal:
    """The record of a campaign: tell, correct, look up. Needs neither the domain nor the proposer.

    Made by :meth:`open`; :class:`~seiko.Campaign` makes new ones.

    Attributes:
        store: Where everything is written.
        settings: What the campaign was created with.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        with store.read() as transaction:
            found = transaction.tables.settings()
            if found is None:
                raise CampaignError(
                    f"The campaign {store.location} has no first event.", hint="Restore it from a copy."
                )
            _check_tail(transaction, store.location)
        self.settings = Settings.read(found)

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> Journal:
        """Open a campaign: a folder, or ``postgresql://user@host/database#name``.

        Raises:
            CampaignError: If there is none, or it is damaged.
            ParameterError: If the location cannot be read.
        """
        return cls(Store.open(location))

    @property
    def location(self) -> str:
        """Where the campaign is, without a password."""
        return str(self.store.location)

    @property
    def name(self) -> str:
        """Given by its owner."""
        return self.settings.name

    @property
    def domain_name(self) -> str:
        """Name of the kind of its designs."""
        return self.settings.domain

    @property
    def config(self) -> dict[str, Any]:
        """What its owner stored with it: the method and its arguments, say."""
        return dict(self.settings.config)

    @staticmethod
    def exists(location: str | os.PathLike[str]) -> bool:
        """Whether there is a campaign at a location, sound or not."""
        return Store.exists(location)

    def tell(
        self,
        readings: Mapping[int, Told],
        *,
        abandon: Mapping[int, str] | None = None,
        dry_run: bool = False,
        stacklevel: int = 2,
    ) -> list[int]:
        """Record readings; fast, and all of them or none.

        Telling the same reading again changes nothing. None and NaN are recorded as failed, with a warning.
        A late reading of a stale trial is taken. Never waits for a running ask.

        Args:
            readings: Trial id to a number in reward units, to an :class:`~seiko.Observation`, or to a list of
                Observations with a `replicate` each.
            abandon: Trials to give up in the same breath, with the reason of each.
            dry_run: Check everything and write nothing.
            stacklevel: Of the warning.

        Returns:
            Ids of the trials that this changed.

        Raises:
            ObservationError: If a reading is not a finite number, or cost more than was reserved.
            TrialError: If a trial is unknown, abandoned, or was told something else.
            CampaignError: If it cannot be written.
        """
        told = read_readings(readings)
        reasons = abandon or {}

        def act(desk: Desk) -> list[NewEvent]:
            return [*desk.tell(told), *desk.abandon(reasons)]

        changed = self._change([*told, *reasons], act, dry_run=dry_run)
        warn_of_empty(told, changed, stacklevel=stacklevel)
        return changed

    def amend(self, readings: Mapping[int, Told], *, reason: str) -> list[int]:
        """Correct what was told, or bring back an abandoned trial; the journal keeps what was there.

        Args:
            readings: As in :meth:`tell`; the replicate says which of several readings is wrong.
            reason: Why; kept with the correction.

        Returns:
            Ids of the trials that this changed.

        Raises:
            TrialError: If a trial is unknown, or was not told yet.
            ObservationError: If a reading is not a finite number.
            ParameterError: If there is no reason.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise ParameterError(f"`reason` must say why the readings are corrected; got {reason!r}.")
        told = read_readings(readings)
        return self._change(told, lambda desk: desk.amend(told, reason))

    def start(
        self, ids: Iterable[int], *, timeout: float | None = None, by: str = "", gone: Collection[str] = ()
    ) -> list[int]:
        """Mark awaited trials as running, so that nobody else measures them.

        Args:
            ids: Of the trials.
            timeout: Seconds until they are stale; the campaign's own by default.
            by: Who measures them: "robot 2", "host:pid".
            gone: Those who are known to measure no more; what they had begun is free.

        Returns:
            Ids of those that are now the caller's; what runs elsewhere and is not stale is left out.

        Raises:
            TrialError: If a trial is unknown, or is not awaited.
        """
        seconds = check_timeout(timeout)
        return self._change(ids, lambda desk: desk.start(seconds, str(by), gone))

    def retry(self, ids: Iterable[int] | None = None) -> list[int]:
        """Let failed and stale trials wait for a reading again; by default all that may.

        Nothing is charged, unless the budget says so or the charge was refunded.

        Returns:
            Ids of the trials that wait again; one that is awaited already is left out.

        Raises:
            TrialError: If a named trial is unknown, is told, or was retried as often as it may be.
            BudgetExhausted: If a retry costs more than is left.
        """
        if ids is not None:
            return self._change(ids, lambda desk: desk.retry(skip=False))
        with self.store.write() as transaction:
            tables = transaction.tables
            states = (TrialState.FAILED, TrialState.PENDING, TrialState.RUNNING)
            ready = [row.id for row in tables.rows_where(states) if _may_wait_again(row)]
            events = Desk(tables, self.settings, ready).retry(skip=True)
            transaction.append(events)
        return changed_ids(events)

    def abandon(self, ids: Iterable[int], *, reason: str) -> list[int]:
        """Give up on awaited or failed trials; their designs are never asked again.

        Returns:
            Ids of the trials that this changed.

        Raises:
            TrialError: If a trial is unknown, or has a reading.
            ParameterError: If there is no reason.
        """
        return self._change(ids, lambda desk: desk.abandon(dict.fromkeys(desk.ids, reason)))

    def _change(
        self, ids: Iterable[Any], act: Callable[[Desk], list[NewEvent]], *, dry_run: bool = False
    ) -> list[int]:
        wanted = _listed(ids)
        with self.store.write(commit=not dry_run) as transaction:
            events = act(Desk(transaction.tables, self.settings, wanted))
            if events:
                transaction.append(events)
        return changed_ids(events)

    def status(self) -> status.CampaignStatus:
        """Where the campaign stands."""
        with self.store.read() as transaction:
            return status.status_of(transaction, self.store.location, self.settings)

    @property
    def queries_left(self) -> int:
        """Designs that may still be asked for."""
        return self.status().queries_left

    def trials(
        self, ids: Iterable[int] | None = None, *, states: Iterable[TrialState | str] | None = None
    ) -> list[Trial[bytes]]:
        """Trials in order of id, each with its design's bytes; stale is read off the clock.

        Args:
            ids: Which; all by default.
            states: Only those in any of these states.

        Raises:
            TrialError: If there is no trial with one of the ids.
            CampaignError: If what is stored is damaged.
        """
        rows = list(self._rows(ids, states))
        designs = self.store.blobs(row.design for row in rows)
        now = time.time()
        return [trial_of(row, designs[row.design], row.seen(now)) for row in rows]

    def rows(
        self, ids: Iterable[int] | None = None, *, states: Iterable[TrialState | str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Trials as rows of a table, with the keys :data:`COLUMNS` and JSON values, in order of id.

        ``design`` is text where the domain stores text, else None; ``charged`` is in the budget's unit.

        Raises:
            TrialError: If there is no trial with one of the ids.
            CampaignError: If what is stored is damaged.
        """
        from seiko.campaign.projection import chunks

        for chunk in chunks(self._rows(ids, states)):
            designs = self.store.blobs(row.design for row in chunk) if self._is_text else {}
            now = time.time()
            for row in chunk:
                design = designs[row.design].decode(errors="replace") if designs else None
                yield _as_columns(row, design, row.seen(now))

    @property
    def _is_text(self) -> bool:
        return self.settings.media_type.startswith("text/")

    def _rows(self, ids: Iterable[int] | None, states: Iterable[TrialState | str] | None) -> Iterator[Row]:
        wanted = None if states is None else {TrialState(state) for state in states}
        now = time.time()
        with self.store.read() as transaction:
            tables = transaction.tables
            if ids is not None:
                listed = sorted(Desk(tables, self.settings, _listed(ids)).rows.items())
                found: Iterator[tuple[int, Row]] = iter(listed)
            else:
                found = tables.rows()
            for _, row in found:
                if wanted is None or row.seen(now) in wanted:
                    yield row

    def readings(self, ids: Iterable[int] | None = None) -> Iterator[dict[str, Any]]:
        """Single readings as rows, in order of trial: what the values of replicated trials are means of."""
        with self.store.read() as transaction:
            listed = None if ids is None else Desk(transaction.tables, self.settings, _listed(ids)).ids
            for reading in transaction.tables.each_reading(listed):
                yield {
                    "trial_id": reading.trial,
                    "replicate": reading.replicate,
                    "state": str(reading.state),
                    "value": reading.value,
                    "noise_std": reading.noise_std,
                    "note": reading.note,
                    "cost": reading.cost,
                    "told_utc": reading.told_utc,
                }

    def drawing(self, id_: int) -> str:
        """The stored SVG or HTML fragment of a trial's design; empty if none is stored."""
        with self.store.read() as transaction:
            row = Desk(transaction.tables, self.settings, [id_]).rows[id_]
        return self.store.blobs([row.rendering])[row.rendering].decode() if row.rendering else ""

    @property
    def rounds(self) -> tuple[Mapping[str, Any], ...]:
        """What the proposer reported, one a round."""
        return tuple(entry["report"] for entry in self.round_details)

    @property
    def round_details(self) -> tuple[dict[str, Any], ...]:
        """Number, time, report and hashes of the artifacts of every round, in order."""
        with self.store.read() as transaction:
            found = transaction.tables.rounds()
        return tuple(
            {
                "round": left.round,
                "asked_utc": left.asked_utc,
                "artifacts": dict(left.artifacts),
                "report": left.report,
            }
            for left in found
            if left.round is not None
        )

    @property
    def final_report(self) -> Mapping[str, Any] | None:
        """What the proposer reported when it learned from everything told, if it did."""
        with self.store.read() as transaction:
            final = status.final_round(transaction)
        return None if final is None else final.report

    def check(self, *, deep: bool = True) -> list[Finding]:
        """Everything that is wrong with the campaign; see :func:`seiko.campaign.checks.check`."""
        from seiko.campaign.checks import check

        return list(check(self.store, deep=deep))

    def rebuild(self) -> None:
        """Write the tables of trials, readings and rounds anew from the journal.

        Raises:
            CampaignError: If an event of the journal is damaged; then nothing is changed.
        """
        from seiko.campaign.migrations import rebuild

        with self.store.write() as transaction:
            rebuild(transaction)

    def events(self, *, after: int = 0) -> Iterator[Event]:
        """The journal itself, in order; each event is checked as it is read."""
        with self.store.read() as transaction:
            yield from transaction.events(after=after)


def trial_of(row: Row, design: Any, state: TrialState) -> Trial[Any]:
    """A trial as people and proposers see it."""
    return Trial(
        id=row.id,
        round=row.round,
        design=design,
        key=row.key,
        state=state,
        value=row.value,
        noise_std=row.noise_std,
        note=row.note,
        predicted_mean=row.predicted_mean,
        predicted_std=row.predicted_std,
        num_readings=row.num_readings,
    )


def _as_columns(row: Row, design: str | None, state: TrialState) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS if hasattr(row, name)}
    source = "attached" if row.round < 0 else "asked"
    more = {"trial_id": row.id, "source": source, "design": design, "state": str(state)}
    values |= {**more, "charged": row.charged / 1e6}
    return {name: values[name] for name in COLUMNS}


def _listed(ids: Any) -> list[Any]:
    if isinstance(ids, (int, str, bytes)) or not isinstance(ids, Iterable):
        raise ParameterError(f"`ids` must be a list of trial ids; got {ids!r}.", hint="For example [3, 4].")
    return list(ids)


def _may_wait_again(row: Row) -> bool:
    return row.seen(time.time()) in (TrialState.FAILED, TrialState.STALE)


def _check_tail(transaction: Transaction, location: Location) -> None:
    last = transaction.last_id()
    seen = 0
    for event in transaction.events(after=max(last - TAIL, 0)):
        seen = event.id
    if seen != last or transaction.tables.last_change() > last:
        raise CampaignError(
            f"{location.what} is damaged: its journal ends before its tables do.",
            hint="Restore it from a copy.",
        )
