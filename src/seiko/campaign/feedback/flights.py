"""Jobs on an executor: handed over a few at a time, timed, and collected as they come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from typing import Any

from seiko.errors import ObservationError

LONGEST_WAIT = 0.2
"""Seconds between two looks at the clocks of the jobs."""


@dataclass(frozen=True)
class Outcome:
    """What became of one job: an answer, or the error that the executor gave instead."""

    job: Any
    answer: Any = None
    error: BaseException | None = None


@dataclass
class _Flight:
    job: Any
    handed_over: float


class Flights:
    """Evaluates jobs on whatever executor there is.

    At most `in_flight` jobs are handed over at a time, so that those that have not begun can be withdrawn.
    When an executor breaks, the jobs it held are evaluated anew on a fresh one, **one at a time**, so that
    the one that breaks it again is known; only that one is given up.

    Args:
        function: Called with a job, in a worker.
        make: Makes the executor, and fresh ones when it breaks; or None where `executor` cannot be made anew.
        executor: The one to begin with.
        in_flight: Number of jobs handed over at a time.
        timeout: Seconds for a job, from its start where the executor says when that was
            (``started_at(future)``), else from when it was handed over; None for no limit.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        executor: Executor,
        make: Callable[[], Executor] | None,
        in_flight: int,
        timeout: float | None,
    ) -> None:
        self.executor = executor
        self._function = function
        self._make = make
        self._timeout = timeout
        self._in_flight = in_flight
        self._stuck = 0
        self._flying: dict[Future[Any], _Flight] = {}
        self._waiting: deque[Any] = deque()
        self._suspects: deque[Any] = deque()

    def outcomes(self, jobs: Iterable[Any]) -> Generator[list[Outcome], None, None]:
        """What became of the jobs, in small batches, as it becomes known.

        Closed or interrupted, it withdraws what has not begun and ends what can be ended. After a
        ``KeyboardInterrupt`` it gives the answers that had come before it raises.

        Raises:
            ObservationError: If the executor broke, or all its workers are stuck, and it cannot be made anew.
        """
        self._waiting.extend(jobs)
        landed: list[Outcome] = []
        try:
            while self._waiting or self._suspects or self._flying:
                self._hand_over()
                landed = self._landed()
                if landed:
                    yield landed
                    landed = []
                self._give_up_late()
        except KeyboardInterrupt:
            done = [_outcome(future, flight.job) for future, flight in self._flying.items() if future.done()]
            yield [outcome for outcome in landed + done if outcome.error is None]
            raise
        finally:
            for future in self._flying:
                self._end(future)
            self._flying.clear()

    def _hand_over(self) -> None:
        room = 1 if self._suspects else self._in_flight - self._stuck
        queue = self._suspects or self._waiting
        while queue and len(self._flying) < room:
            try:
                future = self.executor.submit(self._function, queue[0])
            except BrokenExecutor as error:
                if self._flying:  # they break next, and the executor is made anew then
                    return
                self._renew(error)
                continue
            self._flying[future] = _Flight(queue.popleft(), time.monotonic())
        if room < 1 and not self._flying:
            self._renew(TimeoutError("every worker is stuck"))

    def _landed(self) -> list[Outcome]:
        done, _ = wait(self._flying, timeout=LONGEST_WAIT, return_when=FIRST_COMPLETED)
        if any(_is_broken(future) for future in done):
            done, _ = wait(self._flying, timeout=LONGEST_WAIT)
        outcomes = [_outcome(future, self._flying[future].job) for future in done]
        for future in done:
            del self._flying[future]
        return self._sorted_out(outcomes)

    def _sorted_out(self, outcomes: list[Outcome]) -> list[Outcome]:
        """All that is known for certain; jobs whose executor broke around them come again, one at a time."""
        broken = [o for o in outcomes if isinstance(o.error, BrokenExecutor)]
        if not broken or getattr(self.executor, "replaces_workers", False):
            return outcomes
        for flight in self._flying.values():
            broken.append(Outcome(flight.job))
        self._flying.clear()
        alone = len(broken) == 1
        if not alone and self._make is not None:
            self._suspects.extend(o.job for o in broken)
        sound = [o for o in outcomes if o not in broken]
        if self._make is not None:
            self._renew(None)
            return sound + (broken if alone else [])
        return sound + [Outcome(o.job, error=o.error or BrokenExecutor("the executor broke")) for o in broken]

    def _renew(self, error: BaseException | None) -> None:
        if self._make is None:
            raise ObservationError(
                f"The executor {type(self.executor).__name__} takes no more work: {error}.",
                hint="What it gave is recorded. Give a function that makes the executor instead, so that it "
                "can be made anew.",
            )
        shut_down(self.executor, now=True)
        self.executor = self._make()
        self._stuck = 0

    def _give_up_late(self) -> None:
        if self._timeout is None:
            return
        clock = getattr(self.executor, "started_at", None)
        for future, flight in list(self._flying.items()):
            start = flight.handed_over if clock is None else clock(future)
            if start is not None and time.monotonic() - start > self._timeout and not future.done():
                self._flying[self._late(future)] = self._flying.pop(future)

    def _late(self, future: Future[Any]) -> Future[Any]:
        """End a job that took too long; a future that says so stands in its place."""
        if not self._end(future):
            self._stuck += 1
        instead: Future[Any] = Future()
        instead.set_exception(TimeoutError(f"no answer after {self._timeout:g} s"))
        return instead

    def _end(self, future: Future[Any]) -> bool:
        if future.cancel():
            return True
        kill = getattr(self.executor, "kill", None)
        if kill is not None:
            kill(future)
        return kill is not None


def shut_down(executor: Executor, *, now: bool = False) -> None:
    """Shut an executor of any make down; with `now`, without waiting for its jobs."""
    processes = list((getattr(executor, "_processes", None) or {}).values()) if now else []
    if not now:
        executor.shutdown(wait=True)
    elif "cancel_futures" in signature(executor.shutdown).parameters:
        executor.shutdown(wait=False, cancel_futures=True)
    else:
        executor.shutdown(wait=False)
    for process in processes:  # a stuck worker of a process pool would be waited for when Python exits
        with suppress(Exception):
            process.kill()


def _is_broken(future: Future[Any]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _outcome(future: Future[Any], job: Any) -> Outcome:
    try:
        return Outcome(job, future.result(timeout=0))
    except CancelledError:
        return Outcome(job, error=CancelledError("the executor withdrew the job"))
    except Exception as error:
        return Outcome(job, error=error)
