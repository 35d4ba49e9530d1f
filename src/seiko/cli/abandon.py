"""``seiko abandon``: trials given up for good."""

from __future__ import annotations

from collections.abc import Sequence

import click

from seiko.cli.common import NothingToDo, campaign_argument, json_option, plural, print_json
from seiko.cli.opening import journal_of


@click.command()
@campaign_argument
@click.argument("trials", nargs=-1, required=True, type=click.IntRange(min=0), metavar="TRIAL...")
@click.option("--reason", required=True, help="Why, for the history.")
@json_option
def abandon(campaign: str, trials: Sequence[int], reason: str, as_json: bool) -> None:
    """Give up trials of the campaign in DIR: their designs are never asked again.

    Only trials that are awaited or failed; a reading is corrected with `seiko amend`.

    \b
    Example:
      seiko abandon runs/first 17 23 --reason "cannot be made"
    """
    journal = journal_of(campaign)
    there = {trial.id for trial in journal.trials(list(dict.fromkeys(trials)), states=("abandoned",))}
    wanted = [id_ for id_ in dict.fromkeys(trials) if id_ not in there]
    if not wanted:
        raise NothingToDo(f"{plural(len(there), 'trial is', 'trials are')} abandoned already.")
    changed = journal.abandon(wanted, reason=reason)
    if as_json:
        print_json({"changed": changed, "next_action": journal.status().next_action})
    else:
        click.echo(f"Abandoned {plural(len(changed), 'trial')}: {' '.join(map(str, changed))}")
