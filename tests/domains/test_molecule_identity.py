"""What may be a molecule at all, and the reason where it may not."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit import Chem

from seiko.domains.molecule_identity import INVALID, MoleculeRules, readable
from seiko.errors import ParameterError

RULES = MoleculeRules()


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("CC(", "cannot read"),
        ("", "empty"),
        ("CN.OC=O", "a salt or a mixture"),
        ("CC(=O)[O-].[Na+]", "element Na"),
        ("C[Pt]C", "element Pt"),
        ("[CH3]", "radical on C"),
        ("[13CH4]", "isotope on C"),
        ("C" * 501, "501 characters"),
        ("C[C@H](C)O", "no stereocentre"),
        ("C/C=C(C)/C", "mark no stereo bond"),
        ("F/C(Cl)=C(/F)\\F", "mark no stereo bond"),
        ("C/C=C/C(/F)=C(/F)F", "mark no stereo bond"),
        ("[H]/C(C)=C(/C)C", "mark no stereo bond"),
        ("C1CC/C=C/C1", "mark no stereo bond"),
        ("[CH3:1][C@H](O)[CH3:2]", "no stereocentre"),
        ("C/C=C([CH3:1])/[CH3:2]", "mark no stereo bond"),
        ("CCO CCN", "white space inside"),
        ("CCO\tethanol", "white space inside"),
        (INVALID + "still masked", "still masked"),
    ],
)
def test_reasons(smiles, reason, capfd):
    canonical, found = RULES.read(smiles)
    assert canonical == "" and reason in found
    assert RULES.key(smiles) == smiles
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("thing", [None, 3, b"CCO", ["C"]])
def test_what_is_no_string(thing):
    assert RULES.why_not(thing) == "it is not a string"


@pytest.mark.parametrize(
    "smiles",
    ["C[C@H](F)O", "F/C=C/F", "F/C=C\\F", "C[C@@H]1CC[C@H](O)CC1", "CC(/C=C/c1ccccc1)=N\\O", "C[S@](=O)CC"],
)
def test_marks_that_say_something_are_kept(smiles):
    canonical, reason = RULES.read(smiles)
    assert reason == "" and canonical == Chem.CanonSmiles(smiles) and set(canonical) & set("@/\\")
    assert MoleculeRules(stereo="drop").read(smiles) == (Chem.CanonSmiles(smiles, useChiral=0), "")


@pytest.mark.parametrize(
    "smiles",
    [
        "C/C=C/C1=C(/C=C/C)CCCC1",  # the ring's double bond stands between marks of its neighbours
        "C/C=C/c1ccccc1/C=C/C",
        "C/C=C/C(/C=C/C)=C(C)C",
        "COCCNC(=O)/C(C#N)=C/C1=C(N2CCOCC2)C(=C\\c2ccccc2)/CC1",
        "C/C=C\\F",
    ],
)
def test_every_spelling_of_stereo_bonds_is_one_design(smiles):
    mol = Chem.MolFromSmiles(smiles)
    kekule = Chem.Mol(mol)
    Chem.Kekulize(kekule, clearAromaticFlags=True)
    spellings = [
        *Chem.MolToRandomSmilesVect(mol, 20, randomSeed=1),
        *Chem.MolToRandomSmilesVect(kekule, 20, randomSeed=1, kekuleSmiles=True),
        Chem.MolToSmiles(mol, allHsExplicit=True),
        Chem.MolToSmiles(Chem.AddHs(mol)),
    ]
    assert {RULES.read(text) for text in spellings} == {(Chem.CanonSmiles(smiles), "")}


def test_stereoisomers_are_different_or_one():
    pair = ("C[C@H](F)O", "C[C@@H](F)O")
    assert len({RULES.key(s) for s in pair}) == 2
    assert len({MoleculeRules(stereo="drop").key(s) for s in pair}) == 1
    assert MoleculeRules(stereo="drop").why_not("C[C@H](C)O") == ""  # the marks are not looked at


def test_charges():
    zwitterion, ammonium, nitro = "C[N+](C)(C)CC(=O)[O-]", "CC[NH3+]", "C[N+](=O)[O-]"
    assert [RULES.why_not(s) for s in (zwitterion, ammonium, nitro)] == ["", "", ""]
    neutral, none = MoleculeRules(charges="neutral"), MoleculeRules(charges="none")
    assert [neutral.why_not(s) for s in (zwitterion, ammonium, nitro)] == ["", "net charge +1", ""]
    assert none.why_not(nitro) == "charge on N"


def test_limits_and_map_numbers():
    assert MoleculeRules(max_atoms=2).why_not("CCO") == "3 heavy atoms, at most 2 fit"
    assert MoleculeRules(max_length=None).why_not("C" * 501) == ""
    assert RULES.key("[CH3:7]CO") == RULES.key("[H:1]CCO") == RULES.key(" CCO\n") == "CCO"
    assert RULES.key("[CH3:1][CH](O)[CH3:2]") == "CC(C)O"
    assert RULES.key("[CH3:1][C@H:10](F)[OH:0]") == RULES.key("C[C@H](F)O")


def test_bad_rules():
    for wrong in ({"max_atoms": 0}, {"max_length": -1}, {"stereo": "yes"}, {"charges": "some"}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            MoleculeRules(**wrong)
    for smiles in ("CC(", "", None, "CCO ethanol"):
        with pytest.raises(ParameterError, match="cannot read"):
            readable(smiles)
