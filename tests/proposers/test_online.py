"""SEIKO's rounds and its named methods, on words that can be enumerated."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields, replace

import pytest
import torch

import token_world
from benchmark_world import LENGTH, LETTERS, QUICK, SOFT_WORDS, WORDS, materials, reward
from seiko import methods, shares, zoo
from seiko.ablations import ABLATIONS, without_pretrained_kl
from seiko.acquisitions import Mean, Thompson, UpperConfidenceBound
from seiko.chain import fork
from seiko.chains import DiffusionChain, Masked
from seiko.checkpoints import tensors_to_bytes
from seiko.domains.sequence import RNA, SequenceSpace, sequence_domain
from seiko.errors import NotEnoughDesignsError, ObservationError, ParameterError, WeightsError
from seiko.proposers.online import WEIGHTS, load_chain
from seiko.proposers.online_ppo import OnlinePPO
from seiko.proposers.sampling import (
    diverse_batch,
    draw_designs,
    draw_pool,
    draw_variations,
    feasible_states,
    thompson_batch,
    value_of_states,
)
from seiko.proposers.scoring import calibration, fit_score, observations
from seiko.records import History, Trial, TrialState
from seiko.surrogates import BootstrapEnsemble, GaussianProcess, LastLayerLinear
from seiko.surrogates.feasibility import FeasibilityModel
from seiko.testing import check_proposer
from seiko.updaters import PolicyGradient, RewardBackprop, RewardWeighted, SoftQ
from seiko.updaters.base import ShareOfEntropy, UpdateReport
from seiko.zoo.molecule_tokens import build
from seiko.zoo.sequences import uniform_sequences

SMALL_PPO = {"updater": PolicyGradient(num_iterations=1, batch_size=16, measure_samples=16)}
OPTIONS = dict.fromkeys(methods.METHODS, QUICK) | {
    "online_ppo": SMALL_PPO,
    "random": {},
    "best_of_n": {"pool_size": 40},
    "guidance": {"pool_size": 40, "surrogate": LastLayerLinear(), "measure_samples": 16},
    "soft_q": {
        "updater": SoftQ(num_iterations=2, num_paths=8, batch_size=8, measure_samples=8),
        "pool_size": 40,
    },
    "tempered_smc": {"pool_size": 40, "surrogate": LastLayerLinear(), "num_particles": 40},
}


def told(words: list[str], *, infeasible: tuple[str, ...] = (), round_: int = 0) -> History[str]:
    good = [Trial(i, round_, w, w, TrialState.COMPLETE, reward(w)) for i, w in enumerate(words)]
    bad = [Trial(len(good) + i, round_, w, w, TrialState.INFEASIBLE) for i, w in enumerate(infeasible)]
    return History((*good, *bad))


def some_words(n: int) -> list[str]:
    words = ("".join(letters) for letters in itertools.product(LETTERS, repeat=LENGTH))
    return list(itertools.islice((w for w in words if WORDS.is_valid(w)), 0, 7 * n, 7))


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_every_named_method_obeys_the_protocol(name):
    domain = SOFT_WORDS if name in ("guidance", "soft_q") else WORDS
    check_proposer(
        lambda: methods.METHODS[name](materials()[0], domain, **OPTIONS[name]),
        domain,
        num_queries=4,
        reward=reward,
    )


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_every_ablation_obeys_the_protocol_and_takes_out_its_part(name):
    check_proposer(lambda: ABLATIONS[name](*materials(), **QUICK), WORDS, num_queries=4, reward=reward)
    (chain, domain), updater = materials(), QUICK["updater"]
    whole = methods.seiko_ucb(chain, domain, updater=updater)
    part = ABLATIONS[name](chain, domain, updater=updater)
    names = {field.name for field in fields(whole)} - {"_", "domain"}
    changed = {field for field in names if getattr(whole, field) != getattr(part, field)}
    wanted = {
        "without_choosing": {"select"},
        "without_variations": set(),  # words have none by default
        "without_edits": set(),
        "without_feasibility": {"feasibility"},
        "without_previous_kl": {"kl_weight_previous"},
        "without_pretrained_kl": {"kl_weight_pretrained", "kl_weight_previous"},
    }
    assert changed == wanted[name]


def test_ablations_of_the_search_take_out_what_sequences_have():
    space = SequenceSpace(RNA, 12)
    materials_ = uniform_sequences(space), sequence_domain(space)
    whole, edits = methods.seiko_ucb(*materials_), ABLATIONS["without_edits"](*materials_)
    assert (whole.edit_rate, edits.edit_rate) == (0.5, 0.0) and whole.num_generations == edits.num_generations
    assert ABLATIONS["without_variations"](*materials_).num_generations == 0


def test_without_the_pretrained_chain_the_target_is_to_the_previous_round():
    chain, domain = materials()
    updater = RewardWeighted(num_refreshes=2, pool_size=200, fit_iterations=40, batch_size=64)
    proposer = without_pretrained_kl(chain, domain, updater=updater, kl_target=1.0, pool_size=40)
    history, resume = told(some_words(40)), {}
    for count in (39, 40):
        part = History(history.trials[:count])
        proposal = proposer.propose(part, 4, resume=resume, generator=torch.Generator().manual_seed(count))
        resume = proposal.artifacts
    assert proposal.report["kl/previous_nats"] == pytest.approx(1.0, rel=0.4)
    assert proposal.report["kl/pretrained_nats"] > 1.4


def test_a_round_learns_and_the_final_model_earns_more():
    chain, domain = materials()
    updater = RewardWeighted(num_refreshes=3, pool_size=300, fit_iterations=40, batch_size=64)
    proposer = methods.seiko_ucb(chain, domain, updater=updater, kl_target=1.5, pool_size=100)
    last = proposer.propose(told(some_words(40)), 0, resume={}, generator=torch.Generator().manual_seed(0))
    tuned = load_chain(chain, last.artifacts)[0]

    def mean(one):
        designs = draw_designs(one, domain, 400, torch.Generator().manual_seed(1))
        return sum(map(reward, designs)) / len(designs)

    assert mean(tuned) > mean(chain) + 0.5
    assert last.report["kl/pretrained_nats"] == pytest.approx(1.5, rel=0.35)
    assert list(last.designs) == []


def test_a_restart_draws_the_same_pools_of_the_pretrained_chain():
    updater = RewardWeighted(
        pools="pretrained", num_refreshes=1, pool_size=200, fit_iterations=10, batch_size=32
    )

    def rounds(make):
        """Artifacts after three rounds; `make` gives each round's proposer."""
        history, resume = told(some_words(40)), {}
        for count in (30, 35, 40):
            proposal = make().propose(
                History(history.trials[:count]),
                4,
                resume=resume,
                generator=torch.Generator().manual_seed(count),
            )
            resume = proposal.artifacts
            assert 0.1 < proposal.report["kl/weighted_nats"] < 1.01  # the target, or what tempering leaves
        return resume[WEIGHTS]

    fresh = lambda: methods.seiko_ucb(  # noqa: E731
        *materials(), updater=updater, kl_target=1.0, kl_weight_previous=0.0, pool_size=40
    )
    one = fresh()
    assert rounds(lambda: one) == rounds(fresh)


