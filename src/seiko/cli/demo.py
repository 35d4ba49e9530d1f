"""``seiko demo``: whole campaigns from start to end on small molecules, compared in a table and a page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seiko.errors import CampaignError, ParameterError

if TYPE_CHECKING:
    from seiko.benchmark import Task

MARK = "seiko-demo.json"
OWN = (MARK, "report.html", "results.jsonl", "plots", "campaigns")
DEFAULT = ("seiko_ucb", "random", "genetic")
ALL = (*DEFAULT, "greedy", "seiko_bootstrap", "seiko_thompson", "non_adaptive", "online_ppo")
POSITIVE = click.IntRange(min=1)


@click.command()
@click.option(
    "--compare", default="default", show_default=True,
    help='"default" (SEIKO-UCB, random, genetic), "all", or names with commas between them.',
)  # fmt: skip
@click.option("--seeds", type=POSITIVE, default=1, show_default=True, help="Runs of each method.")
@click.option("--rounds", type=POSITIVE, default=5, show_default=True, help="Rounds of queries.")
@click.option("--queries", type=POSITIVE, default=60, show_default=True, help="Queries of one round.")
@click.option(
    "--reward", default="logp", show_default=True,
    help="What is rewarded: logp, penalized_logp, polar_ring, median_norcamphor or qed.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("demo"), show_default=True,
    help="Folder of the report, the results and the campaigns.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="First seed.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON, for a program.")
def demo(
    compare: str, seeds: int, rounds: int, queries: int, reward: str, output: Path, seed: int, as_json: bool
) -> None:
    """Run whole campaigns on small molecules and compare the methods.

    Each method starts from the same pre-trained model and asks for ROUNDS x QUERIES molecules. A table is
    printed, and a page with figures and molecules is written to OUTPUT/report.html. An earlier demo in OUTPUT
    is replaced.

    \b
    Examples:
      seiko demo
      seiko demo --compare all --seeds 3 --output demo-all
      seiko demo --compare seiko_ucb,greedy --reward polar_ring
      seiko demo --rounds 2 --queries 20 --json
    """
    from seiko.benchmark import molecule_task
    from seiko.domains.molecule import rdkit_module

    rdkit_module()  # says at once how to install it
    task = replace(molecule_task(reward), num_rounds=rounds, num_queries=queries)
    methods = methods_of(compare, task)
    claim(output, {"methods": methods, "seeds": seeds, "seed": seed, "rounds": rounds, "queries": queries})
    run_demo(task, methods, range(seed, seed + seeds), output, as_json=as_json)


def methods_of(compare: str, task: Task) -> list[str]:
    """The names that `--compare` stands for, each once; ParameterError where there is no such method."""
    named = {"default": DEFAULT, "all": ALL}.get(compare)
    names = list(dict.fromkeys(named or (part.strip() for part in compare.split(","))))
    for name in names:
        task.method(name)
    return names


def run_demo(task: Task, methods: list[str], seeds: range, output: Path, *, as_json: bool = False) -> None:
    """Run, print the table, write the page."""
    from seiko.benchmark import run_all, summarize
    from seiko.cli.progress import shown_progress
    from seiko.cli.table import print_table, table_data
    from seiko.web.report import write_report

    with shown_progress(methods, task.budget, task.num_rounds) as watch:
        results = run_all(
            task, methods, seeds, output / "results.jsonl", on_event=watch, directory=output / "campaigns"
        )
    page = write_report(results, output / "report.html", title=f"SEIKO demo: {task.reward_name} of molecules")
    rows = summarize(results)
    if as_json:
        click.echo(json.dumps(table_data(rows), allow_nan=False, indent=2))
    else:
        print_table(rows)
    click.echo(f"\nThe report is {page}", err=as_json)


def claim(output: Path, settings: dict[str, Any]) -> None:
    """Make the folder ours, or an earlier demo's files in it go; anything else in it stays an error.

    Raises:
        CampaignError: If the folder holds something that is no demo, or cannot be written.
        ParameterError: If it is a file.
    """
    if output.exists() and not output.is_dir():
        raise ParameterError(f"`--output` must be a folder; {output} is a file.", hint="Name another one.")
    there = sorted(p.name for p in output.iterdir()) if output.exists() else []
    if there and MARK not in there:
        raise CampaignError(
            f"The folder {output} holds {there[0]!r} and is not an earlier demo; nothing was written.",
            hint="Name a new folder with --output.",
        )
    try:
        for name in OWN:
            if (output / name).is_dir():
                shutil.rmtree(output / name)
            else:
                (output / name).unlink(missing_ok=True)
        output.mkdir(parents=True, exist_ok=True)
        (output / MARK).write_text(json.dumps(settings) + "\n")
    except OSError as error:
        raise CampaignError(
            f"The folder {output} cannot be written: {error}.", hint="Name another one."
        ) from error
