"""``seiko amend``: readings corrected; the old ones stay in the history."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import click

from seiko.cli.batches import named_rows, observations
from seiko.cli.common import NothingToDo, campaign_argument, json_option, plural, print_json, table_options
from seiko.cli.opening import journal_of
from seiko.cli.tell import abandoned, read_readings
from seiko.errors import SeikoError, TableError
from seiko.tables import Options, Sheet


@click.command()
@campaign_argument
@click.argument("readings", nargs=-1, required=True, metavar="FILE | TRIAL=VALUE...")
@click.option("--reason", required=True, help="Why, for the history.")
@table_options
@json_option
def amend(
    campaign: str,
    readings: Sequence[str],
    reason: str,
    format_name: str | None,
    encoding: str | None,
    decimal: Any,
    as_json: bool,
) -> None:
    """Correct readings of the campaign in DIR; the next ask learns from the new ones.

    The journal keeps the old readings, the new ones and the reason. FILE is a table as for `seiko tell`.

    \b
    Examples:
      seiko amend runs/first 3=0.14 --reason "digits swapped"
      seiko amend runs/first corrected.csv --reason "plate 7 was read upside down"
    """
    journal = journal_of(campaign)
    sheet, source = read_readings(campaign, journal, readings, format_name, Options(encoding, decimal))
    _check(sheet, source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed = journal.amend(observations(sheet.readings), reason=reason)
    except SeikoError as error:
        raise named_rows(error, sheet, source) from error
    if as_json:
        print_json({"changed": changed, "next_action": journal.status().next_action})
    else:
        click.echo(f"Corrected {plural(len(changed), 'trial')}: {' '.join(map(str, changed))}")


def _check(sheet: Sheet, source: str) -> None:
    if not sheet.readings:
        raise NothingToDo(f"{source} holds no readings.")
    if given_up := abandoned(sheet):
        raise TableError(
            f"{source} abandons {plural(len(given_up), 'trial')}, which is no correction.",
            hint="Use seiko abandon.",
        )
