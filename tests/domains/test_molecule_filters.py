"""Filters of chemists: what they refuse, and with which words."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit.Chem import Descriptors

from seiko.domains.molecule import smiles_domain
from seiko.domains.molecule_filters import (
    CATALOGS,
    RULE_OF_FIVE,
    Alerts,
    Catalog,
    Contains,
    PropertyRange,
    RingSizes,
    first_refusal,
)
from seiko.domains.molecule_identity import readable
from seiko.domains.molecule_properties import PROPERTIES
from seiko.errors import ParameterError

ASPIRIN, CYCLOSPORIN_LIKE = "CC(=O)Oc1ccccc1C(=O)O", "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"


def test_alerts_name_the_pattern():
    alerts = Alerts({"nitro": "[N+](=O)[O-]", "acid": "C(=O)[OX2H1]"})
    assert alerts(readable("c1ccccc1[N+](=O)[O-]")) == "nitro"
    assert alerts(readable(ASPIRIN)) == "acid" and alerts(readable("CCO")) == ""
    with pytest.raises(ParameterError, match="SMARTS"):
        Alerts({"broken": "[C"})


@pytest.mark.parametrize(
    ("name", "smiles"),
    [
        ("PAINS", "O=C1C=CC(=O)C=C1"),  # quinones, from the publication's list
        ("PAINS", "S=C1SC(=Cc2ccccc2)C(=O)N1"),  # rhodanines
        ("BRENK", "CC=O"),
        ("NIH", "CC(=O)Cl"),
    ],
)
def test_published_lists(name, smiles):
    assert Catalog(name)(readable(smiles))
    assert Catalog(name)(readable("CCO")) == ""


def test_lists_by_name():
    assert all(isinstance(Catalog(name)(readable("c1ccccc1O")), str) for name in CATALOGS)
    with pytest.raises(ParameterError, match="PAINS_C"):
        Catalog("pains")


def test_ranges_hold_their_ends():
    weight = Descriptors.MolWt(readable("CCO"))
    assert PropertyRange("weight", low=weight, high=weight)(readable("CCO")) == ""
    assert PropertyRange("rings", low=1)(readable("CCO")) == "rings 0 is below 1"
    assert PropertyRange("rings", high=0)(readable("C1CC1")) == "rings 1 is above 0"
    for wrong in ({}, {"low": 2, "high": 1}, {"low": float("nan"), "high": 1}):
        with pytest.raises(ParameterError, match="range of rings"):
            PropertyRange("rings", **wrong)
    with pytest.raises(ParameterError, match="tpsa"):
        PropertyRange("colour", low=1)


def test_properties_are_those_of_rdkit():
    mol = readable(ASPIRIN)
    theirs = {
        "logp": Descriptors.MolLogP, "qed": Descriptors.qed, "weight": Descriptors.MolWt,
        "tpsa": Descriptors.TPSA, "donors": Descriptors.NumHDonors,
        "rotatable": Descriptors.NumRotatableBonds, "rings": Descriptors.RingCount,
        "aromatic_rings": Descriptors.NumAromaticRings,
        "fraction_sp3": Descriptors.FractionCSP3, "heavy_atoms": Descriptors.HeavyAtomCount,
    }  # fmt: skip
    for name, function in theirs.items():
        assert PROPERTIES[name](mol) == pytest.approx(function(mol))
    by_hand = {"charge": 0, "largest_ring": 6, "stereocentres": 0, "acceptors": 3}
    assert {name: PROPERTIES[name](mol) for name in by_hand} == by_hand
    assert PROPERTIES["stereocentres"](readable("CC(F)O")) == 1
    assert PROPERTIES["charge"](readable("C[NH3+]")) == 1


def test_ring_sizes():
    allowed = RingSizes((5, 6))
    assert allowed(readable("c1ccc2[nH]ccc2c1")) == "" and allowed(readable("CCO")) == ""
    assert allowed(readable("C1CCC2(CC1)CC2")) == "a ring of 3 atoms"
    with pytest.raises(ParameterError, match="at least 3"):
        RingSizes((2, 5))


def test_a_kept_scaffold():
    keeps = Contains("c1ccc2[nH]ccc2c1")
    assert keeps(readable("CCc1c[nH]c2ccccc12")) == "" and keeps(readable("c1ccccc1")).endswith("is absent")


def test_rule_of_five_and_first_refusal():
    assert first_refusal(readable(ASPIRIN), RULE_OF_FIVE) == ""
    assert first_refusal(readable(CYCLOSPORIN_LIKE), RULE_OF_FIVE).startswith("filter weight: weight 535")
    assert first_refusal(readable("C"), {"own": lambda mol: False}) == "filter own"
    assert first_refusal(readable("C"), {"own": lambda mol: True, "other": lambda mol: "ugly"}) == (
        "filter other: ugly"
    )


def test_filters_make_designs_of_a_domain_invalid():
    filters = {"PAINS": Catalog(), "rings": RingSizes()}
    domain = smiles_domain(lambda state, condition: ["C"] * len(state), filters=filters)
    assert domain.is_valid("c1ccccc1") and domain.why_invalid("c1ccccc1") == ""
    assert domain.why_invalid("C1CC1") == "filter rings: a ring of 3 atoms"
    assert domain.why_invalid("O=C1C=CC(=O)C=C1").startswith("filter PAINS: quinone")
    assert domain.why_invalid("C(") == "RDKit cannot read it"  # no filter sees what cannot be read
