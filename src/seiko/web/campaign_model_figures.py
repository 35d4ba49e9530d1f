"""Figures of a campaign's model: how far it moved, and whether its surrogate was honest."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from seiko.web.base import held
from seiko.web.campaign_data import CampaignData, number_in
from seiko.web.campaign_drawing import (
    BLUE,
    DOTTED,
    LARGEST,
    MOST_DRAWN,
    ORANGE,
    clipped,
    draw_series,
    drawn_rows,
)


def kl_points(data: CampaignData, name: str) -> list[tuple[int, float]]:
    """Divergence in nats of the model that proposed each round; the final model is one round later."""
    reports = {r.round + 1: r.report for r in data.asked_rounds}
    reports[max(reports, default=0) + 1] = data.final
    points = {number: number_in(report, held(report, name)) for number, report in reports.items()}
    return [(number, nats) for number, nats in points.items() if nats is not None]


def draw_kl(axes: Sequence[Axes], data: CampaignData) -> None:
    """Divergence of each round's model from the pre-trained one, and from the one before it."""
    last = max((r.round for r in data.asked_rounds), default=0) + 1
    titles = {"pretrained": "From the pre-trained model", "previous": "From the model before"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        points = kl_points(data, name)
        shown = [(number, min(nats, LARGEST)) for number, nats in points]
        if shown:
            axis.plot(*zip(*shown, strict=True), marker="o", color=BLUE, linewidth=1.8, markersize=4.5)
        if shown and shown[-1][0] > last:
            axis.plot(*shown[-1], "o", color=BLUE, markersize=9, markerfacecolor="none")
            axis.annotate(
                "final", shown[-1], xytext=(0, 9), textcoords="offset points", ha="center", fontsize=9
            )
        top = max([nats for _, nats in shown], default=1.0)
        if name == "pretrained" and data.kl_target:
            axis.axhline(data.kl_target, color="#444444", linestyle=DOTTED, linewidth=1.3)
            place: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axis.annotate(f"target {data.kl_target:g}", (1, data.kl_target), xytext=(-2, 4), ha="right",
                          fontsize=9, **place)  # fmt: skip
            top = max(top, data.kl_target)
        axis.set(title=title, xlabel="Model that proposed round", ylabel="KL, nats a sample")
        ends = max([number for number, _ in shown], default=last)
        axis.set(ylim=(0, 1.2 * top or 1.0), xlim=(0.5, max(last, ends) + 0.5))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_calibration(axes: Sequence[Axes], data: CampaignData) -> None:
    """Coverage by round; predicted against told; observed against nominal coverage at every level."""
    judged = [(number.round + 1, number.calibration) for number in data.rounds if number.calibration]
    draw_series(axes[0], [(place, told.coverage) for place, told in judged], BLUE, "Readings")
    axes[0].axhline(0.9, color="#444444", linestyle=DOTTED, linewidth=1.3, label="Wanted: 90 %")
    axes[0].set(title="In their 90 % intervals", xlabel="Round", ylim=(-0.03, 1.05))
    axes[0].set_xlim(judged[0][0] - 0.5, judged[-1][0] + 0.5)
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes[0].legend(loc="lower right", fontsize=9)
    _predicted_and_told(axes[1], data)
    scores = {"All rounds": [s for _, told in judged for s in told.scores]}
    if len(judged) > 1:
        scores[f"Round {judged[-1][0]}"] = list(judged[-1][1].scores)
    for (name, found), shade in zip(scores.items(), (BLUE, ORANGE), strict=False):
        axes[2].plot(*_reliability(found), color=shade, linewidth=1.8, label=name)
    axes[2].plot([0, 1], [0, 1], color="#444444", linestyle=DOTTED, linewidth=1.2, label="Honest")
    axes[2].set(title="At every level", xlabel="Nominal", ylabel="Observed", xlim=(0, 1), ylim=(0, 1.02))
    for side in (axes[2].xaxis, axes[2].yaxis):
        side.set_major_formatter(PercentFormatter(1.0, symbol=" %", decimals=0))
    axes[2].legend(loc="upper left", fontsize=9)


def _reliability(scores: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Nominal levels of central intervals, and the share of readings within each."""
    levels = np.linspace(0.01, 0.99, 50)
    widths = np.array([NormalDist().inv_cdf((1 + level) / 2) for level in levels])
    sizes = np.sort(np.abs(np.asarray(scores, dtype=float)))
    return levels, np.searchsorted(sizes, widths, side="right") / len(sizes)


def _predicted_and_told(axis: Axes, data: CampaignData) -> None:
    rows = [row for row in drawn_rows(data) if row["predicted_mean"] is not None and row["predicted_std"]]
    if not rows:
        rows = [r for r in data.told if r["predicted_mean"] is not None and r["predicted_std"]][:MOST_DRAWN]
    x, y = clipped([row["predicted_mean"] for row in rows]), clipped([row["value"] for row in rows])
    bars = np.minimum([1.645 * row["predicted_std"] for row in rows], LARGEST)
    axis.errorbar(x, y, xerr=bars, fmt="none", ecolor="#c9c9c9", elinewidth=0.6, zorder=1)
    dots = axis.scatter(x, y, s=12, c=[row["round"] + 1 for row in rows], cmap="viridis_r", zorder=2)
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    margin = 0.1 * (ends[1] - ends[0]) or 1.0
    axis.plot(ends, ends, color="#444444", linewidth=1.1, zorder=3)
    axis.set_xlim(ends[0] - margin, ends[1] + margin)
    axis.set(title="Predicted and told", xlabel="Predicted, 90 % interval", ylabel="Told")
    if len({row["round"] for row in rows}) > 1:
        made = axis.figure.colorbar(dots, ax=axis, pad=0.01, aspect=28, label="Round")
        made.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        made.outline.set_visible(False)
