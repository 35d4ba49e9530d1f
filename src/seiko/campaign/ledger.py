"""What each event does to the trials: the rules of a campaign, in memory. No database, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seiko.errors import CampaignError
from seiko.records import TrialState, micro

COMPLETE, FAILED, INFEASIBLE = TrialState.COMPLETE, TrialState.FAILED, TrialState.INFEASIBLE
ONE_QUERY = micro(1)


@dataclass(frozen=True)
class Event:
    """Something that happened; never changed afterwards."""

    id: int
    kind: str
    round: int | None
    created_utc: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class NewEvent:
    """Something about to be written; `payload` holds JSON values, all numbers finite."""

    kind: str
    payload: Mapping[str, Any]
    round: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one trial, as it stands after all corrections."""

    trial: int
    replicate: str
    state: TrialState
    value: float | None
    noise_std: float | None
    note: str
    cost: float | None
    told_utc: str
    event: int


@dataclass(frozen=True, slots=True)
class Row:
    """One trial. Charges are in millionths of the budget's unit; `design` and `rendering` are hashes.

    `reserve` is what one attempt may cost, `base` what earlier attempts were charged, `charged` all of it.
    """

    id: int
    round: int
    design: str
    rendering: str
    key: str
    predicted_mean: float | None
    predicted_std: float | None
    asked_utc: str
    state: TrialState = TrialState.PENDING
    value: float | None = None
    noise_std: float | None = None
    note: str = ""
    num_readings: int = 0
    attempts: int = 1
    deadline: float | None = None
    reserve: int = ONE_QUERY
    base: int = 0
    charged: int = ONE_QUERY
    told_utc: str | None = None
    worker: str = ""
    event: int = 0

    def seen(self, now: float) -> TrialState:
        """The state at a moment, in seconds since 1970: an awaited trial whose time is over is stale."""
        late = self.deadline is not None and now >= self.deadline
        return TrialState.STALE if late and self.state.is_open else self.state


@dataclass(frozen=True, slots=True)
class Round:
    """What the proposer left: one a round, and one whenever it learned without asking."""

    event: int
    round: int | None
    after: int
    asked_utc: str
    artifacts: Mapping[str, str]
    report: Mapping[str, Any] | None


@dataclass
class Sheet:
    """The trials that some events touch, with their readings, before and then after those events."""

    rows: dict[int, Row] = field(default_factory=dict)
    readings: dict[int, dict[str, Reading]] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    settings: Mapping[str, Any] | None = None

    def apply(self, event: Event) -> None:
        """Take in one event.

        Raises:
            CampaignError: If its kind is unknown, or it speaks of a trial that is not there.
        """
        if event.kind not in KINDS:
            raise CampaignError(
                f"Event {event.id} is of the unknown kind {event.kind!r}; known are {', '.join(KINDS)}.",
                hint="Install the version of seiko that wrote it.",
            )
        try:
            KINDS[event.kind](self, event)
        except (KeyError, TypeError, ValueError) as error:
            raise CampaignError(
                f"Event {event.id} ({event.kind}) cannot be applied: {type(error).__name__}: {error}.",
                hint="An event before it is lost, or another program wrote it; restore it from a copy.",
            ) from error

    def change(self, id_: int, event: Event, **changes: Any) -> None:
        """Replace fields of one trial."""
        self.rows[id_] = replace(self.rows[id_], event=event.id, **changes)


def touched(event: Event) -> list[int]:
    """Ids of the trials that must be known before an event is applied."""
    if event.kind in ("told", "amended", "retried", "abandoned"):
        return [event.payload["id"]]
    return list(event.payload["ids"]) if event.kind == "started" else []


def aggregate(readings: Iterable[Reading]) -> dict[str, Any]:
    """What the readings of one trial say together: state, value, its standard error, how many, and notes.

    The value is the mean of the complete readings. Its noise is ``sqrt(sum of noise_std^2) / k`` where every
    reading has one, else the readings' standard deviation over ``sqrt(k)``; of one reading, or of equal
    ones, it is unknown. A trial with more infeasible than complete readings is infeasible; one with neither,
    failed.
    """
    told = sorted(readings, key=lambda r: (r.event, r.replicate))
    complete = [r for r in told if r.state is COMPLETE]
    infeasible = [r for r in told if r.state is INFEASIBLE]
    note = "; ".join(dict.fromkeys(r.note for r in told if r.note))
    base = {"told_utc": told[-1].told_utc, "note": note, "value": None, "noise_std": None, "num_readings": 0}
    if len(infeasible) > len(complete):
        return {**base, "state": INFEASIBLE}
    if not complete:
        return {**base, "state": FAILED}
    values = [float(r.value) for r in complete if r.value is not None]
    noise = standard_error(values, [r.noise_std for r in complete])
    return {**base, "state": COMPLETE, "value": mean(values), "noise_std": noise, "num_readings": len(values)}


