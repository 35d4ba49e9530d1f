"""Figures of one campaign. No text of its owner is drawn: only numbers and our own words."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from seiko.web.campaign_data import ATTACHED, CampaignData, RoundNumbers
from seiko.web.campaign_drawing import (
    BLUE,
    DOTTED,
    GREEN,
    GREY,
    INK,
    LARGEST,
    MOST_BOXES,
    MOST_DRAWN,
    ORANGE,
    PALE,
    PURPLE,
    clipped,
    draw_series,
    drawn_rows,
    ends_of,
)
from seiko.web.campaign_model_figures import draw_calibration, draw_kl, kl_points
from seiko.web.campaign_numbers import Z95, thinned
from seiko.web.figures import box, figure

OUTCOMES = (
    ("complete", "Reading", BLUE),
    ("infeasible", "Infeasible", ORANGE),
    ("failed", "Failed", INK),
    ("abandoned", "Abandoned", PURPLE),
    ("awaited", "Awaited", PALE),
)


def campaign_figures(data: CampaignData) -> dict[str, Figure]:
    """Every figure that there are numbers for, by name."""
    made: dict[str, Figure] = {}
    if data.told:
        made["progress"] = figure(draw_progress, data, size=(9.6, 4.3))
    if data.rounds:
        made["batches"] = figure(draw_batches, data, size=(9.6, 3.9), columns=2)
    if any(r.feasible or r.diversity is not None for r in data.rounds):
        made["feasible"] = figure(draw_feasible, data, size=(9.6, 3.6), columns=2)
    if kl_points(data, "pretrained") or kl_points(data, "previous"):
        made["kl"] = figure(draw_kl, data, size=(9.6, 3.6), columns=2)
    if any(r.calibration for r in data.rounds):
        made["calibration"] = figure(draw_calibration, data, size=(9.6, 3.7), columns=3)
    return made


def draw_progress(axes: Sequence[Axes], data: CampaignData) -> None:
    """Every reading against its query number, the running best, and each round's mean with its interval."""
    axis = axes[0]
    places = _places(data)
    rows = drawn_rows(data)
    for attached, shade in ((False, BLUE), (True, GREY)):
        chosen = [row for row in rows if (row["round"] == ATTACHED) == attached]
        if chosen:
            _dots(axis, chosen, places, shade, "Attached reading" if attached else "Reading")
    _running(axis, data, places)
    _round_means(axis, data, places)
    _rug(axis, data, places)
    for first in [r.first_query for r in data.asked_rounds[1:] if r.first_query][: MOST_BOXES * 2]:
        axis.axvline(first - 0.5, color="#dcdfe4", linewidth=0.8, zorder=0)
    num_attached = sum(row["round"] == ATTACHED for row in data.rows)
    if num_attached:
        axis.axvspan(min(places.values()) - 0.5, 0.5, color="#f3f4f6", zorder=0)
    axis.set_xlim(min(places.values(), default=0) - 0.8, max(places.values(), default=1) + 0.8)
    ticks = MaxNLocator(integer=True, nbins=12).tick_values(0, max(len(data.queries), 1))
    axis.set_xticks([tick for tick in ticks if 0 < tick <= max(len(data.queries), 1)] or [1])
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    note = "   (left of 1: attached)" if num_attached else ""
    axis.set(title="Readings against queries", xlabel=f"Queries (designs asked){note}", ylabel="Reading")
    axis.legend(loc="upper left", bbox_to_anchor=(1.005, 1), fontsize=9, handlelength=1.8)


def _places(data: CampaignData) -> dict[int, float]:
    """Where each trial stands on the axis: its query number, or left of 1 what was attached, in order."""
    attached = [row["trial_id"] for row in data.rows if row["round"] == ATTACHED]
    asked = len(data.queries)
    width = min(len(attached), max(asked / 4, 8))  # what was attached takes a fifth of the axis at most
    step = width / len(attached) if attached else 1.0
    places = {id_: 0.5 - width + step * (k + 0.5) for k, id_ in enumerate(attached)}
    return places | {id_: float(number) for id_, number in data.queries.items()}


