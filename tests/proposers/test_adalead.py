"""AdaLead: which designs are parents, when roll-outs stop, what the model's budget is spent on."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark_world import LENGTH, LETTERS, TASK, WORDS, materials, mutate, reward
from seiko import methods
from seiko.benchmark import molecule_task, run_method
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.adalead import AdaLead, _RollOuts
from seiko.proposers.sampling import sampler
from seiko.proposers.scoring import fit_score
from seiko.records import History, Trial, TrialState
from seiko.surrogates import LastLayerLinear
from seiko.testing import check_proposer

ALL = ["".join(w) for w in itertools.product(LETTERS, repeat=LENGTH)]
VALID = [w for w in ALL if WORDS.is_valid(w)]


def cross(a: str, b: str, rng: np.random.Generator) -> str:
    place = rng.integers(1, LENGTH)
    return a[:place] + b[place:]


MOVES = {"mutate": mutate, "crossover": cross}


def adalead(**settings) -> AdaLead[str]:
    return methods.adalead(*materials(), **({"surrogate": LastLayerLinear(), **MOVES} | settings))


def told(values: dict[str, float | None]) -> History[str]:
    states = {w: TrialState.INFEASIBLE if v is None else TrialState.COMPLETE for w, v in values.items()}
    return History(tuple(Trial(i, 0, w, w, states[w], v) for i, (w, v) in enumerate(values.items())))


def ask(proposer, history, count, seed=0):
    return proposer.propose(history, count, resume={}, generator=torch.Generator().manual_seed(seed))


class CountedScore:
    """How many letters are a; remembers each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, designs):
        self.calls.append(list(designs))
        return torch.tensor([reward(d) for d in designs], dtype=torch.float64)


def rollouts(known=(), score=None, **settings):
    proposer = adalead(**settings)
    return _RollOuts(proposer, score or CountedScore(), frozenset(known), np.random.default_rng(0))


def test_it_keeps_the_rules_of_a_proposer():
    check_proposer(lambda: adalead(model_queries=100), WORDS, num_queries=4, reward=reward)


def test_parents_are_within_the_threshold_of_the_best():
    def parents(values, threshold):
        proposal = ask(adalead(threshold=threshold), told(dict(zip(VALID, values, strict=False))), 2)
        return proposal.report["adalead/parents"]

    assert parents([10.0, 9.6, 9.4, 5.0], 0.05) == 2
    assert parents([10.0, 9.6, 9.4, 5.0], 0.5) == 4
    assert parents([-10.0, -10.4, -10.6, -20.0], 0.05) == 2  # below zero as well
    assert parents([0.0, -0.1, -1.0], 0.5) == 1


def test_a_roll_out_goes_on_while_no_worse_than_its_root():
    """Every mutant is one letter better, so that it goes on to the top; the reverse stops at once."""
    up = rollouts(mutate=lambda word, rng: word.replace("b", "a", 1), max_moves=1)
    up.run(["bbbb"], 1)
    assert list(up.values) == ["bbbb", "abbb", "aabb", "aaab", "aaaa"]
    down = rollouts(mutate=lambda word, rng: word.replace("a", "b", 1), max_moves=1)
    down.run(["aaaa"], 1)
    assert list(down.values) == ["aaaa", "baaa"]


def test_the_level_is_the_roots_and_not_the_last_mutants():
    path = {"abcd": "aacd", "aacd": "bacd", "bacd": "bbcd", "bbcd": "bbbd"}
    search = rollouts(mutate=lambda word, rng: path.get(word), max_moves=1)
    search.run(["abcd"], 1)  # 1 -> 2 -> 1 (goes on: no worse than the root) -> 0 (stops)
    assert list(search.values) == ["abcd", "aacd", "bacd", "bbcd"]


def test_whole_generations_are_scored_at_once_and_the_budget_holds():
    score = CountedScore()
    search = rollouts(score=score, model_queries=120, known=VALID[:30])
    search.run(VALID[:6], 20)
    scored = [design for call in score.calls for design in call]
    assert len(scored) == len(set(scored)) == len(search.values) == 120
    assert all(map(WORDS.is_valid, scored)) and not set(search.new) & set(VALID[:30])
    assert set(scored) - set(VALID[:30]) == set(search.new)
    assert max(map(len, score.calls)) >= 15


