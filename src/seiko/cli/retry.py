"""``seiko retry``: failed or stale trials measured again."""

from __future__ import annotations

from collections.abc import Sequence

import click

from seiko.cli.common import NothingToDo, campaign_argument, json_option, plural, print_json
from seiko.cli.opening import journal_of


@click.command()
@campaign_argument
@click.argument("trials", nargs=-1, type=click.IntRange(min=0), metavar="[TRIAL]...")
@json_option
def retry(campaign: str, trials: Sequence[int], as_json: bool) -> None:
    """Let failed or stale trials of the campaign in DIR be measured again: all that may be, or those named.

    How often is bounded by `campaign.max_retries`. Write them as a batch again with `seiko export --pending`.

    \b
    Examples:
      seiko retry runs/first
      seiko retry runs/first 17 23
    """
    journal = journal_of(campaign)
    changed = journal.retry(list(trials) or None)
    if not changed:
        raise NothingToDo("No trial is failed or stale and may be tried again.")
    if as_json:
        print_json({"changed": changed, "next_action": journal.status().next_action})
    else:
        click.echo(f"{plural(len(changed), 'trial')} pending again: {' '.join(map(str, changed))}")
