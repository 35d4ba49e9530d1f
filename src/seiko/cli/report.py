"""``seiko report``: a campaign's page of figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seiko.cli.common import NothingToDo, campaign_argument, json_option, print_json
from seiko.cli.opening import journal_of

if TYPE_CHECKING:
    from seiko.campaign import Journal
    from seiko.results import Curve, Result

NUM_DRAWN = 12


@click.command()
@campaign_argument
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="The page; DIR/report/report.html by default."
)
@click.option("--title", default="", help="Its heading; the campaign's name by default.")
@json_option
def report(campaign: str, out: Path | None, title: str, as_json: bool) -> None:
    """Write the page of the campaign in DIR: one HTML file that needs no network.

    Beside it are the figures as PNG and SVG in `plots`, and the numbers in `results.jsonl`.

    \b
    Examples:
      seiko report runs/first
      seiko report runs/first --out first.html
    """
    from seiko.web.report import write_report

    journal = journal_of(campaign)
    result = result_of(journal)
    if not result.readings:
        raise NothingToDo(f"The campaign {journal.name} has no trials to report on.")
    page = out or (Path("report" if "://" in campaign else campaign) / "report" / "report.html")
    written = write_report(
        [result], page, title=title or f"Campaign {journal.name}", introduction=_about(journal)
    )
    if as_json:
        print_json({"page": str(written), "readings": len(result.readings), "best": result.best})
    else:
        click.echo(f"The report is {written}")


def _about(journal: Journal) -> str:
    status = journal.status()
    return (
        f"The campaign {journal.name} (domain: {journal.domain_name}) has spent {status.budget_used:g} of "
        f"{status.budget_total:g} {status.unit} in {status.num_rounds} rounds: {status.num_complete} "
        f"readings, {status.num_failed} failed, {status.num_infeasible} infeasible, {status.num_pending} "
        "awaited. Higher is better."
    )


def result_of(journal: Journal) -> Result:
    """What the page is made from, of a campaign; without samples of its final model."""
    from seiko.results import Reading, Result

    rows = list(journal.rows())
    values = sorted((r["value"] for r in rows if r["value"] is not None), reverse=True)
    curve = _curve(rows)
    infeasible = sum(r["state"] == "infeasible" for r in rows)
    return Result(
        task=journal.name,
        domain=journal.domain_name,
        split="test",
        method=str(journal.config.get("method.name", "campaign")),
        seed=journal.settings.seed,
        queries=len(rows),
        best=values[0] if values else None,
        top10=_mean(values[:10]),
        top100=_mean(values[:100]),
        auc_top10=_mean(curve.top10),
        final_mean=None,
        final_diversity=None,
        final_feasible=len(values) / max(len(values) + infeasible, 1),
        final_distinct=len({r["key"] for r in rows}) / max(len(rows), 1),
        kl_pretrained_nats=_last_kl(journal),
        seconds=0.0,
        curve=curve,
        readings=tuple(
            Reading(r["round"], r["key"], r["state"], r["value"], r["predicted_mean"], r["predicted_std"])
            for r in rows
        ),
        rounds=tuple(journal.rounds),
        top_designs=_top(journal, rows),
        about={
            "chain": str(journal.config.get("campaign.chain", "")),
            "reward": "reading",
            "definition": "as it was told",
            "rounds": len(journal.rounds),
            "num_queries": journal.settings.num_queries,
            "num_samples": 0,
        },
    )


def _mean(values: Any) -> float | None:
    return sum(values) / len(values) if values else None


def _curve(rows: list[dict[str, Any]]) -> Curve:
    from seiko.results import Curve

    told: list[float] = []
    points: list[tuple[int, float, float]] = []
    for number, row in enumerate(rows, start=1):
        if row["value"] is not None:
            told = sorted([*told, row["value"]], reverse=True)[:10]
        if told:
            points.append((number, told[0], sum(told) / len(told)))
    queries, best, top10 = zip(*points, strict=True) if points else ((), (), ())
    return Curve(queries, best, top10)


def _last_kl(journal: Journal) -> float | None:
    found = [r.get("kl/pretrained_nats") for r in journal.rounds]
    numbers = [float(nats) for nats in found if isinstance(nats, (int, float))]
    return numbers[-1] if numbers else None


def _top(journal: Journal, rows: list[dict[str, Any]]) -> Any:
    from seiko.results import Drawn

    told = sorted((r for r in rows if r["value"] is not None), key=lambda r: (-r["value"], r["trial_id"]))
    return tuple(
        Drawn(r["key"], r["value"], journal.drawing(r["trial_id"]), query=r["trial_id"] + 1, round=r["round"])
        for r in told[:NUM_DRAWN]
    )
