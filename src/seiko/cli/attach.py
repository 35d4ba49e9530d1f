"""``seiko attach``: readings from elsewhere, with their designs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from seiko.cli.common import (
    NothingToDo,
    campaign_argument,
    json_option,
    overrides_argument,
    plural,
    print_json,
    table_options,
    working,
)
from seiko.cli.opening import place_of, prepare
from seiko.errors import TableError
from seiko.tables import Options, Sheet


@click.command()
@campaign_argument
@click.argument("file", metavar="FILE")
@overrides_argument
@click.option("--pending", is_flag=True, help="Designs only, to be measured: readings are told later.")
@click.option("--charge", is_flag=True, help="Charge the budget for them.")
@click.option("--dry-run", is_flag=True, help="Check everything and record nothing.")
@table_options
@json_option
def attach(
    campaign: str,
    file: str,
    overrides: Sequence[str],
    pending: bool,
    charge: bool,
    dry_run: bool,
    format_name: str | None,
    encoding: str | None,
    decimal: Any,
    as_json: bool,
) -> None:
    """Add designs from elsewhere to the campaign in DIR, with what was read of them.

    FILE has a column `design` and `value`, and may have `noise_std`, `replicate`, `status` and `note`; a row
    without value and status is left out. The next ask learns from them. They are not charged, unless you say
    so. If anything is wrong, every wrong row is named and nothing is added. Attaching the same again changes
    nothing.

    \b
    Examples:
      seiko attach runs/first old.csv
      seiko attach runs/first old.xlsx --dry-run
      seiko attach runs/first ideas.smi --pending
    """
    from seiko.cli.attaching import attach_sheet, read_attached

    place, options = place_of(campaign, overrides), Options(encoding, decimal)
    with working("Preparing"):
        if file != "-" and not Path(file).exists():
            raise TableError(f"{file!r} cannot be read: there is no such file.")
        prepared = prepare(place)
    sheet, designs = read_attached(prepared.domain, file, format_name, options, pending=pending)
    if not designs:
        raise NothingToDo(
            f"{file} holds nothing to attach; {plural(sheet.unmeasured, 'row has', 'rows have')} no reading."
        )
    trials: Sequence[Any] = ()
    if prepared.begun or not dry_run:
        trials = attach_sheet(
            prepared.campaign(), sheet, designs, file, charge=charge, pending=pending, dry_run=dry_run
        )
    _print(sheet, trials, len(designs), dry_run, as_json)


def _print(sheet: Sheet, trials: Sequence[Any], count: int, dry_run: bool, as_json: bool) -> None:
    if as_json:
        data = {"trials": [trial.id for trial in trials], "designs": count, "unmeasured": sheet.unmeasured,
                "ignored_columns": sheet.ignored_columns, "dry_run": dry_run}  # fmt: skip
        print_json(data)
        return
    verb = "Would attach" if dry_run else "Attached"
    click.echo(f"{verb} {plural(count, 'design')}.")
    if sheet.unmeasured:
        click.echo(f"{plural(sheet.unmeasured, 'row is', 'rows are')} without a reading and left out.")
    if sheet.ignored_columns:
        click.echo(f"Ignored the columns {', '.join(sheet.ignored_columns)}.")
