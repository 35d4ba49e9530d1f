"""The page of one campaign: one HTML file without scripts or network, its plots and its numbers beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seiko.errors import CampaignError, SeikoError
from seiko.tables import write_table
from seiko.web.campaign_data import CampaignData, RoundNumbers, read_campaign
from seiko.web.campaign_designs import by_title, design_figures
from seiko.web.campaign_figures import campaign_figures
from seiko.web.campaign_parts import page_parts
from seiko.web.figures import save
from seiko.web.report import template

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seiko.campaign import Journal
    from seiko.domains.base import Domain


def write_campaign_report(
    journal: Journal,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    plots: bool = True,
    now: datetime | None = None,
    domain: Domain[Any] | None = None,
) -> Path:
    """Write the page of a campaign as it stands; needs neither its domain nor torch.

    Beside ``report.html``, in ``report_files/``: every figure as PNG and SVG, ``trials.csv``,
    ``readings.csv`` (every replicate), ``rounds.csv`` (the numbers of the page) and ``rounds.jsonl``
    (all that the proposer reported). What an earlier report left there is replaced.

    Args:
        journal: Of the campaign; any stage of it will do.
        path: The HTML file.
        title: Heading; the campaign's name by default.
        plots: Whether to write that folder.
        now: Time written on the page; the clock's by default.
        domain: Of the campaign; with it the page shows the domain's own figures of many designs.

    Returns:
        The HTML file.

    Raises:
        CampaignError: If what is stored is damaged, the domain is another, or the page cannot be written.
    """
    data = read_campaign(journal)
    made = campaign_figures(data)
    compared = design_figures(journal, data, domain)
    page = Path(path)
    text = template("campaign.html").render(
        title=title or f"Campaign {journal.name}",
        files=f"{page.stem}_files" if plots else "",
        compared=by_title(compared),
        **page_parts(journal, data, made, now or datetime.now(UTC)),
    )
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        if plots:
            beside = page.with_name(f"{page.stem}_files")
            beside.mkdir(exist_ok=True)
            _write_plots(made, beside)
            for drawn in compared:
                (beside / f"{drawn.name}.svg").write_text(drawn.svg, encoding="utf-8")
            _write_data(journal, data, beside)
        _write_whole(page, text)
    except SeikoError:
        raise
    except OSError as error:
        raise CampaignError(
            f"The report {page} cannot be written: {error.strerror or error}.", hint="Name another file."
        ) from error
    return page


def _write_whole(page: Path, text: str) -> None:
    """The page appears whole or not at all."""
    part = page.with_name(f".{page.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, page)
    finally:
        with suppress(OSError):
            part.unlink()


def _write_plots(made: Mapping[str, Figure], folder: Path) -> None:
    for name, figure in made.items():
        save(figure, folder / f"{name}.png")
        save(figure, folder / f"{name}.svg")


def _write_data(journal: Journal, data: CampaignData, folder: Path) -> None:
    from seiko.campaign.journal import COLUMNS

    write_table(folder / "trials.csv", COLUMNS, data.rows, replace=True)
    readings = ("trial_id", "replicate", "state", "value", "noise_std", "note", "cost", "told_utc")
    write_table(folder / "readings.csv", readings, journal.readings(), replace=True)
    numbers = [_as_numbers(number) for number in data.rounds]
    columns = list(dict.fromkeys(name for row in numbers for name in row)) or ["round"]
    write_table(folder / "rounds.csv", columns, numbers, replace=True)
    reports = [{**entry, "final": False} for entry in journal.round_details]
    if data.final:
        reports.append({"round": None, "report": dict(data.final), "final": True})
    lines = [json.dumps(entry, allow_nan=False, ensure_ascii=False) + "\n" for entry in reports]
    (folder / "rounds.jsonl").write_text("".join(lines), encoding="utf-8")


def _as_numbers(number: RoundNumbers) -> dict[str, Any]:
    """One row of ``rounds.csv``."""
    told, feasible = number.calibration, number.feasible
    return {
        "round": number.round,
        "asked_utc": number.asked_utc,
        "designs": number.size,
        "readings": len(number.values),
        "awaited": number.num_open,
        **{state: number.states.get(state, 0) for state in ("failed", "infeasible", "abandoned")},
        "mean": number.mean and number.mean.value,
        "mean_low": number.mean and number.mean.low,
        "mean_high": number.mean and number.mean.high,
        "best": number.best and number.best["value"],
        "feasible_fraction": feasible and feasible.value,
        "diversity": number.diversity,
        "coverage_90": told and told.coverage.value,
        "bias": told and told.bias,
        "rmse": told and told.rmse,
        "rank_correlation": told and told.ranking,
        "kl_pretrained_nats": number.reported("kl/pretrained_nats"),
        "kl_previous_nats": number.reported("kl/previous_nats"),
    }
