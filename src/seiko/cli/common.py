"""What the commands share: options, exit codes, the way they print. Starts without torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

import click

from seiko.errors import SeikoError

Command = TypeVar("Command", bound=Callable[..., Any])
JSON = "seiko.json"


class Code(IntEnum):
    """Exit codes of ``seiko``."""

    DONE = 0
    ERROR = 2
    BUDGET_EXHAUSTED = 3
    NOTHING_TO_DO = 4
    INTERRUPTED = 130


class NothingToDo(SeikoError):
    """The command was understood and there was nothing for it to do."""


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    context.meta[JSON] = value
    return value


def json_option(command: Command) -> Command:
    """``--json``: one JSON object on stdout; errors are one on stderr."""
    return click.option(
        "--json", "as_json", is_flag=True, callback=_remember, is_eager=True,
        help="Print one JSON object, for a program.",
    )(command)  # fmt: skip


def campaign_argument(command: Command) -> Command:
    """The campaign: its folder, or the address of one in a database."""
    return click.argument("campaign", type=str, metavar="DIR")(command)


def overrides_argument(command: Command) -> Command:
    """``key=value`` instead of what the campaign file says."""
    return click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")(command)


def table_options(command: Command) -> Command:
    """How to read a table where the file itself does not say."""
    command = click.option(
        "--decimal", type=click.Choice(["point", "comma"]), default="point", show_default=True,
        help="What stands before the decimals of a number.",
    )(command)  # fmt: skip
    command = click.option("--encoding", help="Of the text: UTF-8, or UTF-16 with its mark, unless given.")(
        command
    )
    return format_option(command)


def format_option(command: Command) -> Command:
    return click.option(
        "--format", "format_name", help="csv, tsv, jsonl, xlsx or one of the domain's; by the file's ending."
    )(command)


def print_json(value: Any) -> None:
    """JSON on stdout; numbers are finite, or null."""
    click.echo(json.dumps(value, allow_nan=False, indent=2, ensure_ascii=False, default=str))


def print_rows(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table: rich on a terminal, else aligned text."""
    lines = [[text_of(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(header, lines)
        return
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in [list(header), *lines]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in header:
        table.add_column(heading)
    for line in lines:
        table.add_row(*map(Text, line))
    Console().print(table)


def text_of(cell: Any) -> str:
    """A cell for people: four digits of a number, nothing for None."""
    if cell is None:
        return ""
    text = f"{cell:.4g}" if isinstance(cell, float) else str(cell)
    return "".join(character if character.isprintable() else "·" for character in text)


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "reading"), plural(2, "reading")
        ('1 reading', '2 readings')
    """
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"


@contextmanager
def working(words: str) -> Iterator[None]:
    """Says on stderr what is being done: a moving sign on a terminal, else one line."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(words):
            yield
        return
    click.echo(f"{words} ...", err=True)
    yield


def exit_with(error: SeikoError, context: click.Context) -> NoReturn:
    """Print one of our errors on stderr and leave with its code."""
    code = code_of(error)
    if context.meta.get(JSON):
        click.echo(json.dumps({"error": error_data(error, code)}, ensure_ascii=False), err=True)
    else:
        word = "Nothing to do" if code is Code.NOTHING_TO_DO else "Error"
        click.echo(f"{word}: {error}", err=True)
    raise click.exceptions.Exit(code)


def code_of(error: SeikoError) -> Code:
    """The exit code of an error."""
    from seiko.errors import BudgetExhausted

    if isinstance(error, BudgetExhausted):
        return Code.BUDGET_EXHAUSTED
    return Code.NOTHING_TO_DO if isinstance(error, NothingToDo) else Code.ERROR


def error_data(error: SeikoError, code: Code) -> Mapping[str, Any]:
    """An error for a program: its kind, what was wrong, in which rows, and what to do."""
    problems = [{"row": row, "what": what} for row, what in getattr(error, "problems", ())]
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "problems": problems,
        "exit_code": int(code),
    }