def _dots(
    axis: Axes, rows: Sequence[Mapping[str, Any]], places: Mapping[int, float], shade: str, name: str
) -> None:
    noisy = [row for row in rows if row["noise_std"]]
    if noisy:
        axis.errorbar(
            [places[row["trial_id"]] for row in noisy], clipped([row["value"] for row in noisy]),
            yerr=np.minimum(Z95 * np.array([row["noise_std"] for row in noisy]), LARGEST),
            fmt="none", ecolor=shade, elinewidth=0.8, alpha=0.35, zorder=1,
        )  # fmt: skip
    x, y = [places[row["trial_id"]] for row in rows], clipped([row["value"] for row in rows])
    size = 20 if len(places) <= 200 else 9
    axis.scatter(x, y, s=size, color=shade, alpha=0.55, linewidths=0, zorder=2, label=name)


def _running(axis: Axes, data: CampaignData, places: Mapping[int, float]) -> None:
    """Best so far and the mean of the ten best so far, as steps; what was attached counts from the start."""
    heap: list[float] = []
    points: list[tuple[float, float, float, bool]] = []
    for row in sorted(data.rows, key=lambda row: places[row["trial_id"]]):
        if row["value"] is not None:
            (heapq.heappush if len(heap) < 10 else heapq.heappushpop)(heap, row["value"])
            point = places[row["trial_id"]], max(heap), float(clipped(heap).mean()), len(heap) == 10
            if not points or points[-1][1:] != point[1:]:
                points.append(point)
    points.append((max(places.values()), *points[-1][1:]))
    x, best, top, enough = zip(*points, strict=True)
    axis.step(x, clipped(best), where="post", color=INK, linewidth=2, zorder=4,
              label="Best so far")  # fmt: skip
    start = next((k for k, number in enumerate(enough) if number), None)
    if start is not None:
        axis.step(x[start:], top[start:], where="post", color=GREEN, linewidth=1.8, zorder=3,
                  label="Mean of ten best")  # fmt: skip


def _round_means(axis: Axes, data: CampaignData, places: Mapping[int, float]) -> None:
    """The mean of each asked round as a bar over its queries, with its 95 % interval as a band."""
    label: str | None = "Round's mean,\n95 % interval"
    for number in thinned(data.asked_rounds, 2 * MOST_BOXES):
        if number.mean is None or number.first_query is None:
            continue
        ends = [number.first_query - 0.3, number.first_query + number.size - 0.7]
        mean, low, high = clipped([number.mean.value, *ends_of(number.mean)])
        axis.fill_between(ends, [low, low], [high, high], color=ORANGE, alpha=0.2, linewidth=0, zorder=1)
        axis.plot(ends, [mean, mean], color=ORANGE, linewidth=2, zorder=5, label=label)
        label = None


def _rug(axis: Axes, data: CampaignData, places: Mapping[int, float]) -> None:
    """What has no reading, as marks at the foot."""
    marks = (("infeasible", "x", ORANGE), ("failed", "|", INK), ("awaited", "o", "#9aa3ae"))
    groups: dict[str, list[float]] = {}
    for row in data.rows:
        groups.setdefault(_outcome(row["state"]), []).append(places[row["trial_id"]])
    for name, marker, shade in marks:
        if found := groups.get(name):
            x = thinned(found, MOST_DRAWN // 3)
            axis.plot(x, [0.02] * len(x), marker, color=shade, markersize=4, markerfacecolor="none",
                      markeredgewidth=0.9, transform=axis.get_xaxis_transform(), zorder=3,
                      label=name.capitalize())  # fmt: skip


def _outcome(state: str) -> str:
    return "awaited" if state in ("pending", "running", "stale") else state


def draw_batches(axes: Sequence[Axes], data: CampaignData) -> None:
    """Left: the readings of each round. Right: what became of its designs."""
    spots = {number.round: place for place, number in enumerate(data.rounds)}
    if len(data.rounds) <= MOST_BOXES:
        _boxes(axes[0], data, spots)
    else:
        _quantiles(axes[0], data.rounds, spots)
    foot = np.zeros(len(data.rounds))
    for name, label, shade in OUTCOMES:
        heights = np.array([_count(number, name) for number in data.rounds], dtype=float)
        if heights.any():
            wide = 0.72 if len(data.rounds) <= MOST_BOXES else 1.0
            axes[1].bar(range(len(heights)), heights, wide, bottom=foot, color=shade, label=label)
            foot += heights
    axes[0].set(title="Readings of each round", ylabel="Reading")
    axes[1].set(title="What became of the designs", ylabel="Designs")
    axes[1].set_ylim(0, 1.22 * foot.max())
    axes[1].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].legend(loc="upper left", ncols=5, fontsize=8.5, handlelength=0.9, columnspacing=1)
    for axis in axes:
        _round_ticks(axis, data.rounds)