def mean(values: list[float]) -> float:
    """Rounded once, so that the order of the values does not matter."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)


def standard_error(values: list[float], noise: list[float | None]) -> float | None:
    """Of the mean of some readings; see :func:`aggregate`."""
    known = [n for n in noise if n is not None]
    if len(known) == len(values):
        error = known[0] if len(known) == 1 else math.hypot(*known) / len(known)
        return error if error < math.inf else None
    if len(values) == 1:
        return None
    centre, count = mean(values), len(values)
    spread = math.hypot(*(value - centre for value in values)) / math.sqrt(count - 1)
    return spread / math.sqrt(count) if 0 < spread < math.inf else None


def charge(row: Row, state: TrialState, costs: Iterable[float | None], refund: Iterable[str]) -> int:
    """What a trial in this state is charged, in millionths: what its readings cost, where all of them say."""
    known = list(costs)
    if row.reserve == 0:
        return row.base
    if state in refund:
        return row.base
    if known and all(cost is not None for cost in known):
        return row.base + sum(micro(cost) for cost in known if cost is not None)
    return row.base + row.reserve


def read_reading(trial: int, payload: Mapping[str, Any], event: Event) -> Reading:
    """A reading from an event's JSON values, of this version or of the first."""
    return Reading(
        trial=trial,
        replicate=payload.get("replicate", "0"),
        state=TrialState(payload["state"]),
        value=payload["value"],
        noise_std=payload["noise_std"],
        note=payload["note"],
        cost=payload.get("cost"),
        told_utc=event.created_utc,
        event=event.id,
    )


def _settled(sheet: Sheet, event: Event) -> None:
    """After readings changed: what they say now, and the charge that the event names."""
    told = event.payload
    changes = aggregate(sheet.readings[told["id"]].values())
    charged = told.get("charged", sheet.rows[told["id"]].charged)
    sheet.change(told["id"], event, deadline=None, charged=charged, **changes)


def _told(sheet: Sheet, event: Event) -> None:
    reading = read_reading(event.payload["id"], event.payload, event)
    sheet.readings.setdefault(reading.trial, {})[reading.replicate] = reading
    _settled(sheet, event)


def _attached(sheet: Sheet, event: Event) -> None:
    new = event.payload
    _add(sheet, event, new, round=-1)
    if new["readings"]:
        told = [read_reading(new["id"], r, event) for r in new["readings"]]
        sheet.readings[new["id"]] = {r.replicate: r for r in told}
        _settled(sheet, event)


def _add(sheet: Sheet, event: Event, new: Mapping[str, Any], *, round: int) -> None:
    if new["id"] in sheet.rows:
        raise ValueError(f"trial {new['id']} is there already")
    mean, std = new.get("predicted") or (None, None)
    reserve = new.get("reserve", ONE_QUERY)
    sheet.rows[new["id"]] = Row(
        id=new["id"],
        round=round,
        design=new["design"],
        rendering=new["rendering"],
        key=new["key"],
        predicted_mean=mean,
        predicted_std=std,
        asked_utc=event.created_utc,
        deadline=new.get("deadline"),
        reserve=reserve,
        charged=reserve,
        event=event.id,
    )


def _asked(sheet: Sheet, event: Event) -> None:
    asked = event.payload
    shared = {name: asked[name] for name in ("reserve", "deadline") if name in asked}
    for new in asked["trials"]:
        _add(sheet, event, {**new, **shared}, round=asked["round"])
    _learned(sheet, event)


def _learned(sheet: Sheet, event: Event) -> None:
    left = event.payload
    round_ = event.round if event.kind == "asked" else None
    report = left["report"]
    sheet.rounds.append(Round(event.id, round_, left["after"], event.created_utc, left["artifacts"], report))


def _created(sheet: Sheet, event: Event) -> None:
    sheet.settings = event.payload


def _forked(sheet: Sheet, event: Event) -> None:
    sheet.settings = event.payload["settings"]
    sheet.rounds.append(Round(event.id, None, 0, event.created_utc, event.payload["artifacts"], None))


def _started(sheet: Sheet, event: Event) -> None:
    for id_ in event.payload["ids"]:
        started = {"deadline": event.payload["deadline"], "worker": event.payload["by"]}
        sheet.change(id_, event, state=TrialState.RUNNING, **started)


def _retried(sheet: Sheet, event: Event) -> None:
    new = event.payload
    sheet.readings[new["id"]] = {}
    row = sheet.rows[new["id"]]
    sheet.change(
        new["id"],
        event,
        state=TrialState.PENDING,
        note="",
        told_utc=None,
        attempts=row.attempts + 1,
        deadline=new["deadline"],
        base=new["base"],
        charged=new["charged"],
    )


def _abandoned(sheet: Sheet, event: Event) -> None:
    new = event.payload
    sheet.change(
        new["id"],
        event,
        state=TrialState.ABANDONED,
        note=new["reason"],
        deadline=None,
        charged=new["charged"],
        told_utc=event.created_utc,
    )


KINDS: Mapping[str, Callable[[Sheet, Event], None]] = {
    "created": _created,
    "forked": _forked,
    "asked": _asked,
    "attached": _attached,
    "told": _told,
    "amended": _told,
    "started": _started,
    "retried": _retried,
    "abandoned": _abandoned,
    "learned": _learned,
}
