"""Best of N on the frozen chain: the law that is handed over, its divergence, and what is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark_world import TASK, WORDS, materials, reward
from seiko import methods
from seiko.benchmark import run_method
from seiko.errors import ParameterError
from seiko.proposers.base import SupportsFinalDesigns
from seiko.proposers.best_of_n import BestOfN
from seiko.proposers.sampling import draw_designs
from seiko.records import History, Trial, TrialState
from seiko.surrogates import LastLayerLinear


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def told(words: list[str], infeasible: tuple[str, ...] = ()) -> History[str]:
    good = [Trial(i, 0, w, w, TrialState.COMPLETE, reward(w)) for i, w in enumerate(words)]
    bad = [Trial(len(good) + i, 0, w, w, TrialState.INFEASIBLE) for i, w in enumerate(infeasible)]
    return History((*good, *bad))


def some_words(count: int, seed: int = 5) -> list[str]:
    drawn = draw_designs(*materials(), 4 * count, generator(seed))
    return list(dict.fromkeys(filter(WORDS.is_valid, drawn)))[:count]


def proposer(**settings) -> BestOfN[str]:
    return BestOfN(*materials(), **({"surrogate": LastLayerLinear(), "pool_size": 200} | settings))


def best_of_n_law(law: np.ndarray, n: int) -> np.ndarray:
    """Of designs in ascending order of score, no two alike."""
    below = np.cumsum(law)
    return below**n - (below - law) ** n


@pytest.mark.parametrize("n", [2, 4, 16])
def test_the_divergence_is_at_most_the_bound_and_nears_it_for_many_designs(n):
    bound = proposer(num_candidates=n).kl_bound_nats
    for size in (3, 20, 300):
        law = np.random.default_rng(size).dirichlet(np.ones(size))
        best = best_of_n_law(law, n)
        assert (best[best > 0] * np.log(best[best > 0] / law[best > 0])).sum() <= bound + 1e-12
    even = np.full(20_000, 1 / 20_000)
    best = best_of_n_law(even, n)
    assert float((best * np.log(best / even)).sum()) == pytest.approx(bound, abs=2e-3)


def test_the_final_law_is_the_best_of_n_samples():
    one = proposer(num_candidates=3)
    history = told(some_words(150))
    found = one.final_designs(history, 1000, resume={}, generator=generator(1))
    score = one._score(history, one.final_acquisition, generator())
    assert score is not None

    def ranks(designs):  # invalid below every valid one
        valid = [design for design in designs if WORDS.is_valid(design)]
        return np.array([-np.inf] * (len(designs) - len(valid)) + score(valid).tolist())

    plain = ranks(draw_designs(*materials(), 8000, generator(2)))
    for threshold in np.quantile(plain, [0.3, 0.5, 0.8, 0.95]):
        expected = (plain <= threshold).mean() ** 3
        share = (ranks(found) <= threshold).mean()
        assert share == pytest.approx(expected, abs=5 * math.sqrt(expected / 1000) + 0.01)


def test_what_is_handed_over_earns_more_with_more_candidates():
    history = told(some_words(60))
    means = []
    for n in (1, 4, 16):
        designs = proposer(num_candidates=n).final_designs(history, 300, resume={}, generator=generator())
        means.append(np.mean([reward(d) for d in designs if WORDS.is_valid(d)]))
    assert means[0] + 0.4 < means[1] < means[2] - 0.4


def test_the_top_of_the_pool_is_asked_and_never_what_was_told():
    history = told(some_words(60))
    proposal = proposer().propose(history, 10, resume={}, generator=generator())
    predicted = [mean for mean, _ in proposal.predictions]
    assert predicted == pytest.approx(sorted(predicted, reverse=True), abs=1e-4)
    assert not history.keys & set(proposal.designs) and all(map(WORDS.is_valid, proposal.designs))
    assert np.mean(list(map(reward, proposal.designs))) > np.mean(list(map(reward, some_words(60)))) + 0.8
    assert proposal.report["round/sampled"] == 200 and proposal.artifacts == {}
    spread = proposer(diversity=3.0).propose(history, 10, resume={}, generator=generator())
    assert WORDS.metrics["diversity"](spread.designs) == 1.0 and spread.designs != proposal.designs


def test_infeasible_readings_steer_away():
    words = some_words(120)
    bad = tuple(w for w in words if w[0] == "a")
    good = [w for w in words if w[0] != "a"]

    def share(history):
        designs = proposer().propose(history, 12, resume={}, generator=generator()).designs
        return sum(d[0] == "a" for d in designs)

    assert share(told(good, bad)) < share(told(good))


def test_with_nothing_told_it_samples_the_chain():
    one = proposer()
    proposal = one.propose(History(), 5, resume={}, generator=generator())
    assert len(proposal.designs) == 5 and list(proposal.predictions) == []
    assert proposal.report["round/sampled"] < 50
    only_bad = told([], tuple(some_words(3)))
    assert len(one.propose(only_bad, 5, resume={}, generator=generator()).designs) == 5
    assert one.propose(History(), 0, resume={}, generator=generator()).report["kl/pretrained_nats"] == 0.0
    assert one.final_designs(History(), 7, resume={}, generator=generator()) == draw_designs(
        *materials(), 7, generator()
    )
    assert len(one.propose(told(some_words(1)), 5, resume={}, generator=generator()).designs) == 5


def test_the_benchmark_samples_its_final_law():
    settings = {"pool_size": 40, "num_candidates": 8}
    result = run_method(TASK, "best_of_n", 0, settings=settings, num_samples=30)
    assert result.about["num_samples"] == 30 and len(result.final_values) == round(30 * result.final_feasible)
    assert result.kl_pretrained_nats == pytest.approx(math.log(8) - 7 / 8)
    plain = run_method(TASK, "random", 0, num_samples=200)
    assert result.final_mean > plain.final_mean + 0.5
    assert isinstance(methods.best_of_n(*materials()), SupportsFinalDesigns)
    assert not isinstance(methods.random(*materials()), SupportsFinalDesigns)


@pytest.mark.parametrize(
    "wrong", [{"pool_size": 0}, {"num_candidates": 0}, {"diversity": -1.0}, {"diversity": math.nan}]
)
def test_bad_numbers_of_best_of_n(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        replace(proposer(), **wrong)
    with pytest.raises(ParameterError, match="num_queries"):
        proposer().propose(History(), -1, resume={}, generator=generator())
