"""Random sampling: exactly as many as asked, valid, new, and nothing learned."""

from __future__ import annotations

import pytest
import torch

from seiko.domains.base import Domain
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.random import RandomSampling
from seiko.records import History, Trial, TrialState

EVEN = Domain(  # numbers as designs; only even ones are valid, and n and -n are the same
    name="even",
    decode=lambda state, condition: [],
    features=lambda designs: torch.zeros(len(designs), 1),
    is_valid=lambda number: number % 2 == 0,
    key=lambda number: str(abs(number)),
    to_bytes=lambda number: str(number).encode(),
    from_bytes=int,
    render=str,
)


def integers(count: int, generator: torch.Generator) -> list[int]:
    return torch.randint(-100, 100, (count,), generator=generator).tolist()


def ask(proposer, count, history=History(), seed=0):
    return proposer.propose(history, count, resume={}, generator=torch.Generator().manual_seed(seed))


def asked(*numbers: int) -> History:
    trials = (Trial(i, 0, n, EVEN.key(n), TrialState.COMPLETE, 0.0) for i, n in enumerate(numbers))
    return History(tuple(trials))


def test_exactly_as_many_valid_new_designs_in_the_order_of_sampling():
    stream = iter([[1, 2, -2, 4], [6, 8, 10, 12]])
    proposal = ask(RandomSampling(EVEN, lambda count, generator: next(stream)), 4, asked(-4))
    assert proposal.designs == [2, 6, 8, 10]
    assert proposal.report == {"round/sampled": 8, "round/valid_fraction": 7 / 8}


def test_whole_campaign_without_repeats():
    history = History()
    for seed in range(5):
        designs = ask(RandomSampling(EVEN, integers), 8, history, seed).designs
        history = asked(*(t.design for t in history.trials), *designs)
    assert len(history.keys) == 40 and all(t.design % 2 == 0 for t in history.trials)


def test_pure():
    proposer = RandomSampling(EVEN, integers)
    assert ask(proposer, 10, seed=1) == ask(proposer, 10, seed=1) != ask(proposer, 10, seed=2)


def test_asked_for_nothing_it_samples_nothing():
    def never(count, generator):
        raise AssertionError

    assert ask(RandomSampling(EVEN, never), 0).designs == []


def test_too_few_designs():
    proposer = RandomSampling(EVEN, lambda count, generator: [1, 2, 4] * count, max_rounds=3)
    with pytest.raises(NotEnoughDesignsError, match=r"27 samples held 2 .* 3 are needed"):
        ask(proposer, 3)
    with pytest.raises(NotEnoughDesignsError, match="0 samples held 0"):
        ask(RandomSampling(EVEN, lambda count, generator: []), 1)


def test_bad_numbers():
    with pytest.raises(ParameterError, match="max_rounds"):
        RandomSampling(EVEN, integers, max_rounds=0)
    with pytest.raises(ParameterError, match="num_queries"):
        ask(RandomSampling(EVEN, integers), -1)
