"""What the page of a campaign says, as texts for its template."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from seiko.web.base import held, label
from seiko.web.campaign_data import ATTACHED, CampaignData, RoundNumbers
from seiko.web.campaign_drawing import MOST_DRAWN
from seiko.web.campaign_words import counted, numeral, overview, percent, round_verdicts, with_error
from seiko.web.figures import svg_of
from seiko.web.report import picture_of, unsmoothed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seiko.campaign import Journal

NUM_BEST = 12
MOST_TRIALS = 300
MOST_ROUNDS = 30
MOST_REASONS = 8
MOST_PICTURE = 700_000
"""Larger drawings are left out of the page, in characters."""


@dataclass(frozen=True)
class Shown:
    """A design to look at.

    Attributes:
        picture: A data address; "" where there is none, then `text` is shown large.
        text: The design, or its key where it is no text.
        reading: With its standard error.
        lines: What else there is to say.
        pixels: Enlarged without smoothing.
    """

    picture: str
    text: str
    reading: str
    lines: Sequence[str]
    pixels: bool


def page_parts(
    journal: Journal, data: CampaignData, made: Mapping[str, Figure], now: datetime
) -> dict[str, Any]:
    """Everything that the template shows, but the title."""
    status = data.status
    verdicts = list(zip(data.rounds, round_verdicts(data), strict=True))[::-1]
    num_told = len(data.told)
    return {
        "introduction": _introduction(journal, data, now),
        "overview": overview(data),
        "next_action": status.next_action,
        "tiles": _tiles(data),
        "spent": min(max(status.budget_used / status.budget_total, 0.0), 1.0),
        "budget": f"{numeral(status.budget_used)} of {numeral(status.budget_total)} {status.unit}",
        "figures": [
            {"name": name, "svg": Markup(svg_of(figure))}  # it holds numbers and our own words only
            for name, figure in made.items()
        ],
        "thinned": f"{MOST_DRAWN:,} of {num_told:,} readings are drawn, the highest among them; the numbers "
        "are of all." if num_told > MOST_DRAWN else "",
        "has_target": bool(data.kl_target),
        "verdicts": [verdict for _, verdict in verdicts],
        "most_rounds": MOST_ROUNDS,
        "lines": [_line(number, verdict.tone) for number, verdict in verdicts],
        "best": _best(journal, data),
        "reasons": _reasons(data),
        "corrections": _corrections(journal),
        "trials": _trials(data),
        "distance": data.distance,
        "num_trials": len(data.rows),
            }  # fmt: skip


def _introduction(journal: Journal, data: CampaignData, now: datetime) -> str:
    status = data.status
    method = f" by {label(data.method)}" if data.method else ""
    rounds = counted(status.num_rounds, "round", "rounds")
    attached = (
        f" and {counted(status.num_attached, 'design', 'designs')} attached" if status.num_attached else ""
    )
    asked = counted(status.num_trials - status.num_attached, "design", "designs")
    done = f"{asked} asked{method} in {rounds}{attached}" if status.num_rounds else f"Nothing asked{attached}"
    return (
        f"Designs: {journal.domain_name}. {done}. Higher readings are "
        f"better. As it stood on {now:%Y-%m-%d at %H:%M} UTC."
    )


def _tiles(data: CampaignData) -> list[tuple[str, str, str]]:
    """Number, what it is, and a line below it."""
    status = data.status
    overdue = f"{status.num_stale} overdue" if status.num_stale else "none overdue"
    abandoned = f"{status.num_abandoned} abandoned" if status.num_abandoned else "none abandoned"
    best = data.best(1)
    noise = best[0]["noise_std"] if best else None
    return [
        (
            "Best reading",
            numeral(best[0]["value"] if best else None),
            f"± {noise:.2g} · trial {best[0]['trial_id']}" if noise
            else f"trial {best[0]['trial_id']}" if best else "none yet",
        ),
        ("Readings", f"{status.num_complete:,}", f"of {counted(status.num_trials, 'design', 'designs')}"),
        ("Awaited", f"{status.num_pending:,}", overdue),
        ("Infeasible", f"{status.num_infeasible:,}", "designs without a reward"),
        ("Failed", f"{status.num_failed:,}", abandoned),
    ]  # fmt: skip


def _line(number: RoundNumbers, tone: str) -> dict[str, Any]:
    """One row of the table of rounds, as text."""
    told, feasible = number.calibration, number.feasible
    mean = number.mean
    half = (mean.high - mean.low) / 2 if mean and mean.low is not None and mean.high is not None else None
    return {
        "tone": tone,
        "title": number.title,
        "when": str(number.asked_utc)[:10],
        "cells": [
            f"{number.size:,}",
            f"{len(number.values):,}",
            f"{number.num_open:,}" if number.num_open else "–",
            with_error(mean.value if mean else None, half),
            numeral(number.best["value"] if number.best else None),
            percent(feasible.value) if feasible else "–",
            f"{number.diversity:.2f}" if number.diversity is not None else "–",
            numeral(number.reported(held(number.report, "pretrained"))),
            percent(told.coverage.value) if told else "–",
            f"{told.ranking:.2f}".replace("-", "−") if told and told.ranking is not None else "–",
        ],
    }


def _best(journal: Journal, data: CampaignData) -> list[Shown]:
    """The designs with the highest readings, drawn."""
    rows = data.best(NUM_BEST)
    images: dict[int, str] = {}
    if journal.settings.media_type.startswith("image/"):
        trials = journal.trials([row["trial_id"] for row in rows])
        images = {trial.id: _image_address(journal.settings.media_type, trial.design) for trial in trials}
    return [_shown(row, journal.drawing(row["trial_id"]), images.get(row["trial_id"], "")) for row in rows]


def _shown(row: Mapping[str, Any], drawing: str, image: str) -> Shown:
    text = str(row["design"] if row["design"] is not None else row["key"])
    place = "attached" if row["round"] == ATTACHED else f"round {row['round'] + 1}"
    lines = [f"trial {row['trial_id']}, {place}"]
    if row["num_readings"] > 1:
        lines.append(f"mean of {row['num_readings']} readings")
    if row["predicted_mean"] is not None:
        lines.append(f"predicted {with_error(row['predicted_mean'], row['predicted_std'])}")
    if row["note"]:
        lines.append(cut(row["note"], 80))
    drawn = picture_of(drawing) or image
    return Shown(
        drawn if len(drawn) <= MOST_PICTURE else "",
        cut(text, 140),
        with_error(row["value"], row["noise_std"]),
        lines,
        unsmoothed(drawing),
    )


def _image_address(media_type: str, content: bytes) -> str:
    known = media_type in ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}" if known else ""


def _reasons(data: CampaignData) -> list[dict[str, Any]]:
    """What was noted of designs without a reading, the most frequent first."""
    found = []
    for state, title in (("failed", "Failed"), ("infeasible", "Infeasible"), ("abandoned", "Abandoned")):
        notes = Counter(
            cut(row["note"] or "no reason given", 160) for row in data.rows if row["state"] == state
        )
        if notes:
            found.append(
                {
                    "title": title,
                    "notes": notes.most_common(MOST_REASONS),
                    "others": len(notes) - MOST_REASONS,
                }
            )
    return found  # fmt: skip


def _corrections(journal: Journal) -> dict[str, Any]:
    """The last readings that were corrected, and how many there are."""
    amended = [event for event in journal.events() if event.kind == "amended"]
    shown = [
        {
            "when": event.created_utc[:16].replace("T", " "),
            "trial": event.payload.get("id"),
            "to": numeral(event.payload.get("value")) if event.payload.get("value") is not None
            else str(event.payload.get("state", "")),
            "reason": cut(str(event.payload.get("reason", "")), 160),
        }
        for event in amended[: -MOST_REASONS - 1 : -1]
    ]  # fmt: skip
    return {"shown": shown, "count": len(amended)}


def _trials(data: CampaignData) -> list[dict[str, Any]]:
    """The last trials, newest first."""
    return [
        {
            "id": row["trial_id"],
            "round": "attached" if row["round"] == ATTACHED else f"{row['round'] + 1}",
            "state": row["state"],
            "design": cut(str(row["design"] if row["design"] is not None else row["key"]), 70),
            "reading": with_error(row["value"], row["noise_std"]),
            "predicted": with_error(row["predicted_mean"], row["predicted_std"]),
            "note": cut(row["note"], 70),
        }
        for row in data.rows[: -MOST_TRIALS - 1 : -1]
    ]


def cut(text: str, most: int) -> str:
    """`text` on one line, without control characters, cut where it is long.

    Example:
        >>> cut("a  long\\nnote", 8)
        'a long …'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
