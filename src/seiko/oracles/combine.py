"""Rewards made of rewards: weighted means, and constraints that make a design infeasible."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seiko.campaign.feedback import CallableFeedback, Feedback
from seiko.campaign.numbers import as_number
from seiko.errors import ObservationError, ParameterError
from seiko.oracles.modifiers import Modifier
from seiko.records import Observation, TrialState, is_finite_number

Reward = Callable[[Any], float]


@dataclass(frozen=True)
class Part:
    """One reward in a combination.

    Args:
        reward: Of one design.
        weight: In the combination; not 0, and above 0 in a geometric mean.
        modifier: Applied to the reward first, to bring it to a common scale.
    """

    reward: Reward
    weight: float = 1.0
    modifier: Modifier | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not is_finite_number(self.weight) or self.weight == 0:
            raise ParameterError(f"`weight` must be a finite number other than 0; got {self.weight!r}.")

    def __call__(self, design: Any) -> float:
        value = as_number(self.reward(design))
        if value is None or not math.isfinite(value):
            raise ObservationError(f"A part of a combination gave {value!r} for {design!r}.")
        return self.modifier(value) if self.modifier else value


@dataclass(frozen=True)
class Weighted:
    """Several rewards of one design in one number.

    "sum" is ``sum w r``, "arithmetic" is ``sum w r / sum w``, "geometric" is ``prod r^(w / sum w)``, which is
    0 as soon as one part is.

    Args:
        parts: Rewards by name.
        mean: How they are combined.

    Raises:
        ParameterError: If there is no part, or a mean has a weight that is not above 0.
        ObservationError: When called, if a part gives no finite number, or a geometric mean a negative one.

    Example:
        >>> both = Weighted({"length": Part(len, 3.0), "carbons": Part(lambda s: s.count("C"))}, mean="sum")
        >>> both("CCO"), both.values("CCO")
        (11.0, {'length': 3.0, 'carbons': 2.0})
    """

    parts: Mapping[str, Part]
    mean: Literal["sum", "arithmetic", "geometric"] = "arithmetic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", dict(self.parts))
        if self.mean not in ("sum", "arithmetic", "geometric"):
            raise ParameterError(f"`mean` must be 'sum', 'arithmetic' or 'geometric'; got {self.mean!r}.")
        weights = [part.weight for part in self.parts.values()]
        if not weights or (self.mean != "sum" and min(weights) <= 0):
            raise ParameterError(f"A {self.mean} needs parts with weights above 0; got {weights}.")

    def values(self, design: Any) -> dict[str, float]:
        """Each part's value, after its modifier, by name."""
        return {name: float(part(design)) for name, part in self.parts.items()}

    def __call__(self, design: Any) -> float:
        values, weights = self.values(design), {n: p.weight for n, p in self.parts.items()}
        if self.mean == "geometric":
            negative = [name for name, value in values.items() if value < 0]
            if negative:
                raise ObservationError(
                    f"A geometric mean takes no negative value; {negative[0]} gave {values[negative[0]]:g}.",
                    hint="Give the part a modifier with values in [0, 1].",
                )
            total = sum(weights.values())
            return math.prod(values[name] ** (weights[name] / total) for name in values)
        value = math.fsum(weights[name] * values[name] for name in values)
        return value if self.mean == "sum" else value / sum(weights.values())


@dataclass(frozen=True)
class Constraint:
    """A number of a design that must lie in ``[low, high]``.

    Args:
        value: Of one design.
        low, high: Ends of the range; None for an open end.

    Raises:
        ParameterError: If neither end is given, or they are in the wrong order.
    """

    value: Reward
    low: float | None = field(default=None, kw_only=True)
    high: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ParameterError("A constraint needs `low`, `high` or both.")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ParameterError(f"A constraint needs low <= high; got {self.low!r} and {self.high!r}.")

    def violation(self, design: Any) -> str:
        """By how much a design is outside, in words; "" where it is inside."""
        value = as_number(self.value(design))
        if value is None or math.isnan(value):
            raise ObservationError(f"A constraint gave {value!r} for {design!r}.")
        if self.low is not None and value < self.low:
            return f"{value:.4g} is below {self.low:g}"
        return f"{value:.4g} is above {self.high:g}" if self.high is not None and value > self.high else ""


