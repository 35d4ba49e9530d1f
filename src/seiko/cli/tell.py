"""``seiko tell``: readings, from a filled table or one by one."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from seiko.cli.batches import observations, row_of
from seiko.cli.common import NothingToDo, campaign_argument, json_option, plural, print_json, table_options
from seiko.cli.opening import journal_of, open_campaign, place_of
from seiko.errors import ParameterError, SeikoError
from seiko.records import TrialState
from seiko.tables import Options, Row, Sheet
from seiko.tables.base import MOST_SHOWN, Problems

if TYPE_CHECKING:
    from seiko.campaign import Journal

_ONE = re.compile(r"([0-9]+)=(.*)", flags=re.DOTALL)
_STATES = ("failed", "infeasible", "abandoned")


@click.command()
@campaign_argument
@click.argument("readings", nargs=-1, required=True, metavar="FILE | TRIAL=VALUE...")
@click.option("--dry-run", is_flag=True, help="Check everything and record nothing.")
@table_options
@json_option
def tell(
    campaign: str,
    readings: Sequence[str],
    dry_run: bool,
    format_name: str | None,
    encoding: str | None,
    decimal: Any,
    as_json: bool,
) -> None:
    """Record readings of the campaign in DIR: a batch that came back, or single ones.

    Part of a batch is fine: a row without value and status is not yet measured. A failure is written as
    "failed", "infeasible" or "abandoned" into the column `status`. Replicates are several rows, numbered in
    `replicate`. If anything is wrong, every wrong row is named and nothing is recorded. Telling the same
    again changes nothing. - reads stdin.

    \b
    Examples:
      seiko tell runs/first filled.csv
      seiko tell runs/first filled.csv --dry-run
      seiko tell runs/first 3=0.41 4=failed 5=infeasible
    """
    journal, options = journal_of(campaign), Options(encoding, decimal)
    sheet, source = read_readings(campaign, journal, readings, format_name, options)
    if not sheet.readings:
        raise NothingToDo(
            f"{source} holds no readings: {plural(sheet.unmeasured, 'row is', 'rows are')} not yet measured."
        )
    changed = record(journal, sheet, source, dry_run)
    _print(journal, sheet, changed, dry_run, as_json)


def read_readings(
    campaign: str, journal: Journal, given: Sequence[str], format: str | None, options: Options
) -> tuple[Sheet, str]:
    """What was given, checked: a file, or pairs of trial and value."""
    from seiko.cli.batches import domain_format, is_table, read_told, rows_of_designs, table_rows

    if all(_ONE.fullmatch(text) for text in given):
        return read_told(journal, _rows_of_pairs(given), "The command line", options), "The command line"
    if len(given) != 1:
        raise ParameterError(
            f"Give one file, or readings as TRIAL=VALUE; got {' '.join(given)!r}.",
            hint="For example: seiko tell DIR filled.csv, or seiko tell DIR 3=0.41 4=failed",
        )
    if is_table(given[0], format):
        return read_told(journal, table_rows(given[0], format, options), given[0], options), given[0]
    from pathlib import Path

    domain = open_campaign(place_of(campaign)).domain
    own = domain_format(domain, given[0], format)
    rows = rows_of_designs(domain, own.read(Path(given[0])), given[0])
    return read_told(journal, rows, given[0], options), given[0]


def _rows_of_pairs(pairs: Sequence[str]) -> list[Row]:
    rows = []
    for number, text in enumerate(pairs, start=1):
        id_, _, value = text.partition("=")
        column = "status" if value.strip().lower() in _STATES else "value"
        rows.append(
            Row(number, {"trial_id": id_, column: value, "value" if column != "value" else "status": ""})
        )
    return rows


def record(journal: Journal, sheet: Sheet, source: str, dry_run: bool) -> list[int]:
    """Tell everything in a checked sheet; all of it or nothing.

    Returns:
        The trials that changed.

    Raises:
        TableError: With every row that the campaign refuses.
    """
    told, given_up = observations(sheet.readings), abandoned(sheet)
    problems = Problems(source)
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of failed readings, which the table says itself
                changed = journal.tell(told, abandon=given_up, dry_run=dry_run or bool(problems.found))
        except SeikoError as error:
            id_ = getattr(error, "trial_id", None)
            if id_ is None or id_ not in {*told, *given_up}:
                raise
            problems.add(row_of(sheet, id_), str(error))
            told.pop(id_, None)
            given_up.pop(id_, None)
            if len(problems.found) < MOST_SHOWN:
                continue
        problems.raise_if_any()
        return changed


def abandoned(sheet: Sheet) -> dict[int, str]:
    """Trials that a sheet gives up, with its reasons."""
    return {
        entry.trial_id: entry.note or "told as abandoned"
        for reading in sheet.readings
        for entry in reading.entries
        if entry.state is TrialState.ABANDONED and entry.trial_id is not None
    }


def _print(journal: Journal, sheet: Sheet, changed: list[int], dry_run: bool, as_json: bool) -> None:
    status = journal.status()
    entries = [entry for reading in sheet.readings for entry in reading.entries]
    counts = {
        str(state): sum(e.state is state for e in entries)
        for state in dict.fromkeys(e.state for e in entries)
    }
    if as_json:
        data = {"changed": changed, "readings": counts, "unmeasured": sheet.unmeasured, "dry_run": dry_run,
                "ignored_columns": sheet.ignored_columns, "next_action": status.next_action}  # fmt: skip
        print_json(data)
        return
    verb = "Would record" if dry_run else "Recorded"
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    click.echo(f"{verb} {said}; {plural(len(changed), 'trial')} changed.")
    if sheet.unmeasured:
        click.echo(f"{plural(sheet.unmeasured, 'row is', 'rows are')} not yet measured.")
    if sheet.ignored_columns:
        click.echo(f"Ignored the columns {', '.join(sheet.ignored_columns)}.")
    click.echo(f"Next: {status.next_action}")
