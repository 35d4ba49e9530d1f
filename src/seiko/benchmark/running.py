"""Methods on tasks over seeds: a real campaign a run, then samples of the final model that are no queries."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seiko.benchmark.evaluation import Finished, evaluate
from seiko.benchmark.tasks import Task
from seiko.campaign.campaign import Campaign
from seiko.campaign.feedback import CallableFeedback, run
from seiko.campaign.status import CampaignStatus
from seiko.errors import CampaignError, ParameterError
from seiko.records import Observation
from seiko.results import Result, append_result, read_results

NUM_SAMPLES = 1000
"""Samples of the final model that are scored after the campaign."""


@dataclass(frozen=True)
class Event:
    """Where a run is: "sampling", "asking", "learning", "scoring the final model" or "done"."""

    method: str
    seed: int
    phase: str
    queries: int
    budget: int


class _Watched:
    """A feedback that says how far it is, and keeps the processor time between its readings."""

    def __init__(self, reward: Callable[[Any], Any], tell: Callable[[str, int], None]) -> None:
        self._feedback, self._tell, self._done = CallableFeedback(reward), tell, 0
        self.between: list[float] = []
        self._since = time.process_time()

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        self.lap()
        answers = []
        for design in designs:
            self._tell("asking", self._done)
            answers += self._feedback.evaluate([design])
            self._done += 1
        self._since = time.process_time()
        return answers

    def lap(self) -> None:
        """Keep the time since the last reading, or since the start."""
        self.between.append(time.process_time() - self._since)


def run_method(
    task: Task,
    method: str,
    seed: int,
    *,
    settings: Mapping[str, Any] | None = None,
    on_event: Callable[[Event], None] | None = None,
    directory: str | os.PathLike[str] | None = None,
    num_samples: int = NUM_SAMPLES,
    command: str = "",
) -> Result:
    """One campaign from start to end, then `num_samples` samples of its final model, scored but never asked.

    The final model is the chain whose weights the method left, else what its `final_designs` draws. That of
    random sampling is the pre-trained chain; that of a method that has none is its last round.

    Args:
        task: The task.
        method: One of ``task.methods``.
        seed: Of all randomness.
        settings: Arguments of the method, instead of its own.
        on_event: Told where the run is.
        directory: A new folder for the campaign; a temporary one if None.
        num_samples: Samples of the final model.
        command: Makes this run again; kept with the result.

    Raises:
        ParameterError: If the method is unknown, or a number out of range.
        CampaignError: If there is a campaign in `directory`.
    """
    factory = task.method(method)
    if num_samples < 1:
        raise ParameterError(f"`num_samples` must be at least 1; got {num_samples}.")
    chain, domain = task.materials()
    proposer = factory(chain, domain, **(settings or {}))

    def tell(phase: str, queries: int) -> None:
        if on_event is not None:
            on_event(Event(method, seed, phase, queries, task.budget))

    def told(status: CampaignStatus) -> None:
        tell("learning", status.queries_used)

    start, cpu_start = time.monotonic(), time.process_time()
    with _folder(directory) as folder:
        campaign = Campaign.create(
            folder,
            domain=domain,
            proposer=proposer,
            budget=task.budget,
            num_queries=task.num_queries,
            seed=seed,
        )
        if task.start is not None:
            given = task.start(seed)
            campaign.attach(given, CallableFeedback(task.reward).evaluate(given))
        tell("sampling", 0)
        watched = _Watched(task.reward, tell)
        final_report = run(campaign, watched, progress=told)
        watched.lap()
        seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu_start
        tell("scoring the final model", task.budget)
        finished = Finished(
            task, method, seed, chain, domain, proposer, campaign, final_report,
            seconds, cpu_seconds, tuple(watched.between), command,
        )  # fmt: skip
        result = evaluate(finished, num_samples)
    tell("done", task.budget)
    return result


def _folder(directory: str | os.PathLike[str] | None) -> AbstractContextManager[str | os.PathLike[str]]:
    if directory is None:
        return tempfile.TemporaryDirectory(prefix="seiko-")
    if Path(directory).exists() and any(Path(directory).iterdir()):
        raise CampaignError(f"The folder {directory} is not empty.", hint="Name a new one for the campaign.")
    return nullcontext(directory)


def run_all(
    task: Task,
    methods: Iterable[str],
    seeds: Iterable[int],
    path: str | os.PathLike[str],
    **options: Any,
) -> list[Result]:
    """Every method with every seed, each appended to a file of JSON lines; what is there is not run again.

    Args:
        task: The task.
        methods: Names, checked before anything runs.
        seeds: One run of each method for each.
        path: File of the results.
        **options: Of `run_method`; a `directory` holds one campaign folder for each run.

    Returns:
        Results of this task, methods and seeds, the earlier ones included.
    """
    names = list(methods)
    for name in names:
        task.method(name)
    parent = options.pop("directory", None)
    done = {result.identity: result for result in read_results(path)}
    results = []
    for result in done.values():
        check_budget(task, result, path)
    for seed in seeds:
        for name in names:
            if (task.name, name, seed) not in done:
                folder = None if parent is None else Path(parent) / f"{name}-{seed}"
                done[task.name, name, seed] = run_method(task, name, seed, directory=folder, **options)
                append_result(path, done[task.name, name, seed])
            results.append(done[task.name, name, seed])
    return results


def check_budget(task: Task, result: Result, path: str | os.PathLike[str]) -> None:
    """Refuse to mix runs of different budgets in one table."""
    there = (result.about.get("rounds"), result.about.get("num_queries"))
    if result.task == task.name and there != (task.num_rounds, task.num_queries):
        raise ParameterError(
            f"{path} holds runs of {task.name} with {there[0]} rounds of {there[1]} queries, not "
            f"{task.num_rounds} of {task.num_queries}.",
            hint="Name another file.",
        )
