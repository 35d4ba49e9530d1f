"""Bayesian optimisation over an evolving pool, against the maximum over all designs."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark_world import LENGTH, LETTERS, TASK, WORDS, materials, mutate, reward
from seiko import methods
from seiko.acquisitions import Mean, UpperConfidenceBound
from seiko.benchmark import molecule_task, run_method
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.pool_bayes_opt import PoolBayesOpt
from seiko.proposers.scoring import fit_score
from seiko.records import History, Trial, TrialState
from seiko.surrogates import GaussianProcess, LastLayerLinear
from seiko.testing import check_proposer

VALID = [w for letters in itertools.product(LETTERS, repeat=LENGTH) if WORDS.is_valid(w := "".join(letters))]


def cross(a: str, b: str, rng: np.random.Generator) -> str:
    place = rng.integers(1, LENGTH)
    return a[:place] + b[place:]


MOVES = {"mutate": mutate, "crossover": cross}


def bayes_opt(**settings) -> PoolBayesOpt[str]:
    small = {"surrogate": LastLayerLinear(), "pool_size": 60, "num_children": 60, **MOVES}
    return methods.pool_bayes_opt(*materials(), **(small | settings))


def told(words: list[str], infeasible: tuple[str, ...] = ()) -> History[str]:
    good = [Trial(i, 0, w, w, TrialState.COMPLETE, reward(w)) for i, w in enumerate(words)]
    bad = [Trial(len(good) + i, 0, w, w, TrialState.INFEASIBLE) for i, w in enumerate(infeasible)]
    return History((*good, *bad))


def ask(proposer, history, count, seed=0):
    return proposer.propose(history, count, resume={}, generator=torch.Generator().manual_seed(seed))


def best_of_all(proposer, history, count):
    """The highest scores of all designs that were never asked."""
    score = fit_score(
        history,
        WORDS,
        proposer.surrogate,
        proposer.acquisition,
        feasibility=proposer.feasibility,
        generator=torch.Generator(),
    )
    return score, score([w for w in VALID if w not in history.keys]).topk(count).values.tolist()


def test_it_keeps_the_rules_of_a_proposer_over_a_pool():
    check_proposer(lambda: bayes_opt(num_generations=2), WORDS, num_queries=4, reward=reward)


@pytest.mark.parametrize("surrogate", [LastLayerLinear(), GaussianProcess()])
def test_the_search_finds_the_maximum_over_all_designs(surrogate):
    history = told(VALID[3::40])
    proposer = bayes_opt(surrogate=surrogate, exploration=0.5, diversity=0.0)
    proposal = ask(proposer, history, 3)
    score, best = best_of_all(proposer, history, 3)
    assert score(proposal.designs).tolist() == pytest.approx(best, abs=1e-3)
    assert proposal.report["pool/best_after"] == pytest.approx(best[0], abs=1e-3)
    assert proposal.report["pool/best_before"] <= proposal.report["pool/best_after"]


def test_generations_improve_on_the_chains_samples():
    history = told(VALID[3::40])
    without = ask(bayes_opt(num_generations=0, pool_size=8, exploration=0.0), history, 3)
    with_search = ask(bayes_opt(num_generations=5, pool_size=8, exploration=0.0), history, 3)
    assert without.report["pool/best_before"] == without.report["pool/best_after"]
    assert with_search.report["pool/best_after"] > without.report["pool/best_after"] + 0.2
    assert with_search.report["pool/scored"] > with_search.report["pool/new_designs"] > 20


def test_optimism_changes_what_is_asked():
    history = told(VALID[::60])
    bold = ask(bayes_opt(exploration=5.0), history, 5)
    shy = ask(bayes_opt(acquisition=Mean()), history, 5)
    stds = [np.mean([std for _, std in proposal.predictions]) for proposal in (bold, shy)]
    assert stds[0] > stds[1]
    assert bayes_opt(exploration=0.3).acquisition == UpperConfidenceBound(0.3)


def test_a_diverse_batch_is_more_diverse():
    history = told(VALID[3::40])

    def distance(diversity):
        words = ask(bayes_opt(diversity=diversity), history, 6).designs
        return sum(x != y for a in words for b in words for x, y in zip(a, b, strict=True))

    assert distance(4.0) > distance(0.0)


def test_infeasible_readings_steer_the_search_away():
    bad = tuple(w for w in VALID[::5] if w[0] == "a")
    good = [w for w in VALID[::5] if w[0] != "a"]

    def share(history):
        return sum(w[0] == "a" for w in ask(bayes_opt(), history, 10).designs)

    assert share(told(good, bad)) < share(told(good))


def test_below_two_readings_the_chain_is_sampled():
    for history in (History(), told(["abcd"]), told([], ("abcd", "bcda"))):
        designs = ask(bayes_opt(), history, 6).designs
        assert len(set(designs) - history.keys) == 6 and all(map(WORDS.is_valid, designs))
    assert list(ask(bayes_opt(), told(VALID[:5]), 0).designs) == []


def test_told_designs_alone_can_be_the_pool():
    designs = ask(bayes_opt(pool_size=0), told(VALID[3::100]), 4).designs
    assert len(designs) == 4 and not set(designs) & set(VALID[3::100])


def test_whole_campaigns_learn():
    task = replace(TASK, num_rounds=3, rivals={"pool_bayes_opt": methods.pool_bayes_opt})
    settings = {"num_children": 40, "pool_size": 40, "num_generations": 4, **MOVES}
    result = run_method(task, "pool_bayes_opt", 0, settings=settings, num_samples=10)
    assert result.best == 4.0 and result.final_mean > 2.0 and result.queries == 24


def test_molecules_can_be_searched_so():
    pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
    task = replace(molecule_task("logp"), num_rounds=2, num_queries=5)
    settings = {"pool_size": 10, "num_children": 10, "num_generations": 2}
    result = run_method(task, "pool_bayes_opt", 0, settings=settings, num_samples=5)
    assert result.queries == 10 and result.readings[-1].predicted_std > 0


def test_a_pool_that_holds_too_little_is_an_error_with_a_hint():
    stuck = bayes_opt(pool_size=0, mutate=lambda word, rng: None, crossover=lambda a, b, rng: a)
    with pytest.raises(NotEnoughDesignsError, match="The pool of 4 valid designs held 0"):
        ask(stuck, told(VALID[:4]), 3)
    with pytest.raises(NotEnoughDesignsError, match="raise `pool_size`"):
        ask(bayes_opt(pool_size=3, num_generations=0), told(VALID[:4]), 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pool_size": -1},
        {"num_generations": -1},
        {"num_children": 0},
        {"diversity": math.nan},
        {"exploration": -1.0},
        {"search": {"population_size": 1}},
    ],
)
def test_bad_numbers_of_the_pool(wrong):
    name = next(iter(wrong))
    with pytest.raises(ParameterError, match="population_size" if name == "search" else name):
        bayes_opt(**wrong)
    with pytest.raises(ParameterError, match="num_queries"):
        ask(bayes_opt(), History(), -1)
