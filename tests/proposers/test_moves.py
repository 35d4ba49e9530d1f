"""Edits: small changes of designs that a chain finds as likely as what they came from."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
import torch

import token_world
from benchmark_world import materials
from seiko import methods
from seiko.domains.sequence import RNA, SequenceSpace, sequence_domain
from seiko.errors import ParameterError
from seiko.proposers import moves
from seiko.proposers.moves import children, draw_edits, log_likelihood_ratio
from seiko.proposers.sampling import draw_designs
from seiko.zoo.molecule_tokens import build
from seiko.zoo.sequences import markov_sequences, uniform_sequences

SPACE = SequenceSpace(RNA, 6)
FIRST = torch.tensor([0.5, 0.3, 0.1, 0.1])
FOLLOW = torch.tensor(
    [[0.4, 0.6, 0.0, 0.0], [0.1, 0.2, 0.7, 0.0], [0.0, 0.3, 0.3, 0.4], [0.5, 0.0, 0.1, 0.4]]
)
MARKOV = markov_sequences(SPACE, FIRST, FOLLOW)
DOMAIN = sequence_domain(SPACE)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_prob(design: str) -> float:
    kinds = [RNA.letters.index(letter) for letter in design]
    steps = [float(FOLLOW[a, b]) for a, b in pairwise(kinds)]
    return sum(math.log(p) if p else -math.inf for p in (float(FIRST[kinds[0]]), *steps))


def test_children_follow_the_rates():
    rng = np.random.default_rng(0)
    marks = {"mutate": lambda word, rng: word + "!", "crossover": lambda a, b, rng: a + b}

    def found(crossover_rate, mutation_rate, parents=("a", "b")):
        pairs = children(parents, rng, **marks, crossover_rate=crossover_rate, mutation_rate=mutation_rate)
        return list(islice(pairs, 400))

    assert {child for _, child in found(0.0, 0.0)} == {"a!", "b!"}
    assert {child for _, child in found(1.0, 0.0)} == {"ab", "ba"}
    assert {child for _, child in found(1.0, 1.0)} == {"ab!", "ba!"}
    assert all(child.startswith(parent) for parent, child in found(0.5, 0.5))
    assert {child for _, child in found(0.5, 0.0, parents=("a",))} == {"a!", "aa"}


def test_ratios_are_those_of_an_exact_law(monkeypatch):
    monkeypatch.setattr(moves, "NUM_DRAWS", 500)
    designs = [d for d in draw_designs(MARKOV, DOMAIN, 40, seeded()) if math.isfinite(log_prob(d))]
    pairs = list(pairwise(designs))[:12]
    exact = torch.tensor([log_prob(second) - log_prob(first) for first, second in pairs])
    assert exact.abs().max() > 1
    missed = (log_likelihood_ratio(MARKOV, DOMAIN, pairs, seeded(1)) - exact).abs()
    assert missed.mean() < 0.15 and missed.max() < 0.45


def test_metropolis_steps_keep_the_law(monkeypatch):
    monkeypatch.setattr(moves, "NUM_DRAWS", 40)
    space = SequenceSpace(RNA, 2)
    chain, domain = markov_sequences(space, FIRST, FOLLOW), sequence_domain(space)
    walkers = [a + b for a in RNA.letters for b in RNA.letters if log_prob(a + b) > -math.inf] * 30
    generator, rng = seeded(), np.random.default_rng(0)
    for _ in range(8):
        tried = [(walker, domain.mutate(walker, rng)) for walker in walkers]
        log_ratio = log_likelihood_ratio(chain, domain, tried, generator)
        kept = log_ratio > torch.rand(len(tried), generator=generator).log()
        walkers = [pair[int(keep)] for pair, keep in zip(tried, kept, strict=True)]
    count = Counter(walkers)
    total_variation = sum(
        abs(count[a + b] / len(walkers) - math.exp(log_prob(a + b))) for a in RNA.letters for b in RNA.letters
    )
    assert total_variation / 2 < 0.12


def test_what_the_chain_forbids_is_not_kept():
    parents = draw_designs(MARKOV, DOMAIN, 30, seeded())
    edits = draw_edits(MARKOV, DOMAIN, parents, 400, seeded(1))
    anything = draw_edits(uniform_sequences(SPACE), DOMAIN, parents, 400, seeded(1))
    forbidden = [sum(log_prob(child) == -math.inf for child in found) for found in (edits, anything)]
    assert len(anything) == 400 and forbidden[1] > 200
    assert len(edits) > 40 and forbidden[0] <= 0.05 * len(edits)


def test_edits_are_small_changes_and_crossings():
    space = SequenceSpace(RNA, 12)
    chain, domain = uniform_sequences(space), sequence_domain(space)
    parents = ["A" * 12, "U" * 12]
    edits = draw_edits(chain, domain, parents, 400, seeded())
    assert edits == draw_edits(chain, domain, parents, 400, seeded()) and len(edits) == 400
    nearest = [min(12 - child.count("A"), 12 - child.count("U")) for child in edits]
    # Half are mutants, which change one letter in the mean and one at least.
    assert 0.4 < sum(near in (1, 2) for near in nearest) / 400 < 0.6
    assert 0.35 < sum(near >= 3 for near in nearest) / 400 < 0.6
    alone = draw_edits(chain, domain, parents[:1], 50, seeded())
    assert max(12 - child.count("A") for child in alone) <= 4 and len(set(alone)) > 10


def test_edits_of_molecules_are_written_with_the_chains_tokens():
    chain, domain = token_world.small_chain(), build(token_world.CARD, 48)[1]
    edits = draw_edits(chain, domain, ["CCCOCCCOC", "NCCCNCCCN"], 200, seeded())
    assert edits and all(domain.is_valid(child) for child in edits)
    assert len(domain.encode(edits)) == len(edits)
    ratio = log_likelihood_ratio(chain, domain, [("CCCO", "CCF"), ("CCF", "CCCO"), ("CCF", "CCF")], seeded())
    assert ratio.tolist() == [-math.inf, math.inf, -math.inf]


def test_a_chain_without_a_law_keeps_all():
    class Silent:
        pass

    assert len(draw_edits(Silent(), DOMAIN, ["ACGUAC", "CCCCCC"], 60, seeded())) == 60


def test_edits_need_moves():
    chain, domain = materials()
    with pytest.raises(ParameterError, match=r"needs a domain with `mutate` and `crossover`"):
        methods.seiko_ucb(chain, domain, edit_rate=0.5)
    with pytest.raises(ParameterError, match="edit_rate"):
        methods.seiko_ucb(chain, domain, edit_rate=1.5)
