"""What people do to trials, checked against where they stand and turned into events; nothing here writes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seiko.campaign.ledger import Event, NewEvent, Reading, Row, aggregate, charge
from seiko.campaign.ledger import read_reading as as_reading
from seiko.campaign.projection import Projection
from seiko.campaign.readings import label, trial_id
from seiko.campaign.settings import Settings
from seiko.errors import BudgetExhausted, ObservationError, ParameterError, SeikoError, TrialError
from seiko.records import Observation, TrialState, micro

NOTHING = "Nothing was recorded"


def about(error: SeikoError, id_: int) -> SeikoError:
    """The error, with the trial that it is about as its attribute `trial_id`."""
    error.__dict__["trial_id"] = id_
    return error


class Desk:
    """The trials that one call speaks of, within one transaction.

    Args:
        tables: The tables of the transaction.
        settings: The campaign's.
        ids: Of the trials.

    Raises:
        TrialError: If an id is not a whole number, or there is no such trial.
    """

    def __init__(self, tables: Projection, settings: Settings, ids: Iterable[Any]) -> None:
        self._tables, self._settings = tables, settings
        self.ids = list(dict.fromkeys(trial_id(id_) for id_ in ids))
        self.rows = dict(tables.rows(self.ids))
        self._spent: int | None = None
        self._check_known()

    def _check_known(self) -> None:
        for id_ in self.ids:
            if id_ not in self.rows:
                count = self._tables.num_trials()
                known = f"trials 0 to {count - 1}" if count else "no trials yet"
                raise about(
                    TrialError(
                        f"There is no trial {id_}; this campaign has {known}.",
                        hint=f"{NOTHING}; mend the id.",
                    ),
                    id_,
                )

    def tell(self, told: Mapping[int, Sequence[Observation]]) -> list[NewEvent]:
        """Readings that are not there yet."""
        before = self._tables.readings(list(told))
        events: list[NewEvent] = []
        for id_ in told:
            readings = before.get(id_, {})
            for new in told[id_]:
                if not _is_told(self.rows[id_], readings, new):
                    events.append(self._read("told", id_, readings, new))
        return events

    def amend(self, told: Mapping[int, Sequence[Observation]], reason: str) -> list[NewEvent]:
        """Readings in place of those that are there under the same replicate."""
        before = self._tables.readings(self.ids)
        events: list[NewEvent] = []
        for id_ in self.ids:
            readings, row = before.get(id_, {}), self.rows[id_]
            if row.state.is_open and not readings:
                raise about(
                    TrialError(
                        f"Trial {id_} is {row.state} and has no reading to amend.",
                        hint=f"{NOTHING}; tell it.",
                    ),
                    id_,
                )
            for new in told[id_]:
                old = readings.get(label(new))
                if old is None and readings:
                    raise about(
                        TrialError(
                            f"Trial {id_} has no replicate {label(new)!r} to amend; it has "
                            f"{', '.join(map(repr, sorted(readings)))}.",
                            hint=f"{NOTHING}; name the replicate that is wrong.",
                        ),
                        id_,
                    )
                if old is None or not _same(old, new, exactly=True):
                    events.append(self._read("amended", id_, readings, new, reason=reason))
        return events

    def _read(
        self, kind: str, id_: int, readings: dict[str, Reading], new: Observation, **more: Any
    ) -> NewEvent:
        row = self.rows[id_]
        payload = {"id": id_, **reading_payload(new), **more}
        readings[label(new)] = as_reading(id_, payload, Event(0, kind, row.round, "", payload))
        _check_cost(row, readings.values())
        state = aggregate(readings.values())["state"]
        charged = self._affordable(row, charge(row, state, _costs(readings), self._settings.budget.refund))
        self.rows[id_] = replace(row, state=state, charged=charged)
        if charged != row.charged:
            payload["charged"] = charged
        return NewEvent(kind, payload, round=row.round)

    def _affordable(self, row: Row, charged: int) -> int:
        """A charge that a reading raises, a refunded one say, rises no further than the budget goes."""
        if charged <= row.charged:
            return charged
        rise = min(charged - row.charged, max(self.left, 0))
        self._spend(rise)
        return row.charged + rise

    @property
    def left(self) -> int:
        """What is left of the budget, in millionths."""
        if self._spent is None:
            self._spent = self._tables.charged()
        return micro(self._settings.budget.total) - self._spent

    def _spend(self, amount: int) -> None:
        _ = self.left
        assert self._spent is not None
        self._spent += amount

    def start(self, timeout: float | None, by: str, gone: Collection[str] = ()) -> list[NewEvent]:
        """Those that are not running elsewhere are running from now on."""
        now, mine = time.time(), []
        for id_ in self.ids:
            row = self.rows[id_]
            if not row.state.is_open:
                raise about(
                    TrialError(
                        f"Trial {id_} is {row.state}; only an awaited one can be started.",
                        hint="Retry it first." if row.state is TrialState.FAILED else "Leave it out.",
                    ),
                    id_,
                )
            elsewhere = row.seen(now) is TrialState.RUNNING and row.worker not in ("", by, *gone)
            if not elsewhere:
                mine.append(id_)
        seconds = self._settings.timeout if timeout is None else timeout
        deadline = None if seconds is None else now + seconds
        return [NewEvent("started", {"ids": mine, "deadline": deadline, "by": by})] if mine else []

    def retry(self, *, skip: bool) -> list[NewEvent]:
        """Failed and stale trials wait again; with `skip`, those that may not be retried are left out."""
        now = time.time()
        ready = [row for row in self.rows.values() if self._is_retryable(row, now, skip=skip)]
        return [self._retried(row, now) for row in ready]

    def _is_retryable(self, row: Row, now: float, *, skip: bool) -> bool:
        state = row.seen(now)
        if state in (TrialState.PENDING, TrialState.RUNNING):
            return False
        if state not in (TrialState.FAILED, TrialState.STALE):
            if skip:
                return False
            raise about(
                TrialError(
                    f"Trial {row.id} is {state}; only a failed or stale one can be retried.",
                    hint=f"{NOTHING}. A wrong reading is corrected by amend.",
                ),
                row.id,
            )
        if row.attempts > self._settings.max_retries:
            if skip:
                return False
            raise about(
                TrialError(
                    f"Trial {row.id} was tried {row.attempts} times, and this campaign allows "
                    f"{self._settings.max_retries} retries.",
                    hint=f"{NOTHING}. Abandon it, or amend it if there is a reading after all.",
                ),
                row.id,
            )
        return True

    def _retried(self, row: Row, now: float) -> NewEvent:
        budget, timeout = self._settings.budget, self._settings.timeout
        base = row.charged if budget.charge_retries else row.base
        charged = base + row.reserve
        if charged - row.charged > max(self.left, 0):
            raise BudgetExhausted(
                f"A retry of trial {row.id} costs {(charged - row.charged) / 1e6:g} {budget.unit}, and "
                f"{self.left / 1e6:g} are left.",
                hint=f"{NOTHING}.",
            )
        self._spend(charged - row.charged)
        deadline = None if timeout is None else now + timeout
        payload = {"id": row.id, "base": base, "charged": charged, "deadline": deadline}
        return NewEvent("retried", payload, round=row.round)

    def abandon(self, reasons: Mapping[int, str]) -> list[NewEvent]:
        """Trials that will not be measured, with the reason of each."""
        events = []
        for id_, reason in reasons.items():
            row = self.rows[trial_id(id_)]
            if not isinstance(reason, str) or not reason.strip():
                raise ParameterError(f"`reason` must say why trial {id_} is abandoned; got {reason!r}.")
            if row.state in (TrialState.COMPLETE, TrialState.INFEASIBLE):
                raise about(
                    TrialError(
                        f"Trial {id_} is {row.state}; only one without a reading can be abandoned.",
                        hint=f"{NOTHING}. A wrong reading is corrected by amend.",
                    ),
                    id_,
                )
            if row.state is not TrialState.ABANDONED:
                refunded = TrialState.ABANDONED in self._settings.budget.refund
                charged = row.base if refunded else row.charged
                payload = {"id": id_, "reason": reason, "charged": charged}
                events.append(NewEvent("abandoned", payload, round=row.round))
        return events


def reading_payload(new: Observation) -> dict[str, Any]:
    """One reading as JSON values."""
    payload: dict[str, Any] = {
        "state": str(new.state),
        "value": None if new.value is None else float(new.value) + 0.0,
        "noise_std": None if new.noise_std is None else float(new.noise_std),
        "note": str(new.note),
    }
    if label(new) != "0":
        payload["replicate"] = label(new)
    if new.cost is not None:
        payload["cost"] = float(new.cost)
    return payload


def changed_ids(events: Iterable[NewEvent]) -> list[int]:
    """The trials that some events change, each once."""
    ids = (e.payload["ids"] if "ids" in e.payload else [e.payload["id"]] for e in events)
    return list(dict.fromkeys(id_ for some in ids for id_ in some))


def _is_told(row: Row, readings: Mapping[str, Reading], new: Observation) -> bool:
    """Whether the trial holds exactly this reading already."""
    old = readings.get(label(new))
    if row.state is TrialState.ABANDONED:
        raise about(
            TrialError(
                f"Trial {row.id} was abandoned ({row.note}) and cannot become {described(new)}.",
                hint=f"{NOTHING}. Amend it if there is a reading after all.",
            ),
            row.id,
        )
    if old is None:
        return False
    if _same(old, new):
        return True
    raise about(
        TrialError(
            f"Trial {row.id} was already told {described(old)} and cannot become {described(new)}: a told "
            "reading is final.",
            hint=f"{NOTHING}. Leave it out, amend it if it is a correction, retry the trial if it failed, or "
            "give a further reading a `replicate` of its own.",
        ),
        row.id,
    )


def _same(old: Reading, new: Observation, *, exactly: bool = False) -> bool:
    value = None if new.value is None else float(new.value)
    if old.state is not new.state or old.value != value:
        return False
    if exactly:
        return (old.noise_std, old.cost, old.note) == (new.noise_std, new.cost, new.note)
    return new.noise_std in (None, old.noise_std) and new.cost in (None, old.cost)


def described(reading: Reading | Observation) -> str:
    """A reading in an error's words."""
    if reading.state is not TrialState.COMPLETE or reading.value is None:
        return str(reading.state)
    noise = "" if reading.noise_std is None else f" (noise {float(reading.noise_std)})"
    return f"{float(reading.value)}{noise}"


def _costs(readings: Mapping[str, Reading]) -> list[float | None]:
    return [reading.cost for reading in readings.values()]


def _check_cost(row: Row, readings: Iterable[Reading]) -> None:
    cost = sum(micro(reading.cost) for reading in readings if reading.cost is not None)
    if row.reserve and cost > row.reserve:
        raise about(
            ObservationError(
                f"The readings of trial {row.id} cost {cost / 1e6:g}; {row.reserve / 1e6:g} was reserved.",
                hint=f"{NOTHING}. Tell at most that cost, or none; write the rest into the note.",
            ),
            row.id,
        )