CLIMBS = {
    "reward weighted": RewardWeighted(
        num_refreshes=4, pool_size=500, fit_iterations=80, batch_size=128, learning_rate=3e-3
    ),
    "policy gradient": PolicyGradient(num_iterations=60, batch_size=256, learning_rate=3e-3),
}


@pytest.mark.parametrize("domain", [WORDS, SOFT_WORDS], ids=["decoded", "soft features"])
@pytest.mark.parametrize("name", CLIMBS)
def test_constraints_are_part_of_what_is_climbed(name, domain):
    """The surrogate rises towards "eeee", which is forbidden, as every word with "ee" is."""
    chain = materials()[0]
    proposer = methods.greedy(chain, domain, updater=CLIMBS[name], kl_target=1.5, surrogate=LastLayerLinear())
    words = some_words(60)
    trials = [Trial(i, 0, w, w, TrialState.COMPLETE, float(w.count("e"))) for i, w in enumerate(words)]
    history = History(tuple(trials))
    last = proposer.propose(history, 0, resume={}, generator=torch.Generator().manual_seed(0))
    tuned = load_chain(chain, last.artifacts)[0]
    designs = draw_designs(tuned, domain, 1000, torch.Generator().manual_seed(1))
    valid = sum(map(domain.is_valid, designs)) / len(designs)
    assert valid > 0.95  # without, two in five
    assert sum(word.count("e") for word in designs) / len(designs) > 1.4
    assert last.report["update/feasible_fraction"] == pytest.approx(valid, abs=0.05)


