"""`seiko demo` and `seiko bench`, on a small task in place of the molecules."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import seiko.benchmark as benchmark
import seiko.benchmark.registry as registry
import seiko.benchmark.running as running
import seiko.domains.molecule as molecule
from benchmark_world import TASK
from seiko.cli import main as cli
from seiko.errors import MissingDependencyError
from seiko.results import read_results


def seiko(*args):
    return CliRunner().invoke(cli.main, [str(a) for a in args], prog_name="seiko")


@pytest.fixture(autouse=True)
def words(monkeypatch):
    monkeypatch.setattr(benchmark, "molecule_task", lambda reward: TASK)
    monkeypatch.setattr(registry, "TASKS", {TASK.name: TASK})
    evaluate = running.evaluate
    monkeypatch.setattr(running, "evaluate", lambda finished, count: evaluate(finished, 20))


def demo(output, *args):
    return seiko(
        "demo", "--compare", "genetic,random", "--rounds", 2, "--queries", 6, "--output", output, *args
    )


def test_the_demo_ends_with_a_table_and_a_page(tmp_path):
    result = demo(tmp_path / "demo")
    assert result.exit_code == 0, result.output
    header, *lines = result.stdout.splitlines()
    assert header.split()[:3] == ["method", "best", "top-10"]
    assert [line.split()[0] for line in lines[:2]] == ["genetic", "random"]
    assert lines[-1] == f"The report is {tmp_path}/demo/report.html"
    assert "genetic seed 0: round 2 of 2, asking 6 of 12" in result.stderr
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {
        "seiko-demo.json", "report.html", "results.jsonl", "plots", "campaigns",
    }  # fmt: skip
    assert seiko("status", tmp_path / "demo" / "campaigns" / "genetic-0").exit_code == 0


def test_json_is_all_that_is_printed_and_a_seed_repeats_itself(tmp_path):
    first, again = (demo(tmp_path / name, "--json", "--seeds", 2, "--seed", 3) for name in "ab")
    data = json.loads(first.stdout)
    assert [(row["method"], row["num_seeds"]) for row in data] == [("genetic", 2), ("random", 2)]
    assert set(data[0]["numbers"]["best"]) == {"median", "low", "high"}
    assert "report.html" in first.stderr
    assert again.exit_code == 0
    results = [read_results(tmp_path / name / "results.jsonl") for name in "ab"]
    assert [r.seed for r in results[0]] == [3, 3, 4, 4]
    assert [r.without_time() for r in results[0]] == [r.without_time() for r in results[1]]


def test_an_earlier_demo_is_replaced_and_other_folders_are_not(tmp_path):
    assert demo(tmp_path / "demo").exit_code == 0
    assert demo(tmp_path / "demo", "--seed", 1).exit_code == 0
    assert [r.seed for r in read_results(tmp_path / "demo" / "results.jsonl")] == [1, 1]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    refused = demo(tmp_path / "work")
    assert refused.exit_code == 2 and "holds 'thesis.txt' and is not an earlier demo" in refused.stderr
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--compare", "seiko_ucb,magic"], "There is no method 'magic' for words-a. There are seiko_ucb"),
        (["--queries", "0"], "0 is not in the range x>=1"),
        (["--rounds", "-3"], "-3 is not in the range x>=1"),
        (["--seeds", "many"], "'many' is not a valid integer"),
    ],
)
def test_bad_options(tmp_path, args, message):
    result = seiko("demo", "--output", tmp_path / "demo", *args)
    assert result.exit_code == 2 and message in result.stderr
    assert not (tmp_path / "demo").exists()


def test_an_unknown_reward(tmp_path, monkeypatch):
    monkeypatch.undo()
    result = seiko("demo", "--reward", "gold", "--output", tmp_path / "demo")
    assert result.exit_code == 2 and "There is no reward 'gold'. There are qed" in result.stderr


def test_without_rdkit_it_says_what_to_install(tmp_path, monkeypatch):
    def missing(name="rdkit.Chem"):
        raise MissingDependencyError("Molecules need the package rdkit.", hint="Install seiko[molecules].")

    monkeypatch.setattr(molecule, "rdkit_module", missing)
    result = seiko("demo", "--output", tmp_path / "demo")
    assert result.exit_code == 2 and "Install seiko[molecules]" in result.stderr
    assert not (tmp_path / "demo").exists()


def test_bench_from_the_list_to_the_report(tmp_path):
    file = tmp_path / "results.jsonl"
    listed = seiko("bench", "list")
    assert "words-a" in listed.output and "seiko_ucb" in listed.output
    assert json.loads(seiko("bench", "list", "--json").stdout)[0]["queries"] == 8
    run = ["bench", "run", "--task", "words-a", "--method", "random", "--results", file]
    assert seiko(*run).exit_code == 0
    size = file.stat().st_size
    assert seiko(*run, "--seeds", 2).exit_code == 0
    assert file.read_bytes()[:size] and [r.seed for r in read_results(file)] == [0, 1]
    result = seiko("bench", "report", "--results", file, "--output", tmp_path / "out")
    assert result.exit_code == 0 and (tmp_path / "out" / "report.html").exists()


def test_bench_errors(tmp_path):
    unknown = seiko("bench", "run", "--task", "x", "--method", "random", "--results", tmp_path / "r")
    assert unknown.exit_code == 2 and "There is no task 'x'. There are words-a" in unknown.stderr
    empty = seiko("bench", "report", "--results", tmp_path / "r", "--output", tmp_path / "out")
    assert empty.exit_code == 2 and "There are no results in" in empty.stderr


def test_help_has_examples():
    assert "seiko demo --compare all --seeds 3" in seiko("demo", "--help").output
    assert "seiko bench run --task" in seiko("bench", "--help").output
