"""The tables of a comparison as text, for a page or for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from seiko.comparison import published
from seiko.comparison.scores import (
    READABLE,
    TaskScores,
    cpu_seconds,
    queries_to_reach,
    standings,
    task_scores,
)
from seiko.comparison.statistics import holm, interquartile_mean, signed_rank
from seiko.comparison.text import NONE, TextTable, as_markdown, number, p_text, percent
from seiko.results import Result

RIVALS = ("online_ppo", "genetic")


@dataclass(frozen=True)
class Section:
    """Tables about tasks of one kind, or about all of them."""

    title: str
    text: str
    tables: tuple[TextTable, ...]
    tasks: tuple[TaskScores, ...] = field(default=(), repr=False)


def sections(
    results: Sequence[Result], *, reference: str = "genetic", compared: str | None = None
) -> list[Section]:
    """All tables of a comparison: over all tasks, then for each kind of tasks.

    Args:
        results: Runs of any tasks, methods and seeds.
        reference: The method that the others are tested against.
        compared: The number of a result that is compared; `main_number` of each kind if None.
    """
    tasks = task_scores(results, number=compared)
    groups: dict[str, list[TaskScores]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    made = [_section(group, found, reference) for group, found in groups.items()]
    if len(groups) > 1:
        made.insert(0, Section("All tasks", _counts(tasks), _summary(tasks, reference)))
    return made


def _section(group: str, tasks: Sequence[TaskScores], reference: str) -> Section:
    tables = [_scores(tasks), *_summary(tasks, reference), _final_models(tasks), *_reached(tasks)]
    if (times := _own_times(tasks)).rows:
        tables.append(times)
    if (beside := _beside(tasks)) is not None:
        tables += [beside, _sums()]
    return Section(group, _counts(tasks), tuple(tables), tuple(tasks))


def _counts(tasks: Sequence[TaskScores]) -> str:
    runs = [run for task in tasks for found in task.runs.values() for run in found]
    hours = [run.cpu_seconds for run in runs if run.cpu_seconds is not None]
    splits = [f"{sum(task.split == split for task in tasks)} {split}" for split in ("development", "test")]
    text = f"{len(tasks)} tasks ({' and '.join(splits)}), {len(runs)} runs"
    return text + (f", {sum(hours) / 3600:.2f} hours of CPU time." if hours else ".")


def _methods(tasks: Sequence[TaskScores]) -> list[str]:
    """Ours first, else in order of appearance."""
    found = dict.fromkeys(method for task in tasks for method in task.scores)
    return sorted(found, key=lambda method: not method.startswith("seiko"))


def _scores(tasks: Sequence[TaskScores]) -> TextTable:
    methods, rows, strong = _methods(tasks), [], set()
    for place, task in enumerate(tasks):
        cells = [_score(task, method) for method in methods]
        best = max(task.scores.values(), default=0.0)
        strong |= {(place, 3 + k) for k, m in enumerate(methods) if task.scores.get(m) == best}
        counts = sorted({len(runs) for runs in task.runs.values()})
        budget = next(iter(task.runs.values()))[0].queries
        rows.append((f"{task.task} ({task.split})", str(budget), _span(counts), *cells))
    note = (
        f"Interquartile mean over seeds of the {READABLE.get(tasks[0].number, tasks[0].number)}, with the "
        "95 % bootstrap interval over seeds; the highest of each task stands out."
    )
    header = ("task", "queries", "seeds", *methods)
    return TextTable("Scores", note, header, tuple(rows), frozenset(strong))


def _span(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _score(task: TaskScores, method: str) -> str:
    if method not in task.scores:
        return NONE
    interval = task.interval(method)
    return number(task.scores[method]) + (
        f" [{number(interval[0])}, {number(interval[1])}]" if interval else ""
    )


def _summary(tasks: Sequence[TaskScores], reference: str) -> tuple[TextTable, ...]:
    """Standings and tests, test tasks and development tasks apart."""
    tables = []
    for split in ("test", "development"):
        chosen = [task for task in tasks if task.split == split and task.scores]
        if chosen:
            tables += [_standings(chosen, split), *_tests(chosen, split, reference)]
    return tuple(tables)


def _standings(tasks: Sequence[TaskScores], split: str) -> TextTable:
    rows = tuple(
        (
            s.method,
            str(s.num_tasks),
            number(s.mean_rank, 2),
            percent(s.first),
            percent(s.second),
            number(s.normalised)
            + (f" [{number(s.interval[0])}, {number(s.interval[1])}]" if s.interval else ""),
            number(s.middle),
            number(s.cpu_seconds, 1),
        )
        for s in standings(tasks)
    )
    header = (
        "method",
        "tasks",
        "mean rank",
        "in front",
        "at least second",
        "normalised",
        "median",
        "CPU s a run",
    )
    note = (
        "Over the tasks that a method ran on. Normalised: 0 is the lowest and 1 the highest score of a task; "
        "interquartile mean over tasks and seeds with its 95 % bootstrap interval, and median over tasks."
    )
    if split == "development":
        note += " Settings were tuned on these tasks."
    return TextTable(f"Standings, {split} tasks", note, header, rows)


def _tests(tasks: Sequence[TaskScores], split: str, reference: str) -> list[TextTable]:
    methods = [m for m in _methods(tasks) if m != reference]
    pairs = {m: [t for t in tasks if m in t.scores and reference in t.scores] for m in methods}
    pairs = {method: found for method, found in pairs.items() if found}
    if not pairs:
        return []
    over = {
        m: signed_rank([t.scores[m] for t in found], [t.scores[reference] for t in found])
        for m, found in pairs.items()
    }
    adjusted = holm({method: paired.p_value for method, paired in over.items()})
    rows = []
    for method, found in pairs.items():
        seeds = [p for task in found if (p := task.against(method, reference)) is not None]
        by_task = holm({str(k): paired.p_value for k, paired in enumerate(seeds)})
        sure = [seeds[int(k)] for k, p_value in by_task.items() if p_value < 0.05]
        better, worse = (sum(sign * p.median_difference > 0 for p in sure) for sign in (1, -1))
        paired = over[method]
        rows.append(
            (
                method,
                f"{paired.wins} / {paired.losses} / {paired.ties}",
                p_text(paired.p_value),
                p_text(adjusted[method]),
                " / ".join(str(sum(getattr(p, kind) for p in seeds)) for kind in ("wins", "losses", "ties")),
                f"{better} / {worse}",
            )
        )
    header = ("method", "tasks won / lost / tied", "p", "p, Holm", "seeds won / lost / tied", "tasks sure")
    note = (
        f"Against {reference}. p: two-sided Wilcoxon signed-rank test of the scores over tasks, alone and "
        "adjusted for the number of methods. Seeds: runs of one task with the same seed. Tasks sure: better "
        "and worse at 5 % by the same test over the seeds of a task, adjusted for the number of tasks; five "
        "seeds or fewer can never be sure."
    )
    return [TextTable(f"Paired tests, {split} tasks", note, header, tuple(rows))]


def _final_models(tasks: Sequence[TaskScores]) -> TextTable:
    methods = _methods(tasks)
    rows = tuple(
        (f"{task.task} ({task.split})", *(_final(task.runs.get(method, ())) for method in methods))
        for task in tasks
    )
    note = (
        "Samples of the final model: mean reward of the feasible ones, interquartile mean over seeds, and in "
        "brackets the feasible and the distinct share of all samples and the KL to the pre-trained model in "
        "nats. They are no queries. A method without a model of its own is judged by its last round."
    )
    return TextTable("Final models", note, ("task", *methods), rows)


def _final(runs: Sequence[Result]) -> str:
    if not runs:
        return NONE
    means = [run.final_mean for run in runs if run.final_mean is not None]
    nats = [run.kl_pretrained_nats for run in runs if run.kl_pretrained_nats is not None]
    told = number(interquartile_mean(means)) if means else NONE
    feasible, distinct = (
        percent(interquartile_mean([getattr(run, name) for run in runs]))
        for name in ("final_feasible", "final_distinct")
    )
    kl = number(interquartile_mean(nats), 1) if nats else NONE
    return f"{told} ({feasible}, {distinct}, {kl})"


def _reached(tasks: Sequence[TaskScores]) -> list[TextTable]:
    """One table for each rival that ran."""
    made = []
    for rival in RIVALS:
        there = [task for task in tasks if rival in task.scores]
        methods = [method for method in _methods(there) if method != rival]
        if there and methods:
            rows = tuple(_reach_row(task, methods, rival) for task in there)
            note = (
                f"Queries after which the mean of the ten best readings is what {rival} ends with (median "
                "over seeds), and their share of its budget; never: fewer than half of the seeds got there."
            )
            header = ("task", f"{rival} ends at", *methods)
            made.append(TextTable(f"Queries to reach {rival}", note, header, rows))
    return made


def _reach_row(task: TaskScores, methods: Sequence[str], rival: str) -> tuple[str, ...]:
    found = [queries_to_reach(task, method, rival) for method in methods]
    value = next((reached.value for reached in found if reached is not None), None)
    cells = [
        NONE
        if reached is None
        else "never"
        if reached.queries is None
        else f"{reached.queries} ({percent(reached.queries / reached.budget)})"
        for reached in found
    ]
    return (f"{task.task} ({task.split})", number(value), *cells)


def _beside(tasks: Sequence[TaskScores]) -> TextTable | None:
    """Published numbers of the same objectives, if there are any."""
    same = [(task, name) for task in tasks if (name := published.objective_of(task.task)) is not None]
    same = [(task, name) for task, name in same if task.number == "auc_top10"]
    if not same:
        return None
    methods = _methods([task for task, _ in same])
    rows = tuple(
        (
            f"{task.task}, ours at {next(iter(task.runs.values()))[0].queries} calls",
            *(number(task.scores.get(method)) for method in methods),
            *(number(value) for value in published.PER_TASK[name]),
        )
        for task, name in same
    )
    note = (
        f"Published: 10,000 calls; {published.COUNTING}; {', '.join(published.COLUMNS[:2])} screened "
        f"ZINC250k with the oracle first. Source: {published.PMO}. Ours counts every design asked for, at "
        "the calls named in the row: with fewer calls than 10,000 a lower number is expected."
    )
    header = ("objective", *methods, *(f"{name}, published" for name in published.COLUMNS))
    return TextTable("Beside published numbers", note, header, rows)


def _sums() -> TextTable:
    rows = tuple(
        (s.method, f"{s.calls:,}", "yes" if s.prescreened else "no", f"{s.value:.2f}") for s in published.SUMS
    )
    note = (
        f"Sums over the {published.NUM_OBJECTIVES} objectives of PMO as published; {published.COUNTING}. "
        "Three of them need models that no longer load, so no sum of ours stands beside these. "
        f"Source: {published.PMO}."
    )
    return TextTable("Published sums", note, ("method", "calls", "prescreened", "sum of AUC top-10"), rows)


def _own_times(tasks: Sequence[TaskScores]) -> TextTable:
    """What the methods themselves cost, by round: CPU seconds of the first, the middle and the last round."""
    rows = []
    for method in _methods(tasks):
        runs = [run for task in tasks for run in task.runs.get(method, ()) if len(run.ask_seconds) > 1]
        if runs:
            took = [run.ask_seconds for run in runs]
            picked = [(t[0], t[(len(t) - 1) // 2], t[-2], t[-1]) for t in took]
            means = [sum(column) / len(runs) for column in zip(*picked, strict=True)]
            rows.append((method, *(number(value, 1) for value in (*means, cpu_seconds(runs)))))
    header = ("method", "first round", "middle round", "last round", "final model", "whole run")
    note = (
        "CPU seconds of proposing designs, mean over tasks and seeds; the oracle's time counts only in the "
        "whole run, the median."
    )
    return TextTable("Cost", note, header, tuple(rows))


def markdown(made: Sequence[Section]) -> str:
    """All tables as Markdown, to be pasted into a page."""
    parts = []
    for section in made:
        parts += [f"## {section.title}", section.text]
        for table in section.tables:
            parts += [f"### {table.title}", table.note, as_markdown(table)]
    return "\n\n".join(parts) + "\n"
