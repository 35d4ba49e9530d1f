"""Message passing between atoms and bonds of a small molecular graph with masked entries."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seiko.typing import Condition

BOND_ORDERS = (0.0, 1.0, 2.0, 3.0, 0.0)  # none, single, double, triple, masked


class MolecularGraphNetwork(nn.Module):
    """Logits of every atom's and every bond's kind, given a partly masked graph.

    Nodes and unordered pairs carry a residual stream each. A layer updates a pair from itself and the sum of
    its two nodes, then a node from the pairs around it: gated messages of the other nodes and a sum over
    pairs. Beside the one-hot rows the network is given what a chemist would read off the revealed part: the
    valence in use at each atom, and whether two atoms are already joined within 1, 2, 4 or 8 revealed bonds.
    These are read off without gradients.

    Args:
        num_atoms: Atom slots N.
        atom_kinds: Kinds in the atoms leaf, the mask included.
        bond_kinds: Kinds in the bonds leaf, the mask included.
        node_width: Width of the node stream.
        pair_width: Width of the pair stream.
        num_layers: Number of layers.

    Shape:
        state: {"atoms": [batch, N, atom_kinds], "bonds": [batch, N (N - 1) / 2, bond_kinds]}, one-hot rows.
        output: the same leaves with one kind fewer (no logit for the mask).
    """

    incidence: Tensor
    first: Tensor
    second: Tensor
    orders: Tensor

    def __init__(
        self,
        num_atoms: int = 9,
        atom_kinds: int = 6,
        *,
        bond_kinds: int = 5,
        node_width: int = 128,
        pair_width: int = 64,
        num_layers: int = 6,
    ) -> None:
        super().__init__()
        first, second = torch.triu_indices(num_atoms, num_atoms, 1)
        slots = torch.arange(num_atoms)[:, None]
        self.num_atoms = num_atoms
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        self.register_buffer(
            "incidence", ((slots == first) | (slots == second)).float(), persistent=False
        )  # [N, pairs]
        self.register_buffer("orders", torch.tensor(BOND_ORDERS), persistent=False)
        self.atom_in = nn.Linear(atom_kinds + bond_kinds + 1, node_width)
        self.bond_in = nn.Linear(bond_kinds + 4, pair_width)
        self.atom_position = nn.Parameter(0.02 * torch.randn(num_atoms, node_width))
        self.bond_position = nn.Parameter(0.02 * torch.randn(len(first), pair_width))
        self.layers = nn.ModuleList(_Layer(node_width, pair_width) for _ in range(num_layers))
        self.atom_out = nn.Sequential(nn.LayerNorm(node_width), nn.Linear(node_width, atom_kinds - 1))
        self.bond_out = nn.Sequential(
            nn.LayerNorm(pair_width),
            nn.Linear(pair_width, pair_width),
            nn.ReLU(),
            nn.Linear(pair_width, bond_kinds - 1),
        )
        self.bond_from_atoms = nn.Linear(node_width, pair_width)

    def forward(
        self, state: Mapping[str, Tensor], time: Tensor, condition: Condition = None
    ) -> dict[str, Tensor]:
        atoms, bonds = state["atoms"], state["bonds"]
        valence, joined = self._read_off(bonds.detach())
        around = self.incidence.to(bonds) @ bonds / (self.num_atoms - 1)  # bonds of each kind at an atom
        nodes = self.atom_in(torch.cat([atoms, around, valence], -1)) + self.atom_position
        pairs = self.bond_in(torch.cat([bonds, joined], -1)) + self.bond_position
        for layer in self.layers:
            nodes, pairs = layer(nodes, pairs, self.incidence, self.first, self.second)
        ends = self.bond_from_atoms(nodes)
        pairs = pairs + _both_ends(ends, self.first, self.second)
        return {"atoms": self.atom_out(nodes), "bonds": self.bond_out(pairs)}

    def _read_off(self, bonds: Tensor) -> tuple[Tensor, Tensor]:
        """Valence in use [batch, N, 1] and joined within 1, 2, 4, 8 revealed bonds [batch, pairs, 4]."""
        order = bonds @ self.orders.to(bonds)
        valence = (order @ self.incidence.T.to(bonds))[..., None] / 4
        reach = bonds.new_zeros(len(bonds), self.num_atoms, self.num_atoms)
        present = (order > 0).to(bonds)
        reach[:, self.first, self.second] = present
        reach[:, self.second, self.first] = present
        joined = [present]
        for _ in range(3):
            reach = (reach + torch.bmm(reach, reach)).clamp_max(1)
            joined.append(reach[:, self.first, self.second])
        return valence, torch.stack(joined, -1)


def _both_ends(nodes: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Sum of a node quantity over the two ends of each pair, [batch, pairs, width]."""
    return nodes.index_select(1, first) + nodes.index_select(1, second)


class _Layer(nn.Module):
    """Pairs from nodes, then nodes from pairs; both residual, normalised before."""

    def __init__(self, node_width: int, pair_width: int) -> None:
        super().__init__()
        self.pair_norm, self.node_norm = nn.LayerNorm(pair_width), nn.LayerNorm(node_width)
        self.pair_in = nn.Linear(pair_width, 2 * pair_width)
        self.pair_from_nodes = nn.Linear(node_width, 2 * pair_width, bias=False)
        self.pair_out = nn.Linear(2 * pair_width, pair_width)
        self.gate = nn.Linear(pair_width, 2 * pair_width)
        self.value = nn.Linear(node_width, pair_width)
        self.node_in = nn.Linear(node_width + 2 * pair_width, 2 * node_width)
        self.node_out = nn.Linear(2 * node_width, node_width)

    def forward(
        self, nodes: Tensor, pairs: Tensor, incidence: Tensor, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor]:
        normed = self.node_norm(nodes)
        ends = self.pair_from_nodes(normed)
        hidden = self.pair_in(self.pair_norm(pairs)) + _both_ends(ends, first, second)
        pairs = pairs + self.pair_out(hidden.relu())
        gate, plain = self.gate(pairs).chunk(2, -1)
        gate, value = gate.sigmoid(), self.value(normed)
        # Pair (i, j) tells node i gate * value_j = gate * (value_i + value_j) - gate * value_i.
        both = gate * _both_ends(value, first, second)
        received = incidence.to(pairs) @ torch.cat([both, gate, plain], -1)
        from_nodes, from_gates, from_pairs = received.chunk(3, -1)
        messages = torch.cat([normed, from_nodes - from_gates * value, from_pairs], -1)
        return nodes + self.node_out(self.node_in(messages).relu()), pairs
