"""Many runs: one after the other or in several processes, resumable, none stopping the others."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from seiko.benchmark.registry import catalogue
from seiko.benchmark.running import NUM_SAMPLES, Event, check_budget, run_method
from seiko.benchmark.tasks import Task
from seiko.campaign.feedback.workers import RemoteError, WorkerProcesses
from seiko.errors import ParameterError
from seiko.results import Result, append_result, identities, read_results


@dataclass(frozen=True)
class Job:
    """One run that is to be made: names, so that it can be sent to another process."""

    task: str
    method: str
    seed: int

    @property
    def identity(self) -> tuple[str, str, int]:
        """As of its result."""
        return self.task, self.method, self.seed


@dataclass(frozen=True)
class Failure:
    """A run that ended with an error, in words."""

    job: Job
    error: str


@dataclass(frozen=True)
class JobEvent:
    """What happened to a run: it was started, it is at a step, it is done, or it failed.

    Attributes:
        kind: Which of these.
        job: The run.
        finished: Runs done or failed so far, of `total`.
        total: Runs that were to be made when this began.
        seconds: Of the run, once it is over.
        words: The error of a failed run.
        step: Where a run of this process is.
    """

    kind: Literal["started", "step", "done", "failed"]
    job: Job
    finished: int
    total: int
    seconds: float = 0.0
    words: str = ""
    step: Event | None = None


Watch = Callable[[JobEvent], None]


def command_of(job: Job, tasks_from: str | Path | None = None, num_samples: int = NUM_SAMPLES) -> str:
    """The line that makes one run again, with as many samples of the final model.

    Example:
        >>> command_of(Job("rna-L14", "random", 3))
        'seiko bench run --task rna-L14 --method random --seed 3 --results again.jsonl'
    """
    own = ["--tasks-from", str(tasks_from)] if tasks_from else []
    names = ["--task", job.task, "--method", job.method, "--seed", str(job.seed)]
    samples = [] if num_samples == NUM_SAMPLES else ["--samples", str(num_samples)]
    return shlex.join(["seiko", "bench", "run", *own, *names, *samples, "--results", "again.jsonl"])


def failures_path(results: str | os.PathLike[str]) -> Path:
    """The file beside the results with one line of JSON for each run that failed."""
    path = Path(results)
    return path.with_name(f"{path.stem}.failed.jsonl")


def run_jobs(
    jobs: Sequence[Job],
    path: str | os.PathLike[str],
    *,
    processes: int = 1,
    tasks_from: str | Path | None = None,
    compact: bool = True,
    num_samples: int = NUM_SAMPLES,
    watch: Watch | None = None,
) -> list[Failure]:
    """Make every run that `path` has no line of, and append its line as soon as it is over.

    A run that fails is written, with its error, to `failures_path` and does not stop the others; it is tried
    again the next time. Ctrl-C loses the runs that are being made and nothing else.

    Args:
        jobs: The runs.
        path: File of JSON lines.
        processes: Runs at a time. Above 1 each has a process of its own; with 1 they are made in this one.
            Every run has one thread of torch, so that its numbers do not depend on this.
        tasks_from: As of `catalogue`.
        compact: Write `Result.compact`.
        num_samples: As of `run_method`.
        watch: Told what happens.

    Returns:
        The runs that failed.

    Raises:
        ParameterError: If a task or a method is unknown, a number is out of range, or `path` holds runs of
            another budget; all before anything runs.
    """
    if processes < 1 or num_samples < 1:
        raise ParameterError(f"`processes` and `num_samples` must be >= 1; got {processes}, {num_samples}.")
    tasks = catalogue(tasks_from)
    _check(jobs, tasks, path)
    done = identities(path)
    left = [job for job in dict.fromkeys(jobs) if job.identity not in done]
    book = _Book(Path(path), len(left), compact, tasks_from, num_samples, watch or (lambda event: None))
    if processes == 1 or len(left) <= 1:
        with _one_thread():
            _one_by_one(left, book, tasks)
    else:
        _in_processes(left, book, min(processes, len(left)))
    return book.failures


def _check(jobs: Sequence[Job], tasks: Mapping[str, Task], path: str | os.PathLike[str]) -> None:
    for task, method in dict.fromkeys((job.task, job.method) for job in jobs):
        if task not in tasks:
            raise ParameterError(f"There is no task {task!r}.", hint="See `seiko bench list`.")
        tasks[task].method(method)
    named = {job.task for job in jobs}
    for result in read_results(path):
        if result.task in named:
            check_budget(tasks[result.task], result, path)


class _Book:
    """Where the runs stand: writes the lines, counts, and tells who watches."""

    def __init__(
        self,
        path: Path,
        total: int,
        compact: bool,
        tasks_from: str | Path | None,
        num_samples: int,
        watch: Watch,
    ) -> None:
        self.path, self.total, self.compact = path, total, compact
        self.tasks_from, self.num_samples = tasks_from, num_samples
        self._watch, self._finished = watch, 0
        self._started: dict[Job, float] = {}
        self.failures: list[Failure] = []

    def start(self, job: Job) -> bool:
        """Whether it is still to be made: another command may have made it meanwhile."""
        if job.identity in identities(self.path):
            self.total -= 1
            return False
        self._started[job] = time.monotonic()
        self._watch(JobEvent("started", job, self._finished, self.total))
        return True

    def step(self, job: Job, step: Event) -> None:
        self._watch(JobEvent("step", job, self._finished, self.total, step=step))

    def done(self, job: Job, result: Result) -> None:
        append_result(self.path, result.compact() if self.compact else result)
        self._end("done", job, "")

    def failed(self, job: Job, error: str) -> None:
        self.failures.append(Failure(job, error))
        line = {
            **asdict(job),
            "error": error,
            "command": command_of(job, self.tasks_from, self.num_samples),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        file = failures_path(self.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._end("failed", job, error)

    def _end(self, kind: Literal["done", "failed"], job: Job, words: str) -> None:
        self._finished += 1
        took = time.monotonic() - self._started.pop(job)
        self._watch(JobEvent(kind, job, self._finished, self.total, took, words))


def _one_by_one(jobs: Sequence[Job], book: _Book, tasks: Mapping[str, Task]) -> None:
    for job in jobs:
        if not book.start(job):
            continue
        try:
            result = run_method(
                tasks[job.task],
                job.method,
                job.seed,
                num_samples=book.num_samples,
                command=command_of(job, book.tasks_from, book.num_samples),
                on_event=lambda event, job=job: book.step(job, event),  # type: ignore[misc]
            )
        except Exception as error:
            book.failed(job, f"{type(error).__name__}: {error}")
        else:
            book.done(job, result)


def _in_processes(jobs: Sequence[Job], book: _Book, processes: int) -> None:
    waiting, running = iter(jobs), dict[Future[Result], Job]()
    with _one_thread(), WorkerProcesses(processes) as workers:
        try:
            while True:
                while len(running) < processes and (job := next(waiting, None)) is not None:
                    if book.start(job):
                        future = workers.submit(_run_in_worker, job, book.tasks_from, book.num_samples)
                        running[future] = job
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    _settle(running.pop(future), future, book)
        except BaseException:
            workers.shutdown(wait=False)  # ends what runs
            raise


def _settle(job: Job, future: Future[Result], book: _Book) -> None:
    try:
        result = future.result()
    except RemoteError as error:
        book.failed(job, str(error))
    except Exception as error:
        book.failed(job, f"{type(error).__name__}: {error}")
    else:
        book.done(job, result)


@contextmanager
def _one_thread() -> Iterator[None]:
    """This process, and those started meanwhile, use one thread each for linear algebra."""
    before, threads = os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _run_in_worker(job: Job, tasks_from: str | Path | None, num_samples: int) -> Result:
    torch.set_num_threads(1)
    task = _tasks(tasks_from)[job.task]
    command = command_of(job, tasks_from, num_samples)
    return run_method(task, job.method, job.seed, num_samples=num_samples, command=command)


_tasks = cache(catalogue)
