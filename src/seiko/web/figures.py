"""The report's figures: matplotlib without pyplot, colours that colour-blind readers can tell apart."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from seiko.results import Curve, Result
from seiko.web.base import DASHES, by_method, colour, coverage, is_ours, kl_series, label, predicted

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "text.parse_math": False,
    "svg.hashsalt": "seiko",
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
}
Groups = Mapping[str, Sequence[Result]]


def figure(draw: Callable[..., None], *args: Any, size: tuple[float, float], columns: int = 1) -> Figure:
    """A figure with its panels side by side, filled by ``draw(axes, *args)``."""
    with rc_context(STYLE):
        made = Figure(figsize=size)
        draw(list(made.subplots(1, columns, squeeze=False)[0]), *args)
        return made


def svg_of(made: Figure) -> str:
    """The figure as an ``<svg>`` element for a page, without links or metadata."""
    file = io.StringIO()
    with rc_context(STYLE):
        made.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)


def save(made: Figure, path: Path) -> None:
    """The figure as a file, of the kind that its name says."""
    with rc_context(STYLE):
        made.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else {})


def figures(results: Sequence[Result]) -> dict[str, Figure]:
    """Every figure that the results have numbers for, by name."""
    groups = by_method(results)
    made: dict[str, Figure] = {}
    if begun := _only(groups, lambda run: bool(run.curve.queries)):
        made["progress"] = figure(draw_progress, begun, size=(9.6, 4.2), columns=2)
    if whole := _only(groups, lambda run: bool(run.readings)):
        width = max(3.1 * len(whole), 6.2)
        made["rounds"] = figure(draw_rounds, whole, size=(width, 3.7), columns=len(whole))
    made["final"] = figure(draw_final, groups, size=(9.6, 0.62 * len(groups) + 1.3), columns=2)
    tuned = {m: runs for m, runs in groups.items() if any(kl_series(r, "pretrained") for r in runs)}
    if tuned:
        made["kl"] = figure(draw_kl, tuned, size=(9.6, 3.9), columns=2)
    predicted = {m: runs for m, runs in groups.items() if any(coverage(r) for r in runs)}
    if predicted:
        made["calibration"] = figure(draw_calibration, predicted, size=(9.6, 4.1), columns=2)
    return made


def _only(groups: Groups, wanted: Callable[[Result], bool]) -> dict[str, list[Result]]:
    """Runs that have what a figure draws; a file of many runs keeps less of each."""
    kept = {method: [run for run in runs if wanted(run)] for method, runs in groups.items()}
    return {method: runs for method, runs in kept.items() if runs}


def draw_progress(axes: Sequence[Axes], groups: Groups) -> None:
    """Running top-10 mean and best against queries; median line and range of seeds."""
    first, starts = next(iter(groups.values()))[0], {"top10": 10, "best": 1}
    each = first.about.get("num_queries") or first.queries
    for axis, name, title in zip(
        axes, ("top10", "best"), ("Mean of the ten best so far", "Best so far"), strict=True
    ):
        for method in reversed(list(groups)):
            queries, middle, low, high = _band([r.curve for r in groups[method]], name, start=starts[name])
            strong = is_ours(method)
            axis.plot(
                queries,
                middle,
                color=colour(method),
                linestyle=DASHES.get(method, "-"),
                linewidth=2.8 if strong else 1.7,
                label=label(method),
                zorder=3 if strong else 2,
            )
            if len(groups[method]) > 1:
                axis.fill_between(queries, low, high, color=colour(method), alpha=0.16, linewidth=0)
        for start in range(each, first.queries, each):
            axis.axvline(start + 0.5, color="#bdbdbd", linewidth=0.8, zorder=1)
        axis.set(title=title, xlabel="Queries (designs measured)", ylabel=_reward_label(first))
        axis.set_xlim(0, first.queries)
    handles, labels = axes[0].get_legend_handles_labels()
    axes[1].legend(handles[::-1], labels[::-1], loc="lower right", handlelength=3.2)


def _band(
    curves: Sequence[Curve], name: str, *, start: int
) -> tuple[list[int], list[float], list[float], list[float]]:
    """Median, least and most over seeds at each query from `start` on that all have."""
    queries, rows = aligned(curves, name)
    kept = [k for k, query in enumerate(queries) if query >= min(start, queries[-1])]
    values = [[float(row[k]) for row in rows] for k in kept]
    middle = [median(v) for v in values]
    return [queries[k] for k in kept], middle, [min(v) for v in values], [max(v) for v in values]


def aligned(curves: Sequence[Curve], name: str) -> tuple[list[int], list[NDArray[np.float64]]]:
    """Every curve's values at every query that any keeps, from where all have begun; none may be empty.

    A curve holds its value between the queries it keeps.
    """
    first = max(curve.queries[0] for curve in curves)
    queries = sorted({query for curve in curves for query in curve.queries if query >= first} | {first})
    places = [np.searchsorted(curve.queries, queries, side="right") - 1 for curve in curves]
    return queries, [np.asarray(getattr(c, name))[p] for c, p in zip(curves, places, strict=True)]


def _reward_label(result: Result) -> str:
    return f"Reward: {result.about.get('reward', 'value')}"


def draw_rounds(axes: Sequence[Axes], groups: Groups) -> None:
    """Every reading as a dot and a box a round, one panel a method, all seeds together."""
    everything = [
        r.value for runs in groups.values() for x in runs for r in x.readings if r.value is not None
    ]
    margin = 0.04 * (max(everything, default=1) - min(everything, default=0)) or 1.0
    for axis, (method, runs) in zip(axes, groups.items(), strict=True):
        last = max((r.round for run in runs for r in run.readings), default=0)
        jitter = np.random.default_rng(0)
        for round_ in range(last + 1):
            values = [r.value for x in runs for r in x.readings if r.round == round_ and r.value is not None]
            if not values:
                continue
            places = round_ + 1 + jitter.uniform(-0.28, 0.28, len(values))
            axis.scatter(places, values, s=9, color=colour(method), alpha=0.45, linewidths=0)
            box(axis, values, round_ + 1)
        axis.set(title=label(method), xlabel="Round", xlim=(0.4, last + 1.6))
        axis.set_xticks(range(1, last + 2))
        axis.grid(False, axis="x")
        if everything:
            axis.set_ylim(min(everything) - margin, max(everything) + margin)
    axes[0].set_ylabel(_reward_label(next(iter(groups.values()))[0]))
    for axis in axes[1:]:
        axis.set_yticklabels([])


def box(axis: Axes, values: Sequence[float], place: float) -> None:
    line = {"color": "#222222", "linewidth": 1.2}
    axis.boxplot(
        values, positions=[place], widths=0.62, showfliers=False, manage_ticks=False,
        boxprops=line, whiskerprops=line, capprops=line, medianprops=line | {"linewidth": 2.4},
    )  # fmt: skip


def draw_final(axes: Sequence[Axes], groups: Groups) -> None:
    """Rewards of the final models' samples; feasible and distinct fractions with a dot a seed."""
    names = list(groups)[::-1]
    for row, method in enumerate(names):
        values = [v for run in groups[method] for v in run.final_values]
        if len(set(values)) > 1:
            body = axes[0].violinplot(
                [values], [row], orientation="horizontal", widths=0.85, showextrema=False
            )
            for part in body["bodies"]:  # type: ignore[attr-defined]
                part.set(facecolor=colour(method), alpha=0.55 if is_ours(method) else 0.35, edgecolor="none")
        means = [run.final_mean for run in groups[method] if run.final_mean is not None]
        if values:
            axes[0].plot([sum(values) / len(values)], [row], "o", color="#222222", markersize=5)
        else:
            axes[0].plot(means, [row] * len(means), "o", color="#222222", markersize=5)
        for shift, name, shade in ((0.19, "final_feasible", 1.0), (-0.19, "final_distinct", 0.45)):
            found = [getattr(run, name) for run in groups[method]]
            axes[1].barh(row + shift, median(found), 0.34, color=colour(method), alpha=shade)
            axes[1].plot(found, [row + shift] * len(found), "|", color="#222222", markersize=8)
            axes[1].text(
                max(found) + 0.02, row + shift, f"{100 * median(found):.0f} %", va="center", fontsize=9
            )
    for axis in axes:
        axis.set_yticks(range(len(names)), [label(name) for name in names])
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.grid(False, axis="y")
    axes[0].set(title="Rewards of the final model's samples", xlabel=_reward_label(groups[names[0]][0]))
    axes[1].set(title="Feasible (dark) and distinct (light)", xlabel="Fraction of samples", xlim=(0, 1.16))
    axes[1].set_xticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25 %", "50 %", "75 %", "100 %"])