def test_where_nothing_new_is_near_mutants_take_more_moves():
    one_move = rollouts(max_moves=1, max_tries=200)
    one_move.run(["aaaa"], 1)
    near = [w for w in VALID if sum(x != "a" for x in w) <= 1]
    assert set(one_move.values) == set(near)  # all others are worse, so that no roll-out goes on
    more = rollouts(max_moves=2, max_tries=200)
    more.run(["aaaa"], 1)
    assert set(more.values) == {w for w in VALID if sum(x != "a" for x in w) <= 2}


def test_recombined_roots_are_candidates():
    search = rollouts(mutate=lambda word, rng: None, recombination_rate=1.0, known=("aabb", "ccdd"))
    search.run(["aabb", "ccdd"], 20)
    assert set(search.new) == {"acdd", "aadd", "aabd", "cabb", "ccbb", "ccdb"}
    none = rollouts(mutate=lambda word, rng: None, recombination_rate=0.0, known=("aabb", "ccdd"))
    none.run(["aabb", "ccdd"], 20)
    assert not none.new


def test_with_queries_enough_the_best_by_the_surrogate_is_found():
    history = told({w: reward(w) + 0.1 * (w[0] == "b") for w in VALID[5::40]})
    proposal = ask(adalead(), history, 3)
    score = fit_score(
        history,
        WORDS,
        LastLayerLinear(),
        adalead().acquisition,
        feasibility=adalead().feasibility,
        generator=torch.Generator(),
    )
    free = [w for w in VALID if w not in history.keys]
    best = score(free).topk(3).values.tolist()
    assert score(proposal.designs).tolist() == pytest.approx(best, abs=1e-4)
    assert [m for m, _ in proposal.predictions] == pytest.approx(best, abs=1e-4)


def test_infeasible_readings_lower_the_score():
    values = {w: None if w[0] == "a" else reward(w) for w in VALID[::5]}
    aware = ask(adalead(), told(values), 10).designs
    unaware = ask(adalead(), told({w: v for w, v in values.items() if v is not None}), 10).designs
    assert sum(w[0] == "a" for w in aware) < sum(w[0] == "a" for w in unaware)


def test_below_two_readings_it_samples_the_chain():
    histories = (History(), told({"abcd": 1.0}), told({"abcd": None, "bcda": None}))
    for history in histories:
        designs = ask(adalead(), history, 6).designs
        assert len(set(designs) - history.keys) == 6 and all(map(WORDS.is_valid, designs))
    assert list(ask(adalead(), told({"abcd": 1.0, "aacd": 2.0}), 0).designs) == []


def test_campaigns_learn():
    settings = {"surrogate": LastLayerLinear(), **MOVES}
    task = replace(TASK, num_rounds=3, rivals={"adalead": methods.adalead})
    result = run_method(task, "adalead", 0, settings=settings, num_samples=10)
    assert result.best == 4.0 and result.final_mean > 2.0
    assert result.queries == 24 and result.kl_pretrained_nats is None


def test_molecules_have_it():
    pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
    task = replace(molecule_task("logp"), num_rounds=2, num_queries=5)
    result = run_method(task, "adalead", 0, settings={"model_queries": 40}, num_samples=5)
    assert result.queries == 10 and result.readings[-1].predicted_mean is not None


def test_too_few_candidates_is_an_error_with_a_hint():
    history = told({w: reward(w) for w in VALID[:4]})
    with pytest.raises(NotEnoughDesignsError, match="model_queries"):
        ask(adalead(model_queries=5), history, 8)
    with pytest.raises(NotEnoughDesignsError, match="0 of them new; 3 are needed"):
        ask(adalead(mutate=lambda word, rng: None, recombination_rate=0.0), history, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model_queries": 0},
        {"max_tries": 0},
        {"max_moves": 0},
        {"threshold": -0.1},
        {"threshold": math.nan},
        {"recombination_rate": 1.1},
        {"recombination_rate": math.nan},
    ],
)
def test_bad_numbers_of_adalead(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        AdaLead(WORDS, sampler(*materials()), surrogate=LastLayerLinear(), **MOVES, **wrong)
    with pytest.raises(ParameterError, match="num_queries"):
        ask(adalead(), History(), -1)
