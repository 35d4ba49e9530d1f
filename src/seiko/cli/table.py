"""The table of a comparison: rich on a terminal, else aligned text; or plain data for JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from seiko.results import Row

COLUMNS = (
    ("best", "best"),
    ("top10", "top-10"),
    ("final_mean", "final mean"),
    ("final_feasible", "feasible"),
    ("final_distinct", "distinct"),
    ("kl_pretrained_nats", "KL nats"),
    ("seconds", "seconds"),
    ("cpu_seconds", "CPU s"),
)


def print_table(rows: Sequence[Row]) -> None:
    """Medians over seeds, one line a method."""
    header = ["method", *(heading for _, heading in COLUMNS)]
    lines = [[row.method, *(_cell(row, name) for name, _ in COLUMNS)] for row in rows]
    if sys.stdout.isatty():
        _print_rich(header, lines)
        return
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in [header, *lines]:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        click.echo("  ".join([line[0].ljust(widths[0]), *cells]))


def _cell(row: Row, name: str) -> str:
    spread = row.numbers[name]
    if spread is None:
        return "-"
    return f"{spread.median:.0f}" if name in ("seconds", "cpu_seconds") else f"{spread.median:.2f}"


def _print_rich(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(header):
        table.add_column(heading, justify="right" if number else "left")
    for line in lines:
        style = "bold cyan" if line[0].startswith("seiko") else ""
        table.add_row(*(Text(cell, style=style) for cell in line))
    Console().print(table)


def table_data(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON data: median, low and high of every number, null where there is none."""
    return [asdict(row) for row in rows]
