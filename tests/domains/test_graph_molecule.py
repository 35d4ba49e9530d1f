from __future__ import annotations

import pytest
import torch

from seiko.domains.graph_molecule import (
    ZINC_SIZES,
    ContinuousGraph,
    draw_sizes,
    graph_molecule_domain,
)
from seiko.domains.molecule_identity import INVALID
from seiko.errors import ParameterError, ShapeError

pytest.importorskip("rdkit", reason="rdkit is not installed (extra `molecules`)")

DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "O=S(=O)(N)c1ccc(Cl)cc1",
    "C#CC1CCN(CC1)c1ncc(Br)cn1",
    "CP(=O)(OC)OC",
    "FC(F)(F)c1cccc(I)c1",
]


def _canonical(smiles):
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def test_molecules_survive_encoding_and_noise_below_one_half():
    graph = ContinuousGraph()
    state = graph.encode(DRUGS)
    assert graph.decode(state) == [_canonical(s) for s in DRUGS]
    g = torch.Generator().manual_seed(0)
    noisy = {n: leaf + 0.98 * (torch.rand(leaf.shape, generator=g) - 0.5) for n, leaf in state.items()}
    assert graph.decode(noisy) == [_canonical(s) for s in DRUGS]
    assert all(row.corrected == row.dropped == 0 for row in graph.decode_rows(noisy))


def test_the_order_of_slots_does_not_matter():
    graph = ContinuousGraph(num_atoms=6)
    state = graph.encode(["CC(N)=O"])
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    i, j = torch.triu_indices(6, 6, 1)
    full = torch.zeros(1, 6, 6)
    full[:, i, j] = full[:, j, i] = state["edges"]
    moved = {"nodes": state["nodes"][:, order], "edges": full[:, order][:, :, order][:, i, j]}
    assert graph.decode(moved) == [_canonical("CC(N)=O")]


def _star(centre, order, leaves, num_atoms=8):
    """A centre with bonds of one order to carbons."""
    graph = ContinuousGraph(num_atoms)
    nodes, edges = torch.zeros(1, num_atoms, 9), torch.zeros(1, num_atoms * (num_atoms - 1) // 2)
    nodes[0, 0, graph.elements.index(centre)] = 1
    nodes[0, 1 : leaves + 1, 0] = 1
    edges[0, :leaves] = order
    return {"nodes": nodes, "edges": edges}


def test_a_carbon_with_too_many_bonds_loses_orders_until_it_fits():
    graph = ContinuousGraph(8)
    (row,) = graph.decode_rows(_star("C", 1.0, 6))
    assert (row.corrected, row.dropped) == (2, 2)
    assert row.smiles == "CC(C)(C)C"
    (row,) = graph.decode_rows(_star("C", 2.0, 3))
    assert (row.corrected, row.smiles) == (2, _canonical("C=C(C)C"))
    bare = ContinuousGraph(8, correct=False).decode(_star("C", 1.0, 6))
    assert bare == [INVALID + "valence of C"]


def test_one_bond_more_charges_nitrogen_and_oxygen_and_two_more_are_corrected():
    graph = ContinuousGraph(8)
    assert graph.decode(_star("N", 1.0, 4)) == ["C[N+](C)(C)C"]
    assert graph.decode(_star("O", 1.0, 3)) == ["C[O+](C)C"]
    assert [row.corrected for row in graph.decode_rows(_star("N", 1.0, 4))] == [0]
    (row,) = graph.decode_rows(_star("N", 1.0, 5))
    assert row.corrected == 2
    assert row.smiles == "CN(C)C"
    assert graph.decode(_star("F", 1.0, 2)) == ["CF"]
    assert graph.decode(_star("S", 2.0, 3)) == [_canonical("C=S(=C)=C")]


def test_every_random_graph_becomes_a_molecule_that_rdkit_reads():
    """Hopeless graphs, far from any molecule: correction still ends, and in something valid."""
    graph = ContinuousGraph(10)
    domain = graph_molecule_domain(graph, sizes={10: 1})
    g = torch.Generator().manual_seed(1)
    state = {
        "nodes": torch.randn(60, 10, 9, generator=g),
        "edges": torch.randn(60, 45, generator=g) * 1.5,
    }
    decoded = graph.decode_rows(state)
    assert all(domain.is_valid(row.smiles) for row in decoded)
    assert sum(row.corrected for row in decoded) > 60
    bare = ContinuousGraph(10, correct=False, largest_fragment=False).decode(state)
    assert sum(text.startswith(INVALID) for text in bare) > 50


def test_fragments_are_dropped_or_refused():
    graph = ContinuousGraph(8)
    state = _star("C", 1.0, 3)
    state["nodes"][0, 6:, 2] = 1
    (row,) = graph.decode_rows(state)
    assert (row.smiles, row.dropped) == ("CC(C)C", 2)
    refused = ContinuousGraph(8, largest_fragment=False).decode(state)
    assert refused == [INVALID + "disconnected (3 fragments)"]


def test_an_empty_graph_is_invalid():
    graph = ContinuousGraph(4)
    state = {"nodes": torch.full((1, 4, 9), 0.4), "edges": torch.ones(1, 6)}
    assert graph.decode(state) == [INVALID + "empty"]
    assert not graph_molecule_domain(graph, sizes={4: 1}).is_valid(INVALID + "empty")


def test_sizes_are_drawn_from_the_data_and_repeat_with_the_seed():
    domain = graph_molecule_domain(ContinuousGraph())
    first, again = (domain.condition(4000, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    sizes = first.sum(1).double()
    total = sum(ZINC_SIZES.values())
    mean = sum(n * weight for n, weight in ZINC_SIZES.items()) / total
    assert total == 249_455
    assert abs(float(sizes.mean()) - mean) < 4 * float(sizes.std()) / 4000**0.5
    assert not (first[:, 1:] & ~first[:, :-1]).any()  # the first slots are filled


@pytest.mark.parametrize("sizes", [{}, {0: 1}, {5: 1}, {2: -1}])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ParameterError, match="sizes"):
        draw_sizes(2, sizes=sizes, num_atoms=4)


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [("C(", "cannot read"), ("C" * 5, "5 heavy atoms"), ("C[Mg]", "Mg"), ("[2H]O[2H]", "element")],
)
def test_molecules_without_a_graph_are_refused(smiles, reason):
    with pytest.raises(ParameterError, match=reason):
        ContinuousGraph(4).encode(["C", smiles])


def test_bad_states_and_codecs_are_refused():
    graph = ContinuousGraph(4)
    state = graph.encode(["CC"])
    with pytest.raises(ShapeError, match="shapes"):
        graph.decode({"nodes": state["nodes"]})
    with pytest.raises(ShapeError, match="Tensor"):
        graph.decode(state["nodes"])
    with pytest.raises(ShapeError, match="finite"):
        graph.decode({**state, "edges": state["edges"] * float("nan")})
    with pytest.raises(ParameterError, match="elements"):
        ContinuousGraph(4, ("C", "Xx"))
    with pytest.raises(ParameterError, match="num_atoms"):
        ContinuousGraph(0)
