"""The chains of the package: their weights are those of their cards, and sample what the cards say."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest
import torch

from seiko import zoo
from seiko.chain import sample
from seiko.errors import ParameterError, WeightsError


def test_the_card_tells_the_quality_that_was_measured():
    card = zoo.read_card("qm9-graph")
    best = card["quality"][0]
    assert best["num_steps"] == 45 and best["samples"] == 10_000
    assert best["valid"] >= 0.96 and best["unique_of_valid"] >= 0.97
    fewer = [row for row in card["quality"] if row["num_steps"] < 45]
    assert fewer and all(row["valid"] >= 0.90 for row in fewer)


def test_the_weights_are_small_and_those_of_the_card():
    content = (files("seiko.zoo") / "qm9-graph" / "weights.safetensors").read_bytes()
    assert len(content) <= 6_000_000
    assert hashlib.sha256(content).hexdigest() == zoo.read_card("qm9-graph")["weights_sha256"]


@pytest.mark.parametrize(("num_steps", "least"), [(None, 0.86), (45, 0.90)])
def test_samples_are_as_valid_as_the_card_says(num_steps, least):
    chain, domain = zoo.load("qm9-graph", num_steps=num_steps)
    states = sample(chain, 200, generator=torch.Generator().manual_seed(0))
    designs = domain.decode(states, None)
    assert sum(map(domain.is_valid, designs)) / 200 >= least
    assert len(set(designs)) >= 180


@pytest.mark.slow
def test_ten_thousand_samples():
    chain, domain = zoo.load("qm9-graph", num_steps=45)
    designs = domain.decode(sample(chain, 10_000, generator=torch.Generator().manual_seed(2)), None)
    valid = [design for design in designs if domain.is_valid(design)]
    assert len(valid) >= 9_600 and len(set(valid)) >= 0.97 * len(valid)


def test_unknown_names_are_refused():
    with pytest.raises(ParameterError, match="qm9-graph"):
        zoo.load("qm10")


def test_weights_that_are_not_the_cards_are_refused(monkeypatch):
    card = zoo.read_card("qm9-graph") | {"weights_sha256": "0" * 64}
    monkeypatch.setattr(zoo, "read_card", lambda name: card)
    with pytest.raises(WeightsError, match="sha256"):
        zoo.load("qm9-graph")
