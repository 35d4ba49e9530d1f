"""What a campaign remembers: frozen records of trials and readings. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from seiko.errors import ObservationError, ParameterError

Design = TypeVar("Design")


class TrialState(StrEnum):
    """Where a trial stands.

    ``PENDING -> RUNNING -> COMPLETE | FAILED | INFEASIBLE | ABANDONED``. A failed trial has no value and may
    be tried again; an infeasible one is a real label ("this design has no reward") and teaches the
    feasibility model; an abandoned one is never asked again. A pending or running trial whose time is over is
    *stale*: that is never recorded but read off the clock, and its reading is still taken when it comes.
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    ABANDONED = "abandoned"
    STALE = "stale"

    @property
    def is_open(self) -> bool:
        """Whether a reading is still awaited."""
        return self in (TrialState.PENDING, TrialState.RUNNING, TrialState.STALE)


@dataclass(frozen=True)
class Observation:
    """One reading ``value = reward(design) + noise``, or the reason why there is none.

    Args:
        value: The reading, in reward units; required if and only if the state is ``COMPLETE``.
        noise_std: Standard deviation of the reading's noise, in reward units, where it is known.
        state: ``COMPLETE``, ``FAILED`` or ``INFEASIBLE``.
        note: Anything worth keeping: the reason of a failure, the plate and well.
        replicate: Which reading of its trial this is, where there are several: a number >= 0, or a short
            text such as a well or the reading's own id. Told again under the same one, a reading changes
            nothing; told under another, it stands beside the first, and the trial's value is the mean.
        cost: What the reading cost, in the unit of the campaign's budget; never more than was reserved.

    Raises:
        ObservationError: If the value is missing, not finite or not a number, the noise or the cost is
            negative, or the replicate is neither a number nor a short text.

    Example:
        >>> Observation(0.7, noise_std=0.1).value
        0.7
        >>> Observation.infeasible("did not fold").state
        <TrialState.INFEASIBLE: 'infeasible'>
    """

    value: float | None = None
    noise_std: float | None = None
    state: TrialState = TrialState.COMPLETE
    note: str = ""
    replicate: int | str | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        if self.state not in (TrialState.COMPLETE, TrialState.FAILED, TrialState.INFEASIBLE):
            raise ObservationError(
                f"An observation's state must be complete, failed or infeasible; got {self.state!r}."
            )
        if self.state is not TrialState.COMPLETE:
            if self.value is not None:
                raise ObservationError(
                    f"A {self.state} reading has no value; got {self.value!r}.",
                    hint="Leave `value` out, or tell it as complete.",
                )
        elif not is_finite_number(self.value):
            raise ObservationError(
                f"A complete reading needs a finite number; got {self.value!r}.",
                hint="Tell a failed measurement as Observation.failed(reason).",
            )
        for name, number in (("noise_std", self.noise_std), ("cost", self.cost)):
            if number is not None and not (is_finite_number(number) and number >= 0):
                raise ObservationError(f"`{name}` must be a finite number >= 0; got {number!r}.")
        _check_replicate(self.replicate)

    @classmethod
    def replicates(cls, values: Iterable[float], *, noise_std: float | None = None) -> list[Observation]:
        """Several readings of one design, numbered from 0.

        Example:
            >>> [(o.value, o.replicate) for o in Observation.replicates([0.4, 0.5])]
            [(0.4, 0), (0.5, 1)]
        """
        return [cls(value, noise_std=noise_std, replicate=i) for i, value in enumerate(values)]

    @classmethod
    def failed(cls, note: str = "") -> Observation:
        """The measurement did not work; nothing is learned about the design."""
        return cls(state=TrialState.FAILED, note=note)

    @classmethod
    def infeasible(cls, note: str = "") -> Observation:
        """The design has no reward; this is a label."""
        return cls(state=TrialState.INFEASIBLE, note=note)


def _check_replicate(replicate: Any) -> None:
    number = isinstance(replicate, int) and not isinstance(replicate, bool) and replicate >= 0
    text = isinstance(replicate, str) and 0 < len(replicate) <= 64 and replicate.isprintable()
    if replicate is not None and not number and not text:
        raise ObservationError(
            f"`replicate` must be a number >= 0 or at most 64 printable characters; got {replicate!r}."
        )


