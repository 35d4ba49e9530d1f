"""Scores of methods on tasks, standings over tasks, and queries to reach a rival."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, median

from seiko.comparison.statistics import Paired, bootstrap_interval, interquartile_mean, ranks, signed_rank
from seiko.results import Result

READABLE: Mapping[str, str] = {
    "top100": "mean of the hundred best readings",
    "auc_top10": "mean over all queries of the running mean of the ten best readings",
}


@dataclass(frozen=True)
class TaskScores:
    """One task: the runs of every method on it.

    Attributes:
        task: Its name.
        group: Tasks of one kind share it.
        split: "development" or "test".
        number: The number of a `Result` that is compared.
        runs: Method to its runs, by seed.
    """

    task: str
    group: str
    split: str
    number: str
    runs: Mapping[str, tuple[Result, ...]]

    @cached_property
    def values(self) -> dict[str, dict[int, float]]:
        """Method to seed to the number compared; runs without it are left out."""
        found = {m: {r.seed: getattr(r, self.number) for r in runs} for m, runs in self.runs.items()}
        told = {m: {s: v for s, v in seeds.items() if v is not None} for m, seeds in found.items()}
        return {method: seeds for method, seeds in told.items() if seeds}

    @cached_property
    def scores(self) -> dict[str, float]:
        """Method to its interquartile mean over seeds."""
        return {method: interquartile_mean(list(seeds.values())) for method, seeds in self.values.items()}

    @cached_property
    def ranks(self) -> dict[str, float]:
        """Method to its rank, 1 for the best."""
        return ranks(self.scores)

    def interval(self, method: str) -> tuple[float, float] | None:
        """95 % bootstrap interval over seeds; None with one seed."""
        return bootstrap_interval([list(self.values[method].values())])

    def normalised(self, method: str) -> list[float]:
        """Of each seed: 0 is the worst method's score on this task, 1 the best method's."""
        low, high = min(self.scores.values()), max(self.scores.values())
        return [(value - low) / ((high - low) or 1.0) for value in self.values[method].values()]

    def against(self, method: str, reference: str) -> Paired | None:
        """Seed by seed; None where they share no seed."""
        ours, theirs = self.values.get(method, {}), self.values.get(reference, {})
        seeds = sorted(ours.keys() & theirs.keys())
        return signed_rank([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None


def main_number(group: str) -> str:
    """What is compared: AUC top-10 for molecules, as PMO does, else the mean of the hundred best."""
    return "auc_top10" if group.startswith("molecule") else "top100"


def task_scores(results: Iterable[Result], *, number: str | None = None) -> list[TaskScores]:
    """Every task of the results, in order of appearance.

    Args:
        results: Runs.
        number: What to compare; `main_number` of the task's group if None.
    """
    tasks: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        tasks.setdefault(result.task, {}).setdefault(result.method, []).append(result)
    return [_of_task(task, methods, number) for task, methods in tasks.items()]


def _of_task(task: str, methods: Mapping[str, Sequence[Result]], number: str | None) -> TaskScores:
    first = next(iter(methods.values()))[0]
    group = str(first.about.get("group", first.domain))
    runs = {m: tuple(sorted(found, key=lambda r: r.seed)) for m, found in methods.items()}
    return TaskScores(task, group, first.split, number or main_number(group), runs)


@dataclass(frozen=True)
class Standing:
    """A method over several tasks; only those that it ran on.

    Attributes:
        method: Its name.
        num_tasks: Tasks.
        mean_rank: Over tasks.
        first: Share of tasks on which no other method has a higher score.
        second: Share on which at most one has.
        normalised: Interquartile mean over tasks and seeds of the normalised values.
        interval: Its 95 % bootstrap interval, seeds resampled within each task.
        middle: Median over tasks of the normalised scores.
        cpu_seconds: Median over tasks of a run's processor time.
    """

    method: str
    num_tasks: int
    mean_rank: float
    first: float
    second: float
    normalised: float
    interval: tuple[float, float] | None
    middle: float
    cpu_seconds: float | None


def standings(tasks: Sequence[TaskScores]) -> list[Standing]:
    """Every method over the tasks it ran on, the best mean rank first."""
    methods = dict.fromkeys(method for task in tasks for method in task.scores)
    return sorted((_standing(m, [t for t in tasks if m in t.scores]) for m in methods), key=_place)


def _place(standing: Standing) -> tuple[float, float]:
    return standing.mean_rank, -standing.normalised


def _standing(method: str, tasks: Sequence[TaskScores]) -> Standing:
    higher = [sum(score > t.scores[method] for score in t.scores.values()) for t in tasks]
    normalised = [task.normalised(method) for task in tasks]
    times = [t for task in tasks if (t := cpu_seconds(task.runs[method])) is not None]
    return Standing(
        method=method,
        num_tasks=len(tasks),
        mean_rank=mean(task.ranks[method] for task in tasks),
        first=sum(count == 0 for count in higher) / len(tasks),
        second=sum(count <= 1 for count in higher) / len(tasks),
        normalised=interquartile_mean([value for values in normalised for value in values]),
        interval=bootstrap_interval(normalised),
        middle=median(interquartile_mean(values) for values in normalised),
        cpu_seconds=median(times) if times else None,
    )


def cpu_seconds(runs: Sequence[Result]) -> float | None:
    """Median processor time of runs; None where none kept it."""
    times = [run.cpu_seconds for run in runs if run.cpu_seconds is not None]
    return median(times) if times else None


@dataclass(frozen=True)
class Reached:
    """How soon a method is where a rival ends.

    Attributes:
        value: The rival's final mean of its ten best readings, median over its seeds.
        queries: After which the method's is at least that, median over its seeds; None if not half of them
            get there.
        budget: All queries of a run of the rival.
    """

    value: float
    queries: int | None
    budget: int


def queries_to_reach(task: TaskScores, method: str, rival: str) -> Reached | None:
    """See `Reached`; None where a curve is missing. Of thinned curves the next point kept counts."""
    theirs = [run for run in task.runs.get(rival, ()) if run.curve.top10]
    ours = [run for run in task.runs.get(method, ()) if run.curve.top10]
    if not theirs or not ours:
        return None
    value = median(run.curve.top10[-1] for run in theirs)
    found = sorted(_first(run, value) for run in ours)
    middle = found[len(found) // 2]  # with an even number the later of the two
    return Reached(value, int(middle) if math.isfinite(middle) else None, theirs[0].queries)


def _first(run: Result, value: float) -> float:
    pairs = zip(run.curve.queries, run.curve.top10, strict=True)
    slack = 1e-9 * abs(value)
    return next((float(query) for query, top10 in pairs if top10 >= value - slack), math.inf)
