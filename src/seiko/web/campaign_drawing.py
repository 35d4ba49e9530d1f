"""What the figures of a campaign share: colours, which readings are drawn, lines with intervals."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from seiko.web.campaign_data import CampaignData
from seiko.web.campaign_numbers import Interval, thinned

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#8E6BAD"
GREY, PALE, INK = "#8a929c", "#c9ced6", "#222222"
DOTTED = (0, (2, 2))
MOST_DRAWN = 1500
MOST_BOXES = 40
LARGEST = 1e100
"""Readings beyond this are drawn at it; axes cannot hold them."""


def drawn_rows(data: CampaignData, most: int = MOST_DRAWN) -> list[Mapping[str, Any]]:
    """The rows with readings that are drawn: all, or the highest and an even choice of the others."""
    told = data.told
    if len(told) <= most:
        return told
    top = {row["trial_id"] for row in heapq.nlargest(most // 10, told, key=lambda row: row["value"])}
    rest = [row for row in told if row["trial_id"] not in top]
    kept = top | {row["trial_id"] for row in thinned(rest, most - len(top))}
    return [row for row in told if row["trial_id"] in kept]


def clipped(values: Sequence[float]) -> np.ndarray:
    return np.clip(np.asarray(values, dtype=float), -LARGEST, LARGEST)


def ends_of(interval: Interval) -> tuple[float, float]:
    value = interval.value
    return (value, value) if interval.low is None or interval.high is None else (interval.low, interval.high)


def draw_series(axis: Axes, points: Sequence[tuple[float, Interval | None]], shade: str, label: str) -> None:
    """A line with bars for its intervals."""
    known = [(place, interval) for place, interval in points if interval is not None]
    if not known:
        return
    x, y = [place for place, _ in known], [interval.value for _, interval in known]
    low, high = zip(*(ends_of(interval) for _, interval in known), strict=True)
    axis.fill_between(x, low, high, color=shade, alpha=0.15, linewidth=0)
    axis.vlines(x, low, high, color=shade, alpha=0.4, linewidth=1.2)
    axis.plot(x, y, marker="o", color=shade, linewidth=1.8, markersize=4.5, label=label)