def is_finite_number(value: Any) -> bool:
    """Whether `value` is a real, finite number (a bool or a string is not)."""
    if isinstance(value, (bool, str, bytes)) or value is None:
        return False
    try:
        return math.isfinite(value)
    except TypeError:
        return False


@dataclass(frozen=True)
class Trial(Generic[Design]):
    """One design sent for a reading.

    Attributes:
        id: Its number in the campaign, from 0; stable.
        round: The round it was asked in, from 0; -1 if it was not asked but attached.
        design: The design itself.
        key: The design's canonical identity, from the domain.
        state: Where it stands.
        value: The reading, in reward units; present only when complete.
        noise_std: Standard deviation of the reading's noise, where known.
        note: Free text told with the reading.
        predicted_mean: What the surrogate predicted when the trial was asked, if there was one.
        predicted_std: Its standard deviation for a new reading.
        num_readings: How many complete readings `value` is the mean of.
    """

    id: int
    round: int
    design: Design
    key: str
    state: TrialState = TrialState.PENDING
    value: float | None = None
    noise_std: float | None = None
    note: str = ""
    predicted_mean: float | None = None
    predicted_std: float | None = None
    num_readings: int = 0


REFUNDABLE = (TrialState.FAILED, TrialState.INFEASIBLE, TrialState.ABANDONED)


@dataclass(frozen=True)
class Budget:
    """What may be spent: a number of queries, or a cost.

    Every design is charged `cost` when it is asked, whatever comes of it. A reading told with its own, lower
    cost settles its trial's charge at that. Nothing else is ever given back, except by `refund`.

    Args:
        total: All that may be spent, in `unit`.
        unit: For reports: "queries", "EUR", "hours".
        cost: Charged for one query; a multiple of 1e-6.
        charge_retries: Whether a retry is charged once more.
        refund: States whose trials are given their charge back: "failed", "infeasible" or "abandoned".

    Raises:
        ParameterError: If a number is not finite and above 0, finer than 1e-6, or less than one query is paid
            for; or a state cannot be refunded.

    Example:
        >>> Budget(1000.0, unit="EUR", cost=2.5).queries
        400
    """

    total: float
    unit: str = "queries"
    cost: float = 1.0
    charge_retries: bool = False
    refund: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("total", self.total), ("cost", self.cost)):
            if not is_finite_number(value) or micro(value) < 1:
                raise ParameterError(f"The budget's `{name}` must be a number >= 1e-6; got {value!r}.")
        if micro(self.total) < micro(self.cost):
            raise ParameterError(
                f"The budget of {self.total} {self.unit} is less than one query costs ({self.cost}).",
                hint="Raise `total`, or lower `cost`.",
            )
        if isinstance(self.refund, str) or any(state not in REFUNDABLE for state in self.refund):
            raise ParameterError(
                f"`refund` may hold {', '.join(map(repr, map(str, REFUNDABLE)))}; got {self.refund!r}."
            )
        object.__setattr__(self, "refund", tuple(map(str, self.refund)))

    @property
    def queries(self) -> int:
        """Designs that the whole budget pays for."""
        return micro(self.total) // micro(self.cost)


def micro(amount: float) -> int:
    """An amount in millionths: charges are added up as whole numbers, so that rounding spends nothing."""
    return round(amount * 1_000_000)


@dataclass(frozen=True)
class History(Generic[Design]):
    """Everything asked and told so far, in order of trial id.

    Example:
        >>> history = History((Trial(0, 0, "CCO", "CCO", TrialState.COMPLETE, 1.5), Trial(1, 0, "C", "C")))
        >>> [t.value for t in history.complete], len(history.open), history.next_round
        ([1.5], 1, 1)
    """

    trials: tuple[Trial[Design], ...] = field(default=())

    @property
    def complete(self) -> tuple[Trial[Design], ...]:
        return tuple(t for t in self.trials if t.state is TrialState.COMPLETE)

    @property
    def infeasible(self) -> tuple[Trial[Design], ...]:
        return tuple(t for t in self.trials if t.state is TrialState.INFEASIBLE)

    @property
    def open(self) -> tuple[Trial[Design], ...]:
        """Trials whose reading is still awaited."""
        return tuple(t for t in self.trials if t.state.is_open)

    @property
    def keys(self) -> frozenset[str]:
        """Canonical identities that must not be asked again: of everything so far, whatever came of it."""
        return frozenset(t.key for t in self.trials)

    @property
    def next_round(self) -> int:
        return max((t.round for t in self.trials), default=-1) + 1