class Constrained:
    """Feedback that only asks for designs within constraints; the others are infeasible, with the reason.

    Constraints are evaluated first, in their order, so a costly reward is never spent on a design that one of
    them refuses. A query it is all the same: where a constraint is cheap, make it a filter of the domain.

    Args:
        feedback: The reward: a function of one design, or anything with ``evaluate(designs)``.
        constraints: By name.

    Raises:
        ParameterError: If there is no constraint, or `feedback` is neither.

    Example:
        >>> short = Constrained(lambda s: s.count("C"), {"length": Constraint(len, high=3)})
        >>> [(o.value, o.note) for o in short.evaluate(["CCO", "CCCC"])]
        [(2.0, ''), (None, 'constraint length: 4 is above 3')]
    """

    def __init__(self, feedback: Feedback[Any] | Reward, constraints: Mapping[str, Constraint]) -> None:
        if not constraints:
            raise ParameterError("`constraints` must hold at least one constraint.")
        self.feedback: Feedback[Any] = (
            feedback if hasattr(feedback, "evaluate") else CallableFeedback(feedback)
        )
        self.constraints = dict(constraints)
        self.refused: Counter[str] = Counter()

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        """One observation a design, in their order; `refused` counts by constraint."""
        answers = [self._refusal(design) for design in designs]
        asked = [row for row, answer in enumerate(answers) if answer is None]
        given = self.feedback.evaluate([designs[row] for row in asked]) if asked else []
        if len(given) != len(asked):
            raise ObservationError(f"The reward gave {len(given)} observations for {len(asked)} designs.")
        found = dict(zip(asked, given, strict=True))
        return [answer if answer is not None else found[row] for row, answer in enumerate(answers)]

    def _refusal(self, design: Any) -> Observation | None:
        for name, constraint in self.constraints.items():
            try:
                violation = constraint.violation(design)
            except Exception as error:  # whatever a user's function raises is this design's failure
                return Observation.failed(f"constraint {name}: {type(error).__name__}: {error}")
            if violation:
                self.refused[name] += 1
                return Observation.infeasible(f"constraint {name}: {violation}")
        return None


class WeightedFeedback:
    """Several sources of readings, such as two receptors, as ``sum w y`` of each design.

    A design that is infeasible for one is infeasible, one that failed for one has failed, and later sources
    are not asked for it. Noise adds up as for independent sources, and is unknown where one part's is.

    Args:
        parts: ``(feedback, weight)`` by name, asked in this order: put the cheap ones first.

    Raises:
        ParameterError: If there is no part, or a weight is not a finite number other than 0.
    """

    def __init__(self, parts: Mapping[str, tuple[Feedback[Any] | Reward, float]]) -> None:
        bad = [name for name, (_, w) in parts.items() if not is_finite_number(w) or w == 0]
        if not parts or bad:
            raise ParameterError(f"Every part needs a finite weight other than 0; got {bad or 'no part'}.")
        self.parts: dict[str, tuple[Feedback[Any], float]] = {
            name: (f if hasattr(f, "evaluate") else CallableFeedback(f), w) for name, (f, w) in parts.items()
        }

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        """One observation a design, in their order."""
        lost: dict[int, Observation] = {}
        readings: dict[int, dict[str, Observation]] = {row: {} for row in range(len(designs))}
        for name, (feedback, _) in self.parts.items():
            rows = [row for row in readings if row not in lost]
            given = feedback.evaluate([designs[row] for row in rows]) if rows else []
            for row, reading in zip(rows, given, strict=True):
                if reading.state is TrialState.COMPLETE:
                    readings[row][name] = reading
                else:
                    lost[row] = Observation(state=reading.state, note=f"{name}: {reading.note}")
        return [lost.get(row) or self._sum(readings[row]) for row in readings]

    def _sum(self, readings: Mapping[str, Observation]) -> Observation:
        weight = {name: w for name, (_, w) in self.parts.items()}
        value = math.fsum(weight[name] * float(r.value or 0.0) for name, r in readings.items())
        known = [(weight[name] * r.noise_std) ** 2 for name, r in readings.items() if r.noise_std is not None]
        is_known = len(known) == len(readings)
        note = ", ".join(f"{name} {r.value:.4g}" for name, r in readings.items())
        return Observation(value, noise_std=math.sqrt(sum(known)) if is_known else None, note=note)
