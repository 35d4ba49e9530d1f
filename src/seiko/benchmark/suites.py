"""Three sizes of one suite: which tasks with which methods and how many seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from seiko.benchmark.jobs import Job
from seiko.benchmark.registry import select
from seiko.benchmark.tasks import Task
from seiko.errors import ParameterError
from seiko.results import Result

CONTROLS = ("random", "genetic")
"""A table without these is void: they run on every task."""

PAPER = (
    "seiko_ucb", "seiko_bootstrap", "seiko_thompson", "greedy", "guidance", "non_adaptive", "online_ppo",
)  # fmt: skip
RIVALS = (*CONTROLS, "adalead", "pool_bayes_opt", "best_of_n", "tempered_smc", "soft_q")
EVERY = (*PAPER, *RIVALS)
NEED_GRADIENTS = ("guidance", "soft_q")
"""They climb by features of weighted letters or pixels, which molecules do not have."""

LEADERS = ("seiko_ucb", "greedy", "adalead", "pool_bayes_opt")
"""SEIKO's variant, the control of its optimism, and the strongest rivals that search with moves."""


@dataclass(frozen=True)
class Piece:
    """Some tasks, by name or pattern, with the same methods and seeds.

    Methods that a task does not have are left out, so a suite may name rivals of one domain only.
    """

    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    num_seeds: int


@dataclass(frozen=True)
class Suite:
    """Pieces of a benchmark, and what it is for."""

    name: str
    summary: str
    pieces: tuple[Piece, ...]

    def jobs(self, tasks: Mapping[str, Task], *, first_seed: int = 0) -> list[Job]:
        """Every run once, the first seed of all tasks before the second of any."""
        found = dict.fromkeys(
            Job(task, method, first_seed + seed)
            for piece in self.pieces
            for seed in range(piece.num_seeds)
            for task in _known(piece.tasks, tasks)
            for method in piece.methods
            if method in tasks[task].methods
        )
        return sorted(found, key=lambda job: job.seed)  # stable: else in order of the pieces


def _known(patterns: Sequence[str], tasks: Mapping[str, Task]) -> list[str]:
    """Tasks of those patterns that there are: a suite may be run where a domain is missing."""
    there = [pattern for pattern in patterns if _fits_any(pattern, tasks)]
    return select(there, tasks, what="task") if there else []


def _fits_any(pattern: str, tasks: Mapping[str, Task]) -> bool:
    try:
        return bool(select([pattern], tasks, what="task"))
    except ParameterError:
        return False


_MOLECULES = ("qm9-*", "pmo-*", "dock-*")
_OTHERS = ("tfbind-*", "rna-*", "ehrlich-*", "utr5*", "promoters*", "gfp*", "icons-*")
_TF_STANDARD = tuple(f"tfbind-{factor}" for factor in ("CRX", "HOXB7", "NKX2-5", "PAX6", "SNAI2", "ZNF655"))
_CHEAP_STANDARD = ("tfbind-SIX6", "tfbind-KLF11", *_TF_STANDARD)
_QUICK_STANDARD = ("utr5*", "promoters*", "gfp*")
_QUICK_TESTS = ("utr5-cloning", "promoters-cloning", "gfp")
_RNA_STANDARD = ("rna-L14*", "rna-L50*")
_EHRLICH_STANDARD = ("ehrlich-32*", "ehrlich-64*")
_COSTLIEST_STANDARD = ("rna-L100*", "icons*", "pmo-*")

SMOKE = Suite(
    "smoke",
    "minutes; needs no data from elsewhere; says that everything runs, nothing about methods",
    (
        Piece(("ehrlich-15", "ehrlich-15-1"), CONTROLS, 2),
        Piece(("promoters", "promoters-cloning", "gfp"), CONTROLS, 1),
        Piece(("smoke-promoters",), (*CONTROLS, "seiko_ucb"), 1),
    ),
)
STANDARD = Suite(
    "standard",
    "development and test tasks of every domain, for two cores over night",
    (
        Piece(_CHEAP_STANDARD, CONTROLS, 10),
        Piece(_CHEAP_STANDARD, LEADERS, 5),
        Piece(("tfbind-SIX6", _TF_STANDARD[0]), EVERY, 3),
        Piece((*_QUICK_STANDARD, *_RNA_STANDARD, *_EHRLICH_STANDARD), CONTROLS, 5),
        Piece((*_TF_STANDARD, *_QUICK_STANDARD, *_RNA_STANDARD, *_EHRLICH_STANDARD), ("online_ppo",), 3),
        Piece(_QUICK_STANDARD, LEADERS, 1),
        Piece(_QUICK_TESTS, LEADERS, 3),
        Piece((*_RNA_STANDARD, "rna-L100*", "icons*"), LEADERS, 2),
        Piece(_EHRLICH_STANDARD, ("seiko_ucb", "adalead", "pool_bayes_opt"), 2),
        Piece(("ehrlich-32*",), ("greedy",), 1),
        Piece(_COSTLIEST_STANDARD, CONTROLS, 3),
        Piece(("pmo-*",), ("seiko_ucb",), 1),
        Piece(("rna-L14-two", "promoters-cloning"), EVERY, 2),
    ),
)
FULL = Suite(
    "full",
    "every task with every method, 10 seeds, and PMO with 10,000 calls, for a cluster",
    (
        Piece(_MOLECULES, tuple(method for method in EVERY if method not in NEED_GRADIENTS), 10),
        Piece(_OTHERS, EVERY, 10),
        Piece(("pmo10k-*",), ("seiko_ucb", "greedy", *CONTROLS), 3),
    ),
)
SUITES: Mapping[str, Suite] = {suite.name: suite for suite in (SMOKE, STANDARD, FULL)}
"""By name."""


def suite(name: str) -> Suite:
    """The suite of a name.

    Raises:
        ParameterError: If there is none.
    """
    if name not in SUITES:
        raise ParameterError(f"There is no suite {name!r}.", hint=f"There are {', '.join(SUITES)}.")
    return SUITES[name]


@dataclass(frozen=True)
class Cost:
    """Estimated CPU seconds of jobs, from earlier runs.

    Attributes:
        seconds: Of the jobs that could be estimated.
        known: Their number, of `total`.
        left: Of `seconds`, what is not among the earlier runs.
    """

    seconds: float
    left: float
    known: int
    total: int


def estimate(jobs: Sequence[Job], tasks: Mapping[str, Task], results: Iterable[Result]) -> Cost:
    """What jobs cost, by the mean of earlier runs of the same task and method, else of domain and method."""
    exact: dict[tuple[str, str], list[float]] = {}
    alike: dict[tuple[str, str], list[float]] = {}
    done = set()
    for result in results:
        took = result.seconds if result.cpu_seconds is None else result.cpu_seconds
        exact.setdefault((result.task, result.method), []).append(took)
        if result.task in tasks:
            alike.setdefault((tasks[result.task].domain_name, result.method), []).append(took)
        done.add(result.identity)
    cost = Cost(0.0, 0.0, 0, len(jobs))
    for job in jobs:
        near = (tasks[job.task].domain_name, job.method)
        found = exact.get((job.task, job.method)) or alike.get(near)
        if found:
            took = mean(found)
            left = 0.0 if job.identity in done else took
            cost = replace(cost, seconds=cost.seconds + took, left=cost.left + left, known=cost.known + 1)
    return cost
