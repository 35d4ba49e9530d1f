"""The designs of a campaign side by side: the figures that its domain makes of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seiko.web.campaign_data import ATTACHED, CampaignData
from seiko.web.report import picture_of

if TYPE_CHECKING:
    from seiko.campaign import Journal
    from seiko.domains.base import Domain

LEAST, MOST = 10, 100
"""The best fifth of the readings is shown, but not fewer and not more than these."""


@dataclass(frozen=True)
class DesignFigure:
    """One figure of some of the designs.

    Attributes:
        title: The domain's.
        caption: Which designs these are.
        name: For its file.
        svg: The drawing.
    """

    title: str
    caption: str
    name: str
    svg: str


def design_figures(journal: Journal, data: CampaignData, domain: Domain[Any] | None) -> list[DesignFigure]:
    """Each figure of the domain, of the best designs and of the newest; none without a domain.

    Raises:
        CampaignError: If the campaign is about another kind of designs.
    """
    from seiko.campaign.settings import check_domain

    if domain is None:
        return []
    check_domain(journal.settings, domain, journal.store.location)
    found = []
    for title, draw in domain.figures.items():
        for name, caption, rows in _choices(data):
            trials = journal.trials([row["trial_id"] for row in rows])
            designs = {trial.id: domain.from_bytes(trial.design) for trial in trials}
            svg = draw([designs[row["trial_id"]] for row in rows])
            if svg.lstrip().startswith("<svg"):
                found.append(DesignFigure(title, caption, f"{_plain(title)}-{name}", svg))
    return found


def by_title(figures: Sequence[DesignFigure]) -> dict[str, list[tuple[str, str]]]:
    """Captions and data addresses of the drawings, under their titles."""
    found: dict[str, list[tuple[str, str]]] = {}
    for drawn in figures:
        found.setdefault(drawn.title, []).append((drawn.caption, picture_of(drawn.svg)))
    return found


def _choices(data: CampaignData) -> list[tuple[str, str, Sequence[Mapping[str, Any]]]]:
    best = data.best(min(max(len(data.told) // 5, LEAST), MOST))
    asked = [row for row in data.rows if row["round"] != ATTACHED]
    last = [row for row in asked if row["round"] == asked[-1]["round"]][:MOST] if asked else []
    told = f"of {len(data.told):,} readings"
    choices: list[tuple[str, str, Sequence[Mapping[str, Any]]]] = []
    if best:
        choices.append(
            ("best", f"The {len(best)} highest {told}" if len(best) > 1 else "The one reading", best)
        )
    if last:
        choices.append(("last", f"The {len(last)} designs asked last, in round {last[0]['round'] + 1}", last))
    return choices


def _plain(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
