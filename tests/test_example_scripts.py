"""The scripts in ``examples/`` run from start to end, with small budgets, and stay short."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from script_module import load_script
from seiko import RewardBackprop
from seiko.campaign import Journal
from seiko.domains.sequence import DNA
from seiko.domains.sequence_files import read_sequences

ROOT = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))
SMALL = {
    "rounds": 2,
    "num_queries": 6,
    "pool_size": 12,
    "updater": RewardBackprop(num_iterations=1, batch_size=4, measure_samples=4),
    "final_updater": None,
}


def script(name):
    return load_script(f"examples/{name}.py")


def told(folder):
    return [row for row in Journal.open(folder).rows() if row["value"] is not None]


@pytest.mark.parametrize("name", SCRIPTS)
def test_they_are_short(name):
    assert len((ROOT / f"{name}.py").read_text().splitlines()) <= 60


def test_gfp_campaign(tmp_path, capsys):
    page = script("gfp_campaign").main(tmp_path / "gfp", **SMALL)
    assert len(told(tmp_path / "gfp")) == 12
    assert "Differences from the parent" in page.read_text()
    printed = capsys.readouterr().out
    assert "round 2: mean" in printed and "control: the final model's samples average" in printed


def test_promoter_campaign(tmp_path):
    page = script("promoter_campaign").main(tmp_path / "lab", **SMALL)
    rows = told(tmp_path / "lab")
    assert [row["num_readings"] for row in rows] == [3] * 12
    with open(tmp_path / "lab" / "best.csv", newline="") as file:
        best = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in best] == sorted((float(row["mean"]) for row in best), reverse=True)
    assert {row["sequence"] for row in best} == {row["design"] for row in rows}
    assert "Sequence logo" in page.read_text()


@pytest.mark.data
def test_utr_with_a_forbidden_motif(tmp_path, measured):
    measured("optimus-5-prime")
    page = script("utr_forbidden_motif").main(tmp_path / "utr", **SMALL)
    designs = [record.sequence for record in read_sequences(tmp_path / "utr" / "best.fasta", DNA)]
    assert len(designs) == 12
    assert all(design.endswith("GCCACC") and "ATG" not in design for design in designs)
    assert "Sequence logo" in page.read_text()