def draw_kl(axes: Sequence[Axes], groups: Groups) -> None:
    """KL to the pre-trained and to the previous chain after each update."""
    titles = {"pretrained": "KL to the pre-trained model", "previous": "KL to the previous model"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for method, runs in groups.items():
            for number, run in enumerate(runs):
                points = kl_series(run, name)
                if points:
                    axis.plot(
                        *zip(*points, strict=True), marker="o", markersize=4.5, color=colour(method),
                        linestyle=DASHES.get(method, "-"), linewidth=2.2 if is_ours(method) else 1.5,
                        alpha=0.9 if len(runs) == 1 else 0.6, label=label(method) if not number else None,
                    )  # fmt: skip
        axis.set(title=title, xlabel="After the readings of round", ylabel="nats a sample")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylim(bottom=0)
    targets = sorted({run.kl_target_nats for runs in groups.values() for run in runs if run.kl_target_nats})
    for target in targets:
        axes[0].axhline(target, color="#444444", linestyle=(0, (2, 2)), linewidth=1.3)
        axes[0].annotate(f"target {target:g}", (1, target), xycoords=("axes fraction", "data"),
                         xytext=(-2, 4), textcoords="offset points", ha="right", fontsize=9)  # fmt: skip
    top = max([nats for runs in groups.values() for run in runs for _, nats in kl_series(run, "pretrained")])
    axes[0].set_ylim(0, 1.18 * max([top, *targets]))
    axes[0].legend(loc="lower right")


def draw_calibration(axes: Sequence[Axes], groups: Groups) -> None:
    """Left: coverage a round. Right: predicted against told of the first method's first run."""
    for method, runs in groups.items():
        for number, run in enumerate(runs):
            points = [(round_ + 1, share) for round_, (share, _) in coverage(run).items()]
            if points:
                axes[0].plot(*zip(*points, strict=True), marker="o", color=colour(method), linewidth=1.8,
                             linestyle=DASHES.get(method, "-"), alpha=0.9 if len(runs) == 1 else 0.6,
                             label=label(method) if not number else None)  # fmt: skip
    axes[0].axhline(0.9, color="#444444", linestyle=(0, (2, 2)), linewidth=1.3, label="wanted: 90 %")
    axes[0].set(title="Readings inside their 90 % intervals", xlabel="Round", ylim=(0, 1.05))
    axes[0].set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].legend(loc="lower right")
    method, runs = next(iter(groups.items()))
    readings = predicted(runs[0])
    told, mean = [r.value or 0.0 for r in readings], [r.predicted_mean or 0.0 for r in readings]
    bars = [1.645 * (r.predicted_std or 0.0) for r in readings]
    axes[1].errorbar(mean, told, xerr=bars, fmt="none", ecolor="#c9c9c9", elinewidth=0.7, zorder=1)
    rounds = sorted({r.round for r in readings})
    for round_, shade in zip(rounds, colormaps["viridis"](np.linspace(0.88, 0, len(rounds))), strict=True):
        rows = [row for row, r in enumerate(readings) if r.round == round_]
        x, y = [mean[row] for row in rows], [told[row] for row in rows]
        axes[1].scatter(x, y, color=[shade], s=14, zorder=2, label=f"{round_ + 1}")
    ends = [min(told + mean), max(told + mean)]
    axes[1].plot(ends, ends, color="#444444", linewidth=1.2, zorder=3)
    axes[1].set(title=f"Predicted and told: {label(method)}, seed {runs[0].seed}")
    margin = 0.15 * (ends[1] - ends[0]) or 1.0
    axes[1].set_xlim(ends[0] - margin, ends[1] + margin)
    axes[1].set(xlabel="Predicted reward, with 90 % interval", ylabel="Reward told")
    axes[1].legend(title="Round", loc="lower right", handletextpad=0.1)
