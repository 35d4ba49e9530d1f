"""What people tell, made into observations: checked before anything is written, never coerced to 0."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seiko.campaign.numbers import as_number
from seiko.errors import ObservationError, TrialError
from seiko.records import Observation, TrialState

NO_VALUE = "no value was given"


class FailedReadingWarning(UserWarning):
    """A reading without a value was recorded as failed."""


def read_readings(readings: Any) -> dict[int, list[Observation]]:
    """All readings of one tell as observations; None and NaN become failed ones.

    Raises:
        ObservationError: If it is no mapping, or a reading is no finite number; the message names the trial.
        TrialError: If a key is not a whole number.
    """
    if not isinstance(readings, Mapping):
        raise ObservationError(
            f"`readings` must be a mapping from trial id to reading; got {type(readings).__name__}.",
            hint="For example campaign.tell({3: 0.41, 4: None}).",
        )
    return {trial_id(key): read_reading(f"trial {key}", value) for key, value in readings.items()}


def read_reading(what: str, reading: Any) -> list[Observation]:
    """The reading, or the several readings, of one design.

    Raises:
        ObservationError: If it is no finite number, or two replicates are called the same.
    """
    several = (
        isinstance(reading, (list, tuple)) and reading and all(isinstance(r, Observation) for r in reading)
    )
    told = list(reading) if several else [_observation(what, reading)]
    labels = [label(observation) for observation in told]
    if len(set(labels)) < len(labels):
        raise ObservationError(
            f"Two readings of {what} have the same replicate, {max(labels, key=labels.count)!r}.",
            hint="Number them: Observation(value, replicate=1), or Observation.replicates([...]).",
        )
    return told


def label(observation: Observation) -> str:
    """What a reading is called among those of its trial."""
    return "0" if observation.replicate is None else str(observation.replicate)


def warn_of_empty(
    told: Mapping[int, Sequence[Observation]], changed: Iterable[int], *, stacklevel: int
) -> None:
    """Say which trials were just told nothing."""
    nothing = {
        i for i, all_ in told.items() for o in all_ if o.state is TrialState.FAILED and o.note == NO_VALUE
    }
    empty = [id_ for id_ in changed if id_ in nothing]
    if empty:
        warnings.warn(
            f"Trials {empty} were told without a value and are recorded as failed. "
            "Tell Observation.failed(reason) to say why and silence this.",
            FailedReadingWarning,
            stacklevel=stacklevel + 1,
        )


def trial_id(key: Any) -> int:
    """The id of a trial as an int; TrialError if it is not a whole number."""
    try:
        if isinstance(key, bool):
            raise TypeError
        return operator.index(key)
    except TypeError:
        raise TrialError(
            f"A trial id must be a whole number; got {key!r}.",
            hint="Use the `id` of a trial that `ask` returned.",
        ) from None


def _observation(what: str, reading: Any) -> Observation:
    if isinstance(reading, Observation):
        return reading
    number = None if reading is None else as_number(reading)
    if reading is not None and number is None:
        raise ObservationError(
            f"The reading of {what} must be a number, an Observation or None; got {_shown(reading)}.",
            hint="Nothing was recorded; mend it and tell again. Several readings of one design are a list of "
            "Observations: Observation.replicates([0.41, 0.44]).",
        )
    if number is None or math.isnan(number):
        return Observation.failed(NO_VALUE)
    if math.isinf(number):
        raise ObservationError(
            f"The reading of {what} must be finite; got {number}.",
            hint="Tell Observation.infeasible(reason) if the design has no reward, "
            "Observation.failed(reason) if the measurement did not work.",
        )
    return Observation(number + 0.0)  # a negative zero would not be read back as one


def _shown(reading: Any) -> str:
    shape = getattr(reading, "shape", ())
    return f"an array of shape {list(shape)}" if shape else repr(reading)
