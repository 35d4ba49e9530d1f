"""What a Python function answered, made into observations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seiko.campaign.feedback.base import clean_note, described
from seiko.campaign.numbers import as_number
from seiko.errors import ObservationError
from seiko.records import Observation


def attempt(function: Callable[[Any], Any], argument: Any) -> tuple[bool, Any]:
    """Whether `function` answered, and its answer; else the reason, as text. Runs in the worker.

    Nothing of an error but its text travels back, for not every exception survives the journey.
    """
    try:
        return True, _plain(function(argument))
    except Exception as error:  # whatever a user's reward raises is this design's failure
        return False, clean_note(described(error))


async def attempt_async(function: Callable[[Any], Any], argument: Any) -> tuple[bool, Any]:
    """The same of a coroutine function."""
    try:
        return True, _plain(await function(argument))
    except Exception as error:
        return False, clean_note(described(error))


def _plain(answer: Any) -> Any:
    """Numbers of arrays and tensors as floats, so that the reader needs neither."""
    number = as_number(answer)
    if number is not None and not isinstance(answer, (int, float)):
        return number
    if getattr(answer, "ndim", 0) == 1:
        return [_plain(entry) for entry in answer]
    return [_plain(entry) for entry in answer] if type(answer) in (list, tuple) else answer


class Reader:
    """Answers to observations, for one reward.

    Args:
        name: Of the reward, for messages.
        noise_std: Standard deviation of its noise, in reward units, where it is known.
    """

    def __init__(self, name: str, noise_std: float | None) -> None:
        self.name = name
        self.noise_std = noise_std

    def one(self, answer: Any, design: Any) -> Observation:
        """The answer for one design.

        Raises:
            ObservationError: If it is no reward.
        """
        if isinstance(answer, Observation):
            return answer
        if answer is None:
            return Observation.failed("the reward gave None")
        number = as_number(answer)
        if number is None:
            raise ObservationError(
                f"The reward {self.name} must give a number a design; for {design!r} it gave {answer!r}.",
                hint="Give a float, an Observation, or None for one that could not be measured.",
            )
        if not math.isfinite(number):
            return Observation.failed(f"the reward gave {number}")
        return Observation(number, noise_std=self.noise_std)

    def many(self, answers: Any, designs: Sequence[Any]) -> list[Observation]:
        """The answers for several designs, in their order.

        Raises:
            ObservationError: If they are too few or too many, or one is no reward.
        """
        return [self.one(a, d) for a, d in zip(self._listed(answers, designs), designs, strict=True)]

    def _listed(self, answers: Any, designs: Sequence[Any]) -> list[Any]:
        expected = f"{len(designs)} values for {len(designs)} designs"
        wrong = ObservationError(f"The reward {self.name} must give {expected}; it gave {answers!r}.")
        if isinstance(answers, (str, bytes, Mapping)) or getattr(answers, "ndim", 1) == 0:
            raise wrong
        try:
            listed = list(answers)
        except TypeError:
            raise wrong from None
        if len(listed) != len(designs):
            raise ObservationError(
                f"The reward {self.name} gave {len(listed)} values for {len(designs)} designs.",
                hint="Give one value a design, in their order; None for one that could not be measured.",
            )
        return listed
