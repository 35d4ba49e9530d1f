"""The chains of the package: their weights are those of their cards, and sample what the cards say."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest
import torch

from seiko import zoo
from seiko.chain import sample
from seiko.errors import ParameterError, WeightsError

QUALITY = {
    "qm9-graph": {"valid": 0.96, "unique_of_valid": 0.97},
    "zinc-tokens": {"valid": 0.95, "unique_of_valid": 0.995, "novel_of_unique": 0.95},
}
"""The least that 10,000 samples of all steps must have."""


@pytest.mark.parametrize("name", QUALITY)
def test_the_card_tells_the_quality_that_was_measured(name):
    card = zoo.read_card(name)
    best, *fewer = card["quality"]
    assert best["samples"] == 10_000
    for share, least in QUALITY[name].items():
        assert best[share] >= least, share
    assert fewer and all(row["num_steps"] < best["num_steps"] and row["valid"] >= 0.90 for row in fewer)


def test_drug_size_samples_are_like_the_data():
    for name, row in zoo.read_card("zinc-tokens")["quality"][0]["properties"].items():
        assert row["samples_mean"] == pytest.approx(row["data_mean"], rel=0.03), name


@pytest.mark.parametrize(("name", "most"), [("qm9-graph", 6_000_000), ("zinc-tokens", 12_000_000)])
def test_the_weights_are_small_and_those_of_the_card(name, most):
    content = (files("seiko.zoo") / name / "weights.safetensors").read_bytes()
    assert len(content) <= most
    assert hashlib.sha256(content).hexdigest() == zoo.read_card(name)["weights_sha256"]


@pytest.mark.parametrize(
    ("name", "num_steps", "least"),
    [("qm9-graph", None, 0.86), ("qm9-graph", 45, 0.90), ("zinc-tokens", None, 0.91)],
)
def test_samples_are_as_valid_as_the_card_says(name, num_steps, least):
    chain, domain = zoo.load(name, num_steps=num_steps)
    states = sample(chain, 200, generator=torch.Generator().manual_seed(0))
    designs = domain.decode(states, None)
    assert sum(map(domain.is_valid, designs)) / 200 >= least
    assert len(set(designs)) >= 180


@pytest.mark.slow
@pytest.mark.parametrize("name", QUALITY)
def test_ten_thousand_samples(name):
    chain, domain = zoo.load(name, num_steps=zoo.read_card(name)["quality"][0]["num_steps"])
    designs = domain.decode(sample(chain, 10_000, generator=torch.Generator().manual_seed(2)), None)
    valid = [design for design in designs if domain.is_valid(design)]
    assert len(valid) >= QUALITY[name]["valid"] * 10_000
    assert len(set(valid)) >= QUALITY[name]["unique_of_valid"] * len(valid)


def test_unknown_names_are_refused():
    with pytest.raises(ParameterError, match="qm9-graph"):
        zoo.load("qm10")


def test_weights_that_are_not_the_cards_are_refused(monkeypatch):
    card = zoo.read_card("qm9-graph") | {"weights_sha256": "0" * 64}
    monkeypatch.setattr(zoo, "read_card", lambda name: card)
    with pytest.raises(WeightsError, match="sha256"):
        zoo.load("qm9-graph")
