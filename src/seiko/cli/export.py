"""``seiko export``: all trials, or those still awaited, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from seiko.cli.batches import blank_row, design_text, is_table
from seiko.cli.common import campaign_argument, format_option, json_option, plural, print_json
from seiko.cli.opening import journal_of
from seiko.tables import BATCH_COLUMNS, write_table

STATES = ("pending", "running", "stale", "complete", "failed", "infeasible", "abandoned")


@click.command()
@campaign_argument
@click.option("-o", "--out", default="-", show_default=True, help="The table; - for stdout.")
@click.option("--pending", is_flag=True, help="What is still awaited, as a batch to fill in.")
@click.option("--readings", is_flag=True, help="One row a reading: every replicate on its own.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Only these; may be given again."
)
@click.option("--force", is_flag=True, help="Replace the file, if it is there.")
@format_option
@json_option
def export(
    campaign: str,
    out: str,
    pending: bool,
    readings: bool,
    states: Sequence[str],
    force: bool,
    format_name: str | None,
    as_json: bool,
) -> None:
    """Write the trials of the campaign in DIR as a table, one row a trial.

    \b
    Examples:
      seiko export runs/first --out all.csv
      seiko export runs/first --pending --out batch.xlsx
      seiko export runs/first --readings --format jsonl
      seiko export runs/first --state complete --json
    """
    from seiko.campaign.journal import COLUMNS

    journal = journal_of(campaign)
    if readings:
        columns: Sequence[str] = READINGS
        rows: Iterable[Mapping[str, Any]] = journal.readings()
    elif pending:
        columns, rows = BATCH_COLUMNS, map(blank_row, journal.rows(states=STATES[:3]))
    else:
        columns, rows = COLUMNS, map(_with_design, journal.rows(states=states or None))
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not is_table(out, format_name):
        _write_own(campaign, out, format_name, STATES[:3] if pending else states)
        return
    counted = _Counted(rows)
    write_table(out, columns, counted, format=format_name, replace=force)
    click.echo(f"Wrote {plural(counted.count, 'row')}{'' if out == '-' else f' to {out}'}.", err=True)


READINGS = ("trial_id", "replicate", "state", "value", "noise_std", "note", "cost", "told_utc")


def _with_design(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: _cell(value) for name, value in row.items()}, "design": design_text(row)}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.rows, self.count = rows, 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self.rows:
            self.count += 1
            yield row


def _write_own(campaign: str, out: str, format_name: str | None, states: Sequence[str]) -> None:
    from seiko.cli.batches import Target
    from seiko.cli.opening import open_campaign, place_of

    target = Target(out, format_name, replace=False)
    target.check()
    found = open_campaign(place_of(campaign))
    trials = [trial for trial in found.trials if not states or str(trial.state) in states]
    target.write(found, trials)
    click.echo(f"Wrote {plural(len(trials), 'design')} to {out}.", err=True)
