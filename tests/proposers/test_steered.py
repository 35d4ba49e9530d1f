"""Guidance and tempered SMC in rounds: the frozen chain steered by what was told."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import pytest
import torch

from benchmark_world import SOFT_WORDS, TASK, WORDS, materials, reward
from chain_families import PaddedGaussians
from seiko import methods
from seiko.benchmark import run_method
from seiko.chains.particles import Particles
from seiko.domains.sequence import DNA, SequenceSpace, sequence_domain
from seiko.errors import NotEnoughDesignsError, ParameterError, WeightsError
from seiko.proposers.base import SupportsFinalDesigns
from seiko.proposers.guidance import Guidance
from seiko.proposers.sampling import draw_designs
from seiko.proposers.steered import STEERING, solve_scale
from seiko.proposers.tempered_smc import MAX_RUNS, ParticleSampler, TemperedSMC
from seiko.records import History, Trial, TrialState
from seiko.surrogates import LastLayerLinear
from seiko.testing import check_proposer
from seiko.zoo.sequences import uniform_sequences

QUICK = {"surrogate": LastLayerLinear(), "pool_size": 60, "kl_target": 1.0}
MAKERS = {
    "guidance": lambda **s: methods.guidance(
        materials()[0], SOFT_WORDS, **{**QUICK, "measure_samples": 64, **s}
    ),
    "smc": lambda **s: methods.tempered_smc(*materials(), **{**QUICK, "num_particles": 200, **s}),
    "smc, guided": lambda **s: methods.tempered_smc(
        materials()[0], SOFT_WORDS, **{**QUICK, "num_particles": 200, "proposal": "guided", **s}
    ),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def told(count: int = 40, *, infeasible: str = "") -> History[str]:
    """Words drawn from the chain; those that start with `infeasible` have no reward."""
    words = list(
        dict.fromkeys(filter(WORDS.is_valid, draw_designs(*materials(), 4 * count + 1, generator(5))))
    )
    bad = [bool(infeasible) and word.startswith(infeasible) for word in words[:count]]
    trials = [
        Trial(i, 0, w, w, TrialState.INFEASIBLE if b else TrialState.COMPLETE, None if b else reward(w))
        for i, (w, b) in enumerate(zip(words[:count], bad, strict=True))
    ]
    return History(tuple(trials))


def mean_reward(designs) -> float:
    return sum(map(reward, designs)) / len(designs)


@pytest.mark.parametrize("name", MAKERS)
def test_the_protocol(name):
    small = {"pool_size": 12} | ({"measure_samples": 16} if name == "guidance" else {"num_particles": 16})
    check_proposer(lambda: MAKERS[name](**small), WORDS, num_queries=4, reward=reward)


@pytest.mark.parametrize("name", MAKERS)
def test_the_steered_model_earns_more_at_the_wanted_divergence(name):
    one = MAKERS[name]()
    assert isinstance(one, SupportsFinalDesigns)
    last = one.propose(told(), 0, resume={}, generator=generator())
    assert list(last.designs) == []
    assert last.report["kl/pretrained_nats"] == pytest.approx(1.0, rel=0.15)
    steered = one.final_designs(told(), 600, resume=last.artifacts, generator=generator(1))
    plain = draw_designs(*materials(), 600, generator(1))
    assert len(steered) == 600
    assert mean_reward(steered) > mean_reward(plain) + 0.7


def test_the_reward_is_that_of_the_exact_tilt():
    """The number of letters a, its surrogate nearly exact: both methods reach the tilted law's mean."""
    plain = draw_designs(*materials(), 20_000, generator(2))
    values = torch.tensor([reward(word) for word in plain], dtype=torch.float64)
    for name in ("guidance", "smc"):
        one = MAKERS[name](kl_target=None, kl_weight=0.8, num_particles=1000) if name == "smc" else None
        one = one or MAKERS[name](kl_target=None, kl_weight=0.8)
        found = one.final_designs(told(60), 1500, resume={}, generator=generator(3))
        want = float(values @ (values / 0.8).softmax(0))
        assert mean_reward(found) == pytest.approx(want, abs=0.12)
        assert want > float(values.mean()) + 0.8


