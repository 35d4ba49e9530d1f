"""Results of benchmark runs: frozen records, JSON lines, medians over seeds. Standard library only."""

from __future__ import annotations

import fcntl
import json
import math
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
    "cpu_seconds",
)
"""The numbers of a `Result` that `summarize` takes the median of."""
PRETRAINED, BEST, FINAL = "pre-trained model", "best readings", "final model"
"""Which designs a figure of a `Result` shows."""


CURVE_POINTS = 60
"""Points of a curve that a compact result keeps."""

DIGITS = 6
"""Significant digits of the numbers of a compact result."""


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
    """Highest reading and mean of the ten highest so far, after each query, or after some of them."""

    queries: tuple[int, ...]
    best: tuple[float, ...]
    top10: tuple[float, ...]

    def thinned(self, count: int) -> Curve:
        """At most `count` points, evenly spaced, the first and the last among them.

        Example:
            >>> Curve((1, 2, 3, 4), (0.0, 1.0, 2.0, 3.0), (0.0, 0.5, 1.0, 1.5)).thinned(2).queries
            (1, 4)
        """
        last = len(self.queries) - 1
        if last < count:
            return self
        kept = [round(k * last / (count - 1)) for k in range(count)]
        queries, best, top10 = (tuple(v[k] for k in kept) for v in (self.queries, self.best, self.top10))
        return Curve(tuple(map(int, queries)), best, top10)


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
        cpu_seconds: The same in processor time of this process, all its threads together.
        ask_seconds: Of `cpu_seconds`, what each round's proposals cost, and last the final fit: the method's
            own time, without the oracle's.
        kl_target_nats: KL aimed at, if any.
        curve: Progress against queries.
        readings: Every query, in order.
        rounds: What the method reported, one a round.
        final_report: What it reported in the end.
        final_values: Rewards of the final model's feasible samples.
        top_designs: The best queried designs.
        final_designs: Some samples of the final model.
        pretrained_designs: Some samples of the pre-trained model.
        command: Makes this run again.
        figures: The domain's figures of many designs: title, then which designs, to an SVG fragment.
        about: The task in words: "group" (tasks of one kind), "chain", "reward", "definition", "rounds",
            "num_queries", "num_samples".
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
    cpu_seconds: float | None = None
    ask_seconds: tuple[float, ...] = ()
    kl_target_nats: float | None = None
    curve: Curve = Curve((), (), ())
    readings: tuple[Reading, ...] = ()
    rounds: tuple[Mapping[str, Any], ...] = ()
    final_report: Mapping[str, Any] = field(default_factory=dict)
    final_values: tuple[float, ...] = ()
    top_designs: tuple[Drawn, ...] = ()
    final_designs: tuple[Drawn, ...] = ()
    pretrained_designs: tuple[Drawn, ...] = ()
    command: str = ""
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
        """The inverse of `to_json`; what a line leaves out is empty."""
        data = json.loads(line)
        curve = data.get("curve") or {"queries": (), "best": (), "top10": ()}
        data["curve"] = Curve(**{name: tuple(values) for name, values in curve.items()})
        data["readings"] = tuple(Reading(**reading) for reading in data.get("readings", ()))
        for name in ("top_designs", "final_designs", "pretrained_designs"):
            data[name] = tuple(Drawn(**drawn) for drawn in data.get(name, ()))
        for name in ("rounds", "final_values", "ask_seconds"):
            data[name] = tuple(data.get(name, ()))
        return cls(**data)

    def without_time(self) -> Result:
        """Equal for equal runs, however long they took."""
        return replace(self, seconds=0.0, cpu_seconds=None, ask_seconds=())

    def compact(self) -> Result:
        """The same run for a file of many: no single readings and designs, fewer points of the curve.

        All numbers of the table are kept, to `DIGITS` significant digits; `auc_top10` stays that of all
        queries.
        """
        kept = {name: _rounded(getattr(self, name)) for name in (*NUMBERS, "final_report", "ask_seconds")}
        thin = self.curve.thinned(CURVE_POINTS)
        curve = Curve(thin.queries, _rounded(thin.best), _rounded(thin.top10))
        return replace(self, curve=curve, figures={}, **(kept | dict.fromkeys(BULKY, ())))


BULKY = ("readings", "rounds", "final_values", "top_designs", "final_designs", "pretrained_designs")
"""What a compact result leaves out."""


def _rounded(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(entry) for name, entry in value.items()}
    return tuple(map(_rounded, value)) if isinstance(value, tuple) else value


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


def append_result(path: str | os.PathLike[str], result: Result) -> bool:
    """Add one line, on the disk when this returns; what a crash left of a line is cut off first.

    Several processes may append to one file. A run that is there already is not added again.

    Returns:
        Whether it was added.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # released when the file is closed
        stream.seek(0)
        lines, end, _ = stream.read().rpartition(b"\n")
        if any(_identity(line) == result.identity for line in lines.splitlines()):
            return False
        stream.truncate(len(lines) + len(end))
        stream.write(result.to_json().encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return True


def identities(path: str | os.PathLike[str]) -> set[tuple[str, str, int]]:
    """Task, method and seed of every whole line of a file; quicker than `read_results`."""
    file = Path(path)
    lines = file.read_bytes().rpartition(b"\n")[0].splitlines() if file.exists() else []
    return {found for line in lines if (found := _identity(line)) is not None}


def _identity(line: bytes) -> tuple[str, str, int] | None:
    """Task, method and seed of a line; None where it is damaged, which `read_results` reports."""
    try:
        data = json.loads(line)
        return data["task"], data["method"], data["seed"]
    except (ValueError, TypeError, KeyError):
        return None