def test_optimism_is_only_climbed_while_readings_follow():
    proposer = methods.seiko_ucb(*materials(), exploration=50.0, **QUICK)
    bound = []
    acquisition = type(
        "Spy", (), {"bind": lambda self, *a, **k: bound.append("ucb") or Mean().bind(*a, **k)}
    )()
    final = type("Spy", (), {"bind": lambda self, *a, **k: bound.append("final") or Mean().bind(*a, **k)})()
    spied = replace(proposer, acquisition=acquisition, final_acquisition=final)
    history = told(some_words(10))
    spied.propose(history, 2, resume={}, generator=torch.Generator())
    spied.propose(history, 0, resume={}, generator=torch.Generator())
    assert bound == ["ucb", "final"]


def test_infeasible_readings_alone_are_learned_from():
    proposer = methods.seiko_ucb(*materials(), **QUICK)
    history = told(some_words(10))
    first = proposer.propose(history, 2, resume={}, generator=torch.Generator().manual_seed(0))
    more = told(some_words(10), infeasible=tuple(first.designs))
    again = proposer.propose(more, 2, resume=first.artifacts, generator=torch.Generator().manual_seed(1))
    assert "kl/pretrained_nats" in again.report and again.artifacts != first.artifacts


def test_nothing_new_told_means_no_further_update():
    proposer = methods.seiko_ucb(*materials(), **QUICK)
    history = told(some_words(10))
    first = proposer.propose(history, 2, resume={}, generator=torch.Generator().manual_seed(0))
    again = proposer.propose(history, 2, resume=first.artifacts, generator=torch.Generator().manual_seed(1))
    assert "kl/pretrained_nats" in first.report and "kl/pretrained_nats" not in again.report
    assert again.artifacts == first.artifacts


def test_a_corrected_reading_is_learned_from():
    proposer = methods.seiko_ucb(*materials(), **QUICK)
    history = told(some_words(10))
    first = proposer.propose(history, 2, resume={}, generator=torch.Generator().manual_seed(0))
    mended = History((replace(history.trials[0], value=9.0), *history.trials[1:]))
    again = proposer.propose(mended, 2, resume=first.artifacts, generator=torch.Generator().manual_seed(0))
    assert again.artifacts != first.artifacts


def test_the_model_handed_over_is_climbed_by_the_final_updater():
    class Spy:
        def __init__(self, name):
            self.name = name

        def update(self, chain, objective, *, generator):
            used.append(self.name)
            return QUICK["updater"].update(chain, objective, generator=generator)

    used: list[str] = []
    proposer = replace(methods.seiko_ucb(*materials(), **QUICK), updater=Spy("a"), final_updater=Spy("b"))
    for count in (2, 0):
        proposer.propose(told(some_words(10)), count, resume={}, generator=torch.Generator().manual_seed(0))
    assert used == ["a", "b"]


