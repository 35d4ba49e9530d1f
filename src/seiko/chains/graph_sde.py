"""Joint Gaussian diffusion of a graph's nodes and edges, its start law learned or frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seiko import draws, tree
from seiko.chains.base import level
from seiko.chains.graph_steps import AffineSteps, GraphNoise, Solver
from seiko.distributions import Gaussian, Product
from seiko.errors import ParameterError
from seiko.graphs import num_pairs, pairs_present, slots_present
from seiko.typing import Condition, State

LEAVES = ("nodes", "edges")


@dataclass(frozen=True)
class Noised:
    """Corrupted graphs, the noise in them, and their times, [batch]."""

    state: Mapping[str, Tensor]
    noise: Mapping[str, Tensor]
    time: Tensor


@dataclass(frozen=True, eq=False)
class GraphSDE:
    """The fixed part of a graph diffusion: sizes, noise of both leaves, and the sampler's schedule.

    Args:
        num_nodes: Node slots N.
        node_features: Features F of a node.
        nodes: Noise of the nodes.
        edges: Noise of the edges.
        diffusion_steps: Noise levels K; fewer are faster.
        solver: "predictor-corrector", a Langevin correction and a reverse-diffusion step at each level, one
            network call each: 2 K Gaussian steps. "splitting", correction and prediction from one call: K.
    """

    num_nodes: int
    node_features: int
    nodes: GraphNoise
    edges: GraphNoise
    diffusion_steps: int
    solver: Solver = "predictor-corrector"

    def steps(self) -> dict[str, AffineSteps]:
        """Of each leaf."""
        return {name: noise.steps(self.diffusion_steps, self.solver) for name, noise in self.noises.items()}

    @property
    def noises(self) -> dict[str, GraphNoise]:
        """Of each leaf."""
        return {"nodes": self.nodes, "edges": self.edges}

    def shape(self, leaf: str) -> tuple[int, ...]:
        """Shape of one row of a leaf."""
        return {"nodes": (self.num_nodes, self.node_features), "edges": (num_pairs(self.num_nodes),)}[leaf]


class GraphSDEChain(nn.Module):
    """Nodes and edges of a graph diffused together, every step a product of two masked Gaussians.

    Only free coordinates are stored and counted: pairs i < j, between slots that the condition says are
    present. Symmetry and padding are then no cases at all, and a divergence counts every edge once.

    With ``start=None`` the start is Gaussian noise and frozen. That is only right if the end of a path does
    not depend on its start, which it does where the noise at t = 1 is no larger than the data: see
    ``docs/gdss.md``. A `start` network makes the chain memoryless without changing what it samples: the chain
    starts at 0, and in ``J = start_steps`` steps of ``Normal(s + start(s) / J, 1 / J)``, times the start's
    scale, comes to noise as long as the network gives 0, and to another law where it is trained.

    Args:
        network: Called as ``network(state, time, condition)``; predicts both leaves.
        process: Sizes, noise and schedule.
        start: Network of the same call that gives 0 before training, such as `zero_headed` of another.
        start_steps: Steps to the noise; 1 learns a shift of the start's mean only.

    Shape:
        state: {"nodes": [batch, N, F], "edges": [batch, N (N - 1) / 2]}.
        condition: Which slots are present, [batch, N] bool; None for all.

    Raises:
        ParameterError: If there are start steps without a start network, or the other way round.
    """

    def __init__(
        self, network: nn.Module, process: GraphSDE, *, start: nn.Module | None = None, start_steps: int = 0
    ) -> None:
        super().__init__()
        if start_steps < 0 or (start is None) != (start_steps == 0):
            raise ParameterError(
                f"`start_steps` must be at least 1 with a `start` network and 0 without; got {start_steps} "
                f"{'without' if start is None else 'with'} one."
            )
        self.network, self.start = network, start
        self.process, self.start_steps = process, start_steps
        self._steps = process.steps()

    @property
    def num_steps(self) -> int:
        return self.start_steps + len(self._steps["nodes"].time)

    def with_process(self, process: GraphSDE) -> GraphSDEChain:
        """The same networks, shared, under another schedule."""
        return GraphSDEChain(self.network, process, start=self.start, start_steps=self.start_steps)

    def _free(self, batch_size: int, condition: Condition, like: Tensor) -> dict[str, Tensor]:
        present = slots_present(condition, batch_size, self.process.num_nodes).to(like.device)
        nodes = present[..., None].expand(-1, -1, self.process.node_features)
        return {"nodes": nodes, "edges": pairs_present(present)}

    def initial(self, batch_size: int, condition: Condition = None) -> Product:
        """Noise, or the point 0 if the start is learned."""
        like = next(self.parameters())
        free, parts = self._free(batch_size, condition, like), {}
        for name, noise in self.process.noises.items():
            scale = like.new_tensor(0.0 if self.start_steps else noise.start_scale)
            parts[name] = Gaussian(like.new_zeros((batch_size, *self.process.shape(name))), scale, free[name])
        return Product(parts)

    def transition(self, state: State, step: int | Tensor, condition: Condition = None) -> Product:
        """The law of both leaves after `step`: one call of a network."""
        given: Any = state
        if not isinstance(step, Tensor):
            return self._law(given, step, condition)
        from_start = step < self.start_steps
        if from_start.all() or not from_start.any():
            return self._law(given, step, condition)
        return self._mixed(given, step, condition, from_start)

    def _mixed(
        self, state: Mapping[str, Tensor], step: Tensor, condition: Condition, from_start: Tensor
    ) -> Product:
        """Rows of both kinds: each kind by itself, put together again."""
        order = torch.cat([from_start.nonzero()[:, 0], (~from_start).nonzero()[:, 0]])
        back = order.argsort()
        laws = []
        for rows in order.split([int(from_start.sum()), int((~from_start).sum())]):
            given = None if condition is None else tree.index(condition, rows)
            laws.append(self._law(tree.index(state, rows), step[rows], given))  # type: ignore[arg-type]
        free = self._free(len(step), condition, state["nodes"])

        def together(name: str) -> Gaussian:
            parts = [law.parts[name] for law in laws]
            scales = [part.scale.expand_as(part.mean) for part in parts]
            mean = torch.cat([part.mean for part in parts])[back]
            return Gaussian(mean, torch.cat(scales)[back], free[name])

        return Product({name: together(name) for name in LEAVES})

    def _law(self, state: Mapping[str, Tensor], step: int | Tensor, condition: Condition) -> Product:
        nodes = state["nodes"]
        free = self._free(len(nodes), condition, nodes)
        first = int(step.reshape(-1)[0]) if isinstance(step, Tensor) else step
        if self.start is not None and first < self.start_steps:
            drift = self.start(state, nodes.new_ones(len(nodes)), condition)
            parts = {}
            for name, noise in self.process.noises.items():
                mean = state[name] + drift[name] * (noise.start_scale / self.start_steps)
                parts[name] = Gaussian(mean, mean.new_tensor(noise.start_step(self.start_steps)), free[name])
            return Product(parts)
        return self._diffused(state, step - self.start_steps, condition, free)

    def _diffused(
        self,
        state: Mapping[str, Tensor],
        step: int | Tensor,
        condition: Condition,
        free: Mapping[str, Tensor],
    ) -> Product:
        nodes = state["nodes"]
        time = level(self._steps["nodes"].time, step, nodes[:, 0, 0]).expand(len(nodes))
        output = self.network(state, time, condition)
        parts = {}
        for name, noise in self.process.noises.items():
            steps, leaf = self._steps[name], state[name]
            alpha, sigma = (
                level(values(steps.time), step, leaf) for values in (noise.path.alpha, noise.path.sigma)
            )
            _, predicted = noise.prediction.split(output[name], leaf, alpha, sigma)
            keep, push, scale = (level(v, step, leaf) for v in (steps.keep, steps.push, steps.scale))
            parts[name] = Gaussian(keep * leaf - push / sigma * predicted, scale, free[name])
        return Product(parts)

    def loss(
        self, data: State, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Squared error of the predicted noise at one random time a row, summed over leaves, [batch].

        The mean over free coordinates of each leaf (Jo et al. 2022, Eq. 5, weighted by sigma squared). It
        trains `network`, not `start`.
        """
        noised = self.corrupted(data, condition, generator)
        return self.error(self.predicted(noised, condition), noised.noise, condition)

    def corrupted(
        self, data: State, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Noised:
        """Data noised to a random time each."""
        given: Any = data
        nodes = given["nodes"]
        time = draws.rand((len(nodes),), nodes.device, generator, nodes.dtype) * (1 - 1e-4) + 1e-4
        free = self._free(len(nodes), condition, nodes)
        noised, drawn = {}, {}
        for name, noise in self.process.noises.items():
            leaf = given[name]
            draw = draws.randn_like(leaf, generator) * free[name]
            alpha, sigma = noise.levels(time, leaf)
            noised[name], drawn[name] = alpha * leaf + sigma * draw, draw
        return Noised(noised, drawn, time)

    def predicted(self, given: Noised, condition: Condition = None) -> dict[str, Tensor]:
        """The noise in each leaf, as the network sees it."""
        output, found = self.network(given.state, given.time, condition), {}
        for name, noise in self.process.noises.items():
            levels = noise.levels(given.time, given.state[name])
            found[name] = noise.prediction.split(output[name], given.state[name], *levels)[1]
        return found

    def error(
        self, predicted: Mapping[str, Tensor], noise: Mapping[str, Tensor], condition: Condition
    ) -> Tensor:
        """Mean square of the difference over free coordinates, summed over leaves, [batch]."""
        nodes = predicted["nodes"]
        free = self._free(len(nodes), condition, nodes)
        total = nodes.new_zeros(len(nodes))
        for name in LEAVES:
            error = ((predicted[name] - noise[name]) * free[name]).square().flatten(1).sum(1)
            total = total + error / free[name].flatten(1).sum(1).clamp_min(1)
        return total


def zero_headed(network: nn.Module, heads: tuple[str, ...] = ("node_head", "edge_head")) -> nn.Module:
    """`network` with the last linear map of each head set to zero, in place: it gives 0 until trained."""
    for name in heads:
        last = [part for part in network.get_submodule(name).modules() if isinstance(part, nn.Linear)][-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return network
