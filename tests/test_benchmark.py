"""Whole runs on a small task: the numbers, the file of results, that runs repeat."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median

import pytest

from benchmark_world import QUICK, TASK, made_up, reward
from seiko.benchmark import TASKS, molecule_task, run_all, run_method, versions
from seiko.campaign.status import read_status
from seiko.errors import CampaignError, ParameterError, SeikoError
from seiko.results import Result, append_result, curve_of, mean_of_top, read_results, summarize


def quick(method: str, seed: int = 0, **options) -> Result:
    tuned = method not in ("random", "genetic", "online_ppo")
    return run_method(TASK, method, seed, settings=QUICK if tuned else {}, num_samples=50, **options)


@pytest.fixture(scope="module")
def ours() -> Result:
    return quick("seiko_ucb")


def test_the_numbers_are_those_of_the_readings(ours):
    values = [reading.value for reading in ours.readings]
    assert values == [reward(reading.design) for reading in ours.readings]
    assert (ours.queries, len({r.design for r in ours.readings})) == (16, 16)
    assert ours.best == max(values)
    assert ours.top10 == pytest.approx(sum(sorted(values)[-10:]) / 10)
    assert ours.top100 == pytest.approx(sum(values) / 16)
    running = [sum(sorted(values[:n])[-10:]) / min(n, 10) for n in range(1, 17)]
    assert ours.curve.top10 == pytest.approx(running)
    assert ours.auc_top10 == pytest.approx(sum(running) / 16)
    assert ours.curve.best[-1] == ours.best and ours.curve.queries == tuple(range(1, 17))


def test_the_final_model_is_sampled_and_never_asked(ours):
    assert ours.about["num_samples"] == 50
    assert len(ours.final_values) == round(50 * ours.final_feasible)
    assert ours.final_mean == pytest.approx(sum(ours.final_values) / len(ours.final_values))
    assert 0 < ours.final_distinct <= ours.final_feasible <= 1
    assert ours.kl_pretrained_nats is not None and ours.kl_pretrained_nats >= 0
    assert ours.kl_target_nats == 4.0
    assert all(drawn.value == reward(drawn.design) for drawn in ours.final_designs)
    assert [d.value for d in ours.top_designs] == sorted((d.value for d in ours.top_designs), reverse=True)
    assert ours.readings[ours.top_designs[0].query - 1].design == ours.top_designs[0].design


def test_figures_are_of_the_first_model_the_best_readings_and_the_last_model(ours):
    words = {name: svg[5:-6].split() for name, svg in ours.figures["Words"].items()}
    assert [reward(word) for word in words["best readings"]] == sorted(
        (r.value for r in ours.readings if r.value is not None), reverse=True
    )
    assert tuple(map(reward, words["final model"])) == ours.final_values[:50]
    assert {drawn.design for drawn in ours.pretrained_designs} <= set(words["pre-trained model"])
    assert ours.figures["Nothing"] == {}


def test_the_same_seed_gives_the_same_result(ours):
    again = quick("seiko_ucb")
    assert again.without_time() == ours.without_time()
    assert quick("seiko_ucb", seed=1).readings != ours.readings


def test_the_final_model_of_a_population_is_its_last_round():
    result = quick("genetic")
    last = [r for r in result.readings if r.round == 1]
    assert result.final_values == tuple(r.value for r in last)
    assert (result.final_feasible, result.final_distinct, result.kl_pretrained_nats) == (1.0, 1.0, None)


def test_random_sampling_stays_at_the_pretrained_chain():
    result = quick("random")
    assert result.kl_pretrained_nats == 0.0
    assert len(result.final_values) == round(50 * result.final_feasible)


def test_a_method_that_stores_all_weights_can_be_sampled():
    result = quick("online_ppo")
    assert result.kl_pretrained_nats is not None and result.final_values


def test_events_tell_where_a_run_is(tmp_path):
    events = []
    quick("random", on_event=events.append, directory=tmp_path / "run")
    phases = [e.phase for e in events if e.phase != "asking"]
    assert phases == ["sampling", "learning", "learning", "scoring the final model", "done"]
    assert [e.queries for e in events if e.phase == "asking"] == list(range(16))
    assert read_status(tmp_path / "run").queries_left == 0
    with pytest.raises(CampaignError, match="is not empty"):
        quick("random", directory=tmp_path / "run")


def test_a_result_survives_a_line_of_json(ours):
    line = ours.to_json()
    assert "\n" not in line and Result.from_json(line) == ours
    assert json.loads(line)["readings"][0]["round"] == 0


def test_runs_that_are_there_are_not_repeated(tmp_path):
    file, seen = tmp_path / "results.jsonl", []
    options = {"num_samples": 20, "on_event": seen.append}
    first = run_all(TASK, ["random"], [0], file, **options)
    both = run_all(TASK, ["random", "genetic"], [0], file, **options)
    assert both[0] == first[0] and [r.method for r in read_results(file)] == ["random", "genetic"]
    del seen[:]
    assert run_all(TASK, ["random", "genetic"], [0], file, **options) == both and not seen
    with pytest.raises(ParameterError, match="2 rounds of 8 queries, not 3 of 8"):
        run_all(replace(TASK, num_rounds=3), ["random"], [0], file)


def test_a_line_that_was_cut_off_is_run_again(tmp_path):
    file = tmp_path / "results.jsonl"
    append_result(file, made_up(seed=0))
    append_result(file, made_up(seed=1))
    file.write_bytes(file.read_bytes()[:-40])
    assert read_results(file) == [made_up(seed=0)]
    append_result(file, made_up(seed=2))
    assert read_results(file) == [made_up(seed=0), made_up(seed=2)]


def test_damaged_and_repeated_lines_are_errors(tmp_path):
    file = tmp_path / "results.jsonl"
    assert read_results(file) == []
    file.write_text(made_up().to_json() + "\n{}\n")
    with pytest.raises(ParameterError, match=r"Line 2 of .* is not a result"):
        read_results(file)
    file.write_text(f"{made_up().to_json()}\n" * 2)
    with pytest.raises(ParameterError, match=r"Line 2 of .* repeats"):
        read_results(file)


def test_the_table_is_medians_and_ranges():
    seeds = [made_up(seed=k) for k in (0, 1, 5)]
    (row, other) = summarize([*seeds, made_up("random", kl_pretrained_nats=None)])
    best = row.numbers["best"]
    assert (best.median, best.low, best.high) == (median([3.0, 4.0, 8.0]), 3.0, 8.0)
    assert (row.method, row.num_seeds, other.method) == ("seiko_ucb", 3, "random")
    assert other.numbers["kl_pretrained_nats"] is None


def test_helpers_by_hand():
    assert mean_of_top([], 10) is None
    curve = curve_of([None, 1.0, None, 3.0])
    assert (curve.queries, curve.best, curve.top10) == ((2, 3, 4), (1.0, 1.0, 3.0), (1.0, 1.0, 2.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: run_method(TASK, "nothing", 0),
            "There is no method 'nothing' for words-a. There are seiko_ucb",
        ),
        (lambda: run_all(TASK, ["random", "nothing"], [0], "never"), "There is no method 'nothing'"),
        (lambda: run_method(TASK, "random", 0, num_samples=0), "`num_samples` must be at least 1; got 0"),
        (lambda: replace(TASK, num_rounds=0), "`num_rounds` must be at least 1; got 0"),
        (lambda: molecule_task("gold"), "There is no reward 'gold'. There are qed"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(SeikoError, match=message):
        call()


def test_the_tasks_that_are_named():
    assert TASKS["qm9-penalized-logp"].budget == 300
    assert all(name == task.name for name, task in TASKS.items())
    # Moves on pixels leave what a chain draws: images have no genetic algorithm.
    assert all("genetic" in task.methods or task.domain_name == "image" for task in TASKS.values())
    assert {task.split for task in TASKS.values()} == {"development", "test"}
    assert versions()["torch"]
