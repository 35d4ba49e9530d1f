"""Rewards of molecules against their definitions."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit import Chem

from seiko.errors import ParameterError
from seiko.oracles.rdkit_properties import (
    MEDIAN_TARGETS,
    REWARDS,
    ZINC_MEAN_STD,
    gaussian,
    largest_ring,
    logp,
    median_norcamphor,
    penalized_logp,
    polar_ring,
    qed,
    sa_score,
)

SMILES = ["C", "CCO", "c1ccccc1", "C1CCCCCCCC1", "O=C1CC2CCC1C2", "NC(=O)c1ccn[nH]1", "C1CC2CC2C1", "C#N"]


def test_logp_adds_the_published_contributions_of_atoms():
    """Wildman and Crippen, Table 1: C1 .1441, C5 (carbonyl) -.2783; H1 .1230 on carbon; O9 (=O) -.1526 ..."""
    assert logp("C") == pytest.approx(0.1441 + 4 * 0.1230, abs=1e-6)
    assert logp("CC") == pytest.approx(2 * 0.1441 + 6 * 0.1230, abs=1e-6)
    assert logp("c1ccccc1") == pytest.approx(6 * 0.1581 + 6 * 0.1230, abs=1e-6)  # C18 aromatic


@pytest.mark.parametrize(
    ("smiles", "size"),
    [("CCO", 0), ("C1CC1", 3), ("c1ccc2ccccc2c1", 6), ("C1CCCCCCCC1", 9), ("C1CC2CCC1C2", 5)],
)
def test_largest_ring(smiles, size):
    assert largest_ring(smiles) == size


@pytest.mark.parametrize("smiles", SMILES)
def test_penalized_logp_is_its_three_parts(smiles):
    cycle = max(0, largest_ring(smiles) - 6)
    assert penalized_logp(smiles) == pytest.approx(logp(smiles) - sa_score(smiles) - cycle)
    parts = {"logp": logp(smiles), "minus_sa": -sa_score(smiles), "minus_cycle": -cycle}
    by_hand = sum((parts[name] - mean) / std for name, (mean, std) in ZINC_MEAN_STD.items())
    assert penalized_logp(smiles, normalized=True) == pytest.approx(by_hand)


def test_a_ring_of_nine_costs_three():
    assert penalized_logp("C1CCCCCCCC1") == pytest.approx(logp("C1CCCCCCCC1") - sa_score("C1CCCCCCCC1") - 3)


def test_easy_molecules_are_easy_and_cages_are_not():
    assert sa_score("c1ccccc1") == pytest.approx(1.0)
    assert sa_score("C12C3C4C1C5C2C3C45") > 3
    assert all(1 <= sa_score(smiles) <= 10 for smiles in SMILES)


def test_gaussian_modifier():
    assert gaussian(3.0, mean=3.0, width=2.0) == 1
    assert gaussian(5.0, mean=3.0, width=2.0) == pytest.approx(math.exp(-0.5))


def test_polar_ring_by_hand():
    """Benzene: logP 1.6866, no polar surface, one ring."""
    scores = math.exp(-0.5 * (0.3134 / 0.5) ** 2), math.exp(-0.5 * 5**2), math.exp(-0.5 * 2**2)
    assert polar_ring("c1ccccc1") == pytest.approx(math.prod(scores) ** (1 / 3), rel=1e-3)
    assert polar_ring("Cc1noc2c1OCC2") > polar_ring("CCO")


def test_median_of_targets():
    first, second = MEDIAN_TARGETS
    assert median_norcamphor(first) == pytest.approx(median_norcamphor(second))  # sqrt(similarity * 1)
    assert 0.2 < median_norcamphor(first) < 0.5
    assert median_norcamphor("N") == 0
    assert max(Chem.MolFromSmiles(target).GetNumAtoms() for target in MEDIAN_TARGETS) == 8


@pytest.mark.parametrize("name", REWARDS)
def test_rewards_are_finite_floats_that_do_not_see_the_spelling(name):
    reward = REWARDS[name]
    for smiles in SMILES:
        value = reward(smiles)
        assert type(value) is float and math.isfinite(value)
        kekule = Chem.MolFromSmiles(smiles)
        Chem.Kekulize(kekule, clearAromaticFlags=True)
        assert reward(Chem.MolToSmiles(kekule, canonical=False)) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", ["qed", "polar_ring", "median_norcamphor"])
def test_scores_are_in_the_unit_interval(name):
    assert all(0 <= REWARDS[name](smiles) <= 1 for smiles in SMILES)


@pytest.mark.parametrize("reward", [*REWARDS.values(), sa_score, largest_ring, qed])
def test_what_rdkit_cannot_read_is_refused(reward, capfd):
    for wrong in ("CC(", "", "invalid: valence of C", None, 3):
        with pytest.raises(ParameterError, match="SMILES"):
            reward(wrong)
    assert capfd.readouterr().err == ""


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        REWARDS["mine"] = qed
