"""Executors of clusters: Dask, and whatever submitit submits to (Slurm, or this machine)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from typing import Any

from seiko.campaign.feedback.base import described
from seiko.campaign.numbers import whole
from seiko.errors import MissingDependencyError

POLL = 0.2
"""Seconds between two looks at the submitted jobs."""

HINT = 'Install it with: pip install "seiko[cluster]".'


def dask_executor(client: Any) -> Executor:
    """The ``concurrent.futures`` face of a Dask client, as a campaign needs it.

    Every evaluation is a new one (``pure=False``), and Dask's own retries are off. A task whose workers die
    is given to others as often as the scheduler's ``distributed.scheduler.allowed-failures`` says, and is
    then failed.

    Args:
        client: A ``distributed.Client``; closing it stays the caller's.

    Raises:
        MissingDependencyError: If `distributed` is not installed.
    """
    try:
        from distributed.cfexecutor import ClientExecutor
    except ImportError as error:
        raise MissingDependencyError("Dask's `distributed` is not installed.", hint=HINT) from error
    executor: Executor = ClientExecutor(client, pure=False, retries=0)
    threads = sum(worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
    executor.num_workers = max(1, threads)  # type: ignore[attr-defined]
    executor.replaces_workers = True  # type: ignore[attr-defined]
    return executor


class SubmititExecutor(Executor):
    """Jobs of ``submitit`` as futures: on Slurm, or as processes of this machine.

    A job that ends without a result, killed or out of time, is an error of its future and nothing else.

    Args:
        folder: Where submitit writes jobs, logs and results.
        cluster: ``"slurm"``, ``"local"``, …; found out by submitit if None.
        num_workers: Jobs that a campaign submits at a time.
        parameters: Of ``submitit.AutoExecutor.update_parameters``: ``timeout_min``, ``mem_gb``, ….

    Raises:
        MissingDependencyError: If `submitit` is not installed.
        ParameterError: If `num_workers` is no whole number >= 1.
    """

    replaces_workers = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        cluster: str | None = None,
        num_workers: int = 16,
        **parameters: Any,
    ) -> None:
        self.num_workers = whole("num_workers", num_workers, least=1)
        try:
            import submitit
        except ImportError as error:
            raise MissingDependencyError("`submitit` is not installed.", hint=HINT) from error
        self._submitit = submitit.AutoExecutor(folder=os.fspath(folder), cluster=cluster)
        self._submitit.update_parameters(**parameters)
        self._jobs: dict[Future[Any], _Job] = {}
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit ``fn(*args, **kwargs)`` as one job."""
        if self._closed:
            raise RuntimeError("cannot submit after shutdown")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # withdrawing it takes a call of `kill`
        with self._lock:
            self._jobs[future] = _Job(self._submitit.submit(fn, *args, **kwargs))
            if self._watch is None or not self._watch.is_alive():
                self._watch = threading.Thread(target=self._collect, name="seiko-submitit", daemon=True)
                self._watch.start()
        return future

    def started_at(self, future: Future[Any]) -> float | None:
        """When the job was first seen running; None while it waits in a queue."""
        job = self._jobs.get(future)
        return None if job is None else job.began

    def kill(self, future: Future[Any]) -> None:
        """Cancel the job of a future."""
        job = self._jobs.get(future)
        if job is not None:
            with suppress(Exception):
                job.job.cancel(check=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Submit no more; with `cancel_futures`, cancel what there is."""
        self._closed = True
        if cancel_futures:
            for future in list(self._jobs):
                self.kill(future)
        watch = self._watch
        if wait and watch is not None:
            watch.join()

    def _collect(self) -> None:
        while True:
            for future, job in list(self._jobs.items()):
                if job.look():
                    with suppress(InvalidStateError):
                        job.settle(future)
                    with self._lock:
                        del self._jobs[future]
            with self._lock:
                if not self._jobs:
                    self._watch = None
                    return
            time.sleep(POLL)


class _Job:
    """One submitted job."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.began: float | None = None

    def look(self) -> bool:
        """Whether it is done; notes when it began."""
        try:
            if self.began is None and str(self.job.state).upper() == "RUNNING":
                self.began = time.monotonic()
            return bool(self.job.done())
        except Exception:  # the scheduler does not answer just now
            return False

    def settle(self, future: Future[Any]) -> None:
        try:
            result = self.job.result()
        except Exception as error:
            future.set_exception(
                RuntimeError(f"the job {self.job.job_id} gave no result: {described(error)}")
            )
        else:
            future.set_result(result)
