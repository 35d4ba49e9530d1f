"""What a campaign remembers: frozen records of trials and readings. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from seiko.errors import ObservationError

Design = TypeVar("Design")


class TrialState(StrEnum):
    """Where a trial stands.

    ``PENDING -> RUNNING -> COMPLETE | FAILED | INFEASIBLE | ABANDONED | STALE``. A failed trial has no value
    and may be tried again; an infeasible one is a real label ("this design has no reward") and teaches the
    feasibility model; an abandoned one is never asked again.
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

    Raises:
        ObservationError: If the value is missing, not finite or not a number, or the noise is negative.

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
        if self.noise_std is not None and not (is_finite_number(self.noise_std) and self.noise_std >= 0):
            raise ObservationError(f"`noise_std` must be a finite number >= 0; got {self.noise_std!r}.")

    @classmethod
    def failed(cls, note: str = "") -> Observation:
        """The measurement did not work; nothing is learned about the design."""
        return cls(state=TrialState.FAILED, note=note)

    @classmethod
    def infeasible(cls, note: str = "") -> Observation:
        """The design has no reward; this is a label."""
        return cls(state=TrialState.INFEASIBLE, note=note)


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
        round: The round it was asked in, from 0.
        design: The design itself.
        key: The design's canonical identity, from the domain.
        state: Where it stands.
        value: The reading, in reward units; present only when complete.
        noise_std: Standard deviation of the reading's noise, where known.
        note: Free text told with the reading.
        predicted_mean: What the surrogate predicted when the trial was asked, if there was one.
        predicted_std: Its standard deviation for a new reading.
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
        """Canonical identities of everything ever asked, whatever came of it."""
        return frozenset(t.key for t in self.trials)

    @property
    def next_round(self) -> int:
        return max((t.round for t in self.trials), default=-1) + 1
