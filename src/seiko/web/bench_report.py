"""The page of a benchmark: tables over all tasks, curves, and links to the page of each task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seiko.comparison import Section, TaskScores, TextTable, sections
from seiko.errors import ParameterError
from seiko.results import Curve, Result
from seiko.web.base import DASHES, LABELS, colour, is_ours, label
from seiko.web.figures import aligned, figure, svg_of
from seiko.web.report import template, write_report

PANELS = 3
"""Tasks side by side in one figure."""


def write_bench_report(
    results: Sequence[Result],
    folder: str | os.PathLike[str],
    *,
    reference: str = "genetic",
    pages: bool = True,
) -> Path:
    """Write ``index.html``, and for each task a folder with its own ``report.html``.

    Args:
        results: Runs of any tasks.
        folder: Is made if it is not there.
        reference: The method that the others are tested against.
        pages: Whether to write the pages of the tasks.

    Returns:
        The index.

    Raises:
        ParameterError: If there are no results.
    """
    if not results:
        raise ParameterError("A report needs at least one result; got none.")
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    links = _write_pages(results, root) if pages else {}
    made = sections(results, reference=reference)
    text = template("bench.html").render(
        sections=[_shown(section, links) for section in made],
        tasks=_about(results, links),
        num_runs=len(results),
        versions=results[0].versions,
    )
    index = root / "index.html"
    index.write_text(text, encoding="utf-8")
    return index


def _write_pages(results: Sequence[Result], root: Path) -> dict[str, str]:
    links = {}
    for task in dict.fromkeys(result.task for result in results):
        write_report([r for r in results if r.task == task], root / task / "report.html", plots=False)
        links[task] = f"{task}/report.html"
    return links


def _shown(section: Section, links: Mapping[str, str]) -> Mapping[str, object]:
    return {
        "title": section.title,
        "text": section.text,
        "tables": [_labelled(table) for table in section.tables],
        "figures": [Markup(svg_of(made)) for made in curve_figures(section.tasks)],
    }


def _labelled(table: TextTable) -> Mapping[str, object]:
    """The table with the names of methods for readers."""
    rows = [
        [(LABELS.get(cell, cell) if c == 0 else cell, (r, c) in table.strong) for c, cell in enumerate(row)]
        for r, row in enumerate(table.rows)
    ]
    return {"title": table.title, "note": table.note, "header": list(map(label, table.header)), "rows": rows}


def _about(results: Sequence[Result], links: Mapping[str, str]) -> list[Mapping[str, object]]:
    """What each task is: one line, from its first run."""
    firsts: dict[str, Result] = {}
    for result in results:
        firsts.setdefault(result.task, result)
    return [
        {
            "task": task,
            "link": links.get(task, ""),
            "split": first.split,
            "definition": first.about.get("definition", ""),
            "chain": first.about.get("chain", ""),
            "budget": f"{first.about.get('rounds', '?')} x {first.about.get('num_queries', '?')}",
            "queries": first.queries,
        }
        for task, first in firsts.items()
    ]


def curve_figures(tasks: Sequence[TaskScores]) -> list[Figure]:
    """Running top-10 mean against queries, three tasks a figure; median over seeds, quartiles as a band."""
    drawn = [task for task in tasks if any(run.curve.queries for runs in task.runs.values() for run in runs)]
    return [
        figure(draw_curves, drawn[k : k + PANELS], size=(11.4, 3.7), columns=PANELS)
        for k in range(0, len(drawn), PANELS)
    ]


def draw_curves(axes: Sequence[Axes], tasks: Sequence[TaskScores]) -> None:
    """One panel a task; panels without one stay empty."""
    for axis in axes[len(tasks) :]:
        axis.set_axis_off()
    for axis, task in zip(axes, tasks, strict=False):
        for method in reversed(list(task.runs)):
            queries, middle, low, high = quartiles([r.curve for r in task.runs[method] if r.curve.queries])
            strong = is_ours(method)
            axis.plot(
                queries, middle, color=colour(method), linestyle=DASHES.get(method, "-"),
                linewidth=2.4 if strong else 1.5, label=label(method), zorder=3 if strong else 2,
            )  # fmt: skip
            axis.fill_between(queries, low, high, color=colour(method), alpha=0.15, linewidth=0)
        axis.set(title=f"{task.task} ({task.split})", xlabel="Queries", ylabel="Mean of the ten best so far")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].legend(handles[::-1], labels[::-1], loc="lower right", fontsize=8, handlelength=2.6)


def quartiles(curves: Sequence[Curve]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Median and quartiles over seeds at every query that any curve keeps, from where all have begun.

    Example:
        >>> one, two = Curve((1, 3), (1.0, 2.0), (1.0, 2.0)), Curve((1, 2), (0.0, 3.0), (0.0, 3.0))
        >>> quartiles([one, two])[:2]
        ([1, 2, 3], [0.5, 2.0, 2.5])
    """
    if not curves:
        return [], [], [], []
    queries, rows = aligned(curves, "top10")
    low, high = np.quantile(rows, [0.25, 0.75], axis=0)
    middle = [float(median(column)) for column in zip(*rows, strict=True)]
    return queries, middle, low.tolist(), high.tolist()
