"""The benchmark for accelerators at a small size: counts are asserted, times and memory are not."""

from __future__ import annotations

import json

import pytest

from image_world import diffusers  # skips where the extra is not installed
from script_module import load_script

STEPS, GRAD = 8, 2


@pytest.fixture(scope="module")
def bench():
    assert diffusers
    return load_script("benchmarks/gpu/optimiser_step.py")


@pytest.fixture(scope="module")
def lines(bench):
    arguments = ["--size", "tiny", "--batches", "2", "--steps", str(STEPS), "--grad-steps", str(GRAD)]
    patterns = [name for name in bench.PATTERNS if name != "ours, float32"]  # its counts are those of "ours"
    return bench.main([*arguments, "--repeats", "1", "--device", "cpu", "--patterns", "released", *patterns])


def test_our_step_needs_at_least_three_times_fewer_calls(lines):
    found = {line["ratio"]: line for line in lines if "ratio" in line}
    assert set(found) >= {"released / ours", "released / ours, one step", "released / ours, exact"}
    assert found["released / ours"]["calls"] >= 3
    assert found["released / ours, exact"]["calls"] >= 3
    assert found["released / ours"]["rows"] >= 2


def test_counts_are_what_the_patterns_say(lines):
    found = {line["pattern"]: line for line in lines if "pattern" in line}
    assert found["ours"]["calls"] == STEPS + GRAD
    assert found["ours"]["rows"] == 2 * 2 * (STEPS + GRAD)  # batch 2, both branches of guidance in one call
    assert found["ours, one step"]["calls"] == STEPS + 1
    assert found["ours, checkpointed"]["calls"] == STEPS + GRAD + GRAD
    assert found["ours, exact"]["calls"] == STEPS + GRAD + 2
    assert 4 * STEPS < found["released"]["calls"] <= 8 * STEPS
    assert found["released"]["rows"] == 2 * found["released"]["calls"]


def test_lines_are_json_with_the_device_and_the_sampling_rates(lines):
    assert json.loads(json.dumps(lines)) == lines
    assert lines[0]["device"] and lines[0]["size"] == "tiny"
    rates = [line["latents_a_second"] for line in lines if "sampling" in line]
    assert len(rates) == 2 and all(rate["stock"] > 0 and rate["ours"] > 0 for rate in rates)


def test_the_full_size_is_stable_diffusion_one_five(bench):
    import torch

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(in_channels=4, out_channels=4, **bench.SIZES["sd15"])
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
