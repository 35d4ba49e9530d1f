"""``seiko bench report``: the pages of a comparison, its table on the terminal, or all tables as Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seiko.errors import ParameterError

if TYPE_CHECKING:
    from seiko.results import Result

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--results",
    type=FILE,
    required=True,
    multiple=True,
    help="File that `seiko bench run` wrote; repeatable.",
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the pages.")
@click.option(
    "--reference", default="genetic", show_default=True, help="Method that others are tested against."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print all tables as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON, for a program.")
def report(
    results: tuple[Path, ...], output: Path | None, reference: str, as_markdown: bool, as_json: bool
) -> None:
    """Write the page of each task to OUTPUT, for several tasks an index over them, and print the table."""
    from seiko.cli.table import print_table, table_data
    from seiko.results import summarize

    if output is None and not as_markdown:
        raise ParameterError("Nothing to do.", hint="Give `--output`, `--markdown` or both.")
    found = _read(results)
    rows = summarize(found)
    tasks = list(dict.fromkeys(row.task for row in rows))
    if as_json:
        click.echo(json.dumps(table_data(rows), allow_nan=False, indent=2))
    elif as_markdown:
        _print_markdown(found, reference)
    else:
        for task in tasks:
            click.echo(f"{task}:")
            print_table([row for row in rows if row.task == task])
    if output is not None:
        page = _write(found, output, reference, is_one=len(tasks) == 1)
        click.echo(f"The report is {page}", err=as_json or as_markdown)


def _read(paths: tuple[Path, ...]) -> list[Result]:
    from seiko.results import read_results

    found: dict[tuple[str, str, int], Result] = {}
    for path in paths:
        there = read_results(path)
        if not there:
            raise ParameterError(f"There are no results in {path}.", hint="Make some with `seiko bench run`.")
        for result in there:
            if result.identity in found:
                raise ParameterError(f"{path} repeats {result.identity}.", hint="Leave out one of the files.")
            found[result.identity] = result
    return list(found.values())


def _print_markdown(found: list[Result], reference: str) -> None:
    from seiko.comparison import markdown, sections

    click.echo(markdown(sections(found, reference=reference)), nl=False)


def _write(found: list[Result], output: Path, reference: str, *, is_one: bool) -> Path:
    from seiko.web.bench_report import write_bench_report
    from seiko.web.report import write_report

    if is_one:
        return write_report(found, output / "report.html")
    return write_bench_report(found, output, reference=reference)