def test_chosen_designs_earn_more_than_samples():
    asked = {
        select: MAKERS["smc"](select=select).propose(told(), 10, resume={}, generator=generator())
        for select in ("samples", "acquisition")
    }
    assert mean_reward(asked["acquisition"].designs) > mean_reward(asked["samples"].designs)
    assert len(asked["samples"].predictions) == 10


@pytest.mark.parametrize("name", ["guidance", "smc"])
def test_what_has_no_reward_is_avoided(name):
    def share(history):
        asked = MAKERS[name](diversity=0.0).propose(history, 20, resume={}, generator=generator(3)).designs
        return sum(word.startswith("a") for word in asked) / 20

    assert share(told(60, infeasible="a")) < share(told(60))


@pytest.mark.parametrize("made", [methods.guidance, methods.tempered_smc])
def test_the_named_methods_aim_at_what_suits_the_chain(made):
    space = SequenceSpace(DNA, 10)
    one = made(uniform_sequences(space), sequence_domain(space), pool_size=40)
    readings = {"A" * 10: 1.0, "C" * 10: 0.0, "ACGTACGTAC": 0.3}
    trials = [Trial(i, 0, d, d, TrialState.COMPLETE, y) for i, (d, y) in enumerate(readings.items())]
    report = one.propose(History(tuple(trials)), 0, resume={}, generator=generator()).report
    assert report["kl/pretrained_nats"] == pytest.approx(0.45 * 10 * math.log(4), rel=0.1)
    assert made(materials()[0], SOFT_WORDS).kl_target == 4.0


@pytest.mark.parametrize("name", MAKERS)
def test_where_the_steered_chain_repeats_itself_the_pretrained_one_fills_the_batch(name):
    proposer = MAKERS[name](kl_target=None, kl_weight=1e-3)
    proposal = proposer.propose(told(), 40, resume={}, generator=generator())
    assert len(set(proposal.designs)) == 40
    assert proposal.report["round/from_pretrained"] > 0
    assert proposal.report["round/new_designs"] < 40


@dataclass
class OftenLost:
    """Runs of which the first few leave no feasible particle."""

    num_lost: int
    runs: int = 0

    def draw(self, num_particles, *, condition, generator):
        self.runs += 1
        if self.runs <= self.num_lost:
            raise NotEnoughDesignsError("None of the particles ended at a feasible state.")
        states = torch.zeros(num_particles, 4, 6)  # aaaa
        weights = torch.full((num_particles,), 1 / num_particles)
        return Particles(states, None, weights, weights, 0.0, 1.5, 0)


def test_a_run_that_loses_all_particles_is_made_again():
    assert ParticleSampler(OftenLost(1), SOFT_WORDS, 8).divergence(generator()) == math.inf
    assert ParticleSampler(OftenLost(0), SOFT_WORDS, 8).divergence(generator()) == 1.5
    often = OftenLost(MAX_RUNS - 1)
    assert len(ParticleSampler(often, SOFT_WORDS, 8).draw(3, generator())) == 3 and often.runs == MAX_RUNS
    with pytest.raises(NotEnoughDesignsError):
        ParticleSampler(OftenLost(MAX_RUNS), SOFT_WORDS, 8).draw(3, generator())


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("count", [0, 1])
def test_too_few_readings_means_plain_samples(name, count):
    one = MAKERS[name]()
    asked = one.propose(told(count), 5, resume={}, generator=generator())
    assert len(asked.designs) == 5 and "kl/pretrained_nats" not in asked.report
    assert list(one.propose(told(count), 0, resume={}, generator=generator()).designs) == []
    final = one.final_designs(told(count), 7, resume={}, generator=generator())
    assert final == draw_designs(*materials(), 7, generator())


