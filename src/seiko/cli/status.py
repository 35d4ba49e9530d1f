"""``seiko status``: where a campaign stands."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from seiko.campaign.status import CampaignStatus
from seiko.cli.common import campaign_argument, json_option, print_json
from seiko.cli.opening import journal_of


@click.command()
@campaign_argument
@json_option
def status(campaign: str, as_json: bool) -> None:
    """Show where the campaign in the folder DIR stands and what to do next.

    \b
    Examples:
      seiko status runs/first
      seiko status runs/first --json
    """
    found = journal_of(campaign).status()
    if as_json:
        print_json(asdict(found))
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
        *_cost(found),
        ("rounds", str(found.num_rounds)),
        ("best", best),
        ("complete", str(found.num_complete)),
        ("pending", str(found.num_pending)),
        ("failed", str(found.num_failed)),
        ("infeasible", str(found.num_infeasible)),
        *((name, str(number)) for name, number in _further(found).items() if number),
        ("next", found.next_action),
    ]


def _cost(found: CampaignStatus) -> list[tuple[str, str]]:
    if found.unit == "queries":
        return []
    return [("spent", f"{found.budget_used:g} of {found.budget_total:g} {found.unit}")]


def _further(found: CampaignStatus) -> dict[str, int]:
    """States that only some campaigns have."""
    return {
        "running": found.num_running,
        "stale": found.num_stale,
        "abandoned": found.num_abandoned,
        "attached": found.num_attached,
    }


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
