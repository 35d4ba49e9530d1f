"""``seiko ask``: learn, propose, and write the batch as a table to fill in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from seiko.cli.common import (
    campaign_argument,
    format_option,
    json_option,
    overrides_argument,
    plural,
    print_json,
    print_rows,
    working,
)
from seiko.cli.opening import open_campaign, place_of


@click.command()
@campaign_argument
@overrides_argument
@click.option(
    "-n", "--num-queries", type=click.IntRange(min=1), help="How many designs; the file's number by default."
)
@click.option(
    "-o", "--out", help="Table to fill in: .csv, .tsv, .jsonl, .xlsx or a file of the domain's; - for stdout."
)
@click.option("--force", is_flag=True, help="Replace the file, if it is there.")
@click.option("--replicate", is_flag=True, help="Designs that were measured may be asked again.")
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for another ask to end."
)
@format_option
@json_option
def ask(
    campaign: str,
    overrides: Sequence[str],
    num_queries: int | None,
    out: str | None,
    force: bool,
    replicate: bool,
    wait: float,
    format_name: str | None,
    as_json: bool,
) -> None:
    """Learn from everything told to the campaign in DIR and propose the next designs.

    The first ask makes the campaign as its file says. Readings still awaited are no obstacle. The budget is
    charged for what is asked. Killed and asked again, it gives the same designs.

    \b
    Examples:
      seiko ask runs/first --out batch.csv
      seiko ask runs/first -n 24 --out batch.xlsx
      seiko ask runs/first --json
    """
    from seiko.cli.batches import Target

    place = place_of(campaign, overrides)
    target = None if out is None else Target(out, format_name, force)
    if target is not None:
        target.check()
    with working("Preparing"):
        found = open_campaign(place)
        if target is not None:
            target.check_format(found)
    wanted = num_queries or (place.config.num_queries if place.config else None)
    with working("Learning from everything told, and proposing"):
        trials = found.ask(wanted, replicate=replicate, wait=wait)
    rows = list(found.journal.rows([trial.id for trial in trials]))
    if target is not None:
        target.write(found, trials)
    _print(rows, out, as_json, found.status())


def _print(rows: Sequence[dict[str, Any]], out: str | None, as_json: bool, status: Any) -> None:
    if as_json:
        data = {"round": rows[0]["round"] if rows else None, "trials": rows, "file": out,
                "budget_left": status.budget_left, "unit": status.unit}  # fmt: skip
        print_json(data)
        return
    if out is None:
        header = ["trial_id", "design", "predicted_mean", "predicted_std"]
        print_rows(header, [[r["trial_id"], r["design"] or r["key"], *map(r.get, header[2:])] for r in rows])
    click.echo(
        f"Asked for {plural(len(rows), 'design')}{f' in {out}' if out else ''}; "
        f"{status.budget_left:g} {status.unit} left.",
        err=True,
    )
