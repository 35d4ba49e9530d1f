"""Many runs: resumed, in processes, failures in words; suites and the files of users."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark_world import made_up
from seiko.benchmark import SUITES, TASKS, Job, catalogue, command_of, failures_path, run_jobs, select, suite
from seiko.benchmark.suites import CONTROLS, NEED_GRADIENTS, Piece, Suite, estimate
from seiko.errors import ParameterError
from seiko.results import (
    CURVE_POINTS,
    Curve,
    Result,
    append_result,
    curve_of,
    identities,
    read_results,
)

OWN = Path(__file__).parent / "own_tasks.py"
QUICK = {"tasks_from": OWN, "num_samples": 10}


def test_runs_go_on_where_they_were_cut_off(tmp_path):
    file, seen = tmp_path / "r.jsonl", []
    jobs = [Job("words-a", method, seed) for seed in range(2) for method in ("random", "genetic")]
    assert run_jobs(jobs[:2], file, watch=seen.append, **QUICK) == []
    assert [(e.kind, e.finished, e.total) for e in seen if e.kind != "step"] == [
        ("started", 0, 2), ("done", 1, 2), ("started", 1, 2), ("done", 2, 2),
    ]  # fmt: skip
    first = file.read_bytes()
    del seen[:]
    run_jobs(jobs, file, watch=seen.append, **QUICK)
    assert file.read_bytes()[: len(first)] == first and len(read_results(file)) == 4
    assert {e.job for e in seen} == set(jobs[2:])
    assert any(e.step is not None and e.step.phase == "asking" for e in seen)


def test_a_compact_run_is_the_whole_run_but_for_its_details(tmp_path):
    job = [Job("words-b", "random", 0)]
    run_jobs(job, tmp_path / "short.jsonl", **QUICK)
    run_jobs(job, tmp_path / "whole.jsonl", compact=False, **QUICK)
    (short,), (whole,) = (read_results(tmp_path / f"{name}.jsonl") for name in ("short", "whole"))
    assert whole.readings and not short.readings and not short.rounds and not short.top_designs
    assert short.without_time() == whole.compact().without_time()
    assert (
        whole.command == command_of(job[0], OWN, 10)
        and "--samples 10" in whole.command
        and "--seed 0" in whole.command
    )
    assert whole.cpu_seconds > 0 and len(whole.ask_seconds) == 3  # two rounds and the end
    assert sum(whole.ask_seconds) <= whole.cpu_seconds
    assert whole.about["group"] == "words"


def test_a_failing_run_is_recorded_and_stops_no_other(tmp_path):
    file = tmp_path / "r.jsonl"
    failures = run_jobs([Job("words-a", "breaks", 0), Job("words-a", "same", 0)], file, **QUICK)
    assert [f.job.method for f in failures] == ["breaks"]
    assert [r.method for r in read_results(file)] == ["same"]
    (line,) = map(json.loads, failures_path(file).read_text().splitlines())
    assert line["error"] == "RuntimeError: the pump is dry" and line["method"] == "breaks"
    assert line["command"] == command_of(Job("words-a", "breaks", 0), OWN, 10)


def test_processes_give_the_same_results_and_outlive_a_dead_one(tmp_path):
    jobs = [Job("words-a", m, s) for m, s in (("dies", 0), ("random", 0), ("breaks", 0), ("same", 1))]
    failures = run_jobs(jobs, tmp_path / "two.jsonl", processes=2, **QUICK)
    words = {f.job.method: f.error for f in failures}
    assert set(words) == {"dies", "breaks"}
    assert "exit code 7" in words["dies"] and "the pump is dry" in words["breaks"]
    run_jobs([jobs[1], jobs[3]], tmp_path / "one.jsonl", **QUICK)
    by_identity = [
        {r.identity: r.without_time() for r in read_results(tmp_path / f"{n}.jsonl")} for n in ("one", "two")
    ]
    assert by_identity[0] == by_identity[1] and len(by_identity[0]) == 2


def test_ctrl_c_loses_only_what_runs(tmp_path):
    def stop(event):
        if event.kind == "started" and event.finished == 1:
            raise KeyboardInterrupt

    jobs = [Job("words-a", "random", seed) for seed in range(3)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, tmp_path / "r.jsonl", watch=stop, **QUICK)
    assert identities(tmp_path / "r.jsonl") == {("words-a", "random", 0)}


def test_what_is_wrong_is_said_before_anything_runs(tmp_path):
    file = tmp_path / "r.jsonl"
    with pytest.raises(ParameterError, match=r"There is no task 'nothing'"):
        run_jobs([Job("words-a", "random", 0), Job("nothing", "random", 0)], file, **QUICK)
    with pytest.raises(ParameterError, match="There is no method 'magic'"):
        run_jobs([Job("words-a", "random", 0), Job("words-a", "magic", 0)], file, **QUICK)
    with pytest.raises(ParameterError, match="must be >= 1"):
        run_jobs([], file, processes=0)
    append_result(file, made_up(seed=9))  # two rounds of three
    with pytest.raises(ParameterError, match="2 rounds of 3 queries, not 2 of 8"):
        run_jobs([Job("words-a", "random", 0)], file, **QUICK)
    assert len(read_results(file)) == 1


def _append(path: str, method: str) -> None:
    for seed in range(15):
        append_result(path, made_up(method, seed))
        append_result(path, made_up("both", seed))


def test_several_processes_append_to_one_file(tmp_path):
    file = tmp_path / "r.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(str(file), name)) for name in ("one", "two", "three")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {r.identity for r in read_results(file)} == {
        ("words-a", m, s) for m in ("one", "two", "three", "both") for s in range(15)
    }
    assert append_result(file, made_up("one", 0)) is False


def test_a_compact_result_is_small_and_keeps_the_ends():
    values = [((k * 7919) % 1000) / 997 for k in range(1408)]
    whole = made_up(curve=curve_of(values), best=1 / 3)
    short = whole.compact()
    assert len(short.curve.queries) == CURVE_POINTS == len(set(short.curve.queries))
    assert (short.curve.queries[0], short.curve.queries[-1]) == (1, 1408)
    table = dict(zip(whole.curve.queries, whole.curve.top10, strict=True))
    pairs = zip(short.curve.queries, short.curve.top10, strict=True)
    assert all(top10 == pytest.approx(table[query], rel=1e-5) for query, top10 in pairs)
    assert short.best == 0.333333 and short.auc_top10 == whole.auc_top10
    assert len(short.to_json()) < 3000 and short.compact() == short
    assert Result.from_json(short.to_json()) == short
    assert Curve((1,), (0.0,), (0.0,)).thinned(2).queries == (1,)


def test_results_written_before_are_read():
    folder = Path(__file__).parents[1] / "benchmarks" / "results"
    for name in ("demo-logp", "demo-penalized-logp"):
        results = read_results(folder / f"{name}.jsonl")
        assert results and all(r.cpu_seconds is None and not r.curve.queries for r in results)


def test_a_users_file_adds_tasks_and_methods():
    tasks = catalogue(OWN)
    assert {"words-a", "words-b"} <= set(tasks) and set(TASKS) <= set(tasks)
    assert all("same" in task.methods and "seiko_ucb" in task.methods for task in tasks.values())
    assert catalogue() == dict(TASKS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no file"),
        ("x = 1", "must define TASKS, a sequence of"),
        ("TASKS = [3]", "must define TASKS, a sequence of"),
        ("1 / 0", r"could not be executed: ZeroDivisionError: division by zero"),
        ("from seiko.benchmark import TASKS", "has a second task 'qm9-qed'"),
    ],
)
def test_a_bad_file_of_tasks(tmp_path, text, message):
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ParameterError, match=message):
        catalogue(file)


def test_patterns_choose_names():
    names = ["rna-L14", "rna-L50", "gfp"]
    assert select(["gfp", "rna-*"], names, what="task") == names
    with pytest.raises(ParameterError, match=r"There is no task 'rna'\. There are rna-L14"):
        select(["rna"], names, what="task")
    with pytest.raises(ParameterError, match=r"There is no task 'tfbind-SIX7'\. There are tfbind-SIX6"):
        select(["tfbind-SIX7"], TASKS, what="task")


def test_suites_have_the_controls_everywhere_and_both_splits():
    for made in SUITES.values():
        jobs = made.jobs(TASKS)
        assert len(set(jobs)) == len(jobs)
        assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
        methods = {task: {job.method for job in jobs if job.task == task} for task in {j.task for j in jobs}}
        assert all(set(CONTROLS) <= found for found in methods.values())
        assert {TASKS[task].split for task in methods} == {"development", "test"}
    assert {job.task for job in suite("full").jobs(TASKS)} == set(TASKS) - {"smoke-promoters"}
    assert not any(
        job.method in NEED_GRADIENTS and TASKS[job.task].domain_name == "molecule"
        for job in suite("full").jobs(TASKS)
    )
    with pytest.raises(ParameterError, match=r"There is no suite 'huge'\. There are smoke, standard, full"):
        suite("huge")


def test_every_pattern_of_the_sequence_domains_fits():
    patterns = {p for piece in SUITES["standard"].pieces for p in piece.tasks}
    missing = {"pmo-*", "icons*"}  # of other domains
    for pattern in patterns - missing:
        assert select([pattern], TASKS, what="task")


def test_costs_are_estimated_from_earlier_runs():
    tasks = {name: replace(TASKS["gfp"], name=name, domain_name="words") for name in ("one", "two")}
    made = Suite("s", "", (Piece(("one", "two", "absent"), ("random", "greedy", "magic"), 2),))
    jobs = made.jobs(tasks, first_seed=5)
    assert len(jobs) == 8 and {job.seed for job in jobs} == {5, 6}
    ran = [
        made_up("random", 5, task="one", cpu_seconds=3.0),
        made_up("random", 9, task="one", cpu_seconds=5.0),
        made_up("greedy", 9, task="two", seconds=10.0),
    ]
    cost = estimate(jobs, tasks, ran)
    assert (cost.known, cost.total) == (8, 8)
    assert cost.seconds == pytest.approx(2 * 4 + 2 * 4 + 4 * 10) and cost.left == pytest.approx(
        cost.seconds - 4
    )
    assert estimate(jobs, tasks, []).known == 0
