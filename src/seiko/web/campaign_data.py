"""What the page of one campaign is made from, read off its journal: no domain, no torch."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seiko.web.campaign_numbers import (
    Calibration,
    Interval,
    calibration_of,
    distances_between,
    mean_interval,
    share_interval,
)

if TYPE_CHECKING:
    from seiko.campaign import CampaignStatus, Journal

Rows = Sequence[Mapping[str, Any]]
ATTACHED = -1
OPEN = ("pending", "running", "stale")
PAIRS = 150_000
"""So many pairs of designs are compared for the diversity of all rounds together."""


@dataclass(frozen=True)
class RoundNumbers:
    """One round in numbers, or what was attached from elsewhere.

    Attributes:
        round: From 0; -1 for what was attached.
        asked_utc: When; of the first one, where they were attached.
        states: Trials by state.
        first_query: Query number of its first design, from 1; None for what was attached.
        values: Readings, in order of trial.
        mean: Of the readings, with its 95 % interval.
        best: The row of the highest reading.
        best_before: The highest reading of anything before.
        calibration: Of what was predicted for its designs; None without predictions or readings.
        feasible: Fraction that has a reward, of those that were found to have one or none.
        diversity: Mean distance between two of its designs, 0 to 1.
        report: What the proposer reported with it.
    """

    round: int
    asked_utc: str
    states: Mapping[str, int]
    first_query: int | None
    values: tuple[float, ...]
    mean: Interval | None
    best: Mapping[str, Any] | None
    best_before: float | None
    calibration: Calibration | None
    feasible: Interval | None
    diversity: float | None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For readers, who count from 1."""
        return "Attached" if self.round == ATTACHED else f"Round {self.round + 1}"

    @property
    def size(self) -> int:
        return sum(self.states.values())

    @property
    def num_open(self) -> int:
        return sum(self.states.get(state, 0) for state in OPEN)

    def reported(self, name: str) -> float | None:
        """A finite number of the report."""
        return number_in(self.report, name)


@dataclass(frozen=True)
class CampaignData:
    """A campaign at one moment.

    Attributes:
        status: Where it stands.
        method: As its owner called it; "" where that is not known.
        kl_target: Wanted distance to the pre-trained model in nats, where the campaign names one.
        rows: Every trial, in order of id; see ``Journal.rows``.
        queries: Query number of each asked trial by id, from 1.
        rounds: Numbers of each, what was attached first.
        final: What the proposer reported when it learned from everything, if it did.
        distance: How two designs were compared, in words; "" if they were not.
    """

    status: CampaignStatus
    method: str
    kl_target: float | None
    rows: Rows
    queries: Mapping[int, int]
    rounds: Sequence[RoundNumbers]
    final: Mapping[str, Any]
    distance: str

    @cached_property
    def told(self) -> list[Mapping[str, Any]]:
        return [row for row in self.rows if row["value"] is not None]

    @property
    def asked_rounds(self) -> list[RoundNumbers]:
        return [r for r in self.rounds if r.round != ATTACHED]

    def best(self, count: int) -> list[Mapping[str, Any]]:
        """The rows with the highest readings, of equal ones the first."""
        return heapq.nsmallest(count, self.told, key=lambda row: (-row["value"], row["trial_id"]))


def read_campaign(journal: Journal) -> CampaignData:
    """Everything that the page says, of a campaign as it is now.

    Raises:
        CampaignError: If what is stored is damaged.
    """
    rows = list(journal.rows())
    details = {entry["round"]: entry for entry in journal.round_details}
    asked = (row["trial_id"] for row in rows if row["round"] != ATTACHED)
    queries = {id_: number for number, id_ in enumerate(asked, start=1)}
    rounds, distance = _rounds(rows, details, queries)
    arguments = journal.config.get("method.arguments")
    return CampaignData(
        status=journal.status(),
        method=str(journal.config.get("method.name", "")),
        kl_target=number_in(arguments if isinstance(arguments, Mapping) else {}, "kl_target"),
        rows=rows,
        queries=queries,
        rounds=rounds,
        final=journal.final_report or {},
        distance=distance,
    )


def number_in(report: Mapping[str, Any], name: str) -> float | None:
    """A finite number of a report; None if it is not there, or something else.

    Example:
        >>> number_in({"kl": 2}, "kl"), number_in({"kl": "inf"}, "kl"), number_in({}, "kl")
        (2.0, None, None)
    """
    found = report.get(name)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        return None
    return float(found)


def _rounds(
    rows: Rows, details: Mapping[int, Mapping[str, Any]], queries: Mapping[int, int]
) -> tuple[list[RoundNumbers], str]:
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["round"], []).append(row)
    texts = [[str(row["design"]) for row in group if row["design"] is not None] for group in groups.values()]
    distances, how = distances_between(texts, PAIRS)
    diversity = dict(zip(groups, distances, strict=True))
    found: list[RoundNumbers] = []
    best: float | None = None
    for number in sorted(groups):
        report = details.get(number, {}).get("report") or {}
        reported = number_in(report, "round/diversity")
        spread = diversity[number] if reported is None else reported
        made = _numbers(number, groups[number], queries, report, best, spread)
        found.append(made)
        best = max([v for v in (best, *made.values) if v is not None], default=None)
    return found, how


def _numbers(
    number: int,
    group: Rows,
    queries: Mapping[int, int],
    report: Mapping[str, Any],
    best_before: float | None,
    diversity: float | None,
) -> RoundNumbers:
    told = [row for row in group if row["value"] is not None]
    states = Counter(row["state"] for row in group)
    values = tuple(float(row["value"]) for row in told)
    return RoundNumbers(
        round=number,
        asked_utc=group[0]["asked_utc"],
        states=states,
        first_query=queries.get(group[0]["trial_id"]),
        values=values,
        mean=mean_interval(values),
        best=max(told, key=lambda row: row["value"], default=None),
        best_before=best_before,
        calibration=calibration_of(
            [(row["value"], row["predicted_mean"], row["predicted_std"]) for row in told]
        ),
        feasible=share_interval(len(told), len(told) + states["infeasible"]),
        diversity=diversity,
        report=report,
    )
