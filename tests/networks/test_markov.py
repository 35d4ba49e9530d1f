"""Chains of Markov laws against the law itself, by enumeration."""

from __future__ import annotations

import itertools

import pytest
import torch

from enumerable import Space, exact_law
from seiko.chain import sample
from seiko.domains.sequence import RNA, SequenceSpace
from seiko.errors import ParameterError
from seiko.networks import MarkovPosterior
from seiko.testing import check_chain
from seiko.zoo.sequences import markov_sequences

INITIAL = torch.tensor([0.4, 0.3, 0.2, 0.1])
FOLLOW = torch.tensor(
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.2, 0.8, 0.0], [0.1, 0.0, 0.3, 0.6], [0.25, 0.25, 0.25, 0.25]]
)


def probability(letters: tuple[int, ...]) -> float:
    found = float(INITIAL[letters[0]])
    for a, b in itertools.pairwise(letters):
        found *= float(FOLLOW[a, b])
    return found


def test_a_chain_of_one_position_a_step_has_the_markov_law():
    space = Space(length=4, kinds=4)
    chain = markov_sequences(SequenceSpace(RNA, 4), INITIAL, FOLLOW)
    wanted = torch.tensor([probability(tuple(row)) for row in space.designs().tolist()]).double()
    assert 0.5 * (exact_law(chain, space) - wanted).abs().sum() < 1e-5


def test_the_posterior_is_that_of_enumeration():
    network = MarkovPosterior(INITIAL, FOLLOW)
    state = torch.zeros(1, 5, 5)
    for place, kind in enumerate([4, 1, 4, 4, 3]):  # two letters are revealed
        state[0, place, kind] = 1.0
    law = torch.zeros(5, 4)
    for letters in itertools.product(range(4), repeat=5):
        if letters[1] == 1 and letters[4] == 3:
            for place, letter in enumerate(letters):
                law[place, letter] += probability(letters)
    found = network(state, torch.ones(1))[0].exp()
    assert torch.allclose(found, law / law.sum(1, keepdim=True), atol=1e-5)


def test_few_steps_let_some_forbidden_pairs_through_and_many_do_not():
    space = SequenceSpace(RNA, 12)

    def broken(num_steps: int) -> float:
        chain = markov_sequences(space, INITIAL, FOLLOW, num_steps=num_steps)
        rows = sample(chain, 400, generator=torch.Generator().manual_seed(0)).argmax(-1)
        return float((FOLLOW[rows[:, :-1], rows[:, 1:]] == 0).any(1).float().mean())

    assert broken(12) == 0.0 and broken(2) > 0.2


def test_the_chain_keeps_the_rules_of_chains():
    check_chain(lambda: markov_sequences(SequenceSpace(RNA, 4), INITIAL, FOLLOW), num_paths=128)


@pytest.mark.parametrize(
    ("space", "initial", "follow", "message"),
    [
        (SequenceSpace(RNA, 4, 2), INITIAL, FOLLOW, "needs one length"),
        (SequenceSpace(RNA, 4), INITIAL[:3], FOLLOW, r"got \[3\]"),
        (SequenceSpace(RNA, 4), INITIAL, 2 * FOLLOW, "probabilities of sum 1"),
    ],
)
def test_what_is_no_law_is_refused(space, initial, follow, message):
    with pytest.raises(ParameterError, match=message):
        markov_sequences(space, initial, follow)
