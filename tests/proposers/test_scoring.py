"""The score of a design: the acquisition, and the feasibility model in units of the readings' spread."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest
import torch

from benchmark_world import LENGTH, LETTERS, WORDS, reward
from seiko.acquisitions import Mean, UpperConfidenceBound
from seiko.errors import NotEnoughDataError
from seiko.proposers import scoring
from seiko.proposers.scoring import fit_score
from seiko.records import History, Trial, TrialState
from seiko.surrogates import GaussianProcess
from seiko.surrogates.feasibility import FeasibilityModel

GOOD = ["abcd", "aacd", "bbbb", "dcba", "aaab"]
BAD = ["eabc", "ebcd"]
PARTS = {"feasibility": FeasibilityModel(), "generator": torch.Generator()}


def told(bad: list[str]) -> History[str]:
    good = [Trial(i, 0, w, w, TrialState.COMPLETE, reward(w)) for i, w in enumerate(GOOD)]
    return History((*good, *(Trial(9 + i, 0, w, w, TrialState.INFEASIBLE) for i, w in enumerate(bad))))


def test_without_infeasible_readings_it_is_the_acquisition():
    score = fit_score(told([]), WORDS, GaussianProcess(), UpperConfidenceBound(2.0), **PARTS)
    posterior = score.model.posterior(WORDS.features(["aaaa", "cccc"]).double().unsqueeze(1))
    mean, std = posterior.mean.flatten(), posterior.variance.sqrt().flatten()
    assert torch.allclose(score(["aaaa", "cccc"]), mean + 2 * std, atol=1e-5)
    assert score([]).shape == (0,)


def test_with_them_it_loses_the_log_probability_times_the_spread():
    plain = fit_score(told([]), WORDS, GaussianProcess(), Mean(), **PARTS)
    score = fit_score(told(BAD), WORDS, GaussianProcess(), Mean(), **PARTS)
    features = WORDS.features([*GOOD, *BAD])
    fitted = FeasibilityModel().fit(features, torch.tensor([True] * len(GOOD) + [False] * len(BAD)))
    spread = torch.tensor([reward(w) for w in GOOD]).std(unbiased=False)
    expected = plain(["aaaa", "eaaa"]) + spread * fitted(WORDS.features(["aaaa", "eaaa"])).log()
    assert torch.allclose(score(["aaaa", "eaaa"]), expected.double(), atol=1e-5)


def test_infeasible_readings_count_while_all_values_are_equal():
    good = [Trial(i, 0, w, w, TrialState.COMPLETE, 1.0) for i, w in enumerate(GOOD)]
    bad = [Trial(9 + i, 0, w, w, TrialState.INFEASIBLE) for i, w in enumerate(BAD)]
    score = fit_score(History((*good, *bad)), WORDS, GaussianProcess(), Mean(), **PARTS)
    assert score.spread == 1.0
    assert score(["aacd"]) > score(["eacd"]) + 0.1


def test_many_rows_are_scored_in_parts(monkeypatch):
    score = fit_score(told(BAD), WORDS, GaussianProcess(), Mean(), **PARTS)
    words = [a + b + "a" * (LENGTH - 2) for a in LETTERS for b in LETTERS]
    whole = score(words)
    monkeypatch.setattr(scoring, "ROWS", 4)
    assert torch.allclose(score(words), whole, atol=1e-9)


def test_it_needs_a_reading():
    with pytest.raises(NotEnoughDataError):
        fit_score(History(), WORDS, GaussianProcess(), Mean(), **PARTS)


@pytest.mark.parametrize("name", ["scoring", "best_of_n", "adalead", "pool_bayes_opt"])
def test_examples_of_proposers_run(name):
    pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
    found = doctest.testmod(import_module(f"seiko.proposers.{name}"))
    assert found.attempted and not found.failed
