"""Small graph diffusions in double precision."""

from __future__ import annotations

import torch
from torch import nn

from seiko.chains.gaussian import Epsilon, Score, VarianceExploding, VariancePreserving
from seiko.chains.graph_sde import GraphSDE, GraphSDEChain, zero_headed
from seiko.chains.graph_steps import GraphNoise
from seiko.networks.gdss import GDSSNetwork


def small_network(seed: int, num_nodes: int = 4, features: int = 2, **sizes: int) -> nn.Module:
    sizes = {"width": 4, "num_heads": 2, "node_layers": 2, "edge_layers": 2, **sizes}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GDSSNetwork(num_nodes, features, hidden_channels=3, last_channels=2, **sizes).double()


def small_chain(seed: int = 0, *, solver: str = "splitting", start_steps: int = 0, steps: int = 3):
    nodes = GraphNoise(VariancePreserving(0.1, 1.0), Epsilon(), (1.0, 1.2), floor=0.1)
    edges = GraphNoise(VarianceExploding(0.2, 1.0), Score(), (0.9, 2.5), floor=0.1)
    process = GraphSDE(4, 2, nodes, edges, steps, solver)
    start = zero_headed(small_network(seed + 100, node_layers=1)) if start_steps else None
    return GraphSDEChain(small_network(seed), process, start=start, start_steps=start_steps)


def masks(batch_size: int) -> torch.Tensor:
    """Rows that alternate between four, three and two nodes."""
    return torch.arange(4) < (4 - torch.arange(batch_size) % 3)[:, None]
