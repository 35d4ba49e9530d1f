"""Kept scaffolds: spellings that end at the open atom, and samples that begin with them."""

from __future__ import annotations

import pytest
import torch
from rdkit import Chem

from seiko.chain import sample
from seiko.chains import LeftToRight
from seiko.domains.molecule import smiles_domain
from seiko.domains.molecule_growth import beginnings, growing_domain, scaffold_filter
from seiko.domains.molecule_tokens import SmilesTokens, learn_tokens
from seiko.errors import ParameterError
from seiko.networks import RecurrentSequence

SCAFFOLDS = ("*c1ccccc1", "O=C(*)c1ccccc1", "*N1CCN(c2ccccc2)CC1", "Nc1ncnc2[nH]cc(*)c12", "C[C@@H](*)C(=O)N")
CODEC = SmilesTokens(learn_tokens([*(s.replace("*", "C") for s in SCAFFOLDS), "CCl"] * 3, 40, least=1), 24)

MARKED = SmilesTokens((*"CNOF()=/\\1234", "[C@H]", "[C@@H]"), 40)
"""Every symbol of the scaffolds with stereo marks below."""


def grown_by_hand(scaffold: str, atomic_number: int) -> str:
    """The scaffold with an atom in its open place."""
    mol = Chem.RWMol(Chem.MolFromSmiles(scaffold))
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            atom.SetAtomicNum(atomic_number)
    return Chem.CanonSmiles(Chem.MolToSmiles(mol))


@pytest.mark.parametrize("kekule", [False, True])
@pytest.mark.parametrize("scaffold", SCAFFOLDS)
def test_what_follows_a_beginning_is_bound_to_the_open_atom(scaffold, kekule):
    found = beginnings(scaffold, kekule=kekule)
    assert not (kekule and any(map(str.islower, "".join(found).replace("Cl", ""))))
    assert len(found) >= 2 and found == sorted(found, key=lambda text: (len(text), text))
    assert {Chem.CanonSmiles(text + "Br") for text in found} == {grown_by_hand(scaffold, 35)}
    assert beginnings(scaffold, kekule=kekule) == found


@pytest.mark.parametrize("scaffold", SCAFFOLDS)
def test_samples_begin_with_the_scaffold(scaffold):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chain = LeftToRight(RecurrentSequence(CODEC.kinds, width=16, embedding=8), CODEC.length)
    plain = smiles_domain(CODEC.decode)
    domain = growing_domain(plain, CODEC, scaffold)
    condition = domain.condition(40, torch.Generator().manual_seed(1))
    states = sample(chain, 40, condition=condition, generator=torch.Generator().manual_seed(0))
    texts = [CODEC.text(row) for row in states.tolist()]
    starts = tuple(beginnings(scaffold))
    assert all(text is None or text.startswith(starts) for text in texts)
    for design in map(plain.decode, states.split(1), [None] * 40):
        if plain.is_valid(design[0]):
            assert domain.is_valid(design[0]), design
    assert len({tuple(row.flatten().tolist()) for row in condition}) > 1


def test_molecules_without_the_scaffold_are_invalid():
    domain = growing_domain(smiles_domain(CODEC.decode), CODEC, "*c1ccccc1")
    assert domain.is_valid("CCc1ccccc1") and domain.is_valid("c1ccccc1")
    assert domain.why_invalid("CCC") == "the scaffold c1ccccc1 is absent"
    assert domain.why_invalid("CC(") == "RDKit cannot read it"
    assert scaffold_filter("CC(=O)N*")("CC(=O)NC") == ""


ALANINE, MIRRORED = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"


@pytest.mark.parametrize(
    ("scaffold", "holding", "others"),
    [
        # its mirror image and its unmarked form are other molecules; glycine and the malonate have no centre
        (
            "*[C@H](N)C(=O)O",
            [ALANINE, "C[C@](F)(N)C(=O)O", "NCC(=O)O", "OC(=O)C(N)C(=O)O"],
            [MIRRORED, "CC(N)C(=O)O"],
        ),
        ("*C(N)C(=O)O", [ALANINE, MIRRORED, "CC(N)C(=O)O", "NCC(=O)O"], ["CC(N)C"]),
        ("*CC[C@H](C)N", ["CC[C@H](C)N", "OCC[C@H](C)N"], ["CC[C@@H](C)N", "OCC[C@@H](C)N"]),
        ("*/C=C/C", ["F/C=C/C", "C=CC", "CC=C(F)F"], ["F/C=C\\C", "FC=CC"]),
        ("*[C@H]1CC[C@@H](C)CC1", ["O[C@H]1CC[C@@H](C)CC1", "CC1CCCCC1"], ["O[C@H]1CC[C@H](C)CC1"]),
    ],
)
def test_the_stereo_marks_of_a_scaffold_are_kept(scaffold, holding, others):
    domain = growing_domain(smiles_domain(MARKED.decode), MARKED, scaffold)
    assert {design: domain.why_invalid(design) for design in holding} == dict.fromkeys(holding, "")
    assert not any(map(domain.is_valid, others))


def test_marks_that_are_lost_are_the_reason():
    why_not = scaffold_filter("*[C@H](N)C(=O)O")
    assert why_not(MIRRORED) == "the scaffold *[C@H](N)C(=O)O is there, but not with its stereo marks"
    assert why_not("CCO") == "the scaffold NCC(=O)O is absent"


@pytest.mark.parametrize("dummy", ["[*:1]", "[1*]", "[2*:3]"])
def test_notations_of_an_open_place(dummy):
    scaffold = f"{dummy}c1ccccc1"
    assert beginnings(scaffold) == beginnings("*c1ccccc1")
    domain = growing_domain(smiles_domain(CODEC.decode), CODEC, scaffold)
    assert domain.is_valid("CCc1ccccc1") and not domain.is_valid("CCC")


@pytest.mark.parametrize("bad", ["c1ccccc1", "*CC*", "*", "*=C", "CC(", "C*C"])
def test_a_scaffold_needs_one_open_place(bad):
    with pytest.raises(ParameterError, match=r"`\*`"):
        beginnings(bad)


def test_a_scaffold_with_unknown_symbols_is_refused():
    with pytest.raises(ParameterError, match="symbols that the chain does not write"):
        growing_domain(smiles_domain(CODEC.decode), CODEC, "*[Si](C)C")
