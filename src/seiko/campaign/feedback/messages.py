"""The JSON lines between a campaign and an executable, version 1.

In: ``{"v": 1, "trial_id": 3, "design": "CCO", "media_type": "text/plain"}``, the design in base64, with
``"encoding": "base64"``, where its media type is not text. Out: ``{"v": 1, "trial_id": 3, "value": 0.7,
"sem": 0.1, "status": "complete", "message": ""}``.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from seiko.campaign.feedback.base import clean_note
from seiko.errors import ObservationError
from seiko.records import Observation, TrialState, is_finite_number

VERSION = 1
SHOWN = 120
STATES = {str(s): s for s in (TrialState.COMPLETE, TrialState.FAILED, TrialState.INFEASIBLE)}


class MessageError(ObservationError):
    """A line that is no answer; `trial_id` is set where it says which trial it meant."""

    def __init__(self, message: str, *, trial_id: int | None = None) -> None:
        super().__init__(message)
        self.trial_id = trial_id


def request(trial_id: int, content: bytes, media_type: str) -> bytes:
    """One line for the executable, with its line end.

    Example:
        >>> request(3, b"CCO", "text/plain")
        b'{"v": 1, "trial_id": 3, "design": "CCO", "media_type": "text/plain"}\\n'
    """
    message: dict[str, Any] = {"v": VERSION, "trial_id": trial_id}
    if media_type.startswith("text/"):
        message["design"] = content.decode()
    else:
        message["design"] = base64.b64encode(content).decode("ascii")
        message["encoding"] = "base64"
    message["media_type"] = media_type
    return json.dumps(message).encode("ascii") + b"\n"


def read_answer(line: bytes) -> tuple[int, Observation]:
    """The trial and the observation of one line of an executable.

    Fields that are not of version 1 are ignored. ``status`` may be left out: with a value it is "complete",
    without one "failed".

    Raises:
        MessageError: If the line is not all that an answer must be; none of it is used then.

    Example:
        >>> id_, observation = read_answer(b'{"v": 1, "trial_id": 3, "value": 0.7, "sem": 0.1}')
        >>> id_, observation.value, observation.noise_std
        (3, 0.7, 0.1)
    """
    message = _object(line)
    trial_id = message.get("trial_id")
    if type(trial_id) is not int:
        raise MessageError(f"`trial_id` must be a whole number; got {_shown(trial_id)}")
    try:
        return trial_id, _observation(message)
    except ObservationError as error:
        raise MessageError(error.message, trial_id=trial_id) from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line.decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not a line of JSON ({type(error).__name__}): {_shown_line(line)}") from None
    if not isinstance(message, dict):
        raise MessageError(f"not a JSON object: {_shown_line(line)}")
    return message


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a field comes twice")
    return dict(pairs)


def _observation(message: dict[str, Any]) -> Observation:
    version = message.get("v")
    if type(version) is not int or version != VERSION:
        raise ObservationError(f"`v` must be {VERSION}; got {_shown(version)}")
    value, sem = message.get("value"), message.get("sem")
    state = _state(message.get("status"), value)
    note = message.get("message", "")
    if note is not None and not isinstance(note, str):
        raise ObservationError(f"`message` must be text; got {_shown(note)}")
    if state is TrialState.COMPLETE:
        value = _number("value", value)
    elif value is not None:
        raise ObservationError(f"a {state} answer has no `value`; got {_shown(value)}")
    sem = None if sem is None else _number("sem", sem, least=0.0)
    if state is not TrialState.COMPLETE and sem is not None:
        raise ObservationError(f"a {state} answer has no `sem`; got {sem}")
    return Observation(value, noise_std=sem, state=state, note=clean_note(note or ""))


def _state(status: Any, value: Any) -> TrialState:
    if status is None:
        return TrialState.FAILED if value is None else TrialState.COMPLETE
    if not isinstance(status, str) or status not in STATES:
        raise ObservationError(f"`status` must be one of {', '.join(STATES)}; got {_shown(status)}")
    return STATES[status]


def _number(name: str, value: Any, *, least: float | None = None) -> float:
    if type(value) not in (int, float):
        raise ObservationError(f"`{name}` must be a number; got {_shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not is_finite_number(number) or (least is not None and number < least):
        allowed = "finite" if least is None else f"finite and >= {least:g}"
        raise ObservationError(f"`{name}` must be {allowed}; got {_shown(value)}")
    return number


def _shown(value: Any) -> str:
    try:
        return _cut(repr(value))
    except ValueError:  # a whole number with more digits than Python prints
        return "a number of thousands of digits"


def _shown_line(line: bytes) -> str:
    return _cut(clean_note(line[: 4 * SHOWN].decode("utf-8", errors="replace")).strip())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
