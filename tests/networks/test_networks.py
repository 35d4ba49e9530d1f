"""Every network: shapes, independent rows, gradients to every weight; and what each one promises beside."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from seiko import tree
from seiko.networks import MolecularGraphNetwork, SequenceMLP, VectorMLP
from seiko.networks.mlp import time_features

ROWS = 4


def rows_of(length, kinds, generator):
    return torch.nn.functional.one_hot(
        torch.randint(kinds, (ROWS, length), generator=generator), kinds
    ).float()


def vector():
    generator = torch.Generator().manual_seed(0)
    return VectorMLP(3, width=16, num_layers=2), torch.randn(ROWS, 3, generator=generator), (3,)


def sequence():
    generator = torch.Generator().manual_seed(0)
    return SequenceMLP(6, 5, outputs=4, width=16), rows_of(6, 5, generator), (6, 4)


def graph(num_atoms=5):
    generator = torch.Generator().manual_seed(0)
    network = MolecularGraphNetwork(num_atoms, 6, node_width=16, pair_width=8, num_layers=2)
    num_pairs = num_atoms * (num_atoms - 1) // 2
    state = {"atoms": rows_of(num_atoms, 6, generator), "bonds": rows_of(num_pairs, 5, generator)}
    return network, state, {"atoms": (num_atoms, 5), "bonds": (num_pairs, 4)}


EVERY = {"SequenceMLP": sequence, "VectorMLP": vector, "MolecularGraphNetwork": graph}
TIME = torch.tensor([1.0, 0.7, 0.2, 0.0])


@pytest.fixture(params=EVERY, name="world")
def a_network(request):
    torch.manual_seed(0)
    return EVERY[request.param]()


def test_shapes(world):
    network, state, event = world
    out = network(state, TIME)
    if isinstance(out, torch.Tensor):
        assert out.shape == (ROWS, *event)
    else:
        assert {name: leaf.shape for name, leaf in out.items()} == {
            name: (ROWS, *shape) for name, shape in event.items()
        }
    assert all(torch.isfinite(leaf).all() for leaf in tree.leaves(out))


def test_one_row_is_enough(world):
    network, state, _ = world
    out = network(tree.index(state, slice(0, 1)), TIME[:1])
    assert tree.batch_size(out) == 1


@pytest.mark.parametrize("rows", [[3, 2, 1, 0], [2], [1, 1, 3]])
def test_rows_are_independent(world, rows):
    network, state, _ = world
    together = network(state, TIME)
    chosen = network(tree.index(state, torch.tensor(rows)), TIME[rows])
    together = tree.index(together, torch.tensor(rows))
    for alone, expected in zip(tree.leaves(chosen), tree.leaves(together), strict=True):
        torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-5)


def test_a_row_has_no_gradient_from_another(world):
    network, state, _ = world
    inputs = tree.tree_map(lambda leaf: leaf.clone().requires_grad_(), state)
    out = network(inputs, TIME)
    sum(leaf[1].square().sum() for leaf in tree.leaves(out)).backward()
    for leaf in tree.leaves(inputs):
        others = torch.tensor([0, 2, 3])
        assert (leaf.grad[others] == 0).all()
        assert leaf.grad[1].abs().max() > 0


def test_every_weight_has_a_gradient(world):
    network, state, _ = world
    generator = torch.Generator().manual_seed(2)
    loss = torch.zeros(())
    for leaf in tree.leaves(network(state, TIME)):
        loss = loss + (leaf * torch.randn(leaf.shape, generator=generator)).sum()
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_it_is_the_same_in_train_and_eval_mode_and_keeps_its_dtype(world):
    network, state, _ = world
    training, evaluating = network.train()(state, TIME), network.eval()(state, TIME)
    for first, second in zip(tree.leaves(training), tree.leaves(evaluating), strict=True):
        assert torch.equal(first, second)
    double = network.double()(tree.tree_map(lambda leaf: leaf.double(), state), TIME.double())
    assert all(leaf.dtype == torch.float64 for leaf in tree.leaves(double))


@pytest.mark.parametrize("name", ["SequenceMLP", "VectorMLP"])
def test_the_time_matters_to_the_mlps(name):
    network, state, _ = EVERY[name]()
    assert not torch.allclose(network(state, torch.ones(ROWS)), network(state, torch.zeros(ROWS)))


def test_time_features_are_cosines_and_sines():
    features = time_features(torch.tensor([0.0, 1.0]), 8)
    assert features.shape == (2, 8)
    torch.testing.assert_close(features[0], torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]))
    torch.testing.assert_close(features[:, :4] ** 2 + features[:, 4:] ** 2, torch.ones(2, 4))


# The molecular graph


def relabelled(state, order):
    """The same graph with atom slots in another order."""
    num_atoms = len(order)
    pairs = list(combinations(range(num_atoms), 2))
    place = {pair: position for position, pair in enumerate(pairs)}
    moved = [place[tuple(sorted((order[i], order[j])))] for i, j in pairs]
    return {"atoms": state["atoms"][:, order], "bonds": state["bonds"][:, moved]}


def test_without_slot_embeddings_relabelling_the_atoms_relabels_the_logits():
    torch.manual_seed(0)
    network, state, _ = graph()
    with torch.no_grad():
        network.atom_position.zero_()
        network.bond_position.zero_()
    order = [3, 0, 4, 1, 2]
    moved = network(relabelled(state, order), TIME)
    expected = relabelled(network(state, TIME), order)
    for name in ("atoms", "bonds"):
        torch.testing.assert_close(moved[name], expected[name], rtol=1e-4, atol=1e-5)


def test_with_slot_embeddings_the_slots_differ():
    torch.manual_seed(0)
    network, state, _ = graph()
    order = [3, 0, 4, 1, 2]
    moved, expected = network(relabelled(state, order), TIME), relabelled(network(state, TIME), order)
    assert not torch.allclose(moved["atoms"], expected["atoms"], atol=1e-4)


def chain_of_atoms(num_atoms, orders):
    """Bonds of the given orders between following atoms, everything else revealed as none."""
    kinds = dict.fromkeys(combinations(range(num_atoms), 2), 0)
    kinds |= {(i, i + 1): order for i, order in enumerate(orders)}
    return torch.nn.functional.one_hot(torch.tensor(list(kinds.values())), 5).float()[None]


def test_it_reads_off_the_valence_in_use():
    network, _, _ = graph()
    valence, _ = network._read_off(chain_of_atoms(5, [1, 2, 3, 1]))
    assert (4 * valence[0, :, 0]).tolist() == [1, 3, 5, 4, 1]


def test_a_masked_bond_counts_for_nothing():
    network, _, _ = graph()
    valence, joined = network._read_off(chain_of_atoms(5, [4, 4, 4, 4]))
    assert valence.abs().max() == 0 and joined.abs().max() == 0


def test_it_reads_off_which_atoms_are_joined_within_1_2_4_and_8_bonds():
    network = MolecularGraphNetwork(10, node_width=8, pair_width=8, num_layers=1)
    _, joined = network._read_off(chain_of_atoms(10, [1] * 9))
    for position, (i, j) in enumerate(combinations(range(10), 2)):
        expected = [float(j - i <= reach) for reach in (1, 2, 4, 8)]
        assert joined[0, position].tolist() == expected, (i, j)


def test_what_is_read_off_carries_no_gradient_and_the_bonds_do():
    network, state, _ = graph()
    bonds = state["bonds"].clone().requires_grad_()
    valence, joined = network._read_off(bonds.detach())
    assert not valence.requires_grad and not joined.requires_grad
    network({"atoms": state["atoms"], "bonds": bonds}, TIME)["atoms"].sum().backward()
    assert bonds.grad.abs().max() > 0
