"""``seiko bench``: methods on tasks over seeds; a run whose line is in the results is not repeated."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seiko.errors import ParameterError

POSITIVE = click.IntRange(min=1)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def bench() -> None:
    """Compare methods on tasks over seeds, in one table.

    \b
    Examples:
      seiko bench list
      seiko bench run --task qm9-polar-ring --method seiko_ucb --method genetic --seeds 10 --results r.jsonl
      seiko bench report --results r.jsonl --output report
    """


@bench.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program.")
def list_tasks(as_json: bool) -> None:
    """Tasks with their budgets, and the methods that can run on them."""
    from seiko.benchmark import TASKS

    rows = [
        {
            "task": task.name,
            "domain": task.domain_name,
            "split": task.split,
            "rounds": task.num_rounds,
            "queries": task.num_queries,
            "methods": list(task.methods),
        }
        for task in TASKS.values()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for task in TASKS.values():
        budget = f"{task.num_rounds} x {task.num_queries}"
        click.echo(f"{task.name:<24} {task.split:<12} {budget:<8} {task.reward_name}")
    click.echo(f"\nMethods: {', '.join(next(iter(TASKS.values())).methods)}")


@bench.command("run")
@click.option("--task", "task_name", required=True, help="One of `seiko bench list`.")
@click.option("--method", "methods", multiple=True, required=True, help="Again for several methods.")
@click.option("--seeds", type=POSITIVE, default=1, show_default=True, help="Runs of each method.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="First seed.")
@click.option("--results", type=FILE, required=True, help="File of JSON lines; finished runs in it are kept.")
def run_task(task_name: str, methods: tuple[str, ...], seeds: int, seed: int, results: Path) -> None:
    """Run methods on a task and append one line a run; started again, it goes on where it was cut off."""
    from seiko.benchmark import TASKS, run_all, summarize
    from seiko.cli.progress import shown_progress
    from seiko.cli.table import print_table

    if task_name not in TASKS:
        raise ParameterError(f"There is no task {task_name!r}.", hint=f"There are {', '.join(TASKS)}.")
    task = TASKS[task_name]
    names = list(dict.fromkeys(methods))
    with shown_progress(names, task.budget, task.num_rounds) as watch:
        found = run_all(task, names, range(seed, seed + seeds), results, on_event=watch)
    print_table(summarize(found))


@bench.command("report")
@click.option("--results", type=FILE, required=True, help="File that `seiko bench run` wrote.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON, for a program.")
def report(results: Path, output: Path, as_json: bool) -> None:
    """Write the page of each task to OUTPUT (a folder a task, if there are several) and print the table."""
    from seiko.cli.table import print_table, table_data
    from seiko.results import read_results, summarize
    from seiko.web.report import write_report

    found = read_results(results)
    if not found:
        raise ParameterError(f"There are no results in {results}.", hint="Make some with `seiko bench run`.")
    tasks = list(dict.fromkeys(result.task for result in found))
    rows = summarize(found)
    if as_json:
        click.echo(json.dumps(table_data(rows), allow_nan=False, indent=2))
    for task in tasks:
        folder = output / task if len(tasks) > 1 else output
        page = write_report([r for r in found if r.task == task], folder / "report.html")
        if not as_json:
            click.echo(f"{task}:")
            print_table([row for row in rows if row.task == task])
        click.echo(f"The report is {page}", err=as_json)
