"""Tiny chains of every family in double precision, with randomly initialised networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from seiko.chains import (
    DDIM,
    Absorbing,
    Clamped,
    Denoised,
    DiffusionChain,
    Epsilon,
    EulerMaruyama,
    FlowVelocity,
    Joint,
    LeftToRight,
    Masked,
    RectifiedFlow,
    Score,
    Uniform,
    VarianceExploding,
    VariancePreserving,
    Velocity,
)
from seiko.distributions import Gaussian, Product
from seiko.networks import RecurrentSequence, SequenceMLP, VectorMLP
from seiko.networks.mlp import time_features
from seiko.schedules import cosine_alpha_bar
from seiko.typing import Condition, State


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A module in double precision whose weights depend on `seed` alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double()


class JointMLP(nn.Module):
    """One small network over all leaves of a dict state."""

    def __init__(self, inputs: Mapping[str, tuple[int, ...]], outputs: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.names, self.outputs = sorted(inputs), dict(outputs)
        size = sum(torch.Size(shape).numel() for shape in inputs.values())
        self.body = nn.Sequential(nn.Linear(size + 16, 24), nn.SiLU())
        self.heads = nn.ModuleDict({n: nn.Linear(24, torch.Size(s).numel()) for n, s in outputs.items()})

    def forward(
        self, state: Mapping[str, Tensor], time: Tensor, condition: Condition = None
    ) -> dict[str, Tensor]:
        flat = torch.cat([state[name].flatten(1) for name in self.names], 1)
        hidden = self.body(torch.cat([flat, time_features(time).to(flat)], 1))
        return {n: self.heads[n](hidden).view(-1, *shape) for n, shape in self.outputs.items()}


class PaddedGaussians(nn.Module):
    """A joint Gaussian chain over nodes and edges whose condition says which coordinates are free."""

    num_steps = 3

    def __init__(self) -> None:
        super().__init__()
        shapes = {"nodes": (3, 2), "edges": (3,)}
        self.network = JointMLP(shapes, shapes)

    def initial(self, batch_size: int, condition: Condition = None) -> Product:
        like = next(self.parameters())
        shapes = {"nodes": (3, 2), "edges": (3,)}
        zeros = {name: like.new_zeros((batch_size, *shape)) for name, shape in shapes.items()}
        return Product({n: Gaussian(zero, like.new_ones(()), condition[n]) for n, zero in zeros.items()})

    def transition(self, state: State, step: int | Tensor, condition: Condition = None) -> Product:
        rows = len(state["nodes"])
        time = torch.as_tensor(1 - torch.as_tensor(step) / self.num_steps).to(state["nodes"]).expand(rows)
        shift = self.network(state, time, condition)
        scale = state["nodes"].new_tensor(0.7)
        return Product(
            {n: Gaussian(0.8 * state[n] + 0.5 * shift[n], scale, condition[n]) for n in ("nodes", "edges")}
        )


def free_coordinates(batch_size: int) -> dict[str, Tensor]:
    """Rows that alternate between three and two real nodes."""
    sizes = 3 - torch.arange(batch_size) % 2
    nodes = (torch.arange(3) < sizes[:, None])[..., None].expand(-1, -1, 2)
    first, second = torch.triu_indices(3, 3, 1)
    return {"nodes": nodes, "edges": nodes[:, first, 0] & nodes[:, second, 0]}


def _vector(process: Callable[[], object], seed: int) -> DiffusionChain:
    return seeded(lambda: DiffusionChain(VectorMLP(3, width=16, num_layers=1), process()), seed)


def _sequence(process: Callable[[], object], kinds: int, seed: int) -> DiffusionChain:
    network = lambda: SequenceMLP(4, kinds, outputs=3, width=16, num_layers=1)  # noqa: E731
    return seeded(lambda: DiffusionChain(network(), process()), seed)


def _graph(seed: int) -> DiffusionChain:
    shapes = {"atoms": (3, 3), "bonds": (3, 4)}
    outputs = {"atoms": (3, 2), "bonds": (3, 3)}
    process = Joint({"atoms": Masked(3, 2, num_steps=3), "bonds": Masked(3, 3, num_steps=3)})
    return seeded(lambda: DiffusionChain(JointMLP(shapes, outputs), process), seed)


def _mixed(seed: int) -> DiffusionChain:
    inputs = {"types": (3, 3), "positions": (3, 2)}
    outputs = {"types": (3, 2), "positions": (3, 2)}
    process = Joint({"types": Masked(3, 2), "positions": DDIM(cosine_alpha_bar(3), (3, 2))})
    return seeded(lambda: DiffusionChain(JointMLP(inputs, outputs), process), seed)


def _two_gaussians(seed: int) -> DiffusionChain:
    shapes = {"nodes": (2, 2), "edges": (2,)}
    process = Joint(
        {
            "nodes": DDIM(cosine_alpha_bar(4), (2, 2)),
            "edges": EulerMaruyama(VarianceExploding(0.2, 2.0), 4, (2,), prediction=Score()),
        }
    )
    return seeded(lambda: DiffusionChain(JointMLP(shapes, shapes), process), seed)


def _written(seed: int) -> LeftToRight:
    def make() -> LeftToRight:
        network = RecurrentSequence(3, width=8, num_layers=2, embedding=4)
        nn.init.normal_(network.head.weight)
        return LeftToRight(network, 4)

    return seeded(make, seed)


def _sde(path: object, prediction: object) -> EulerMaruyama:
    return EulerMaruyama(path, 5, (3,), prediction=prediction, end_time=0.05)


ALLOWED = torch.tensor([[1, 1, 1], [0, 1, 0], [1, 0, 1], [1, 1, 1]]).bool()
"""One position is given, one may hold two kinds."""

FAMILIES: dict[str, Callable[[int], nn.Module]] = {
    "ddim-0.3": lambda seed: _vector(lambda: DDIM(cosine_alpha_bar(4), (3,), eta=0.3), seed),
    "ddpm": lambda seed: _vector(lambda: DDIM(cosine_alpha_bar(4), (3,), prediction=Velocity()), seed),
    "vp": lambda seed: _vector(lambda: _sde(VariancePreserving(0.1, 5.0), Epsilon()), seed),
    "ve": lambda seed: _vector(lambda: _sde(VarianceExploding(0.1, 3.0), Denoised()), seed),
    "flow": lambda seed: _vector(lambda: _sde(RectifiedFlow(), FlowVelocity()), seed),
    "masked-1": lambda seed: _sequence(lambda: Masked(4, 3), 4, seed),
    "masked-2": lambda seed: _sequence(lambda: Masked(4, 3, num_steps=2), 4, seed),
    "masked-counts": lambda seed: _sequence(lambda: Masked(4, 3, counts=torch.tensor([1, 3])), 4, seed),
    "absorbing": lambda seed: _sequence(lambda: Absorbing(4, 3, 3), 4, seed),
    "uniform": lambda seed: _sequence(lambda: Uniform(4, 3, 3), 3, seed),
    "clamped-masked": lambda seed: _sequence(lambda: Clamped(Masked(4, 3, num_steps=2), ALLOWED), 4, seed),
    "clamped-absorbing": lambda seed: _sequence(lambda: Clamped(Absorbing(4, 3, 3), ALLOWED), 4, seed),
    "clamped-uniform": lambda seed: _sequence(lambda: Clamped(Uniform(4, 3, 3), ALLOWED), 3, seed),
    "left-to-right": _written,
    "graph": _graph,
    "mixed": _mixed,
    "two-gaussians": _two_gaussians,
    "padded-gaussians": lambda seed: seeded(PaddedGaussians, seed),
}
"""Name -> chain made from a seed; all but `padded-gaussians` are unconditional."""


def condition_of(name: str, batch_size: int) -> Condition:
    """What the family's chains are given."""
    return free_coordinates(batch_size) if name == "padded-gaussians" else None


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