def test_non_adaptive_samples_the_pretrained_chain_until_the_end():
    proposer = methods.non_adaptive(*materials(), **QUICK)
    history = told(some_words(10))
    middle = proposer.propose(history, 3, resume={}, generator=torch.Generator())
    end = proposer.propose(history, 0, resume=middle.artifacts, generator=torch.Generator())
    assert "kl/pretrained_nats" not in middle.report and "kl/pretrained_nats" in end.report


def test_named_methods_differ_where_they_say():
    chain, domain = materials()
    ucb = methods.seiko_ucb(chain, domain, exploration=0.7)
    assert ucb.acquisition == UpperConfidenceBound(0.7) and ucb.select == "acquisition"
    assert methods.greedy(chain, domain).acquisition == Mean()
    assert methods.seiko_thompson(chain, domain).acquisition == Thompson()
    assert methods.non_adaptive(chain, domain).select == "samples"
    assert methods.seiko_bootstrap(chain, domain, num_members=5).surrogate.num_members == 5
    assert isinstance(methods.online_ppo(chain, domain), OnlinePPO)


def test_online_ppo_learns_from_readings_and_from_nothing_else():
    chain, domain = materials()
    proposer = methods.online_ppo(chain, domain, **SMALL_PPO)
    first = proposer.propose(History(()), 4, resume={}, generator=torch.Generator().manual_seed(0))
    states = TrialState.COMPLETE, TrialState.INFEASIBLE, TrialState.FAILED, TrialState.PENDING
    trials = [
        Trial(i, 0, word, word, state, reward(word) if i == 0 else None)
        for i, (word, state) in enumerate(zip(first.designs, states, strict=True))
    ]
    paths = proposer._told(first.artifacts["paths.safetensors"], History(tuple(trials)))
    ends = domain.decode(paths.ends(torch.arange(len(paths.values))), None)
    assert set(first.designs[:2]) <= set(ends) and not set(first.designs[2:]) & set(ends)
    assert set(paths.values.tolist()) == {reward(first.designs[0])}  # infeasible: the lowest of its batch
    for unread in (trials[1:], []):
        proposal = proposer.propose(
            History(tuple(unread)), 1, resume=first.artifacts, generator=torch.Generator()
        )
        assert proposal.report == {}
        assert proposal.artifacts[WEIGHTS] == first.artifacts[WEIGHTS]


def test_online_ppo_learns_from_samples_that_repeat_a_reading():
    chain, domain = materials()
    proposer = methods.online_ppo(chain, domain, **SMALL_PPO)
    designs = draw_designs(chain, domain, 400, torch.Generator().manual_seed(5))
    known = told([word for word in dict.fromkeys(designs) if domain.is_valid(word)])
    first = proposer.propose(known, 8, resume={}, generator=torch.Generator().manual_seed(0))
    paths = proposer._told(first.artifacts["paths.safetensors"], known)
    ends = domain.decode(paths.ends(torch.arange(len(paths.values))), None)
    repeated = [end for end in ends if end in known.keys]
    assert len(repeated) > 4 and not set(ends) & set(first.designs)
    assert all(value == reward(end) for value, end in zip(paths.values, ends, strict=True) if end in repeated)


def test_telescoping_weights_grow_with_the_updates():
    chain, domain = materials()
    seen = []

    class Spy:
        def update(self, chain, objective, *, generator):
            seen.append([p.weight for p in objective.penalties])
            return RewardWeighted(num_refreshes=1, pool_size=20, fit_iterations=1, batch_size=4).update(
                chain, objective, generator=generator
            )

    proposer = methods.greedy(
        chain,
        domain,
        updater=Spy(),
        kl_target=None,
        kl_weight_pretrained=2.0,
        kl_weight_previous="telescoping",
    )
    resume = {}
    for count in (5, 10, 15):
        proposal = proposer.propose(told(some_words(count)), 1, resume=resume, generator=torch.Generator())
        resume = proposal.artifacts
    assert seen == [[2.0], [2.0, 2.0], [2.0, 4.0]]


