"""The score networks of GDSS: graph convolutions with attention over powers of a continuous adjacency."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from seiko.errors import ParameterError
from seiko.graphs import pairs_present, slots_present
from seiko.typing import Condition


class GDSSNetwork(nn.Module):
    """Raw scores of the nodes and edges of a noisy graph (Jo, Lee & Hwang, ICML 2022; GMH variant).

    Two networks of one architecture, one with a head on nodes and one with a head on edges. A layer reads
    ``channels`` adjacency matrices: in each, graph convolutions of the nodes give queries, keys and values;
    the values make the next nodes, and ``mean over heads of tanh(q k / sqrt(width))``, symmetrised, makes
    with the matrices themselves the next matrices. The networks are not told the time. They are equivariant
    to the order of the nodes, and slots that are not present influence nothing.

    Matrices are symmetric and their diagonals are never read, so only pairs i < j are stored and computed:
    half of the work of dense matrices, and no asymmetry to repair.

    Args:
        num_nodes: Node slots N.
        node_features: Features F of a node.
        width: Width of nodes and of attention inside.
        num_heads: Heads, a divisor of `width`.
        node_layers: Layers of the nodes' network.
        edge_layers: Layers of the edges' network.
        powers: The adjacency's powers 1, 2, ... that are the first matrices.
        hidden_channels: Matrices between layers.
        last_channels: Matrices after the last layer.

    Shape:
        state: {"nodes": [batch, N, F], "edges": [batch, N (N - 1) / 2]}; row p of the edges is the pair in
            column p of ``torch.triu_indices(N, N, 1)``.
        condition: Which slots are present, [batch, N] bool; None for all.
        output: the same leaves; zero where a slot is not present.

    Example:
        >>> network = GDSSNetwork(4, 3, node_layers=1, edge_layers=1)
        >>> state = {"nodes": torch.zeros(2, 4, 3), "edges": torch.zeros(2, 6)}
        >>> {name: tuple(leaf.shape) for name, leaf in network(state, torch.ones(2)).items()}
        {'nodes': (2, 4, 3), 'edges': (2, 6)}
    """

    def __init__(
        self,
        num_nodes: int = 38,
        node_features: int = 9,
        *,
        width: int = 16,
        num_heads: int = 4,
        node_layers: int = 2,
        edge_layers: int = 6,
        powers: int = 2,
        hidden_channels: int = 8,
        last_channels: int = 4,
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ParameterError(f"`num_heads` must divide `width` = {width}; got {num_heads}.")
        self.num_nodes, self.powers = num_nodes, powers

        def layers(count: int) -> nn.ModuleList:
            channels = [powers, *[hidden_channels] * (count - 1), last_channels]
            widths = [node_features, *[width] * (count - 1)]
            return nn.ModuleList(
                _Layer(widths[k], width, channels[k], channels[k + 1], num_heads) for k in range(count)
            )

        self.node_layers, self.edge_layers = layers(node_layers), layers(edge_layers)
        self.node_head = _mlp(node_features + node_layers * width, node_features, double=True)
        matrices = powers + (edge_layers - 1) * hidden_channels + last_channels
        self.edge_head = _mlp(matrices, 1, double=True)

    def forward(
        self, state: Mapping[str, Tensor], time: Tensor, condition: Condition = None
    ) -> dict[str, Tensor]:
        nodes, edges = state["nodes"], state["edges"]
        present = slots_present(condition, len(nodes), self.num_nodes).to(nodes.device)
        scores = {"nodes": torch.zeros_like(nodes), "edges": torch.zeros_like(edges)}
        for rows in _alike_in_size(present):
            size = _last_slot(present[rows])
            pairs = _pairs_below(self.num_nodes, size).to(edges.device)
            found = self._scores(nodes[rows, :size], edges[rows][:, pairs], present[rows, :size])
            scores["nodes"] = scores["nodes"].index_put(
                (rows[:, None], torch.arange(size, device=rows.device)[None]), found[0]
            )
            scores["edges"] = scores["edges"].index_put((rows[:, None], pairs[None]), found[1])
        return scores

    def _scores(self, nodes: Tensor, edges: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        size = nodes.shape[1]
        geometry = _Geometry(size, edges.device)
        free = pairs_present(present)[..., None].to(edges)
        slots = present[..., None].to(nodes)
        nodes, edges = nodes * slots, edges * free[..., 0]  # whatever stands in absent slots
        matrices = self._powers(edges, geometry)

        hidden, given, streams = nodes, matrices, [nodes]
        for layer in self.node_layers:
            hidden, given = layer(hidden, given, slots, free, geometry)
            hidden = hidden.tanh()
            streams.append(hidden)
        node_scores = self.node_head(torch.cat(streams, -1)) * slots

        hidden, given, streams = nodes, matrices, [matrices]
        for layer in self.edge_layers:
            hidden, given = layer(hidden, given, slots, free, geometry)
            streams.append(given)
        edge_scores = self.edge_head(torch.cat(streams, -1)) * free
        return node_scores, edge_scores[..., 0]

    def _powers(self, edges: Tensor, geometry: _Geometry) -> Tensor:
        """The adjacency's powers 1, 2, ... at the pairs, [batch, pairs, powers]."""
        adjacency = geometry.dense(edges[..., None], diagonal=0.0)[:, 0]
        power, found = adjacency, [edges]
        for _ in range(self.powers - 1):
            power = power @ adjacency
            found.append(power.flatten(1)[:, geometry.upper])
        return torch.stack(found, -1)


