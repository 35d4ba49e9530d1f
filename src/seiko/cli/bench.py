"""``seiko bench``: methods on tasks over seeds; a run whose line is in the results is not repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seiko.cli.bench_report import report
from seiko.errors import ParameterError, SeikoError

if TYPE_CHECKING:
    from seiko.benchmark import Job, Task
    from seiko.results import Result

POSITIVE = click.IntRange(min=1)
FILE = click.Path(dir_okay=False, path_type=Path)
tasks_from_option = click.option(
    "--tasks-from", type=FILE, help="A Python file of yours with TASKS or METHODS; it is executed."
)


@click.group()
def bench() -> None:
    """Compare methods on tasks over seeds, in one table.

    \b
    Examples:
      seiko bench list
      seiko bench list --suite standard --results r.jsonl        what it costs, as far as it is known
      seiko bench run --task qm9-polar-ring --method seiko_ucb --method genetic --seeds 10 --results r.jsonl
      seiko bench run --task 'rna-*' --method random --seeds 5 --jobs 2 --results r.jsonl
      seiko bench run --suite standard --jobs 2 --results r.jsonl
      seiko bench report --results r.jsonl --output report
    """


bench.add_command(report)


@bench.command("list")
@click.option("--suite", "suite_name", help="Only the runs of smoke, standard or full, and what they cost.")
@click.option("--results", type=FILE, help="Earlier runs, to estimate the cost from.")
@tasks_from_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program.")
def list_tasks(suite_name: str | None, results: Path | None, tasks_from: Path | None, as_json: bool) -> None:
    """Tasks with their budgets, the methods that can run on them, and the suites."""
    from seiko.benchmark import catalogue
    from seiko.results import read_results

    tasks = catalogue(tasks_from)
    if suite_name is not None:
        data = _suite_data(suite_name, tasks, read_results(results) if results else [])
        click.echo(json.dumps(data, indent=2) if as_json else _suite_text(data))
    elif as_json:
        click.echo(json.dumps([_task_data(task) for task in tasks.values()], indent=2))
    else:
        _print_tasks(tasks)


def _task_data(task: Task) -> dict[str, Any]:
    return {
        "task": task.name,
        "domain": task.domain_name,
        "split": task.split,
        "rounds": task.num_rounds,
        "queries": task.num_queries,
        "methods": list(task.methods),
    }


def _print_tasks(tasks: dict[str, Task]) -> None:
    from seiko.benchmark import SUITES

    for task in tasks.values():
        budget = f"{task.num_rounds} x {task.num_queries}"
        click.echo(f"{task.name:<24} {task.split:<12} {budget:<8} {task.reward_name}")
    methods = dict.fromkeys(name for task in tasks.values() for name in task.methods)
    everywhere = [name for name in methods if all(name in task.methods for task in tasks.values())]
    click.echo(f"\nMethods: {', '.join(everywhere)}")
    if some := [name for name in methods if name not in everywhere]:
        click.echo(f"Methods of some tasks: {', '.join(some)}")
    for suite in SUITES.values():
        click.echo(f"Suite {suite.name}: {len(suite.jobs(tasks))} runs; {suite.summary}")


def _suite_data(name: str, tasks: dict[str, Task], results: list[Result]) -> dict[str, Any]:
    from seiko.benchmark.suites import estimate, suite

    jobs = suite(name).jobs(tasks)
    counts: dict[str, dict[str, int]] = {}
    for job in jobs:
        methods = counts.setdefault(job.task, {})
        methods[job.method] = methods.get(job.method, 0) + 1
    cost = estimate(jobs, tasks, results)
    return {
        "suite": name,
        "runs": len(jobs),
        "seeds": counts,
        "estimated_cpu_hours": cost.seconds / 3600 if cost.known else None,
        "estimated_cpu_hours_left": cost.left / 3600 if cost.known else None,
        "runs_estimated": cost.known,
    }


def _suite_text(data: dict[str, Any]) -> str:
    from seiko.cli.job_progress import duration

    lines = [
        f"{task:<24} {', '.join(f'{method} x {count}' for method, count in methods.items())}"
        for task, methods in data["seeds"].items()
    ]
    lines.append(f"\n{data['runs']} runs (method x seeds).")
    if data["estimated_cpu_hours"] is None:
        lines.append("What they cost is not known; give --results with earlier runs.")
    else:
        hours, left = (3600 * data[name] for name in ("estimated_cpu_hours", "estimated_cpu_hours_left"))
        known = f"{data['runs_estimated']} of {data['runs']} runs"
        lines.append(f"About {duration(hours)} of CPU time for {known}, of which {duration(left)} are left.")
    return "\n".join(lines)


@bench.command("run")
@click.option("--task", "patterns", multiple=True, help="Of `seiko bench list`, or a pattern; repeatable.")
@click.option("--method", "methods", multiple=True, help="A name or a pattern; repeatable.")
@click.option("--suite", "suite_name", help="The runs of a suite: smoke, standard or full.")
@click.option("--seeds", type=POSITIVE, default=None, help="Runs of each method; 1 by default.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="First seed.")
@click.option("--jobs", "processes", type=POSITIVE, default=1, show_default=True, help="Runs at a time.")
@click.option("--results", type=FILE, required=True, help="File of JSON lines; finished runs in it are kept.")
@click.option("--samples", type=POSITIVE, default=None, help="Samples of the final model; 1000 by default.")
@click.option(
    "--compact/--whole", "compact", default=None,
    help="Without single readings and designs, or with them; compact for suites by default.",
)  # fmt: skip
@tasks_from_option
def run_tasks(
    patterns: tuple[str, ...],
    methods: tuple[str, ...],
    suite_name: str | None,
    seeds: int | None,
    seed: int,
    processes: int,
    results: Path,
    samples: int | None,
    compact: bool | None,
    tasks_from: Path | None,
) -> None:
    """Run methods on tasks and append one line a run; started again, it goes on where it was cut off.

    With a suite, --task and --method choose among its runs. Ctrl-C loses the runs that are being made and
    nothing else. A run that fails is written to RESULTS with the ending .failed.jsonl, the others go on, and
    the exit code is 2 in the end.
    """
    from seiko.benchmark import NUM_SAMPLES, catalogue, run_jobs
    from seiko.cli.job_progress import job_progress

    tasks = catalogue(tasks_from)
    if suite_name is not None:
        jobs = _suite_jobs(tasks, suite_name, patterns, methods, seeds, seed)
    else:
        jobs = _chosen_jobs(tasks, patterns, methods, range(seed, seed + (seeds or 1)))
    with job_progress(tasks) as watch:
        failures = run_jobs(
            jobs,
            results,
            processes=processes,
            tasks_from=tasks_from,
            compact=suite_name is not None if compact is None else compact,
            num_samples=samples or NUM_SAMPLES,
            watch=watch,
        )
    _print_tables(jobs, results)
    if failures:
        raise _failed(len(failures), len(jobs), results)


def _suite_jobs(
    tasks: dict[str, Task],
    name: str,
    patterns: tuple[str, ...],
    methods: tuple[str, ...],
    seeds: int | None,
    seed: int,
) -> list[Job]:
    from seiko.benchmark import select, suite

    if seeds is not None:
        raise ParameterError("A suite says how many seeds there are.", hint="Leave out `--seeds`.")
    jobs = suite(name).jobs(tasks, first_seed=seed)
    kept = select(patterns or ["*"], dict.fromkeys(job.task for job in jobs), what="task")
    wanted = select(methods or ["*"], dict.fromkeys(job.method for job in jobs), what="method")
    return [job for job in jobs if job.task in kept and job.method in wanted]


def _chosen_jobs(
    tasks: dict[str, Task], patterns: tuple[str, ...], methods: tuple[str, ...], seeds: range
) -> list[Job]:
    """Every method on every task that has it, the first seed of all before the second of any."""
    from seiko.benchmark import Job, select

    if not patterns or not methods:
        raise ParameterError("Nothing was chosen.", hint="Give `--task` and `--method`, or `--suite`.")
    chosen = select(patterns, tasks, what="task")
    known = dict.fromkeys(name for task in chosen for name in tasks[task].methods)
    names = [name for pattern in methods for name in select([pattern], known, what="method")]
    jobs = [
        Job(task, name, seed)
        for seed in seeds
        for task in chosen
        for name in dict.fromkeys(names)
        if name in tasks[task].methods
    ]
    left_out = [(t, n) for t in chosen for n in dict.fromkeys(names) if n not in tasks[t].methods]
    for task, name in left_out:
        click.echo(f"{task} has no method {name!r}; left out.", err=True)
    return jobs


def _print_tables(jobs: list[Job], results: Path) -> None:
    from seiko.cli.table import print_table
    from seiko.results import read_results, summarize

    wanted = {job.identity for job in jobs}
    found = [result for result in read_results(results) if result.identity in wanted]
    rows = summarize(found)
    tasks = list(dict.fromkeys(row.task for row in rows))
    for task in tasks:
        if len(tasks) > 1:
            click.echo(f"{task}:")
        print_table([row for row in rows if row.task == task])


def _failed(count: int, total: int, results: Path) -> SeikoError:
    from seiko.benchmark import failures_path

    return SeikoError(
        f"{count} of {total} runs failed; {failures_path(results)} says why.",
        hint="The same command tries them again.",
    )
