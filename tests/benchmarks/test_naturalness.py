"""What the pre-trained chain of pictures makes of those that a method ends with."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import torch

from script_module import load_script

pytest.importorskip("diffusers")


@pytest.fixture
def bench():
    return load_script("benchmarks/naturalness.py")


def test_noise_is_farther_from_the_chain_than_its_own_samples(bench):
    chain, domain = bench.TASKS["icons-jpeg"].materials()
    generator = torch.Generator().manual_seed(0)
    samples = bench.draw_designs(chain, domain, 3, generator)
    noise = bench.ImageFormat(32, 32).to_images(2 * torch.rand(2, 3, 32, 32, generator=generator) - 1)
    error = bench.errors(chain, [*samples, *noise, samples[0]], 2, 8)
    assert error[3:5].min() > 2 * error[:3].max()
    assert error[0] == error[-1]


def test_a_line_and_a_sheet_for_every_campaign(bench, monkeypatch, tmp_path):
    short = replace(bench.TASKS["icons-jpeg"], num_rounds=2, num_queries=4)
    monkeypatch.setattr(bench, "TASKS", {"icons-jpeg": short})
    arguments = ["--method", "genetic", "--samples", "4", "--draws", "2"]
    files = ["--sheets", str(tmp_path), "--output", str(tmp_path / "lines.jsonl")]
    monkeypatch.setattr(sys, "argv", ["naturalness.py", "icons-jpeg", *arguments, *files])
    bench.main()
    line = json.loads((tmp_path / "lines.jsonl").read_text())
    assert line["method"] == "genetic" and 0 <= line["unnatural"] <= 1 and line["error"] > 0
    assert (tmp_path / "icons-jpeg-genetic-0.png").exists()
