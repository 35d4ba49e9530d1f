"""What people tell, made into observations: checked before anything is written, never coerced to 0."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from seiko.campaign.numbers import as_number
from seiko.errors import ObservationError, TrialError
from seiko.records import Observation, Trial, TrialState

NO_VALUE = "no value was given"


class FailedReadingWarning(UserWarning):
    """A reading without a value was recorded as failed."""


def read_readings(readings: Any) -> dict[int, Observation]:
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
    return {_trial_id(key): _observation(key, value) for key, value in readings.items()}


def unwritten(
    observations: Mapping[int, Observation], trials: Sequence[Trial[Any]]
) -> dict[int, Observation]:
    """Those observations that are not told yet; the same one told again is left out.

    Raises:
        TrialError: If a trial is unknown, or was told something else.
    """
    for id_ in observations:
        if not 0 <= id_ < len(trials):
            known = f"trials 0 to {len(trials) - 1}" if trials else "no trials yet"
            raise TrialError(
                f"There is no trial {id_}; this campaign has {known}.",
                hint="Nothing was recorded; mend the id.",
            )
    return {id_: new for id_, new in observations.items() if not _is_told(trials[id_], new)}


def _trial_id(key: Any) -> int:
    try:
        if isinstance(key, bool):
            raise TypeError
        return operator.index(key)
    except TypeError:
        raise TrialError(
            f"A trial id must be a whole number; got {key!r}.",
            hint="Use the `id` of a trial that `ask` returned.",
        ) from None


def _observation(id_: Any, reading: Any) -> Observation:
    if isinstance(reading, Observation):
        return reading
    number = None if reading is None else as_number(reading)
    if reading is not None and number is None:
        raise ObservationError(
            f"The reading of trial {id_} must be a number, an Observation or None; got {_shown(reading)}.",
            hint="Nothing was recorded; mend this reading and tell again.",
        )
    if number is None or math.isnan(number):
        return Observation.failed(NO_VALUE)
    if math.isinf(number):
        raise ObservationError(
            f"The reading of trial {id_} must be finite; got {number}.",
            hint="Tell Observation.infeasible(reason) if the design has no reward, "
            "Observation.failed(reason) if the measurement did not work.",
        )
    return Observation(number)


def _shown(reading: Any) -> str:
    shape = getattr(reading, "shape", ())
    return f"an array of shape {list(shape)}" if shape else repr(reading)


def _is_told(trial: Trial[Any], new: Observation) -> bool:
    """Whether the trial holds exactly this reading already."""
    if trial.state.is_open:
        return False
    same = trial.state is new.state and trial.value == (None if new.value is None else float(new.value))
    if same and new.noise_std in (None, trial.noise_std):
        return True
    old, wanted = _described(trial), _described(new)
    raise TrialError(
        f"Trial {trial.id} was already told {old} and cannot become {wanted}: a told reading is final.",
        hint="Nothing was recorded; leave this trial out.",
    )


def _described(reading: Trial[Any] | Observation) -> str:
    if reading.state is not TrialState.COMPLETE or reading.value is None:
        return str(reading.state)
    noise = "" if reading.noise_std is None else f" (noise {float(reading.noise_std)})"
    return f"{float(reading.value)}{noise}"
