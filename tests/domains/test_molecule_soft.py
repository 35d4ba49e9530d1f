"""Soft counts of graphs: equal to counts of molecules at the corners, with the right gradients."""

from __future__ import annotations

import networkx
import pytest
import torch

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from rdkit import Chem

from seiko.domains.molecule import MoleculeGraph, molecule_domain
from seiko.domains.molecule_soft import WALKS, GraphCounts, cardinal
from seiko.errors import ParameterError, ShapeError
from seiko.testing import check_domain

GRAPH = MoleculeGraph()
COUNTS = GraphCounts(4)
SMILES = ["C", "CCO", "c1ccccc1", "c1cc[nH]c1", "Cc1ncccn1", "C1CC2CCC1C2", "C#CC=O", "NC(=O)c1ccn[nH]1"]


def counts(smiles):
    state = GRAPH.one_hot(GRAPH.encode(smiles))
    return COUNTS(state["atoms"], state["bonds"])


def test_cyclopropanol_by_hand():
    row = counts(["OC1CC1"])[0]
    labels = row[:60].reshape(4, 5, 3)  # element, bonds, double bonds
    wanted = torch.zeros(4, 5, 3)
    wanted[0, 2, 0], wanted[0, 3, 0], wanted[2, 1, 0] = 2, 1, 1  # two CH2, one CH, one OH
    assert (labels == wanted).all()
    bonded = row[60:70]  # pairs of C, N, O, F: CC CN CO CF NN NO NF OO OF FF
    assert bonded.tolist() == [3, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    bent = row[70:110].reshape(4, 10)
    assert bent[0].tolist() == [3, 0, 2, 0, 0, 0, 0, 0, 0, 0] and (bent[1:] == 0).all()  # C-C-C, C-C-O
    degrees, doubles, rings = row[110:113].tolist()
    assert degrees == 2 * 2 + 2 * 3 * 2 + 3 * 1 and doubles == 0 and rings == 1
    assert row[113].item() == 1  # one ring of three


def test_closed_walks_against_enumeration():
    """Walks over directed bonds that never turn back at once, counted one by one."""
    for smiles in ("C1CC1", "C1CCC1C", "C1CC2CCC1C2", "c1ccccc1", "C12C3C4C1C5C2C3C45"):
        adjacency = Chem.GetAdjacencyMatrix(Chem.MolFromSmiles(smiles))
        graph = networkx.from_numpy_array(adjacency)

        def walks(path, length, graph=graph):
            if length == 0:
                return int(path[-1] == path[0])
            ahead = [n for n in graph[path[-1]] if len(path) < 2 or n != path[-2]]
            return sum(walks([*path, n], length - 1) for n in ahead)

        found = counts([smiles])[0, -len(WALKS) :]
        wanted = [sum(walks([start], k) for start in graph) / (2 * k) for k in WALKS]
        assert found.tolist() == pytest.approx(wanted)


def test_width_and_integers():
    rows = counts(SMILES)
    assert rows.shape == (len(SMILES), COUNTS.width) and (rows[:, : -len(WALKS)] % 1 == 0).all()
    assert len(torch.unique(rows, dim=0)) == len(SMILES)


def test_neither_order_of_atoms_nor_kekule_form_matters():
    """Benzene and pyridazine by hand in both Kekulé forms, atoms in another order and with gaps."""
    pairs = [tuple(pair) for pair in torch.triu_indices(9, 9, 1).T.tolist()]

    def state(kinds, orders):
        atoms = torch.zeros(1, 9, dtype=torch.long)
        for slot, kind in kinds.items():
            atoms[0, slot] = kind
        found = {tuple(sorted(pair)): order for pair, order in orders.items()}
        return GRAPH.one_hot({"atoms": atoms, "bonds": torch.tensor([[found.get(p, 0) for p in pairs]])})

    for ring in ((0, 1, 2, 3, 4, 5), (8, 2, 5, 0, 7, 3)):
        for shift in (0, 1):
            kinds = {slot: 2 if place < 2 else 1 for place, slot in enumerate(ring)}
            edges = {(ring[i], ring[(i + 1) % 6]): 1 + (i + shift) % 2 for i in range(6)}
            one = state(kinds, edges)
            assert GRAPH.decode(one) == ["c1ccnnc1"]
            assert torch.equal(COUNTS(one["atoms"], one["bonds"]), counts(["c1ccnnc1"]))


def test_cardinal_indicators():
    at_integers = cardinal(torch.arange(5.0), 4)
    assert torch.equal(at_integers, torch.eye(5))
    assert torch.equal(cardinal(torch.tensor([9.0]), 4), torch.eye(5)[4:])
    x = torch.linspace(0, 4, 41, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: cardinal(x, 4), x[1:-1:3])
    inside = cardinal(torch.linspace(1, 3, 21), 4).sum(-1)
    assert torch.allclose(inside, torch.ones(21), atol=1e-6)  # a partition of one away from the ends


def test_gradients_are_right_inside_the_simplex():
    generator = torch.Generator().manual_seed(0)
    small = GraphCounts(2)
    atoms = torch.rand(2, 4, 4, generator=generator, dtype=torch.double).softmax(-1).requires_grad_()
    bonds = torch.rand(2, 6, 5, generator=generator, dtype=torch.double).softmax(-1).requires_grad_()
    assert torch.autograd.gradcheck(small, (atoms, bonds))


def test_the_domain_keeps_the_rules():
    """Features of designs equal soft features of the states they were decoded from."""
    domain = molecule_domain(GRAPH, soft=True)
    good = GRAPH.one_hot(GRAPH.encode(SMILES))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    i, j = torch.triu_indices(9, 9, 1)
    square = torch.zeros(9, 9, dtype=torch.long)
    square[i, j] = square[j, i] = torch.arange(36)
    shuffled = {"atoms": good["atoms"][:, order], "bonds": good["bonds"][:, square[order][:, order][i, j]]}
    states = {leaf: torch.cat([good[leaf], shuffled[leaf]]) for leaf in good}
    check_domain(domain, states)


def test_bad_arguments():
    with pytest.raises(ParameterError, match="num_kinds"):
        GraphCounts(0)
    state = GRAPH.one_hot(GRAPH.encode(["C"]))
    for atoms, bonds in ((state["atoms"], state["bonds"][:, 1:]), (state["atoms"][..., :3], state["bonds"])):
        with pytest.raises(ShapeError, match="Graph counts"):
            COUNTS(atoms, bonds)
    with pytest.raises(ShapeError, match="dict"):
        molecule_domain(GRAPH, soft=True).soft_features(state["atoms"], None)
