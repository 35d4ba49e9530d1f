"""Results of benchmark runs: frozen records, JSON lines, medians over seeds. Standard library only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from seiko.errors import ParameterError

NUMBERS = (
    "best",
    "top10",
    "top100",
    "auc_top10",
    "final_mean",
    "final_diversity",
    "final_feasible",
    "final_distinct",
    "kl_pretrained_nats",
    "seconds",
)
"""The numbers of a `Result` that `summarize` takes the median of."""
PRETRAINED, BEST, FINAL = "pre-trained model", "best readings", "final model"
"""Which designs a figure of a `Result` shows."""


@dataclass(frozen=True)
class Reading:
    """One query: its round and what was told, beside what the surrogate had predicted, in reward units."""

    round: int
    design: str
    state: str
    value: float | None
    predicted_mean: float | None = None
    predicted_std: float | None = None


@dataclass(frozen=True)
class Drawn:
    """A design to look at; `query` counts from 1 and is None for a sample that was never asked."""

    design: str
    value: float | None
    drawing: str
    query: int | None = None
    round: int | None = None


@dataclass(frozen=True)
class Curve:
    """Highest reading and mean of the ten highest so far, after each query."""

    queries: tuple[int, ...]
    best: tuple[float, ...]
    top10: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """One method on one task with one seed. Readings are maximised.

    Attributes:
        task: Name of the task.
        domain: Name of its kind of designs.
        split: "development" (settings may be tuned on it) or "test".
        method: Name of the method.
        seed: Of all randomness.
        queries: Designs asked for, whatever came of them.
        best: Highest reading; None if there was none, as all further numbers.
        top10: Mean of the ten highest readings (of all, if there are fewer).
        top100: Mean of the hundred highest.
        auc_top10: Mean over queries of the running top-10 mean.
        final_mean: Mean reward of the final model's feasible samples.
        final_diversity: The domain's diversity of these.
        final_feasible: Fraction of the samples that are valid and have a reward.
        final_distinct: Different valid designs divided by samples.
        kl_pretrained_nats: KL of the final model to the pre-trained one; None where no model is learned.
        seconds: Of the campaign; sampling the final model for these numbers is not counted.
        kl_target_nats: KL aimed at, if any.
        curve: Progress against queries.
        readings: Every query, in order.
        rounds: What the method reported, one a round.
        final_report: What it reported in the end.
        final_values: Rewards of the final model's feasible samples.
        top_designs: The best queried designs.
        final_designs: Some samples of the final model.
        pretrained_designs: Some samples of the pre-trained model.
        figures: The domain's figures of many designs: title, then which designs, to an SVG fragment.
        about: The task in words: "chain", "reward", "definition", "rounds", "num_queries".
        versions: Of the packages that ran it.
    """

    task: str
    domain: str
    split: str
    method: str
    seed: int
    queries: int
    best: float | None
    top10: float | None
    top100: float | None
    auc_top10: float | None
    final_mean: float | None
    final_diversity: float | None
    final_feasible: float
    final_distinct: float
    kl_pretrained_nats: float | None
    seconds: float
    kl_target_nats: float | None = None
    curve: Curve = Curve((), (), ())
    readings: tuple[Reading, ...] = ()
    rounds: tuple[Mapping[str, Any], ...] = ()
    final_report: Mapping[str, Any] = field(default_factory=dict)
    final_values: tuple[float, ...] = ()
    top_designs: tuple[Drawn, ...] = ()
    final_designs: tuple[Drawn, ...] = ()
    pretrained_designs: tuple[Drawn, ...] = ()
    figures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, int]:
        """Task, method and seed: what a run is never repeated for."""
        return self.task, self.method, self.seed

    def to_json(self) -> str:
        """One line; numbers must be finite."""
        return json.dumps(asdict(self), allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Result:
        """The inverse of `to_json`."""
        data = json.loads(line)
        data["curve"] = Curve(**{name: tuple(values) for name, values in data["curve"].items()})
        data["readings"] = tuple(Reading(**reading) for reading in data["readings"])
        for name in ("top_designs", "final_designs", "pretrained_designs"):
            data[name] = tuple(Drawn(**drawn) for drawn in data[name])
        for name in ("rounds", "final_values"):
            data[name] = tuple(data[name])
        return cls(**data)

    def without_time(self) -> Result:
        """Equal for equal runs, however long they took."""
        return replace(self, seconds=0.0)


def mean_of_top(values: Iterable[float], count: int) -> float | None:
    """Mean of the `count` highest values, or of all if there are fewer; None without any.

    Example:
        >>> mean_of_top([1.0, 3.0, 2.0], 2)
        2.5
    """
    top = sorted(values, reverse=True)[:count]
    return sum(top) / len(top) if top else None


def curve_of(values: Sequence[float | None]) -> Curve:
    """Progress over queries, from the first reading on; a query without a value moves nothing."""
    points: list[tuple[int, float, float]] = []
    top: list[float] = []
    for query, value in enumerate(values, start=1):
        if value is not None:
            top = sorted([*top, value], reverse=True)[:10]
        if top:
            points.append((query, top[0], sum(top) / len(top)))
    queries, best, top10 = zip(*points, strict=True) if points else ((), (), ())
    return Curve(tuple(queries), tuple(best), tuple(top10))


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest over seeds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the table: a method on a task over seeds; a number that no seed has is None."""

    task: str
    method: str
    num_seeds: int
    numbers: Mapping[str, Spread | None]


def summarize(results: Iterable[Result]) -> list[Row]:
    """Median and range over seeds of each number, one row a task and method, in order of appearance."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.task, result.method), []).append(result)
    return [
        Row(task, method, len(group), {name: _spread(group, name) for name in NUMBERS})
        for (task, method), group in groups.items()
    ]


def _spread(group: Sequence[Result], name: str) -> Spread | None:
    values = [value for result in group if (value := getattr(result, name)) is not None]
    return Spread(median(values), min(values), max(values)) if values else None


def read_results(path: str | os.PathLike[str]) -> list[Result]:
    """Results of a file of JSON lines; none if there is no file. A last line that was cut off is left out.

    Raises:
        ParameterError: If another line is not a result, or a run is there twice.
    """
    file = Path(path)
    if not file.exists():
        return []
    whole = file.read_bytes().rpartition(b"\n")[0].decode()
    results: dict[tuple[str, str, int], Result] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            result = Result.from_json(line)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ParameterError(
                f"Line {number} of {file} is not a result: {error}.", hint="Restore the file from a copy."
            ) from error
        if result.identity in results:
            raise ParameterError(
                f"Line {number} of {file} repeats {result.identity}.", hint="Remove one of them."
            )
        results[result.identity] = result
    return list(results.values())


def append_result(path: str | os.PathLike[str], result: Result) -> None:
    """Add one line, on the disk when this returns; what a crash left of a line is cut off first."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab+") as stream:
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.write(result.to_json().encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