def test_the_last_scale_is_where_the_next_search_starts():
    one = MAKERS["guidance"]()
    first = one.propose(told(), 3, resume={}, generator=generator())
    scale = json.loads(first.artifacts[STEERING])["scale"]
    assert first.report["steering/scale"] == scale
    fixed = MAKERS["guidance"](kl_target=None, kl_weight=2.0)
    assert fixed.propose(told(), 3, resume={}, generator=generator()).report["steering/scale"] == 0.5
    with pytest.raises(WeightsError, match=STEERING):
        one.propose(told(), 3, resume={STEERING: b"junk"}, generator=generator())
    with pytest.raises(WeightsError, match="scale"):
        one.propose(told(), 3, resume={STEERING: b'{"scale": -1}'}, generator=generator())


@pytest.mark.parametrize(
    ("divergence", "want"),
    [
        (lambda scale: 0.5 * scale**2, 4.0),
        (lambda scale: 3e6 * scale**2, (8 / 3e6) ** 0.5),
        (lambda scale: 20 * scale / (1 + scale), 2 / 3),
    ],
)
@pytest.mark.parametrize("start", [1e-3, 1.0, 30.0])
def test_a_scale_is_found_for_a_divergence(divergence, want, start):
    found = solve_scale(divergence, 8.0, start=start, max_tries=30)
    assert divergence(found) == pytest.approx(8.0, rel=0.1)
    assert found == pytest.approx(want, rel=0.2)


def test_a_divergence_out_of_reach_gives_the_nearest():
    assert solve_scale(lambda scale: 0.0, 4.0, start=2.0) == 2.0
    assert solve_scale(lambda scale: 3 * scale / (1 + scale), 4.0, start=1.0) > 100


@pytest.mark.parametrize("name", ["guidance", "tempered_smc"])
def test_a_whole_benchmark_run(name):
    task = replace(TASK, load=lambda: (materials()[0], SOFT_WORDS))
    settings = QUICK | ({"measure_samples": 32} if name == "guidance" else {"num_particles": 100})
    result = run_method(task, name, 0, settings=settings, num_samples=300)
    plain = run_method(task, "random", 0, num_samples=300)
    assert result.queries == TASK.budget
    assert result.kl_pretrained_nats == pytest.approx(1.0, rel=0.15)
    assert result.final_mean > plain.final_mean + 0.4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": "best"}, "select"),
        ({"kl_weight": 0.0}, "kl_weight"),
        ({"kl_weight": -1.0}, "KL weight"),
        ({"kl_target": 0.0}, "KL target"),
        ({"pool_size": 0}, "pool_size"),
    ],
)
@pytest.mark.parametrize("name", ["guidance", "smc"])
def test_bad_settings_name_the_knob(name, options, message):
    with pytest.raises(ParameterError, match=message):
        MAKERS[name](**options)


def test_particles_are_guided_where_that_is_possible():
    assert methods.tempered_smc(*materials()).proposal == "chain"
    assert methods.tempered_smc(materials()[0], SOFT_WORDS).proposal == "guided"


def test_settings_of_one_method():
    with pytest.raises(ParameterError, match="measure_samples"):
        MAKERS["guidance"](measure_samples=1)
    with pytest.raises(ParameterError, match="num_particles"):
        MAKERS["smc"](num_particles=1)
    with pytest.raises(ParameterError, match="proposal"):
        MAKERS["smc"](proposal="best")
    with pytest.raises(ParameterError, match="min_effective"):
        MAKERS["smc"](min_effective=math.nan)


def test_what_cannot_be_guided_is_refused():
    with pytest.raises(ParameterError, match="soft_features"):
        Guidance(*materials(), surrogate=LastLayerLinear())
    with pytest.raises(ParameterError, match="soft_features"):
        TemperedSMC(*materials(), surrogate=LastLayerLinear(), proposal="guided")
    with pytest.raises(ParameterError, match="PaddedGaussians"):
        Guidance(PaddedGaussians(), SOFT_WORDS, surrogate=LastLayerLinear())
