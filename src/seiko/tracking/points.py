"""From a campaign's journal to points on two axes: rounds, and readings in the order told."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seiko.campaign import Journal
    from seiko.campaign.ledger import Event


@dataclass(frozen=True)
class Point:
    """Numbers at one moment of a campaign.

    Attributes:
        event: Id of the journal's event that they come from.
        axis: "round" or "reading": what `step` counts, from 0 and from 1.
        step: Where they stand on it.
        seconds: When, since 1970.
        values: Finite numbers by name, ``group/name``.
    """

    event: int
    axis: str
    step: int
    seconds: float
    values: Mapping[str, float]


def points(journal: Journal) -> Iterator[Point]:
    """All points of a campaign, in the order in which things happened.

    Of each round, at its number: what the proposer reported. Of each reading, at how many there were: the
    reading itself, the best and the mean of the ten best so far, and how many failed or were infeasible.
    A correction is one more point.
    """
    tally = Tally()
    for event in journal.events():
        yield from tally.add(event)


@dataclass
class Tally:
    """What the events so far amount to."""

    last: int = 0
    step: int = 0
    num_rounds: int = 0
    asked: int = 0
    readings: dict[int, dict[str, tuple[str, float | None]]] = field(default_factory=dict)
    best: list[float] = field(default_factory=list)
    failed: int = 0
    infeasible: int = 0

    def add(self, event: Event) -> list[Point]:
        """The points of one more event."""
        self.last = event.id
        payload = event.payload
        seconds = datetime.fromisoformat(event.created_utc).timestamp()
        if event.kind == "asked":
            self.asked += len(payload["trials"])
            return self._round(event, event.round or 0, payload["report"], seconds)
        if event.kind == "learned":
            return self._round(event, self.num_rounds, payload["report"], seconds)
        if event.kind == "retried":
            self._forget(payload["id"])
        told = payload["readings"] if event.kind == "attached" else [payload]
        if event.kind not in ("told", "amended", "attached"):
            return []
        return [self._reading(event, payload["id"], reading, seconds) for reading in told or ()]

    def _round(
        self, event: Event, number: int, report: Mapping[str, Any] | None, seconds: float
    ) -> list[Point]:
        self.num_rounds = max(self.num_rounds, number + (event.kind == "asked"))
        values = {name: float(x) for name, x in (report or {}).items() if _is_number(x)}
        values["campaign/asked"] = float(self.asked)
        return [Point(event.id, "round", number, seconds, values)]

    def _reading(self, event: Event, trial: int, reading: Mapping[str, Any], seconds: float) -> Point:
        self.step += 1
        kept = dict(self.readings.get(trial, {}))
        self._forget(trial)
        kept[str(reading.get("replicate", "0"))] = (reading["state"], reading["value"])
        self._keep(trial, kept)
        values = {"reading/failed": float(self.failed), "reading/infeasible": float(self.infeasible)}
        if reading["value"] is not None:
            values["reading/value"] = float(reading["value"])
        if self.best:
            top = self.best[-10:]
            values |= {"reading/best": top[-1], "reading/best_ten": math.fsum(v / len(top) for v in top)}
        return Point(event.id, "reading", self.step, seconds, values)

    def _keep(self, trial: int, kept: dict[str, tuple[str, float | None]]) -> None:
        self.readings[trial] = kept
        if (state := _state(kept)) == "complete":
            insort(self.best, _mean(kept))
        self.failed += state == "failed"
        self.infeasible += state == "infeasible"

    def _forget(self, trial: int) -> None:
        kept = self.readings.pop(trial, None)
        if kept is None:
            return
        if (state := _state(kept)) == "complete":
            del self.best[bisect_left(self.best, _mean(kept))]
        self.failed -= state == "failed"
        self.infeasible -= state == "infeasible"


def _state(kept: Mapping[str, tuple[str, float | None]]) -> str:
    """Of a trial, from its readings, as the campaign has it."""
    states = [state for state, _ in kept.values()]
    if states.count("infeasible") > states.count("complete"):
        return "infeasible"
    return "complete" if "complete" in states else "failed"


def _mean(kept: Mapping[str, tuple[str, float | None]]) -> float:
    values = [value for _, value in kept.values() if value is not None]
    return math.fsum(value / len(values) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
