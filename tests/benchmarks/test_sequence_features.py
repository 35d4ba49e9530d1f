"""What a surrogate foretells from different features of sequences: a table with a row for each."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench():
    path = ROOT / "benchmarks" / "sequence_features.py"
    spec = importlib.util.spec_from_file_location("sequence_features_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_row_for_every_kind_of_features(bench, monkeypatch, capsys):
    names = ("smoke-promoters", "ehrlich-15")
    small = {name: replace(bench.TASKS[name], num_rounds=2) for name in names}
    monkeypatch.setattr(bench, "TASKS", small)
    monkeypatch.setattr(bench, "FEW", 60)
    monkeypatch.setattr(sys, "argv", ["sequence_features.py", *names, "--seeds", "1"])
    bench.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if " / " in line]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [names[0]] * 4 + [names[1]] * 2
    assert all(len(re.findall(r"-?\d+\.\d\d / -?\d+\.\d\d", row)) == 3 for row in rows)