def _boxes(axis: Axes, data: CampaignData, spots: Mapping[int, int]) -> None:
    jitter = np.random.default_rng(0)
    rows: dict[int, list[float]] = {}
    for row in drawn_rows(data):
        rows.setdefault(row["round"], []).append(row["value"])
    for number in data.rounds:
        if not number.values:
            continue
        place, shown = spots[number.round], clipped(rows.get(number.round, []))
        shade = GREY if number.round == ATTACHED else BLUE
        x = place + jitter.uniform(-0.26, 0.26, len(shown))
        axis.scatter(x, shown, s=10, color=shade, alpha=0.45, linewidths=0)
        box(axis, clipped(number.values).tolist(), place)


def _quantiles(axis: Axes, rounds: Sequence[RoundNumbers], spots: Mapping[int, int]) -> None:
    told = [number for number in rounds if number.values]
    x = [spots[number.round] for number in told]
    levels = np.array([np.quantile(clipped(n.values), [0, 0.25, 0.5, 0.75, 1]) for n in told]).T
    if not told:
        return
    axis.fill_between(x, levels[0], levels[4], color=BLUE, alpha=0.12, linewidth=0, label="Lowest to highest")
    axis.fill_between(x, levels[1], levels[3], color=BLUE, alpha=0.3, linewidth=0, label="Middle half")
    axis.plot(x, levels[2], color=BLUE, linewidth=1.8, label="Median")
    axis.legend(loc="lower right", fontsize=9)


def _count(number: RoundNumbers, outcome: str) -> int:
    return number.num_open if outcome == "awaited" else number.states.get(outcome, 0)


def _round_ticks(axis: Axes, rounds: Sequence[RoundNumbers]) -> None:
    """Rounds by number, from 1; what was attached is "old"."""
    names = ["old" if number.round == ATTACHED else f"{number.round + 1}" for number in rounds]
    axis.set_xlim(-0.6, len(rounds) - 0.4)
    places = thinned(range(len(rounds)), 16)
    axis.set_xticks(places, [names[place] for place in places])
    axis.set_xlabel("Round" + (" (old: attached)" if "old" in names else ""))
    axis.grid(False, axis="x")


def draw_feasible(axes: Sequence[Axes], data: CampaignData) -> None:
    """Left: the feasible fraction with its interval, and the valid share of samples. Right: diversity."""
    places = list(enumerate(data.rounds))
    draw_series(
        axes[0], [(p, n.feasible) for p, n in places if n.feasible], BLUE, "Has a reward, of those measured"
    )
    valid = [(p, share) for p, n in places if (share := n.reported("round/valid_fraction")) is not None]
    if valid:
        axes[0].plot(*zip(*valid, strict=True), "s", linestyle=DOTTED, color=GREEN, markersize=4,
                     linewidth=1.5, label="Valid, of the model's samples")  # fmt: skip
    axes[0].set(title="Feasible fraction", ylim=(-0.03, 1.05))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(loc="lower left", fontsize=9)
    spread = [(p, n.diversity) for p, n in places if n.diversity is not None]
    if spread:
        axes[1].plot(*zip(*spread, strict=True), marker="o", color=PURPLE, linewidth=1.8, markersize=4.5)
    axes[1].set(title="Diversity of a round's designs", ylim=(0, 1.05), ylabel="Mean distance")
    for axis in axes:
        _round_ticks(axis, data.rounds)