class _Layer(nn.Module):
    """Nodes and matrices from nodes and matrices."""

    def __init__(self, inputs: int, width: int, channels: int, outputs: int, num_heads: int) -> None:
        super().__init__()
        self.width, self.num_heads = width, num_heads
        bound = (6 / (inputs + width)) ** 0.5
        self.projection = nn.Parameter(torch.empty(channels, inputs, 3 * width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(channels, 3 * width))
        hidden = 2 * max(channels, outputs)
        self.matrices_out = _mlp(2 * channels, outputs, hidden=hidden)
        self.nodes_out = nn.Sequential(
            nn.Linear(channels * width, hidden), nn.ELU(), nn.Linear(hidden, width)
        )

    def forward(
        self, nodes: Tensor, matrices: Tensor, slots: Tensor, free: Tensor, geometry: _Geometry
    ) -> tuple[Tensor, Tensor]:
        adjacency = geometry.dense(matrices, diagonal=1.0)  # [B, C, N, N], with self-loops
        rate = adjacency.sum(-1, keepdim=True).clamp_min(1).rsqrt()
        mixed = rate * (adjacency @ (rate * nodes[:, None]))  # [B, C, N, inputs]
        projected = mixed @ self.projection + self.bias[:, None]
        query, key, value = projected.split(self.width, -1)
        attention = geometry.pairs(self._attention(query, key))
        matrices = 2 * self.matrices_out(torch.cat([attention, matrices], -1)) * free
        together = value.transpose(1, 2).flatten(2)  # [B, N, C * width]
        return (self.nodes_out(together) * slots).tanh(), matrices

    def _attention(self, query: Tensor, key: Tensor) -> Tensor:
        """Mean over heads of tanh(q k / sqrt(width)), [B, C, N, N]."""
        heads = (*query.shape[:-1], self.num_heads, self.width // self.num_heads)
        query, key = (part.reshape(heads).transpose(-2, -3) for part in (query, key))
        return (query @ key.transpose(-1, -2) * self.width**-0.5).tanh().mean(-3)


class _Geometry:
    """Where the pairs of n slots stand in [n, n]."""

    def __init__(self, size: int, device: torch.device) -> None:
        first, second = torch.triu_indices(size, size, 1, device=device)
        self.size, self.upper, self.lower = size, first * size + second, second * size + first
        place = torch.full((size, size), len(first), device=device)  # the diagonal: one past the pairs
        place[first, second] = place[second, first] = torch.arange(len(first), device=device)
        self.place = place.flatten()

    def dense(self, pairs: Tensor, *, diagonal: float) -> Tensor:
        """[B, P, C] -> symmetric [B, C, n, n]."""
        padded = torch.nn.functional.pad(pairs.transpose(1, 2), (0, 1), value=diagonal)
        return padded[..., self.place].unflatten(-1, (self.size, self.size))

    def pairs(self, dense: Tensor) -> Tensor:
        """The symmetric part of [B, C, n, n] at the pairs, [B, P, C]."""
        flat = dense.flatten(-2)
        return (0.5 * (flat[..., self.upper] + flat[..., self.lower])).transpose(1, 2)


def _mlp(inputs: int, outputs: int, *, hidden: int = 0, double: bool = False) -> nn.Sequential:
    """Three linear maps with ELU between; `double` makes the hidden width twice the input's."""
    width = 2 * inputs if double else hidden
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ELU(), nn.Linear(width, width), nn.ELU(), nn.Linear(width, outputs)
    )


def _last_slot(present: Tensor) -> int:
    """One past the last slot that is present in any row, at least 2: slots behind it need no work."""
    used = present.any(0).nonzero()
    return max(2, int(used[-1]) + 1) if len(used) else 2


def _alike_in_size(present: Tensor, group: int = 32) -> list[Tensor]:
    """Rows in groups of like last slot: most molecules fill little more than half of the slots."""
    order = (present.cumsum(1) * present).argmax(1).argsort(stable=True)
    return list(order.split(max(group, -(-len(order) // 8))))


@lru_cache(maxsize=256)
def _pairs_below(num_nodes: int, size: int) -> Tensor:
    """Positions, among the pairs of N slots, of the pairs of the first `size`."""
    _, second = torch.triu_indices(num_nodes, num_nodes, 1)
    return (second < size).nonzero()[:, 0]
