"""Chains over sequences: cards, samples, uniform chains, and a small campaign on measured data."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from itertools import product

import pytest
import torch

from seiko import Campaign, methods, zoo
from seiko.campaign import CallableFeedback, run
from seiko.chain import path_log_prob, sample
from seiko.domains.sequence import DNA, PROTEIN, RNA, Alphabet, SequenceSpace
from seiko.domains.sequence_features import LearnedFeatures
from seiko.domains.sequence_metrics import hamming_distances
from seiko.errors import ParameterError
from seiko.oracles.tf_binding import tf_binding
from seiko.testing import check_chain, check_domain
from seiko.updaters.backprop import RewardBackprop
from seiko.updaters.reward_weighted import RewardWeighted
from seiko.zoo.sequences import sequence_process, space_of, uniform_sequences

NAMES = [name for name in zoo.names() if zoo.read_card(name)["family"] == "sequence"]
WANTED = {"tfbind8-low", "utr5-natural", "promoters-ecoli", "gfp-variants"}


def designs_of(name: str, count: int) -> list[str]:
    chain, domain = zoo.load(name)
    return list(domain.decode(sample(chain, count, generator=torch.Generator().manual_seed(0)), None))


def test_the_chains_are_there():
    assert set(NAMES) >= WANTED


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_and_cards_tell_what_was_measured(name):
    content = (files("seiko.zoo") / name / "weights.safetensors").read_bytes()
    card = zoo.read_card(name)
    assert len(content) <= 4_000_000 and hashlib.sha256(content).hexdigest() == card["weights_sha256"]
    if card["process"] == "masked":  # the bound of the mutation process is too loose to compare
        assert card["held_out_bound_nats_a_position"] < card["position_weight_matrix_nats_a_position"]
    assert card["default_steps"] in {row["num_steps"] for row in card["quality"]}
    assert all(row["unique"] > 0.85 for row in card["quality"])  # of 10,000 8-mers some come twice


@pytest.mark.parametrize("name", NAMES)
def test_chains_and_domains_keep_the_rules(name):
    chain, domain = zoo.load(name, num_steps=2)
    check_domain(domain, sample(chain, 12, generator=torch.Generator().manual_seed(0)))
    check_chain(lambda: zoo.load(name, num_steps=2)[0], num_paths=128, perturbation=0.01)


def test_samples_of_dark_gfp_stay_near_the_wild_type():
    card = zoo.read_card("gfp-variants")
    counts = hamming_distances(designs_of("gfp-variants", 200), [card["parent"]])[:, 0]
    measured = next(row for row in card["quality"] if row["num_steps"] == card["default_steps"])["mutations"]
    assert abs(counts.mean() - measured["mean"]) < 4 * measured["std"] / 200**0.5 + 0.01
    assert counts.max() < 25


def test_promoters_have_a_pribnow_box():
    designs = designs_of("promoters-ecoli", 400)
    box = [design[38:44] for design in designs]  # positions 39 to 44, -12 to -7 from the start
    second = sum(word[1] == "A" for word in box) / 400
    last = sum(word[5] == "T" for word in box) / 400
    assert second > 0.5 and last > 0.45  # a quarter each by chance


@pytest.mark.parametrize("process", ["masked", "mutation"])
def test_uniform_chains_are_uniform(process):
    space = SequenceSpace(DNA, 2)
    chain = uniform_sequences(space, process=process, num_steps=2)
    designs = space.decode(sample(chain, 4000, batch_size=4000, generator=torch.Generator().manual_seed(0)))
    counts = torch.tensor([designs.count("".join(word)) for word in product("ACGT", repeat=2)])
    chi_square = ((counts - 250) ** 2 / 250).sum()
    assert chi_square < 37.7  # the 99.9 % quantile with 15 degrees of freedom


@pytest.mark.parametrize(
    "space",
    [SequenceSpace(RNA, 100), SequenceSpace(PROTEIN, 7, 3), SequenceSpace(Alphabet("hp", "HP"), 5)],
    ids=str,
)
def test_uniform_chains_of_any_alphabet_and_length(space):
    chain = uniform_sequences(space)
    state = sample(chain, 3, generator=torch.Generator().manual_seed(0))
    assert all(space.parse(design)[1] == "" or space.is_variable for design in space.decode(state))
    assert chain.num_steps == min(space.length, 16)
    path = [chain.initial(3).sample(), *([state] * chain.num_steps)]
    assert path_log_prob(chain, path).shape == (3, chain.num_steps)
    assert any(p.requires_grad for p in chain.parameters())


def test_unknown_processes_are_refused():
    with pytest.raises(ParameterError, match="masked"):
        sequence_process(SequenceSpace(DNA, 4), "absorbing", 2)


def test_spaces_of_cards():
    assert space_of({"alphabet": "RNA", "length": 9, "min_length": 4}) == SequenceSpace(RNA, 9, 4)


@pytest.mark.data
def test_samples_are_of_the_lower_half_as_often_as_the_card_says(measured):
    measured("tfbind8")
    table = tf_binding("SIX6_REF_R1")
    designs = designs_of("tfbind8-low", 1000)
    card = zoo.read_card("tfbind8-low")
    steps = next(row for row in card["quality"] if row["num_steps"] == card["default_steps"])
    median = float(torch.tensor(table.table).median())
    share = sum(table(design) < median for design in designs) / 1000
    assert share == pytest.approx(steps["in_the_lower_half"], abs=0.05)


def means_of_rounds(folder, num_queries: int, **settings) -> list[float]:
    table = tf_binding("SIX6_REF_R1")
    chain, domain = zoo.load("tfbind8-low", num_steps=4)
    proposer = methods.seiko_ucb(chain, domain, **settings)
    campaign = Campaign.create(
        folder, domain=domain, proposer=proposer, budget=3 * num_queries, num_queries=num_queries
    )
    run(campaign, CallableFeedback(table))
    trials = campaign.trials
    assert len({t.key for t in trials}) == len(trials) == 3 * num_queries
    assert all(t.value == table(t.key) for t in trials)
    return [sum(t.value for t in trials if t.round == k) / num_queries for k in range(3)]


@pytest.mark.data
def test_a_campaign_on_a_measured_landscape_climbs(tmp_path, measured):
    measured("tfbind8")
    updater = RewardWeighted(num_refreshes=1, learning_rate=5e-4, likelihood="denoising")
    means = means_of_rounds(tmp_path / "run", 48, updater=updater, pool_size=500)
    assert means[2] > means[0] + 0.1  # .38, .55, .71


@pytest.mark.data
def test_gradients_of_the_features_reach_the_chain(tmp_path, measured):
    measured("tfbind8")
    means = means_of_rounds(tmp_path / "run", 16, updater=RewardBackprop(num_iterations=3), pool_size=100)
    assert min(means) > 0.2


@pytest.mark.parametrize(("name", "kind"), [("promoters-ecoli", "learned"), ("gfp-variants", "variants")])
def test_a_family_is_seen_by_what_the_loaded_network_makes_of_it(name, kind):
    chain, domain = zoo.load(name)
    design = designs_of(name, 2)
    learned = LearnedFeatures(chain.network, space_of(zoo.read_card(name)))(design)
    assert domain.feature_kind == kind
    assert torch.equal(domain.features(design)[:, -learned.shape[1] :], learned)


def test_a_card_says_how_designs_are_compared():
    kinds = {name: zoo.load(name)[1].feature_kind for name in ("tfbind8-low", "utr5-natural", "gfp-variants")}
    assert kinds == {"tfbind8-low": "additive", "utr5-natural": "variants", "gfp-variants": "variants"}
