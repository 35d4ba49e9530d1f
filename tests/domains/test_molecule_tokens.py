"""SMILES as rows of tokens: the codec, its vocabulary, given beginnings, and what cannot be written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rdkit import Chem

from seiko.domains.molecule import smiles_domain
from seiko.domains.molecule_tokens import (
    ATOM,
    SmilesTokens,
    kekulized,
    learn_tokens,
    respelled,
)
from seiko.errors import ParameterError, ShapeError
from token_world import DRUG_LIKE as SMILES


@pytest.fixture(scope="module")
def codec() -> SmilesTokens:
    return SmilesTokens(learn_tokens(SMILES, 45, least=1), length=24)


def test_rows_decode_to_the_molecules_they_were_made_of(codec):
    rows = codec.encode(SMILES)
    assert rows.shape == (len(SMILES), 24) and rows.dtype == torch.int64
    assert codec.decode(rows) == [Chem.CanonSmiles(text) for text in SMILES]
    assert [codec.text(row) for row in rows.tolist()] == list(SMILES)
    lengths = (rows != 0).sum(1)
    assert (lengths < torch.tensor([len(ATOM.findall(text)) for text in SMILES])).all()


def test_kekule_rows_have_no_aromatic_atoms_and_say_the_same_molecule():
    spelled = list(map(kekulized, SMILES))
    assert not any(symbol.islower() for text in spelled for symbol in ATOM.findall(text))
    assert list(map(Chem.CanonSmiles, spelled)) == list(map(Chem.CanonSmiles, SMILES))
    codec = SmilesTokens(learn_tokens(spelled, 45, least=1), 24, kekule=True)
    rows = codec.encode(SMILES)
    assert [codec.text(row) for row in rows.tolist()] == spelled
    assert codec.decode(rows) == [Chem.CanonSmiles(text) for text in SMILES]


def test_kekule_rows_begin_at_the_atom_that_is_given():
    rng, codec = np.random.default_rng(0), SmilesTokens(("C", "O", "=", "1", "(", ")"), 24, kekule=True)
    spelled = {codec.text(codec.encode([respelled("Oc1ccccc1", rng)])[0].tolist()) for _ in range(20)}
    assert len(spelled) > 3 and {Chem.CanonSmiles(text) for text in spelled} == {"Oc1ccccc1"}
    with pytest.raises(ParameterError, match="cannot read"):
        codec.encode(["c1ccccc"])


def test_a_symbol_is_never_cut(codec):
    for text in ("CCl", "ClCCl", "BrCBr", "CCCl", "C[NH+](C)CCCl"):
        symbols = [symbol for token in codec.split(text) for symbol in ATOM.findall(token)]
        assert symbols == ATOM.findall(text)


def test_frequent_neighbours_become_tokens():
    assert learn_tokens(["OCCO", "NCCO", "CCF"], 6, least=1) == ("C", "F", "N", "O", "CC", "CCO")
    tokens = learn_tokens(["c1ccccc1"] * 5 + ["CCN"], 12, least=1)
    assert tokens[:4] == ("1", "C", "N", "c") and "cc" in tokens and "c1ccccc1" in tokens
    assert learn_tokens(["CCO", "CC[Pt]"], 3, least=1)[:3] == ("C", "O", "[Pt]")
    assert "[Pt]" not in learn_tokens(["CCO"] * 3 + ["CC[Pt]"], 8, least=2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("CC(", "RDKit cannot read it"), ("", "empty"), ("C(C)(C)(C)(C)C", "RDKit cannot read it")],
)
def test_what_is_no_molecule_says_why(codec, text, reason):
    kinds = [codec.tokens.index(token) + 1 for token in codec.split(text)]
    row = torch.tensor([kinds + [0] * (24 - len(kinds))])
    assert codec.decode(row) == [f"invalid: {reason}"]
    domain = smiles_domain(codec.decode)
    assert domain.why_invalid(codec.decode(row)[0]) == reason


def test_rows_without_an_end_are_invalid(codec):
    assert codec.decode(torch.ones(1, 24, dtype=torch.int64)) == ["invalid: it does not end within 24 tokens"]
    masked = torch.full((1, 24), codec.kinds)
    assert codec.decode(masked) == ["invalid: it is not written to its end"]


def test_a_stereo_mark_without_a_stereocentre_says_nothing():
    codec = SmilesTokens(("C", "[C@@H]", "O", "(", ")"), length=8)
    row = [codec.tokens.index(token) + 1 for token in ("C", "[C@@H]", "(", "C", ")", "O")]
    assert codec.decode(torch.tensor([[*row, 0, 0]])) == ["CC(C)O"]


def test_a_beginning_may_end_in_a_longer_token():
    codec = SmilesTokens(("C", "Cl", "O", "N", "CO", "CN", "NC"), length=5)
    allowed = codec.beginning("NCC")
    assert allowed.shape == (1, 5, codec.kinds)
    fits = [[codec.tokens[k - 1] for k in row.nonzero()[:, 0].tolist() if k] for row in allowed[0]]
    assert fits[0] == ["NC"] and fits[1] == ["C", "CO", "CN"] and len(fits[2]) == 7
    assert not allowed[0, :2, 0].any() and allowed[0, 2:, 0].all()


def test_bad_input_is_refused(codec):
    with pytest.raises(ParameterError, match=r"Row 1, 'CC\[Pt\]'.*unknown symbols"):
        codec.encode(["CCO", "CC[Pt]"])
    with pytest.raises(ParameterError, match="at most 23 fit"):
        codec.encode(["P" * 30 if "P" in codec.tokens else "[nH]" * 30])
    assert len(codec.encode(["CCO", "CC[Pt]"], skip=True)) == 1
    with pytest.raises(ParameterError, match="cannot begin"):
        codec.beginning("[Pt]")
    with pytest.raises(ParameterError, match="different strings"):
        SmilesTokens(("C", "C"), 4)
    with pytest.raises(ParameterError, match=r"\['O'\]"):
        SmilesTokens(("C", "CO"), 4)
    with pytest.raises(ShapeError, match="rows of kinds"):
        codec.decode({"atoms": torch.zeros(1)})


def test_another_spelling_is_the_same_molecule_from_any_atom_on():
    rng = np.random.default_rng(0)
    spellings = {respelled(SMILES[0], rng) for _ in range(200)}
    assert {Chem.CanonSmiles(text) for text in spellings} == {Chem.CanonSmiles(SMILES[0])}
    assert len(spellings) > 8
