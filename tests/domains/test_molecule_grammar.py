"""The grammar of SMILES tokens, against RDKit."""

from __future__ import annotations

import copy

import pytest
import torch
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from seiko.domains.molecule_grammar import SmilesGrammar, bond_orders
from seiko.domains.molecule_tokens import SmilesTokens, kekulized, learn_tokens
from seiko.errors import ParameterError
from token_world import DRUG_LIKE

SMILES = (*DRUG_LIKE, "C[N+](=O)[O-]")
TOKENS = (
    "C",
    "N",
    "O",
    "F",
    "S",
    "(",
    ")",
    "1",
    "2",
    "=",
    "#",
    "/",
    "[N+]",
    "[O-]",
    "[NH3+]",
    "CC",
    "=O)",
    "C1=CC",
)
VALENCES = {
    "C": [1, 4],
    "N": [1, 3],
    "O": [1, 2],
    "F": [1],
    "S": [2, 4, 6],
    "[N+]": [4],
    "[O-]": [1],
    "[NH3+]": [1],
}


def words(grammar: SmilesGrammar, text: str) -> set[str]:
    """What may follow a beginning, "" for the end."""
    row = [grammar.tokens.index(symbol) + 1 for symbol in SmilesTokens(grammar.tokens, 99).split(text)]
    allowed = grammar.allowed(grammar.before(torch.tensor([row], dtype=torch.int64).reshape(1, -1))[:, -1])[0]
    return {grammar.tokens[kind - 1] if kind else "" for kind in allowed.nonzero()[:, 0].tolist()}


def walks(grammar: SmilesGrammar, number: int, length: int) -> torch.Tensor:
    """Rows of kinds, each drawn evenly from what is allowed, the end three times as often."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.zeros(number, 0, dtype=torch.int64)
    for _ in range(length):
        allowed = grammar.allowed(grammar.before(rows)[:, -1])
        assert allowed.any(1).all()
        ended = (rows == 0).any(1, keepdim=True)
        share = torch.where(ended, 0.0, allowed.float())
        share[:, 0] = torch.where(ended[:, 0], 1.0, 3.0 * allowed[:, 0])
        rows = torch.cat([rows, torch.multinomial(share, 1, generator=generator)], 1)
    return rows[(rows == 0).any(1)]


def test_whatever_the_grammar_lets_end_is_a_molecule():
    """But for a ring's bond between two atoms that are bound already: which are is not remembered."""
    codec = SmilesTokens(TOKENS, 40)
    rows = walks(SmilesGrammar(TOKENS, VALENCES), 1000, 40)
    texts = [codec.text(row) for row in rows.tolist()]
    molecules = 0
    with BlockLogs():
        for text in texts:
            mol = Chem.MolFromSmiles(text)
            if mol is None:
                assert Chem.MolFromSmiles(text, sanitize=False) is None  # no fault of a valence
                assert "1" in text or "2" in text
                continue
            molecules += 1
            assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()), text
    assert len(texts) > 500 and molecules > 0.8 * len(texts)
    assert len(set(texts)) > 300


def test_what_may_follow():
    grammar = SmilesGrammar(TOKENS, VALENCES)
    atoms = {"C", "N", "O", "F", "S", "[N+]", "[O-]", "[NH3+]", "CC", "C1=CC"}
    assert words(grammar, "") == atoms
    assert words(grammar, "F") == {"", "(", "/"} | atoms  # a ring could not be closed
    assert words(grammar, "CF") == {""}
    assert words(grammar, "C(F") == {")"}
    assert words(grammar, "C(") == atoms | {"=", "#", "/", "=O)"}
    assert words(grammar, "O=") == atoms - {"F", "[O-]", "[NH3+]", "C1=CC"}
    assert words(grammar, "N(=O)(C)") == {""}  # three bonds
    assert "" not in words(grammar, "C1") and "" in words(grammar, "C1CC1")
    assert "1" not in words(grammar, "C1") | words(grammar, "C1(C)")  # a ring of one atom
    assert words(grammar, "[N+]") == {"(", "1", "2"}  # four bonds, no less: a chain would leave it with one
    assert "" in words(grammar, "[N+](=O)([O-])C") and "" not in words(grammar, "C[N+](=O)")


def test_a_ring_is_not_shut_in():
    """After F no bond is left, so a ring that is open could never be closed."""
    grammar = SmilesGrammar(TOKENS, VALENCES)
    assert "F" not in words(grammar, "C1C") and "F" in words(grammar, "C1C(")


def test_without_valences_only_brackets_and_bonds_count():
    grammar = SmilesGrammar(("C", "c", "(", ")", "1", "=", "c1", "c1)"))
    assert words(grammar, "C(C)") >= {"", "C", "c", "(", "1", "="}
    assert ")" not in words(grammar, "C(C)") and "c1)" not in words(grammar, "c1c")
    assert "" in words(grammar, "C(C)(C)(C)(C)C")


def test_data_obey_the_grammar():
    spelled = list(map(kekulized, SMILES))
    codec = SmilesTokens(learn_tokens(spelled, 45, least=1), 24, kekule=True)
    grammar = SmilesGrammar(codec.tokens, bond_orders(spelled))
    rows = codec.encode(SMILES)
    allowed = grammar.allowed(grammar.before(rows)[:, :-1].flatten())
    assert allowed.gather(1, rows.flatten()[:, None]).all()


def test_a_broken_row_can_only_end_and_nothing_else_counts_as_broken():
    grammar = SmilesGrammar(("C", "F", "="), {"C": [4], "F": [1]})
    broken, written = torch.tensor([[2, 3, 2, 1]]), torch.tensor([[1, 0, 0, 4]])
    assert grammar.before(broken)[0, -1] == 0
    assert grammar.allowed(grammar.before(broken)[:, -1])[0].tolist() == [True, False, False, False]
    before = grammar.before(written)[0]
    assert (before[1:] == before[1]).all()  # the end and the mask change nothing


def test_copies_share_what_was_worked_out():
    grammar = SmilesGrammar(TOKENS, VALENCES)
    words(grammar, "CCO")
    twin = copy.deepcopy(grammar)
    assert words(twin, "CCO") == words(grammar, "CCO")
    assert torch.equal(twin.before(torch.tensor([[1, 2, 3]])), grammar.before(torch.tensor([[1, 2, 3]])))


def test_bond_orders_are_those_of_the_data():
    assert bond_orders(["CC(=O)O", "C[N+](=O)[O-]", "C#N", "c1ccccc1O"]) == {
        "C": [1, 3, 4],
        "N": [3],
        "O": [1, 2],
        "[N+]": [4],
        "[O-]": [1],
    }


def test_tokens_that_could_never_end_are_refused():
    with pytest.raises(ParameterError, match="four bonds"):
        SmilesGrammar(("O", "1"), {"O": [2]})
    with pytest.raises(ParameterError, match=r"\[S\+\] must have several bonds"):
        SmilesGrammar(("C", "[S+]", "F", "1"), {"C": [4], "F": [1], "[S+]": [3]})
