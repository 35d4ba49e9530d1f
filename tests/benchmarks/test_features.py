"""What a surrogate foretells from different features of designs: a table with a row for each."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest

from script_module import load_script


@pytest.fixture
def bench():
    return load_script("benchmarks/features.py")


def test_a_row_for_every_kind_of_features(bench, monkeypatch, capsys):
    names = ("smoke-promoters", "ehrlich-15", "pmo-isomers-c7h8n2o2")
    small = {name: replace(bench.TASKS[name], num_rounds=2) for name in names}
    monkeypatch.setattr(bench, "TASKS", small)
    monkeypatch.setattr(bench, "FEW", 60)
    monkeypatch.setattr(sys, "argv", ["features.py", *names, "--seeds", "1"])
    bench.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if " / " in line]
    expected = [names[0]] * 4 + [names[1]] * 2 + [names[2]] * 2
    assert [row.split(" | ")[0].strip("| ") for row in rows] == expected
    assert all(len(re.findall(r"-?\d+\.\d\d / -?\d+\.\d\d", row)) == 3 for row in rows)
