"""The report of a comparison: one HTML file that needs no network and runs no script."""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from seiko.errors import ParameterError
from seiko.results import (
    BEST,
    FINAL,
    PRETRAINED,
    Drawn,
    Result,
    Spread,
    append_result,
    read_results,
    summarize,
)
from seiko.web.base import by_method, in_text, is_ours, label, predicted
from seiko.web.figures import figures, save, svg_of
from seiko.web.verdicts import fixed, headline, verdicts

COLUMNS = (
    ("best", "Best", "highest reading"),
    ("top10", "Top 10", "mean of the ten highest readings"),
    ("auc_top10", "AUC top 10", "mean over all queries of the running top-10 mean"),
    ("final_mean", "Final model", "mean reward of its feasible samples"),
    ("final_feasible", "Feasible", "fraction of its samples with a reward"),
    ("final_distinct", "Distinct", "different designs among its samples"),
    ("final_diversity", "Diversity", "mean distance between its samples, 0 to 1"),
    ("kl_pretrained_nats", "KL, nats", "of the final to the pre-trained model"),
    ("seconds", "Seconds", "whole campaign, on this machine"),
    ("cpu_seconds", "CPU s", "processor time of the campaign, all threads together"),
)
NUM_DRAWN = 12
_IMAGE = re.compile(r'<img\s[^>]*?src="(data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+)"[^>]*>')


@dataclass(frozen=True)
class Line:
    """One line of the table, as text."""

    label: str
    num_seeds: int
    is_ours: bool
    cells: list[tuple[str, str, bool]]


@dataclass(frozen=True)
class Gallery:
    """Drawings of one sort."""

    title: str
    designs: Sequence[Drawn]
    is_ours: bool = False


def write_report(
    results: Sequence[Result],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    introduction: str = "",
    plots: bool = True,
) -> Path:
    """Write the page of one task, beside it ``results.jsonl`` and the figures as files in ``plots/``.

    Args:
        results: Of one task; designs and curves of the first seed are drawn, numbers are of all.
        path: The HTML file.
        title: Heading; the task's name by default.
        introduction: A paragraph instead of the one made from the results.
        plots: Whether to write ``plots/`` and ``results.jsonl``.

    Returns:
        The HTML file.

    Raises:
        ParameterError: If there are no results, or they are of several tasks.
    """
    tasks = sorted({result.task for result in results})
    if len(tasks) != 1:
        raise ParameterError(
            f"A report is about one task; these {len(results)} results are of {len(tasks)}: {tasks}.",
            hint="Write one report for each task.",
        )
    made = figures(results)
    page = Path(path)
    page.parent.mkdir(parents=True, exist_ok=True)
    shown = [
        {"name": name, "svg": Markup(svg_of(figure))}  # text in it is escaped by matplotlib
        for name, figure in made.items()
    ]
    text = template("report.html").render(
        title=title or f"Comparison on {tasks[0]}",
        introduction=introduction or _introduction(results),
        headline=headline(summarize(results), _about(results[0], "reward")),
        results=results,
        columns=[(heading, meaning) for _, heading, meaning in COLUMNS],
        lines=_lines(results),
        figures=shown,
        best=[shown for shown in _galleries(results, "top_designs") if shown.designs],
        samples=_samples(results),
        compared=_compared(results),
        runs=_told(results),
        first=results[0],
        num_samples=max(result.about.get("num_samples", 0) for result in results),
        counts=sorted({row.num_seeds for row in summarize(results)}),
        is_development=results[0].split == "development",
    )
    page.write_text(text, encoding="utf-8")
    if plots:
        for name, figure in made.items():
            (page.parent / "plots").mkdir(exist_ok=True)
            save(figure, page.parent / "plots" / f"{name}.png")
            save(figure, page.parent / "plots" / f"{name}.svg")
        write_results(page.parent / "results.jsonl", results)
    return page


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Results as JSON lines; a file there is replaced only if it holds no run that is not among them.

    Raises:
        ParameterError: If it does.
    """
    there = read_results(path)
    if all(result in there for result in results):
        return
    if others := {r.identity for r in there} - {r.identity for r in results}:
        raise ParameterError(
            f"{path} holds {len(others)} other runs, such as {sorted(others)[0]}, and is not replaced.",
            hint="Name another folder for the report.",
        )
    path.unlink(missing_ok=True)
    for result in results:
        append_result(path, result)


def template(name: str) -> Template:
    """A page of ours; everything that it is given is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    here = files(__package__)
    environment.filters["picture"] = picture
    environment.filters["unsmoothed"] = unsmoothed
    environment.globals["style"] = Markup(here.joinpath("page.css").read_text(encoding="utf-8"))
    return environment.from_string(here.joinpath(name).read_text(encoding="utf-8"))


def picture(drawn: Drawn) -> str:
    """See :func:`picture_of`."""
    return picture_of(drawn.drawing)


