from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from seiko.errors import ParameterError
from seiko.graphs import pairs_present
from seiko.networks.gdss import GDSSNetwork


def _network(seed=0, num_nodes=7, features=3, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GDSSNetwork(num_nodes, features, **options).double()


def _states(batch, num_nodes=7, features=3, seed=0, sizes=None):
    g = torch.Generator().manual_seed(seed)
    nodes = torch.randn(batch, num_nodes, features, generator=g, dtype=torch.float64)
    pairs = num_nodes * (num_nodes - 1) // 2
    edges = torch.randn(batch, pairs, generator=g, dtype=torch.float64)
    present = torch.ones(batch, num_nodes, dtype=torch.bool)
    if sizes is not None:
        present = torch.arange(num_nodes) < torch.tensor(sizes)[:, None]
    return {"nodes": nodes * present[..., None], "edges": edges * pairs_present(present)}, present


def _dense(edges, num_nodes):
    i, j = torch.triu_indices(num_nodes, num_nodes, 1)
    full = edges.new_zeros(len(edges), num_nodes, num_nodes)
    full[:, i, j] = full[:, j, i] = edges
    return full


def _permuted(state, present, order):
    n = len(order)
    i, j = torch.triu_indices(n, n, 1)
    edges = _dense(state["edges"], n)[:, order][:, :, order][:, i, j]
    return {"nodes": state["nodes"][:, order], "edges": edges}, present[:, order]


def _slow_layer(layer, nodes, matrices, mask):
    """One graph, dense matrices, one channel, one head, one entry at a time."""
    n, width, heads = len(nodes), layer.width, layer.num_heads
    values, attention = [], []
    for c, matrix in enumerate(matrices):
        loops = matrix.clone().fill_diagonal_(1)
        degree = loops.sum(1).clamp(min=1).sqrt()
        projected = (loops / degree[:, None] / degree[None]) @ (nodes @ layer.projection[c]) + layer.bias[c]
        q, k, v = projected[:, :width], projected[:, width : 2 * width], projected[:, 2 * width :]
        mean = torch.zeros(n, n, dtype=nodes.dtype)
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            mean += torch.tanh(q[:, part] @ k[:, part].T / math.sqrt(width)) / heads
        attention.append((mean + mean.T) / 2)
        values.append(v)
    mixed = layer.matrices_out(torch.stack([*attention, *matrices], -1))
    mixed = (mixed + mixed.transpose(0, 1)) * mask[:, None, None] * mask[None, :, None]
    hidden = torch.tanh(layer.nodes_out(torch.cat(values, -1)) * mask[:, None])
    return hidden, list(mixed.unbind(-1))


def _slow(network, nodes, adjacency, mask):
    powers = [adjacency]
    for _ in range(network.powers - 1):
        powers.append(powers[-1] @ adjacency)
    hidden, matrices, streams = nodes, powers, [nodes]
    for layer in network.node_layers:
        hidden, matrices = _slow_layer(layer, hidden, matrices, mask)
        hidden = hidden.tanh()
        streams.append(hidden)
    node_scores = network.node_head(torch.cat(streams, -1)) * mask[:, None]
    hidden, matrices, everything = nodes, powers, list(powers)
    for layer in network.edge_layers:
        hidden, matrices = _slow_layer(layer, hidden, matrices, mask)
        everything += matrices
    edge_scores = network.edge_head(torch.stack(everything, -1))[..., 0]
    return node_scores, edge_scores * mask[:, None] * mask[None] * (1 - torch.eye(len(nodes)))


def test_it_equals_dense_matrices_computed_one_graph_at_a_time():
    """The published layout: dense matrices with diagonals that every layer carries along."""
    network = _network(hidden_channels=5, last_channels=3, edge_layers=3)
    state, present = _states(4, sizes=[7, 5, 2, 4])
    i, j = torch.triu_indices(7, 7, 1)
    with torch.no_grad():
        found = network(state, torch.ones(4), present)
        for row in range(4):
            adjacency = _dense(state["edges"], 7)[row]
            nodes, edges = _slow(network, state["nodes"][row], adjacency, present[row].double())
            torch.testing.assert_close(edges, edges.T)
            torch.testing.assert_close(found["nodes"][row], nodes)
            torch.testing.assert_close(found["edges"][row], edges[i, j])


def test_scores_follow_any_order_of_the_nodes():
    network = _network(1)
    state, present = _states(5, sizes=[7, 6, 5, 3, 2])
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    with torch.no_grad():
        expected, _ = _permuted(network(state, torch.ones(5), present), present, order)
        moved, where = _permuted(state, present, order)
        found = network(moved, torch.ones(5), where)
    for leaf in ("nodes", "edges"):
        assert found[leaf].abs().max() > 1e-3
        torch.testing.assert_close(found[leaf], expected[leaf])


def test_slots_that_are_not_present_influence_nothing():
    network = _network(2)
    state, present = _states(3, sizes=[4, 7, 3])
    dirty = {
        "nodes": torch.where(present[..., None], state["nodes"], 5.0),
        "edges": torch.where(pairs_present(present), state["edges"], -5.0),
    }
    with torch.no_grad():
        clean, found = network(state, torch.ones(3), present), network(dirty, torch.ones(3), present)
    for leaf in ("nodes", "edges"):
        torch.testing.assert_close(found[leaf], clean[leaf])
    assert (found["nodes"][~present] == 0).all()
    assert (found["edges"][~pairs_present(present)] == 0).all()


def test_rows_do_not_depend_on_the_batch():
    """More rows than one group of like sizes, in any order."""
    network = _network(3)
    sizes = [(5 * k) % 6 + 2 for k in range(80)]
    state, present = _states(80, sizes=sizes)
    with torch.no_grad():
        together = network(state, torch.ones(80), present)
        for row in (0, 17, 79):
            alone = network(
                {name: leaf[row : row + 1] for name, leaf in state.items()},
                torch.ones(1),
                present[row : row + 1],
            )
            for leaf in ("nodes", "edges"):
                torch.testing.assert_close(together[leaf][row], alone[leaf][0])


def test_gradients_are_those_of_finite_differences():
    network = _network(4, num_nodes=3, features=1, node_layers=1, edge_layers=1, width=2, num_heads=1)
    state, present = _states(2, 3, 1, sizes=[3, 2])

    def scores(nodes, edges):
        out = network({"nodes": nodes, "edges": edges}, torch.ones(2), present)
        return out["nodes"], out["edges"]

    inputs = [leaf.clone().requires_grad_() for leaf in state.values()]
    assert torch.autograd.gradcheck(scores, inputs)


def test_no_node_at_all_is_no_score():
    network = _network(5)
    state, _ = _states(2)
    found = network(state, torch.ones(2), torch.zeros(2, 7, dtype=torch.bool))
    assert all((leaf == 0).all() for leaf in found.values())


def test_it_has_the_published_number_of_weights():
    network = GDSSNetwork()
    node = sum(p.numel() for n, p in network.named_parameters() if n.startswith("node"))
    edge = sum(p.numel() for n, p in network.named_parameters() if n.startswith("edge"))
    assert (node, edge) == (22_721, 62_873)


def test_heads_must_divide_the_width():
    with pytest.raises(ParameterError, match="num_heads"):
        GDSSNetwork(4, 2, width=10, num_heads=4)
    assert isinstance(GDSSNetwork(4, 2, width=8, num_heads=2), nn.Module)
