"""Scores, standings, tests and queries to reach a rival, on made-up results that can be said by hand."""

from __future__ import annotations

import pytest

from benchmark_world import made_up
from seiko.comparison import markdown, sections, task_scores
from seiko.comparison.published import PER_TASK, objective_of
from seiko.comparison.scores import queries_to_reach, standings
from seiko.results import Curve

TOP = {  # task -> method -> top-100 of seeds 0, 1, 2
    "a": {"seiko_ucb": [5, 6, 7], "genetic": [4, 5, 6], "random": [0, 0, 3]},
    "b": {"seiko_ucb": [1, 2, 3], "genetic": [3, 4, 5], "random": [0, 1, 2]},
    "c": {"seiko_ucb": [2, 2, 2], "genetic": [1, 1, 1]},
}


def run(task, method, seed, value, *, group="words", split="test", **changes):
    curve = Curve((1, 2, 3, 4), (0.0, 0.0, value, value), (0.0, value / 2, value / 2, float(value)))
    about = {"group": group, "rounds": 2, "num_queries": 2, "definition": "d", "chain": "tiny"}
    fields = {"task": task, "split": split, "top100": float(value), "queries": 4, "curve": curve}
    extra = {"cpu_seconds": 2.0, "ask_seconds": (1.0, 0.5, 0.25), "about": about}
    return made_up(method, seed, **(fields | extra | changes))


RESULTS = [
    run(task, method, seed, value)
    for task, methods in TOP.items()
    for method, values in methods.items()
    for seed, value in enumerate(values)
]


def test_scores_of_a_task():
    first = task_scores(RESULTS)[0]
    assert first.scores == {"seiko_ucb": 6.0, "genetic": 5.0, "random": 1.0}
    assert first.ranks == {"seiko_ucb": 1.0, "genetic": 2.0, "random": 3.0}
    assert first.normalised("genetic") == pytest.approx([0.6, 0.8, 1.0])
    assert first.interval("seiko_ucb") == (5.0, 7.0)
    assert task_scores(RESULTS[:1])[0].interval("seiko_ucb") is None
    paired = first.against("seiko_ucb", "genetic")
    assert (paired.wins, paired.losses, paired.p_value) == (3, 0, 0.25)
    assert first.against("seiko_ucb", "nothing") is None


def test_standings_over_tasks():
    ours, genetic, random = standings(task_scores(RESULTS))
    assert (ours.method, ours.num_tasks, ours.first, ours.second) == ("seiko_ucb", 3, pytest.approx(2 / 3), 1)
    assert (ours.mean_rank, genetic.mean_rank) == (pytest.approx(4 / 3), pytest.approx(5 / 3))
    assert (random.method, random.num_tasks, random.mean_rank, random.first) == ("random", 2, 3.0, 0)
    assert ours.middle == pytest.approx(1.0)  # 1 on a, 1/3 on b, 1 on c
    assert ours.cpu_seconds == 2.0


def test_a_task_without_a_reading_is_no_score():
    results = [*RESULTS, *(run("d", "random", seed, 0, top100=None) for seed in range(2))]
    assert task_scores(results)[-1].scores == {}
    assert sections(results)


def test_queries_to_reach_the_rival():
    first, second, _ = task_scores(RESULTS)
    assert queries_to_reach(first, "seiko_ucb", "genetic").queries == 4
    assert queries_to_reach(first, "seiko_ucb", "genetic").value == 5.0
    assert queries_to_reach(second, "seiko_ucb", "genetic").queries is None
    assert queries_to_reach(first, "seiko_ucb", "random").queries == 1  # random ends at 0, where all begin
    assert queries_to_reach(first, "seiko_ucb", "online_ppo") is None


def test_molecules_are_compared_by_the_area_under_the_curve():
    by_group = {
        t.group: t.number for t in task_scores([*RESULTS, run("m", "random", 0, 1, group="molecule")])
    }
    assert by_group == {"words": "top100", "molecule": "auc_top10"}


def table(made, title):
    return next(t for section in made for t in section.tables if t.title == title)


def test_the_tables_say_the_numbers():
    made = sections(RESULTS)
    scores = table(made, "Scores")
    assert scores.header == ("task", "queries", "seeds", "seiko_ucb", "genetic", "random")
    assert scores.rows[0] == (
        "a (test)", "4", "3", "6.000 [5.000, 7.000]", "5.000 [4.000, 6.000]", "1.000 [0.000, 3.000]",
    )  # fmt: skip
    assert scores.rows[2][-1] == "–" and scores.strong == {(0, 3), (1, 4), (2, 3)}
    tests = table(made, "Paired tests, test tasks")
    assert tests.rows[0] == ("seiko_ucb", "2 / 1 / 0", "1.000", "1.000", "6 / 3 / 0", "0 / 0")
    assert table(made, "Queries to reach genetic").rows[0] == ("a (test)", "5.000", "4 (100 %)", "never")
    assert table(made, "Cost").rows[0] == ("seiko_ucb", "1.0", "0.5", "0.5", "0.2", "2.0")
    final = table(made, "Final models").rows[0][1]
    assert final == "1.700 (90 %, 70 %, 2.5)"


def test_development_and_test_tasks_are_kept_apart():
    mixed = [*RESULTS, *(run("e", m, 0, v, split="development") for m, v in (("genetic", 9), ("random", 1)))]
    made = sections(mixed)
    assert table(made, "Standings, test tasks").rows[0][:2] == ("seiko_ucb", "3")
    assert table(made, "Standings, development tasks").rows[0][:2] == ("genetic", "1")
    assert "tuned on these" in table(made, "Standings, development tasks").note


def test_published_numbers_stand_beside_ours_with_their_accounting():
    assert objective_of("pmo-qed") == objective_of("pmo10k-qed") == "qed" and objective_of("rna-L14") is None
    assert len({len(values) for values in PER_TASK.values()}) == 1
    made = sections([run("pmo-median1", "genetic", 0, 1, group="molecule", auc_top10=0.3)])
    beside = table(made, "Beside published numbers")
    assert beside.rows[0][1:4] == ("0.300", "0.398", "0.340") and "10,000 calls" in beside.note
    assert "screened" in beside.note and table(made, "Published sums").rows[0][:2] == ("LICO", "1,000")


def test_markdown_has_every_table():
    made = sections(RESULTS)
    text = markdown(made)
    assert text.count("### ") == sum(len(section.tables) for section in made)
    assert "| a (test) | 4 | 3 | **6.000 [5.000, 7.000]** | 5.000 [4.000, 6.000] |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in lines)
