"""Fixed positions kept by the chain itself: what is allowed, and that nothing sampled is rejected."""

from __future__ import annotations

import doctest

import pytest
import torch

from seiko import Campaign, methods
from seiko.chain import sample
from seiko.chains import clamped
from seiko.domains import sequence_positions, sequence_space
from seiko.domains.sequence import DNA, SequenceSpace, sequence_domain
from seiko.domains.sequence_constraints import FixedPositions, MaxHomopolymer
from seiko.domains.sequence_positions import allowed_kinds
from seiko.errors import ParameterError
from seiko.proposers.sampling import draw_designs
from seiko.updaters.backprop import RewardBackprop
from seiko.zoo.sequences import uniform_sequences

FIXED = FixedPositions({1: "A", 4: "GC", 6: "T"})


@pytest.mark.parametrize("module", [sequence_positions, sequence_space])
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("process", ["masked", "mutation"])
@pytest.mark.parametrize("shortest", [8, 3])
def test_every_sample_keeps_them(process, shortest):
    space = SequenceSpace(DNA, 8, min_length=shortest)
    domain = sequence_domain(space, constraints=[FIXED])
    chain = uniform_sequences(space, process=process)
    generator = torch.Generator().manual_seed(0)
    free = draw_designs(chain, domain, 200, generator)
    assert sum(map(domain.is_valid, free)) < 40
    kept = draw_designs(clamped(chain, allowed_kinds(space, [FIXED])), domain, 200, generator)
    assert all(map(domain.is_valid, kept))
    assert len(set(kept)) > 50 and {design[3] for design in kept} == {"C", "G"}
    assert len(set(map(len, kept))) == (1 if shortest == 8 else 3)  # 6 to 8 letters


def test_other_constraints_are_left_to_the_domain():
    space = SequenceSpace(DNA, 4)
    assert allowed_kinds(space, [MaxHomopolymer(2)]).all()
    assert not space.allowed({2: "A"})[1, 1:].any()


def test_the_shortest_length_is_kept_without_any():
    space = SequenceSpace(DNA, 8, min_length=5)
    chain = clamped(uniform_sequences(space), allowed_kinds(space, []))
    designs = space.decode(sample(chain, 200, generator=torch.Generator().manual_seed(0)))
    assert {len(design) for design in designs} == {5, 6, 7, 8}


def test_a_campaign_has_no_rejected_samples(tmp_path):
    space = SequenceSpace(DNA, 8)
    domain = sequence_domain(space, constraints=[FIXED])
    chain = clamped(uniform_sequences(space), allowed_kinds(space, [FIXED]))
    updater = RewardBackprop(num_iterations=15, learning_rate=5e-3, measure_samples=64)
    proposer = methods.seiko_ucb(chain, domain, pool_size=60, updater=updater)
    campaign = Campaign.create(tmp_path / "a", domain=domain, proposer=proposer, budget=48, num_queries=16)
    for _ in range(2):
        campaign.tell({t.id: t.design.count("G") + t.design.count("C") / 2 for t in campaign.ask()})
    assert [report["round/valid_fraction"] for report in campaign.rounds] == [1.0, 1.0]
    assert campaign.rounds[1]["kl/pretrained_nats"] > 0.1  # it learned


@pytest.mark.parametrize("fixed", [{0: "A"}, {9: "A"}, {1: ""}, {2: "AX"}])
def test_positions_and_letters_that_do_not_belong(fixed):
    with pytest.raises(ParameterError, match="is not one of DNA of 8 letters"):
        SequenceSpace(DNA, 8).allowed(fixed)
