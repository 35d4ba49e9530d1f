"""A Python function as feedback: here, in processes, in coroutines, or on any executor."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing.reduction import ForkingPickler
from typing import Any

from seiko.campaign.feedback.answers import Reader, attempt, attempt_async
from seiko.campaign.feedback.base import failure, in_order, numbered, rest_of
from seiko.campaign.feedback.flights import Flights, Outcome, shut_down
from seiko.campaign.feedback.loops import CoroutineExecutor
from seiko.campaign.feedback.workers import WorkerProcesses
from seiko.campaign.numbers import whole
from seiko.errors import ObservationError, ParameterError
from seiko.records import Observation, Trial, is_finite_number

Readings = dict[int, Observation]

HOLD = 0.2
"""Seconds that a reading may wait for others before it is given on, where one takes less."""

COROUTINES = 16
"""Coroutines at a time, unless `workers` says otherwise."""


class CallableFeedback:
    """A Python function as feedback.

    A design whose call raises, or gives None, NaN or an infinite number, is failed, with the reason as its
    note. An :class:`~seiko.Observation` is passed on as it is.

    Called one design after the other in this process, unless `workers`, `timeout` or `executor` is given, or
    the function is a coroutine function. A lost worker, a job that the executor gave up and a design that
    took too long are failed; the others are not touched.

    Args:
        function: One design to its reward; with `batched`, a list of designs to as many rewards. A function
            or a coroutine function.
        batched: Whether the function takes several designs at once; then an exception fails them all.
        batch_size: Designs of one call, with `batched`; all by default.
        noise_std: Standard deviation of its noise, in reward units, where it is known.
        workers: Calls at a time: processes, or coroutines, or jobs handed to `executor`.
        timeout: Seconds for one call.
        executor: A ``concurrent.futures.Executor``, or better a function that makes one, since a broken one
            can then be made anew. Without it, processes (:class:`WorkerProcesses`).

    Raises:
        ParameterError: If `function` cannot be called, or cannot be sent to a process though it must be, or a
            number is out of range.

    Example:
        >>> [o.value for o in CallableFeedback(len).evaluate(["CCO", "C"])]
        [3.0, 1.0]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        batched: bool = False,
        batch_size: int | None = None,
        noise_std: float | None = None,
        workers: int | None = None,
        timeout: float | None = None,
        executor: Executor | Callable[[], Executor] | None = None,
    ) -> None:
        if not callable(function):
            raise ParameterError(f"`function` must be callable; got {function!r}.")
        if noise_std is not None and not (is_finite_number(noise_std) and noise_std >= 0):
            raise ParameterError(f"`noise_std` must be a finite number >= 0; got {noise_std!r}.")
        if timeout is not None and not (is_finite_number(timeout) and timeout > 0):
            raise ParameterError(f"`timeout` must be a number of seconds > 0; got {timeout!r}.")
        if batch_size is not None and not batched:
            raise ParameterError(
                "`batch_size` needs a function of several designs.", hint="Set batched=True."
            )
        self.function = function
        self.batched = batched
        self.batch_size = None if batch_size is None else whole("batch_size", batch_size, least=1)
        self.noise_std = noise_std
        self.timeout = timeout
        self.workers = None if workers is None else whole("workers", workers, least=1)
        self._is_async = is_coroutine_function(function)
        self._executor = executor
        self._flights: Flights | None = None
        self._reader = Reader(_name_of(function), noise_std)

    @property
    def is_parallel(self) -> bool:
        """Whether calls are made elsewhere than in the caller's thread."""
        return self._is_async or any(x is not None for x in (self.workers, self.timeout, self._executor))

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        """One observation a design, in their order.

        Raises:
            ObservationError: If the function answers something that is no reward, or too few or too many.
        """
        trials = numbered(designs)
        return in_order(self.stream(trials), trials)

    def stream(self, trials: Sequence[Trial[Any]]) -> Generator[Readings, None, None]:
        """Readings in small batches as they come, by trial id.

        Raises:
            ObservationError: As :meth:`evaluate`; the readings that came with it are given first.
        """
        jobs = self._jobs(list(trials))
        outcomes = self._elsewhere().outcomes(jobs) if self.is_parallel else self._here(jobs)
        with closing(outcomes):
            try:
                for batch in outcomes:
                    readings, wrong = self._read(batch)
                    if readings:
                        yield readings
                    if wrong is not None:
                        raise wrong
            except KeyboardInterrupt as stop:
                yield self._read(rest_of(outcomes, stop) or [])[0]
                raise

    def close(self) -> None:
        """End the workers, if there are any; the feedback may be used again."""
        flights, self._flights = self._flights, None
        if flights is not None and flights.executor is not self._executor:
            shut_down(flights.executor, now=True)

    def __enter__(self) -> CallableFeedback:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _jobs(self, trials: list[Trial[Any]]) -> list[list[Trial[Any]]]:
        size = (self.batch_size or max(1, len(trials))) if self.batched else 1
        return [trials[start : start + size] for start in range(0, len(trials), size)]

    def _here(self, jobs: list[list[Trial[Any]]]) -> Generator[list[Outcome], None, None]:
        """One job after the other in this thread; interrupted, it gives what there is, then raises."""
        held: list[Outcome] = []
        since = time.monotonic()
        try:
            for job in jobs:
                held.append(Outcome(job, attempt(self.function, self._argument(job))))
                if time.monotonic() - since > HOLD:
                    yield held
                    held, since = [], time.monotonic()
        except KeyboardInterrupt:
            yield held
            raise
        yield held

    def _argument(self, job: list[Trial[Any]]) -> Any:
        return [trial.design for trial in job] if self.batched else job[0].design

    def _read(self, batch: Iterable[Outcome]) -> tuple[Readings, ObservationError | None]:
        """The readings of a batch, and what is wrong with the first answer that is none."""
        readings: Readings = {}
        wrong: ObservationError | None = None
        for outcome in batch:
            try:
                readings.update(self._readings(outcome))
            except ObservationError as error:
                wrong = wrong or error
        return readings, wrong

    def _readings(self, outcome: Outcome) -> Readings:
        job = outcome.job
        if outcome.error is not None:
            return {trial.id: failure(outcome.error) for trial in job}
        answered, answer = outcome.answer
        if not answered:
            return {trial.id: Observation.failed(answer) for trial in job}
        if not self.batched:
            return {job[0].id: self._reader.one(answer, job[0].design)}
        observations = self._reader.many(answer, [trial.design for trial in job])
        return {trial.id: o for trial, o in zip(job, observations, strict=True)}

    def _elsewhere(self) -> Flights:
        if self._flights is None:
            make = self._make()
            executor = self._executor if make is None else make()
            assert isinstance(executor, Executor)
            if isinstance(executor, (WorkerProcesses, ProcessPoolExecutor)):
                _check_picklable(self.function)
            in_flight = self.workers or _width(executor)
            call = attempt_async if self._is_async else attempt
            self._flights = Flights(
                partial(_call, call, self.function, self.batched),
                executor=executor,
                make=make,
                in_flight=in_flight,
                timeout=self.timeout,
            )
        return self._flights

    def _make(self) -> Callable[[], Executor] | None:
        if isinstance(self._executor, Executor):
            return None
        if self._executor is not None:
            return self._executor
        return CoroutineExecutor if self._is_async else partial(WorkerProcesses, self.workers or 1)


def is_coroutine_function(function: Any) -> bool:
    """Whether a call of it must be awaited."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _call(call: Any, function: Any, batched: bool, job: Sequence[Trial[Any]]) -> Any:
    """What a worker does with a job; on top level, so that it can be sent there."""
    return call(function, [trial.design for trial in job] if batched else job[0].design)


def _width(executor: Executor) -> int:
    """How many jobs an executor works on at a time, as far as it says."""
    for name in ("num_workers", "_max_workers"):
        width = getattr(executor, name, None)
        if isinstance(width, int) and width > 0:
            return width
    return COROUTINES


def _check_picklable(function: Any) -> None:
    try:
        ForkingPickler.dumps(function)
    except Exception as error:
        raise ParameterError(
            f"The reward {_name_of(function)} cannot be sent to a worker process: {error}.",
            hint="Define it with `def` at the top level of a module, or give a thread pool as `executor`.",
        ) from error


def _name_of(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
