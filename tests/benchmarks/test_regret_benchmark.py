"""The benchmark of regret: lines, figures and table of a short run; and what the committed results say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from script_module import ROOT, load_script

COMMITTED = ROOT / "benchmarks" / "results" / "regret.jsonl"


@pytest.fixture(scope="module")
def bench():
    return load_script("benchmarks/regret.py")


def median_exponent(bench, runs, name):
    return np.median([r["exponent"] for r in bench.chosen(runs, name)])


def test_a_short_run_writes_lines_figures_and_a_table(bench, tmp_path, capsys):
    output = tmp_path / "regret.jsonl"
    arguments = ["--seeds", "1", "--rounds", "20", "--output", str(output), "--images", str(tmp_path)]
    bench.main(arguments)
    runs = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(runs) == len(bench.settings())
    assert {r["variant"] for r in runs} == set(bench.VARIANTS)
    assert all(r["bound_holds"] for r in runs if r["guaranteed"])
    assert any(r["guaranteed"] for r in runs)
    for name in ("bound", "failures", "rarity"):
        assert (tmp_path / f"regret-{name}.png").stat().st_size > 5000
    table = capsys.readouterr().out
    bench.main([*arguments, "--draw-only"])
    assert capsys.readouterr().out == table
    assert table.count("\n") == len(runs) + 2


def test_the_committed_results_show_what_the_page_says(bench):
    runs = [json.loads(line) for line in COMMITTED.read_text().splitlines()]
    assert all(r["bound_holds"] for r in runs if r["guaranteed"])
    for name in ("bonus", "bonus-constant", "bonus-telescoping"):
        assert median_exponent(bench, runs, name) <= 0.6
        assert all(r["guaranteed"] for r in bench.chosen(runs, name))
    for name in ("greedy", "unshrinking", "misspecified", "bonus-quadratic"):
        assert median_exponent(bench, runs, name) >= 0.85


def test_a_committed_line_is_what_a_run_gives(bench):
    runs = [json.loads(line) for line in COMMITTED.read_text().splitlines()]
    line = bench.chosen(runs, "bonus-telescoping")[0]
    again = bench.run("bonus-telescoping", bench.MAIN, line["seed"], line["rounds"])
    assert again["regret"] == pytest.approx(line["regret"], rel=1e-3)


def test_bad_numbers_are_explained(bench, capsys):
    with pytest.raises(SystemExit):
        bench.main(["--rounds", "3"])
    assert "--seeds must be at least 1 and --rounds 20; got 10 and 3" in capsys.readouterr().err