def picture_of(drawing: str) -> str:
    """The data address of an SVG drawing or of the one image that a fragment is; "" for any other.

    At a data address nothing in a drawing can run or load.
    """
    found = _IMAGE.fullmatch(drawing.strip())
    if found:
        return found[1]
    if not drawing.lstrip().startswith("<svg"):
        return ""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()


def unsmoothed(drawing: str) -> bool:
    """Whether a fragment is an image that wants its pixels to be seen."""
    return "image-rendering:pixelated" in drawing and bool(_IMAGE.fullmatch(drawing.strip()))


def _about(result: Result, name: str) -> str:
    return str(result.about.get(name, ""))


def _introduction(results: Sequence[Result]) -> str:
    first, groups = results[0], by_method(results)
    rounds, each = _about(first, "rounds"), _about(first, "num_queries")
    names = _listed([in_text(method) for method in groups])
    counts = {len(runs) for runs in groups.values()}
    repeats = f"Each ran with {_listed(sorted(map(str, counts)))} seed{'' if counts == {1} else 's'}."
    each_of = " each" if len(groups) > 1 else ""
    return (
        f"{names[:1].upper()}{names[1:]}{each_of} searched for designs (domain: {first.domain}) with a "
        f"high reward. Every method started from the same pre-trained model, {_about(first, 'chain')}, and "
        f"could measure {first.queries} designs: {rounds} rounds of {each}. {repeats} "
        f"The reward is {_about(first, 'reward')}: {_about(first, 'definition')}. Higher is better."
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _lines(results: Sequence[Result]) -> list[Line]:
    """The table, the highest top-10 mean first; the best median of each column is marked."""
    rows = sorted(summarize(results), key=lambda row: -_median(row.numbers["top10"]))
    marked = {
        name: max(_median(row.numbers[name]) for row in rows)
        for name in ("best", "top10", "auc_top10", "final_mean")
    }
    lines = []
    for row in rows:
        cells = []
        for name, _, _ in COLUMNS:
            spread = row.numbers[name]
            wins = spread is not None and len(rows) > 1 and spread.median == marked.get(name)
            cells.append(
                (number(name, None if spread is None else spread.median), _range(name, spread), wins)
            )
        lines.append(Line(label(row.method), row.num_seeds, is_ours(row.method), cells))
    return lines


def _median(spread: Spread | None) -> float:
    return -math.inf if spread is None else spread.median


def number(name: str, value: float | None) -> str:
    """A number of a `Result` for readers, "–" if there is none.

    Example:
        >>> number("final_feasible", 0.875), number("best", 3.14159), number("seconds", 61.7)
        ('88 %', '3.14', '62')
    """
    if value is None:
        return "–"
    if name in ("final_feasible", "final_distinct"):
        return f"{value:.0%}".replace("%", " %")
    return f"{value:.0f}" if name in ("seconds", "cpu_seconds") else fixed(value)


def _range(name: str, spread: Spread | None) -> str:
    if spread is None or number(name, spread.low) == number(name, spread.high):
        return ""
    return f"{number(name, spread.low).removesuffix(' %')} to {number(name, spread.high)}"


def _galleries(results: Sequence[Result], name: str) -> list[Gallery]:
    """The designs of each method's first run."""
    return [
        Gallery(f"{label(method)}, seed {runs[0].seed}", getattr(runs[0], name)[:NUM_DRAWN], is_ours(method))
        for method, runs in by_method(results).items()
    ]


def _samples(results: Sequence[Result]) -> list[Gallery]:
    """The pre-trained model's samples, then those of each model that a method tuned."""
    tuned = [runs[0] for runs in by_method(results).values() if runs[0].kl_pretrained_nats]
    before = Gallery("Pre-trained model", results[0].pretrained_designs[:NUM_DRAWN])
    after = [
        Gallery(f"Final model of {label(run.method)}", run.final_designs[:NUM_DRAWN], is_ours(run.method))
        for run in tuned
    ]
    return [shown for shown in (before, *after) if shown.designs] if tuned else []


def _compared(results: Sequence[Result]) -> dict[str, list[tuple[str, str]]]:
    """Captions and data addresses of the figures of many designs, under their titles, of first runs."""
    found: dict[str, list[tuple[str, str]]] = {}
    for title, made in results[0].figures.items():
        drawn = [("Pre-trained model, samples", made.get(PRETRAINED, ""))]
        for method, runs in by_method(results).items():
            own = runs[0].figures.get(title, {})
            drawn.append((f"{label(method)}, best readings", own.get(BEST, "")))
            if runs[0].kl_pretrained_nats:
                drawn.append((f"{label(method)}, samples of the final model", own.get(FINAL, "")))
        found[title] = [(caption, picture_of(svg)) for caption, svg in drawn if picture_of(svg)]
    return {title: drawn for title, drawn in found.items() if drawn}


def _told(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The first run of each method with a surrogate or a tuned model, round by round."""
    firsts = [runs[0] for runs in by_method(results).values()]
    chosen = [run for run in firsts if run.readings and (run.kl_pretrained_nats or predicted(run))]
    return [{"title": f"{label(run.method)}, seed {run.seed}", "verdicts": verdicts(run)} for run in chosen]
