"""``seiko report``: a campaign's page of figures, and its numbers for trackers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seiko.cli.common import campaign_argument, json_option, plural, print_json
from seiko.cli.opening import config_of_journal, journal_of, materials, place_of
from seiko.errors import SeikoError

if TYPE_CHECKING:
    from seiko.campaign import Journal
    from seiko.domains.base import Domain


@click.command()
@campaign_argument
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="The page; DIR/report/report.html by default."
)
@click.option("--title", default="", help="Its heading; the campaign's name by default.")
@click.option(
    "--track", "sinks", multiple=True, metavar="SINK",
    help="Also send what is new to tensorboard:FOLDER, mlflow:EXPERIMENT or wandb:PROJECT; may be repeated.",
)  # fmt: skip
@click.option(
    "--figures/--no-figures", "wanted", default=None,
    help="Figures of many designs, such as sequence logos, which need the campaign's domain. By default "
    "they are made where the chain is one of the zoo, so that no code of yours runs.",
)  # fmt: skip
@json_option
def report(
    campaign: str, out: Path | None, title: str, sinks: Sequence[str], wanted: bool | None, as_json: bool
) -> None:
    """Write the page of the campaign in DIR: one HTML file that needs no network.

    It can be written at any time. Beside it, in `report_files`, are the figures as PNG and SVG, and the
    numbers as CSV and JSON lines.

    \b
    Examples:
      seiko report runs/first
      seiko report runs/first --out first.html
      seiko report runs/first --track tensorboard:logs/first
    """
    from seiko.tracking import open_sink, publish
    from seiko.web.campaign_report import write_campaign_report

    journal = journal_of(campaign)
    opened = {sink: open_sink(sink) for sink in sinks}  # says what is not installed before slow work
    domain = _domain_of(campaign, journal, wanted)
    page = out or (Path("report" if "://" in campaign else campaign) / "report" / "report.html")
    written = write_campaign_report(journal, page, title=title, domain=domain)
    sent = {name: publish(journal, sink) for name, sink in opened.items()}
    status = journal.status()
    if as_json:
        data = {"page": str(written), "readings": status.num_complete, "best": status.best_value}
        print_json({**data, "tracked": sent})
        return
    click.echo(f"The report is {written}")
    for name, count in sent.items():
        click.echo(f"Sent {plural(count, 'point')} to {name}")


def _domain_of(given: str, journal: Journal, wanted: bool | None) -> Domain[Any] | None:
    """The campaign's domain, if figures are wanted, or are not refused and need no foreign code."""
    chain = str(journal.config.get("campaign.chain", ""))
    if wanted is False or (wanted is None and (not chain or ":" in chain)):
        return None
    try:
        place = place_of(given)
        return materials(config_of_journal(journal, place), place.folder)[1]
    except (SeikoError, ImportError):
        if wanted:
            raise
        return None  # a report is always written
