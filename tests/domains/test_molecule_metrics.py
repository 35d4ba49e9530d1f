"""Measures of sets of molecules against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from seiko.domains.molecule import smiles_domain
from seiko.domains.molecule_metrics import (
    DESCRIPTORS,
    MoleculeReference,
    descriptor_distances,
    descriptors,
    internal_diversity,
    nearest_similarity,
    novelty,
    scaffold,
    scaffold_diversity,
    tanimoto_diversity,
)
from seiko.errors import ParameterError

SMILES = ["CCO", "CCN", "c1ccccc1", "Cc1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C1CCNCC1"]


def similarity(a, b):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return DataStructs.TanimotoSimilarity(*(generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in (a, b)))


@pytest.mark.parametrize("power", [1, 2])
def test_internal_diversity_is_over_all_ordered_pairs(power):
    mean = np.mean([similarity(a, b) ** power for a in SMILES for b in SMILES])
    assert internal_diversity(SMILES, power=power) == pytest.approx(1 - mean ** (1 / power))


def test_the_two_diversities_differ_by_the_pairs_with_itself():
    n = len(SMILES)
    assert internal_diversity(SMILES) == pytest.approx(tanimoto_diversity(SMILES) * (n - 1) / n)
    assert internal_diversity([]) == 0 and internal_diversity(["C"]) == 0
    with pytest.raises(ParameterError, match="power"):
        internal_diversity(SMILES, power=0)


def test_nearest_of_a_reference_set():
    found = nearest_similarity(["CCO", "CCCO"], ["CCN", "CCO"])
    assert found[0] == 1 and found[1] == max(similarity("CCCO", s) for s in ("CCN", "CCO"))
    with pytest.raises(ParameterError, match="empty"):
        nearest_similarity(["C"], [])


def test_novelty_counts_distinct_ones():
    assert novelty(["CCO", "CCO", "CCN", "CCC"], {"CCO"}) == pytest.approx(2 / 3)
    assert novelty([], {"C"}) == 0


@pytest.mark.parametrize(
    ("smiles", "core", "generic"),
    [
        ("CCO", "", ""),
        ("Cc1ccccc1", "c1ccccc1", "C1CCCCC1"),
        ("c1ccccc1CCc1ccncc1C", "c1ccc(CCc2ccncc2)cc1", "C1CCC(CCC2CCCCC2)CC1"),
        ("CC1CCC(=O)CC1", "O=C1CCCCC1", "C1CCCCC1"),  # the generic one keeps no side atom
        ("C[C@H]1CCCCN1", "C1CCNCC1", "C1CCCCC1"),
    ],
)
def test_scaffolds(smiles, core, generic):
    assert scaffold(smiles) == core and scaffold(smiles, generic=True) == generic


def test_scaffold_diversity():
    assert scaffold_diversity(["Cc1ccccc1", "Oc1ccccc1", "CCO", "C"]) == 0.5 and scaffold_diversity([]) == 0


def test_wasserstein_by_hand():
    values, known = {"x": np.array([0.0, 1.0, 3.0])}, {"x": np.array([5.0, 6.0, 8.0])}
    gap = descriptor_distances(values, known)["x"]
    assert gap.wasserstein == pytest.approx(5)  # a shift by 5
    assert gap.relative == pytest.approx(5 / known["x"].std()) and gap.mean == pytest.approx(4 / 3)
    uneven = descriptor_distances({"x": np.array([0.0])}, {"x": np.array([0.0, 4.0])})["x"]
    assert uneven.wasserstein == pytest.approx(2)  # half the mass moves by 4
    for wrong in ({"y": values["x"]}, {"x": np.array([])}):
        with pytest.raises(ParameterError, match="same properties"):
            descriptor_distances(wrong, known)


def test_descriptors_have_the_properties():
    found = descriptors(SMILES)
    assert tuple(found) == DESCRIPTORS and found["weight"][0] == pytest.approx(46.069)
    assert found["rings"].tolist() == [0, 0, 1, 1, 1, 1]


def test_metrics_of_a_domain_with_a_reference_set():
    reference = MoleculeReference.of([*SMILES, "C(", "[Na+].[Cl-]"])
    assert len(reference.keys) == len(SMILES) and reference.keys >= {"CCO"}
    metrics = smiles_domain(lambda state, _: [], reference=reference).metrics
    assert metrics["novelty"](["OCC", "CCC", "C("]) == 0.5
    assert metrics["wasserstein weight"](SMILES) == 0
    heavier = metrics["wasserstein weight"](["CC(=O)Oc1ccccc1C(=O)O"])
    weights = descriptors(SMILES)["weight"]
    assert heavier == pytest.approx((180.159 - weights.mean()) / weights.std(), abs=1e-3)
    assert metrics["wasserstein weight"](["C("]) == math.inf
    assert metrics["scaffolds"](["Cc1ccccc1", "Oc1ccccc1", "C("]) == 0.5
    with pytest.raises(ParameterError, match="None of 1"):
        MoleculeReference.of(["C("])
