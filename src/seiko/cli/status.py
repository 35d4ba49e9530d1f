"""``seiko status``: where a campaign stands."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from seiko.campaign.status import CampaignStatus, read_status


@click.command()
@click.argument("path", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for a program.")
def status(path: str, as_json: bool) -> None:
    """Show where the campaign in the folder PATH stands and what to do next.

    \b
    Examples:
      seiko status runs/first
      seiko status runs/first --json
    """
    found = read_status(path)
    if as_json:
        click.echo(json.dumps(asdict(found), allow_nan=False, indent=2))
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        click.echo("\n".join(f"{label:<14} {value}" for label, value in _rows(found)))


def _rows(found: CampaignStatus) -> list[tuple[str, str]]:
    best = "none yet"
    if found.best_value is not None:
        best = f"{found.best_value:.6g}  (trial {found.best_id}: {found.best_key})"
    return [
        ("campaign", f"{found.name}  ({found.domain}, {found.path})"),
        ("calls used", f"{found.queries_used} of {found.budget}"),
        ("rounds", str(found.num_rounds)),
        ("best", best),
        ("complete", str(found.num_complete)),
        ("pending", str(found.num_pending)),
        ("failed", str(found.num_failed)),
        ("infeasible", str(found.num_infeasible)),
        ("next", found.next_action),
    ]


def _print_table(found: CampaignStatus) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for label, value in _rows(found):
        table.add_row(label, Text(value))
    Console().print(table)
