"""A program of any language as feedback: designs in, readings out, in lines of JSON."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seiko.campaign.feedback.base import clean_note, in_order, numbered
from seiko.campaign.feedback.children import Child
from seiko.campaign.feedback.messages import MessageError, read_answer, request
from seiko.campaign.numbers import whole
from seiko.errors import ParameterError
from seiko.records import Observation, Trial, is_finite_number

if TYPE_CHECKING:
    from seiko.domains.base import Domain

Readings = dict[int, Observation]

LOOK = 0.2
"""Seconds between two looks at a silent process."""

LINGER = 5.0
"""Seconds that a process may still run after its last answer was read."""

DRAIN = 1.0
"""Seconds that are waited for the last lines of a process that has ended."""


class OracleWarning(UserWarning):
    """An executable wrote lines that are no answers, or a second answer; the first one counts."""


class ExecutableFeedback:
    """A program that reads designs and writes readings, one line of JSON each (`docs/oracles.md`).

    It is started without a shell, in a process group of its own, and ended with everything it started. Its
    answers are passed on as they come. A trial without a valid answer is failed, with what is known as its
    note: the faulty line, the exit code, the end of its standard error.

    Args:
        command: Program and arguments, as a list.
        domain: Kind of the designs; says how they become text, or base64 where they are no text. Left out,
            designs must be strings.
        persistent: Whether one process serves all batches: it must answer each line as it comes, flush, and
            end when its input ends. Otherwise one is started for every batch.
        batch_size: Designs of one batch; all that are asked together by default.
        timeout: Seconds from its start, or its last answer, to its next answer; then it is ended, and what it
            has not answered is failed.
        folder: Where it runs.
        environment: Its variables, instead of this process's own.

    Raises:
        ParameterError: If the command is no list of texts, or a number is out of range.

    Example:
        >>> feedback = ExecutableFeedback(["./dock", "--receptor", "1abc.pdb"], timeout=600, batch_size=16)
        >>> feedback.command
        ['./dock', '--receptor', '1abc.pdb']
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        domain: Domain[Any] | None = None,
        persistent: bool = False,
        batch_size: int | None = None,
        timeout: float | None = None,
        folder: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = _checked(command)
        if timeout is not None and not (is_finite_number(timeout) and timeout > 0):
            raise ParameterError(f"`timeout` must be a number of seconds > 0; got {timeout!r}.")
        self.persistent = persistent
        self.batch_size = None if batch_size is None else whole("batch_size", batch_size, least=1)
        self.timeout = timeout
        self._folder = None if folder is None else os.fspath(folder)
        self._environment = None if environment is None else dict(environment)
        self._encode: Callable[[Any], bytes] = _as_text if domain is None else domain.to_bytes
        self._media_type = "text/plain" if domain is None else domain.media_type
        self._child: Child | None = None

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        """One observation a design, in their order."""
        trials = numbered(designs)
        return in_order(self.stream(trials), trials)

    def stream(self, trials: Sequence[Trial[Any]]) -> Generator[Readings, None, None]:
        """Readings as they come, by trial id.

        Raises:
            ObservationError: If the program cannot be started.
        """
        listed = list(trials)
        size = self.batch_size or max(1, len(listed))
        for start in range(0, len(listed), size):
            yield from self._batch(listed[start : start + size])

    def close(self) -> None:
        """End the process, if one is running; a persistent one is started again when it is needed."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def __enter__(self) -> ExecutableFeedback:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batch(self, trials: list[Trial[Any]]) -> Generator[Readings, None, None]:
        lines = [request(t.id, self._encode(t.design), self._media_type) for t in trials]
        dialogue = _Dialogue({trial.id for trial in trials})
        finished = False
        child = self._started()
        try:
            child.write(lines, close=not self.persistent)
            yield from dialogue.readings(child, self.timeout, until_all=self.persistent)
            finished = self.persistent and not dialogue.awaited
        except KeyboardInterrupt:
            yield dialogue.came(child)
            raise
        finally:
            if not finished:
                self.close()
        left = dialogue.failures(child)
        if left:
            yield left
        dialogue.warn(self.command[0])

    def _started(self) -> Child:
        if self._child is not None and not self._child.is_alive:
            self.close()
        if self._child is None:
            self._child = Child(self.command, folder=self._folder, environment=self._environment)
        return self._child


class _Dialogue:
    """What one batch was answered so far."""

    def __init__(self, awaited: set[int]) -> None:
        self.awaited = awaited
        self._told: Readings = {}
        self._noise: list[str] = []
        self._reason = ""

    def readings(
        self, child: Child, timeout: float | None, *, until_all: bool
    ) -> Generator[Readings, None, None]:
        """Answers as they come, until the process ends or is silent too long, or (`until_all`) all came."""
        heard = time.monotonic()
        while self.awaited or not until_all:
            try:
                line = child.next_line(LOOK)
            except TimeoutError:
                silent = time.monotonic() - heard
                if timeout is not None and silent > timeout:
                    self._reason = f"no answer for {timeout:g} s"
                    return
                if not child.is_alive and silent > DRAIN:  # something it started holds its output open
                    return
                if not self.awaited and silent > LINGER:
                    return
                continue
            if line is None:
                child.wait(DRAIN)
                return
            found = self._take(line)
            if found:
                heard = time.monotonic()
                yield found

    def _take(self, line: bytes) -> Readings:
        if not line.strip():
            return {}
        try:
            id_, observation = read_answer(line)
        except MessageError as error:
            if error.trial_id is None or error.trial_id not in self.awaited:
                self._noise.append(error.message)
                return {}
            id_ = error.trial_id
            observation = Observation.failed(
                clean_note(f"the executable's answer is not valid: {error.message}")
            )
        if id_ not in self.awaited:
            if self._told.get(id_) != observation:
                what = "a second answer for" if id_ in self._told else "an answer for the unknown"
                self._noise.append(f"{what} trial {id_}")
            return {}
        self.awaited.discard(id_)
        self._told[id_] = observation
        return {id_: observation}

    def came(self, child: Child) -> Readings:
        """All answers so far, with those that wait to be read."""
        while not child.lines.empty():
            line = child.lines.get()
            if line is not None:
                self._take(line)
        return dict(self._told)

    def failures(self, child: Child) -> Readings:
        """What is still awaited, as failed, with the reason as far as it is known."""
        if not self.awaited:
            return {}
        code = child.wait(0)
        ended = f"the executable ended without an answer (exit code {code})" if code is not None else ""
        parts = [self._reason or ended]
        if self._noise:
            parts.append(f"{len(self._noise)} lines were no answers, the first: {self._noise[0]}")
        if child.complaints():
            parts.append(f"standard error ends: {child.complaints()}")
        note = clean_note("; ".join(part for part in parts if part))
        return {id_: Observation.failed(note) for id_ in sorted(self.awaited)}

    def warn(self, program: str) -> None:
        if self._noise:
            warnings.warn(
                f"{program} wrote {len(self._noise)} lines that were not used, the first: {self._noise[0]}.",
                OracleWarning,
                stacklevel=2,
            )


def _checked(command: Any) -> list[str]:
    if isinstance(command, (str, bytes)) or not isinstance(command, Sequence) or not command:
        raise ParameterError(
            f"`command` must be a list of program and arguments; got {command!r}.",
            hint='For example ["./dock", "--fast"]; no shell reads it.',
        )
    try:
        parts = [os.fspath(part) for part in command]
    except TypeError:
        parts = []
    if not parts or not all(isinstance(part, str) and "\x00" not in part for part in parts):
        raise ParameterError(f"`command` must hold texts only; got {command!r}.")
    return [str(part) for part in parts]


def _as_text(design: Any) -> bytes:
    if not isinstance(design, str):
        raise ParameterError(
            f"A design must be text for an executable without `domain`; got {type(design).__name__}.",
            hint="Give the domain of the designs.",
        )
    return design.encode()