class Collapse:
    """An updater that leaves the chain with next to no variety."""

    def update(self, chain, objective, *, generator):
        student = fork(chain)
        with torch.no_grad():
            student.network.outputs[0] = 5.0
        return student, UpdateReport(0.0, 0.0, 1.0, {}, 1.0, 0.0, 1.0)


class Constant(torch.nn.Module):
    """The same prediction everywhere."""

    def __init__(self):
        super().__init__()
        self.outputs = torch.nn.Parameter(torch.zeros(4))

    def forward(self, state, time, condition):
        return self.outputs.expand(*state.shape[:2], 4)


def test_a_collapsed_model_with_variations_proposes_each_design_once():
    _, domain = zoo.load("tfbind8-low")
    proposer = methods.greedy(
        DiffusionChain(Constant(), Masked(8, 4)),
        domain,
        updater=Collapse(),
        surrogate=LastLayerLinear(),
        kl_target=4.0,
        pool_size=30,
        num_generations=3,
        generation_size=200,
    )
    words = {"AAAAAAAA": 0.0, "CCCCCCCC": 1.0, "ACGTACGT": 0.3}
    trials = [Trial(i, 0, w, w, TrialState.COMPLETE, y) for i, (w, y) in enumerate(words.items())]
    proposal = proposer.propose(
        History(tuple(trials)), 100, resume={}, generator=torch.Generator().manual_seed(0)
    )
    assert proposal.report["round/from_pretrained"] > 0
    assert len(set(map(domain.key, proposal.designs))) == 100


def test_the_feasibility_model_steers_the_choice():
    chain, domain = materials()
    options = {**QUICK, "pool_size": 150, "diversity": 0.0, "kl_target": 1.0}
    proposer = methods.greedy(chain, domain, **options)
    words = some_words(60)
    history = told(
        [w for w in words if not w.startswith("a")], infeasible=tuple(w for w in words if w.startswith("a"))
    )
    unaware = told([w for w in words if not w.startswith("a")])

    def share(history):
        asked = proposer.propose(history, 20, resume={}, generator=torch.Generator().manual_seed(3)).designs
        return sum(w.startswith("a") for w in asked) / 20

    assert share(history) < share(unaware)


def test_infeasible_states_have_value_minus_infinity():
    value = value_of_states(WORDS, lambda features: features.sum(1))
    kinds = torch.tensor([[0, 1, 2, 3], [4, 4, 0, 0]])
    values = value(torch.nn.functional.one_hot(kinds, len(LETTERS) + 1).float(), None)
    assert values.tolist() == [4.0, -math.inf]


def test_soft_features_leave_validity_to_be_asked():
    kinds = torch.tensor([[0, 1, 2, 3], [4, 4, 0, 0]])
    states = torch.nn.functional.one_hot(kinds, len(LETTERS) + 1).float()
    assert feasible_states(SOFT_WORDS)(states, None).tolist() == [True, False]
    assert feasible_states(WORDS) is None  # the value says it
    assert feasible_states(replace(SOFT_WORDS, always_valid=True)) is None


def test_a_diverse_batch_trades_score_for_distance():
    score = torch.tensor([1.0, 0.99, 0.5, -2.0])
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert diverse_batch(score, features, 2, diversity=0.0) == [0, 1]
    assert diverse_batch(score, features, 2, diversity=5.0) == [0, 2]
    with pytest.raises(ParameterError, match="diversity"):
        diverse_batch(score, features, 2, diversity=-1.0)


