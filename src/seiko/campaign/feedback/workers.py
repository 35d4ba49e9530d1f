"""Worker processes, one job each: a job that dies or hangs takes nobody else with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from queue import SimpleQueue
from threading import Lock
from typing import Any

from seiko.campaign.feedback.base import described
from seiko.campaign.numbers import whole


class RemoteError(RuntimeError):
    """What a job raised in its worker, as text."""


class WorkerProcesses(Executor):
    """An executor of spawned processes, each with one job at a time and each replaced when it is lost.

    Unlike with ``ProcessPoolExecutor``, a worker that dies breaks its own job alone (``BrokenProcessPool``),
    and a job that hangs can be ended (:meth:`kill`). Ctrl-C reaches the parent only. A worker ends when its
    parent is gone.

    Args:
        num_workers: Number of processes; as many as there are processors by default.

    Raises:
        ParameterError: If `num_workers` is no whole number >= 1.
    """

    replaces_workers = True
    """A lost worker breaks one job, not the executor."""

    def __init__(self, num_workers: int | None = None) -> None:
        wanted = (os.cpu_count() or 1) if num_workers is None else num_workers
        self.num_workers = whole("num_workers", wanted, least=1)
        self._threads = ThreadPoolExecutor(self.num_workers, thread_name_prefix="seiko-worker")
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker() for _ in range(self.num_workers)]
        for worker in self._workers:
            self._idle.put(worker)
        self._busy: dict[Future[Any], _Worker] = {}
        self._lock = Lock()
        self._end = Finalize(self, _end_all, args=[self._workers], exitpriority=10)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` in a worker; all of it must be picklable."""
        ticket: SimpleQueue[Future[Any]] = SimpleQueue()
        future = self._threads.submit(self._work, ticket, fn, args, kwargs)
        ticket.put(future)
        return future

    def kill(self, future: Future[Any]) -> None:
        """End the process that works on this job; a job that is done, or has not begun, is left alone."""
        with self._lock:
            worker = self._busy.get(future)
            if worker is not None:
                worker.end()

    def started_at(self, future: Future[Any]) -> float | None:
        """When its worker began this job, by ``time.monotonic``; None if it has not, or is done.

        Starting a process and importing what the job needs are not counted.
        """
        worker = self._busy.get(future)
        return None if worker is None else worker.began

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; without `wait`, end those that run."""
        if not wait:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._end()
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        self._end()

    def _work(self, ticket: SimpleQueue[Future[Any]], fn: Any, args: Any, kwargs: Any) -> Any:
        future, worker = ticket.get(), self._idle.get()
        self._busy[future] = worker
        try:
            return worker.call(fn, args, kwargs)
        finally:
            with self._lock:
                del self._busy[future]
            self._idle.put(worker)


class _Worker:
    """One process, started with its first job and again after it was lost."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None
        self._ended = False
        self.began: float | None = None

    def call(self, fn: Any, args: Any, kwargs: Any) -> Any:
        if self._ended:
            raise BrokenProcessPool("the workers were shut down")
        if self._process is None or not self._process.is_alive():
            self._start()
        try:
            self._send((fn, args, kwargs))
            self._receive()  # it has read the job, imports included
            self.began = time.monotonic()
            worked, result = self._receive()
        except (EOFError, OSError):
            raise BrokenProcessPool(f"the worker process was lost ({self._epitaph()})") from None
        finally:
            self.began = None
        if not worked:
            raise RemoteError(result)
        return result

    def _send(self, job: Any) -> None:
        assert self._pipe is not None
        self._pipe.send(job)

    def _receive(self) -> Any:
        """The next message; looks after the process, because a child of it may hold the pipe open."""
        assert self._pipe is not None
        while not self._pipe.poll(0.5):
            if not self._process.is_alive() and not self._pipe.poll(0):
                raise EOFError
        return self._pipe.recv()

    def end(self, *, for_good: bool = False) -> None:
        self._ended = self._ended or for_good
        process = self._process
        if process is not None and process.is_alive():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # what the job itself started, too
            process.kill()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=False, name="seiko-worker")
        self._process.start()
        theirs.close()

    def _epitaph(self) -> str:
        self._process.join(timeout=5)
        code, self._process = self._process.exitcode, None
        if code is not None and code < 0:
            return f"ended by {signal.Signals(-code).name}"
        return f"exit code {code}"


def _end_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.end(for_good=True)


def _serve(pipe: Connection) -> None:
    """The whole life of a worker: take a job, answer it, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.setsid()
    while True:
        try:
            fn, args, kwargs = pipe.recv()
        except (EOFError, OSError):
            return
        except Exception as error:
            pipe.send("read")
            _send(pipe, False, f"the job could not be read in its worker: {described(error)}")
            continue
        pipe.send("read")
        try:
            answer = (True, fn(*args, **kwargs))
        except Exception as error:
            answer = (False, described(error))
        _send(pipe, *answer)


def _send(pipe: Connection, worked: bool, result: Any) -> None:
    try:
        pipe.send((worked, result))
    except OSError:
        return
    except Exception as error:
        pipe.send((False, f"the answer could not be sent back: {described(error)}"))
