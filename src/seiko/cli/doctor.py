"""``seiko doctor``: a campaign checked end to end, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from seiko.cli.checks import Check, check_campaign
from seiko.cli.common import Code, campaign_argument, json_option, print_json, text_of

MARKS = {"ok": "ok", "warning": "WARNING", "error": "ERROR", "mended": "mended"}


@click.command()
@campaign_argument
@click.option(
    "--mend", is_flag=True, help="Do what is safe: rebuild tables from the journal, remove leftovers."
)
@json_option
def doctor(campaign: str, mend: bool, as_json: bool) -> None:
    """Check the campaign in DIR end to end and say how to mend each thing that is wrong.

    Checked are the campaign file, the database and its checksums, the tables against the journal, artifacts,
    the pre-trained weights, the method, the oracle, disk space, and trials that wait for long. Nothing is
    changed without --mend. The exit code is 2 if there is an error, and 0 if there are warnings only.

    \b
    Examples:
      seiko doctor runs/first
      seiko doctor runs/first --mend
    """
    found = check_campaign(campaign, mend=mend)
    sound = not any(check.state == "error" for check in found)
    if as_json:
        print_json({"sound": sound, "checks": [asdict(check) for check in found]})
    else:
        _print(found)
    if not sound:
        raise click.exceptions.Exit(Code.ERROR)


def _print(found: Sequence[Check]) -> None:
    for check in found:
        click.echo(f"{MARKS[check.state]:<8} {check.subject:<14} {text_of(check.what)}")
        if check.hint:
            click.echo(f"{'':<8} {'':<14} -> {text_of(check.hint)}")
    bad = sum(check.state in ("error", "warning") for check in found)
    click.echo("Everything is in order." if not bad else f"{bad} of {len(found)} checks need attention.")
