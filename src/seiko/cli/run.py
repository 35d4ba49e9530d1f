"""``seiko run``: the whole loop with the campaign file's oracle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from seiko.cli.common import (
    NothingToDo,
    campaign_argument,
    json_option,
    overrides_argument,
    print_json,
    working,
)
from seiko.cli.opening import place_of, prepare

if TYPE_CHECKING:
    from seiko.campaign import CampaignStatus


@click.command()
@campaign_argument
@overrides_argument
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for another ask to end."
)
@json_option
def run(campaign: str, overrides: Sequence[str], wait: float, as_json: bool) -> None:
    """Ask, evaluate with the oracle of the campaign file and tell, until the budget is spent; then learn.

    Readings are told as they come. Ctrl-C stops cleanly: what came is kept, and the same command goes on from
    there, as it does after a crash.

    \b
    Examples:
      seiko run runs/first
      seiko run runs/first oracle.python=rewards:score executor.workers=8
      seiko run runs/first 'oracle.command=["./score", "--fast"]' oracle.timeout_seconds=600
    """
    from seiko.campaign.feedback import Backoff
    from seiko.campaign.feedback import run as run_loop
    from seiko.cli.oracle import opened_feedback

    place = place_of(campaign, overrides)
    with working("Preparing"):
        prepared = prepare(place)
        found = prepared.campaign()
    before = found.status()
    if not before.queries_left and not before.num_pending and before.next_action.startswith("Nothing"):
        raise NothingToDo(f"The campaign {before.name} is finished: its budget is spent and learned from.")
    with (
        opened_feedback(prepared.config, place.folder, prepared.domain) as feedback,
        _shown(found.status) as (progress, on_told),
    ):
        report = run_loop(
            found, feedback, progress=progress, on_told=on_told,
            retries=Backoff(prepared.config.retries), wait=wait,
        )  # fmt: skip
    status = found.status()
    if as_json:
        print_json({"report": dict(report), "best_value": status.best_value, "best_id": status.best_id,
                    "num_complete": status.num_complete, "num_failed": status.num_failed})  # fmt: skip
        return
    best = "no reading" if status.best_value is None else f"{status.best_value:.6g} (trial {status.best_id})"
    click.echo(f"Finished: {status.num_complete} readings in {status.num_rounds} rounds; the best is {best}.")


Watchers = tuple[Callable[["CampaignStatus"], None], Callable[[Any], None]]


@contextmanager
def _shown(status: Callable[[], CampaignStatus]) -> Iterator[Watchers]:
    """Progress on stderr: a bar on a terminal, else a line a round."""
    if not sys.stderr.isatty():
        yield _line, lambda batch: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as bars:
        first = status()
        total = first.queries_used + first.queries_left
        bar = bars.add_task("readings", total=total, completed=first.queries_used - first.num_pending)

        def on_told(batch: Any) -> None:
            bars.advance(bar, len(batch))

        def progress(now: CampaignStatus) -> None:
            best = "" if now.best_value is None else f", best {now.best_value:.4g}"
            done = now.queries_used - now.num_pending
            bars.update(bar, completed=done, description=f"round {now.num_rounds}{best}")

        yield progress, on_told


def _line(status: CampaignStatus) -> None:
    best = "none yet" if status.best_value is None else f"{status.best_value:.6g}"
    told = f"{status.num_complete} complete, {status.num_failed} failed, {status.num_infeasible} infeasible"
    click.echo(f"round {status.num_rounds}: {told}; best {best}; {status.queries_left} left", err=True)
