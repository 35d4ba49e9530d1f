"""`seiko bench` over several tasks: what runs, what is printed, how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import seiko.benchmark.registry as registry
import seiko.benchmark.suites as suites
from benchmark_world import TASK
from seiko.cli import main as cli
from seiko.results import read_results

OWN = Path(__file__).parents[1] / "own_tasks.py"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(registry, "TASKS", {})
    piece = suites.Piece(("words-*",), ("random", "genetic", "absent"), 2)
    monkeypatch.setitem(suites.SUITES, "smoke", suites.Suite("smoke", "for tests", (piece,)))


def seiko(*args):
    args = ["bench", args[0], *(("--tasks-from", OWN) if args[0] != "report" else ()), *args[1:]]
    return CliRunner().invoke(cli.main, [str(a) for a in args], prog_name="seiko")


def test_patterns_methods_and_seeds(tmp_path):
    file = tmp_path / "r.jsonl"
    run = ["run", "--task", "words-*", "--method", "random", "--samples", 5, "--results", file]
    done = seiko(*run, "--method", "sam?", "--seed", 3)
    assert done.exit_code == 0, done.output
    found = read_results(file)
    assert [r.identity for r in found] == [
        (t, m, 3) for t in ("words-a", "words-b") for m in ("random", "same")
    ]
    assert found[0].readings and found[0].about["num_samples"] == 5  # whole, if it is no suite
    assert "1 of 4: words-a random seed 3: done in" in done.stderr and "left" in done.stderr
    assert "words-a:" in done.stdout and "words-b:" in done.stdout


def test_a_suite_is_compact_and_can_be_run_in_parts(tmp_path):
    file = tmp_path / "r.jsonl"
    run = ["run", "--suite", "smoke", "--samples", 5, "--results", file]
    assert seiko(*run, "--method", "random").exit_code == 0
    assert seiko(*run, "--task", "words-b").exit_code == 0
    found = {r.identity for r in read_results(file)}
    assert len(found) == 6 and not any(r.readings for r in read_results(file))
    listed = json.loads(seiko("list", "--suite", "smoke", "--results", file, "--json").stdout)
    assert listed["runs"] == 8 and listed["seeds"]["words-a"] == {"random": 2, "genetic": 2}
    assert (
        listed["runs_estimated"] == 8
        and listed["estimated_cpu_hours"] > listed["estimated_cpu_hours_left"] > 0
    )
    text = seiko("list", "--suite", "smoke", "--results", file).stdout
    assert "random x 2, genetic x 2" in text and "of CPU time for 8 of 8 runs" in text
    assert "is not known" in seiko("list", "--suite", "smoke").stdout


def test_failures_set_the_exit_code(tmp_path):
    file = tmp_path / "r.jsonl"
    methods = ["--method", "breaks", "--method", "random"]
    done = seiko("run", "--task", "words-a", *methods, "--samples", 5, "--results", file)
    assert done.exit_code == 2
    assert "FAILED: RuntimeError: the pump is dry" in done.stderr
    assert f"1 of 2 runs failed; {tmp_path}/r.failed.jsonl says why" in done.stderr
    assert [r.method for r in read_results(file)] == ["random"]


def test_the_list_names_suites_and_methods():
    text = seiko("list").stdout
    assert "words-b" in text and "Suite smoke: 8 runs; for tests" in text and "same" in text


def test_reports_over_several_tasks(tmp_path):
    file = tmp_path / "r.jsonl"
    seiko("run", "--suite", "smoke", "--samples", 5, "--results", file)
    made = seiko("report", "--results", file, "--output", tmp_path / "out")
    assert made.exit_code == 0 and made.stdout.endswith(f"The report is {tmp_path}/out/index.html\n")
    assert (tmp_path / "out" / "words-b" / "report.html").is_file()
    text = seiko("report", "--results", file, "--markdown", "--reference", "random").stdout
    assert text.startswith("## words") and "Against random" in text
    assert "## words" not in seiko("report", "--results", file, "--output", tmp_path / "o", "--json").stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run"], "Nothing was chosen"),
        (["run", "--task", "words-a"], "Nothing was chosen"),
        (["run", "--suite", "huge"], "There is no suite 'huge'"),
        (["run", "--suite", "smoke", "--seeds", 3], "A suite says how many seeds"),
        (["run", "--task", "words-z", "--method", "random"], "There is no task 'words-z'. There are words-a"),
        (["run", "--task", "words-a", "--method", "magic"], "There is no method 'magic'"),
        (["run", "--task", "words-a", "--method", "random", "--jobs", 0], "0 is not in the range x>=1"),
        (["report"], "Give `--output`, `--markdown` or both"),
    ],
)
def test_bad_options(tmp_path, args, message):
    done = seiko(*args, "--results", tmp_path / "r.jsonl")
    assert done.exit_code == 2 and message in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_same_file_twice_is_refused(tmp_path):
    file = tmp_path / "r.jsonl"
    seiko("run", "--task", "words-a", "--method", "random", "--samples", 5, "--results", file)
    twice = seiko("report", "--results", file, "--results", file, "--markdown")
    assert twice.exit_code == 2 and "repeats ('words-a', 'random', 0)" in twice.stderr
    assert TASK.name == "words-a"


def test_the_example_of_the_docs_runs(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "my_tasks.py").write_text(block)
    own = ["--tasks-from", tmp_path / "my_tasks.py", "--samples", 5, "--results", tmp_path / "r.jsonl"]
    done = CliRunner().invoke(
        cli.main, ["bench", "run", *map(str, own), "--task", "mine-gc", "--method", "random"]
    )
    assert done.exit_code == 0, done.output
    (result,) = read_results(tmp_path / "r.jsonl")
    assert result.queries == 72 and "--tasks-from" in result.command
    listed = CliRunner().invoke(cli.main, ["bench", "list", *map(str, own[:2])]).output
    assert "bold" in listed


def test_a_piece_of_the_smoke_suite(tmp_path, monkeypatch):
    monkeypatch.undo()
    file = tmp_path / "r.jsonl"
    piece = ["--suite", "smoke", "--task", "ehrlich-15", "--task", "promoters", "--samples", 20]
    run = [
        "bench",
        "run",
        *map(str, piece),
        "--method",
        "random",
        "--method",
        "genetic",
        "--results",
        str(file),
    ]
    done = CliRunner().invoke(cli.main, run)
    assert done.exit_code == 0, done.output
    found = read_results(file)
    assert len(found) == 6 and all(len(r.to_json()) < 3000 for r in found)
    assert {r.task: r.queries for r in found} == {"ehrlich-15": 1280, "promoters": 480}
    genetic, random = (
        {r.seed: r.top100 for r in found if r.task == "ehrlich-15" and r.method == name}
        for name in ("genetic", "random")
    )
    assert all(genetic[seed] > 2 * random[seed] for seed in (0, 1))