def test_a_thompson_batch_takes_each_design_as_often_as_it_is_likely_the_best():
    # Two candidates whose values are N(0, 1) and N(0.5, 1), independent: the second is better with
    # P(N(0.5, 2) > 0) = 0.638.
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(4000, 2, generator=generator) + torch.tensor([0.0, 0.5])
    firsts = torch.tensor([thompson_batch(draws[i : i + 2])[0] for i in range(0, 4000, 2)])
    assert float(firsts.double().mean()) == pytest.approx(0.638, abs=0.03)
    both = thompson_batch(torch.tensor([[5.0, 1.0, 0.0], [5.0, 1.0, 0.0], [5.0, 1.0, 0.0]]))
    assert both == [0, 1, 2]


def test_a_score_is_drawn_jointly_and_keeps_its_doubt_of_feasibility():
    words = some_words(30)
    history = told(words[:20], infeasible=tuple(words[20:]))
    parts = {"feasibility": FeasibilityModel(), "generator": torch.Generator().manual_seed(0)}
    score = fit_score(history, WORDS, GaussianProcess(), Mean(), **parts)
    features = WORDS.features(words)
    draws = score.draws(features, 4000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(draws.mean(0), score.of_features(features), atol=0.05, rtol=0.05)
    posterior = score.model.posterior(features)
    torch.testing.assert_close(draws.T.cov(), posterior.distribution.covariance_matrix, atol=0.05, rtol=0.1)
    state = torch.get_rng_state()
    assert torch.equal(draws, score.draws(features, 4000, torch.Generator().manual_seed(1)))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("surrogate", [GaussianProcess(), LastLayerLinear(), BootstrapEnsemble(4)])
def test_thompson_batches_are_of_new_distinct_designs(surrogate):
    chain, domain = materials()
    proposer = methods.seiko_ucb(chain, domain, surrogate=surrogate, select="thompson", **QUICK)
    check_proposer(lambda: proposer, domain, num_queries=4, reward=reward)


def test_greedy_draws_no_functions():
    tokens = token_world.small_chain(), build(token_world.CARD, 48)[1]
    assert methods.seiko_ucb(*tokens).select == "thompson"
    assert methods.greedy(*tokens).select == "acquisition"


def test_too_few_new_designs_is_a_clear_error():
    chain, domain = materials()
    with pytest.raises(NotEnoughDesignsError, match="valid designs"):
        draw_pool(chain, domain, frozenset(), least=2000, size=20, generator=torch.Generator(), max_draws=2)


def test_calibration_counts_the_last_told_round():
    trials = [
        Trial(0, 0, "a", "a", TrialState.COMPLETE, 9.0, predicted_mean=0.0, predicted_std=1.0),
        Trial(1, 1, "b", "b", TrialState.COMPLETE, 1.0, predicted_mean=0.0, predicted_std=1.0),
        Trial(2, 1, "c", "c", TrialState.COMPLETE, 2.0, predicted_mean=0.0, predicted_std=1.0),
    ]
    numbers = calibration(History(tuple(trials)))
    assert numbers["surrogate/coverage"] == 0.5 and numbers["surrogate/bias"] == 1.5
    assert calibration(History()) == {}


def test_noise_that_is_told_reaches_the_surrogate():
    trials = [Trial(0, 0, "aaaa", "aaaa", TrialState.COMPLETE, 4.0, noise_std=0.5), *told(["abcd"]).trials]
    data = observations(trials, WORDS)
    assert data.noise_std is not None
    assert data.noise_std[0] == 0.5 and math.isnan(float(data.noise_std[1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": "best"}, "select"),
        ({"adapt": "never"}, "adapt"),
        ({"kl_weight_previous": "growing"}, "telescoping"),
        ({"kl_weight_pretrained": -1.0}, "KL weight"),
        ({"kl_target": 0.0}, "KL target"),
        ({"pool_size": 0}, "pool_size"),
        ({"num_parents": 0}, "num_parents"),
        ({"exploration": -1.0}, "exploration"),
    ],
)
def test_bad_settings_name_the_knob(options, message):
    with pytest.raises(ParameterError, match=message):
        methods.seiko_ucb(*materials(), **options)


def test_a_corrupt_artifact_is_told_apart():
    proposer = methods.seiko_ucb(*materials(), **QUICK)
    with pytest.raises(WeightsError, match=WEIGHTS):
        proposer.propose(told(some_words(4)), 1, resume={WEIGHTS: b"junk"}, generator=torch.Generator())


def test_backprop_needs_soft_features():
    proposer = methods.seiko_ucb(*materials(), updater=RewardBackprop(num_iterations=1))
    with pytest.raises(ParameterError, match="soft_features"):
        proposer.propose(told(some_words(4)), 1, resume={}, generator=torch.Generator())


def test_an_acquisition_that_is_nan_is_refused():
    class Broken:
        def bind(self, model, *, best_value, generator=None):
            return lambda features: torch.full((len(features),), math.nan)

    proposer = replace(methods.seiko_ucb(*materials(), **QUICK), acquisition=Broken())
    with pytest.raises(ObservationError, match="nan"):
        proposer.propose(told(some_words(4)), 1, resume={}, generator=torch.Generator())


def test_variations_stay_near_their_parents_and_keep_the_chains_law():
    chain = uniform_sequences(SequenceSpace(RNA, 12))
    domain = sequence_domain(SequenceSpace(RNA, 12))
    parent = "ACGUACGUACGU"
    children = draw_variations(chain, domain, [parent], 400, torch.Generator().manual_seed(0))
    kept = sum(a == b for child in children for a, b in zip(child, parent, strict=True)) / (400 * 12)
    # 1 to 6 letters are drawn evenly, a quarter right by chance.
    assert kept == pytest.approx(1 - 3.5 / 12 * 0.75, abs=0.02)
    assert all(domain.is_valid(child) for child in children)
    with pytest.raises(ParameterError, match="num_generations"):
        draw_variations(materials()[0], WORDS, ["aaaa"], 4, torch.Generator())


def test_variations_are_written_in_shares():
    space = SequenceSpace(RNA, 12)
    chain, domain = uniform_sequences(space), sequence_domain(space)

    def children(count: int) -> list[str]:
        generator = torch.Generator().manual_seed(0)
        with shares.working(shares.Team(shares=3)):
            return draw_variations(chain, domain, ["A" * 12, "C" * 12], count, generator)

    assert len(children(50)) == 50 and children(50) == children(50) and len(children(2)) == 2
    assert len(set(children(50))) > 40


def test_a_share_of_the_variations_is_crossed():
    space = SequenceSpace(RNA, 12)
    chain, domain = uniform_sequences(space), sequence_domain(space)

    def mixed(rate: float) -> int:
        generator = torch.Generator().manual_seed(0)
        parents = ["A" * 11 + "C", "U" * 11 + "G"]
        children = draw_variations(chain, domain, parents, 400, generator, crossover_rate=rate)
        return sum(min(child.count("A"), child.count("U")) >= 3 for child in children)

    # Of the crossed, half have parents of one kind.
    assert mixed(0.0) < 40 < 2 * mixed(0.0) < mixed(0.5) < 200
    with pytest.raises(ParameterError, match="crossover_rate"):
        methods.seiko_ucb(chain, domain, crossover_rate=1.5)


def test_the_defaults_follow_the_size_of_the_space():
    space = SequenceSpace(RNA, 12)
    words = methods.seiko_ucb(uniform_sequences(space), sequence_domain(space))
    tokens = methods.seiko_ucb(token_world.small_chain(), build(token_world.CARD, 48)[1])
    small = methods.seiko_ucb(*zoo.load("qm9-graph"))
    assert words.kl_target == tokens.kl_target == ShareOfEntropy(0.45)
    assert (words.num_generations, tokens.num_generations) == (8, 4)
    assert (words.edit_rate, tokens.edit_rate) == (0.5, 0.0)
    assert (words.crossover_rate, tokens.crossover_rate) == (0.0, 0.5)
    assert (words.select, tokens.select, small.select) == ("acquisition", "thompson", "acquisition")
    assert small.kl_target == 4.0 and small.num_generations == 0
    bonuses = [method.acquisition.exploration for method in (words, tokens, small)]
    assert bonuses == [2.0, 1.0, 1.0]


def test_molecules_are_varied_by_the_chain_that_writes_them():
    chain = token_world.small_chain()
    domain = build(token_world.CARD, 48)[1]
    parents = ["CCCOCCCOC", "NCCCNCCCN"]
    children = draw_variations(
        chain, domain, parents, 60, torch.Generator().manual_seed(0), crossover_rate=0.5
    )
    assert len(children) == 60 and len(set(children)) > 20
    assert sum("N" in child and "O" in child for child in children) > 10
    # What the chain's tokens cannot write has no variations, and does no harm to the others.
    mixed = draw_variations(chain, domain, ["CCF", "CCCO"], 60, torch.Generator().manual_seed(0))
    assert 0 < len(mixed) < 60
    assert draw_variations(chain, domain, ["CCF"], 8, torch.Generator()) == []


@pytest.mark.parametrize("edit_rate", [0.0, 0.5, 1.0])
def test_generations_raise_the_score_of_what_is_asked(edit_rate):
    space = SequenceSpace(RNA, 12)
    chain, domain = uniform_sequences(space), sequence_domain(space)
    designs = draw_designs(chain, domain, 40, torch.Generator().manual_seed(1))
    history = History(
        tuple(Trial(i, 0, d, d, TrialState.COMPLETE, float(d.count("A"))) for i, d in enumerate(designs))
    )

    def asked(num_generations: int) -> float:
        proposer = methods.greedy(
            chain,
            domain,
            updater=QUICK["updater"],
            pool_size=60,
            num_generations=num_generations,
            edit_rate=edit_rate,
        )
        found = proposer.propose(history, 10, resume={}, generator=torch.Generator().manual_seed(2))
        return sum(d.count("A") for d in found.designs) / 10

    assert asked(4) > asked(0) + 1


def test_a_share_of_the_entropy_is_a_target_that_suits_the_chain():
    chain = uniform_sequences(SequenceSpace(RNA, 12))
    domain = sequence_domain(SequenceSpace(RNA, 12))
    assert ShareOfEntropy(0.5).nats(chain, domain.condition) == pytest.approx(6 * math.log(4), rel=1e-4)
    assert ShareOfEntropy(0.1).nats(chain, domain.condition) == 4.0
    with pytest.raises(ParameterError, match="share"):
        ShareOfEntropy(1.5)
    proposer = methods.seiko_ucb(chain, domain, updater=QUICK["updater"], pool_size=40, num_generations=1)
    designs = draw_designs(chain, domain, 20, torch.Generator().manual_seed(1))
    told_ = tuple(Trial(i, 0, d, d, TrialState.COMPLETE, float(d.count("A"))) for i, d in enumerate(designs))
    report = proposer.propose(History(told_), 5, resume={}, generator=torch.Generator().manual_seed(0)).report
    assert report["kl/target_nats"] == pytest.approx(0.45 * 12 * math.log(4), rel=1e-4)


def test_a_collapsed_chain_is_helped_by_the_pretrained_one():
    chain, domain = materials()
    proposer = methods.greedy(chain, domain, select="samples", adapt="finally")
    collapsed = fork(chain)
    with torch.no_grad():
        last = [m for m in collapsed.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([60.0, 0, 0, 0, 0]).repeat(len(last.bias) // 5))
    weights = dict(collapsed.named_parameters())
    numbers = {"num_updates": 1, "readings": "", "multiplier": 1.0}
    resume = {WEIGHTS: tensors_to_bytes(weights, numbers)}
    proposal = proposer.propose(
        told(some_words(5)), 12, resume=resume, generator=torch.Generator().manual_seed(0)
    )
    assert len(set(proposal.designs)) == 12 and proposal.report["round/from_pretrained"] >= 11
