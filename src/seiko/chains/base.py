"""A chain is a network and a process, which turns the network's prediction into the law of the next state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seiko import draws, shares, tree
from seiko.chain import rollout
from seiko.distributions import Distribution
from seiko.errors import ParameterError
from seiko.typing import Condition, State


class Process(Protocol):
    """The fixed part of a diffusion model: noise levels, start law, and the form of a step.

    ``transition`` maps the network's prediction at a state to the law of the next state, and ``corrupt`` and
    ``loss`` train the network; the data of ``loss`` may be means, of one-hot rows too. ``step`` is one
    integer or [batch] integers; nothing here has weights.
    """

    @property
    def num_steps(self) -> int: ...

    def initial(self, batch_size: int, like: Tensor) -> Distribution: ...
    def time(self, step: int | Tensor, like: Tensor) -> Tensor: ...
    def transition(self, state: Any, prediction: Any, step: int | Tensor) -> Distribution: ...
    def corrupt(self, data: Any, step: Tensor, generator: torch.Generator | None = None) -> Any: ...
    def loss(self, prediction: Any, data: Any, state: Any, step: Tensor) -> Tensor: ...


class DiffusionChain(nn.Module):
    """A chain made of a network and a process.

    Args:
        network: Called as ``network(state, time, condition)``; `time` is [batch], 1 for noise and 0 for data.
            It returns a prediction of the same tree as the state.
        process: `DDIM`, `EulerMaruyama`, `Masked`, `Absorbing`, `Uniform` or `Joint`.

    Example:
        >>> from seiko.chains import Masked
        >>> from seiko.networks import SequenceMLP
        >>> chain = DiffusionChain(SequenceMLP(6, 5, outputs=4), Masked(length=6, kinds=4))
        >>> chain.num_steps
        6
    """

    def __init__(self, network: nn.Module, process: Process) -> None:
        super().__init__()
        self.network = network
        self.process = process

    @property
    def num_steps(self) -> int:
        return self.process.num_steps

    @num_steps.setter
    def num_steps(self, value: int) -> None:
        raise ParameterError(
            f"`num_steps` belongs to the process and cannot be set to {value}.",
            hint="Use `chain.with_process(process)`.",
        )

    def with_process(self, process: Process) -> DiffusionChain:
        """The same network, shared, under another process: other steps or other noise."""
        return DiffusionChain(self.network, process)

    @property
    def _like(self) -> Tensor:
        """A tensor that tells dtype and device; a network of low precision may name its own as ``like``."""
        if isinstance(own := getattr(self.network, "like", None), Tensor):
            return own
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.is_floating_point():
                return tensor
        return torch.empty(())

    def initial(self, batch_size: int, condition: Condition = None) -> Distribution:
        """The law of s_0; it has no trained weights."""
        return self.process.initial(batch_size, self._like)

    def transition(self, state: State, step: int | Tensor, condition: Condition = None) -> Distribution:
        """The law of the next state, given `state` at `step`: one call of the network."""
        return self.process.transition(state, self.predicted(state, step, condition), step)

    def predicted(self, state: State, step: int | Tensor, condition: Condition = None) -> State:
        """The network's prediction: in a team's mixed precision if it has one, and back in the states'."""
        first = next(tree.leaves(state))
        time = self.process.time(step, first).expand(len(first))
        team = shares.current()
        if team.accelerator is None:
            return self.network(state, time, condition)
        with team.autocast():
            prediction = self.network(state, time, condition)
        return tree.tree_map(lambda leaf: leaf.to(time.dtype), prediction)

    def corrupt(self, data: State, step: Tensor, generator: torch.Generator | None = None) -> State:
        """Data noised to the level of `step`, [batch] integers."""
        return self.process.corrupt(data, step, generator)

    def variations(
        self, clean: State, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Iterator[tuple[State, Condition]]:
        """Clean states noised to a step in the second half and sampled anew from there, in parts of one step.

        Samples near what is given that are still the chain's own: what it finds improbable it does not write
        (SDEdit, Meng et al. 2022, arXiv 2108.01073, as a move of a search).
        """
        first = next(tree.leaves(clean))
        least, shape = self.num_steps // 2, (len(first),)
        steps = draws.randint(least, self.num_steps, shape, first.device, generator)
        for step in steps.unique().tolist():
            chosen = (steps == step).nonzero()[:, 0]
            given = None if condition is None else tree.index(condition, chosen)
            noised = self.corrupt(tree.index(clean, chosen), torch.full_like(chosen, step), generator)
            for last in rollout(self, condition=given, start=(step, noised), generator=generator):
                state = last.next_state
            yield state, given

    def loss(
        self, data: State, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """The process's training loss at one random step a row, [batch]."""
        state, step = self.corrupted(data, generator)
        return self.process.loss(self.predicted(state, step, condition), data, state, step)

    def corrupted(self, data: State, generator: torch.Generator | None = None) -> tuple[State, Tensor]:
        """Data noised to a random step each, and the steps, [batch]."""
        first = next(tree.leaves(data))
        step = draws.randint(0, self.num_steps, (len(first),), first.device, generator)
        return self.corrupt(data, step, generator), step


def level(values: Tensor, step: int | Tensor, like: Tensor) -> Tensor:
    """``values[step]`` in the dtype and on the device of `like`, shaped to broadcast against it."""
    chosen: Any = values.to(like.device)[step]
    return tree.expand(chosen.to(like.dtype), like)
