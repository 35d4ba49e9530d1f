"""Joint chains: several leaves, one network, one step of each at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from seiko.chains.base import Process
from seiko.distributions import Product
from seiko.errors import ParameterError

Leaves: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Joint:
    """A process over a dict of leaves, each with its own process; the law of a step is their product.

    Masked and Gaussian leaves mix freely: a masked molecular graph is ``Joint({"atoms": Masked(...), "bonds":
    Masked(...)})``, types with positions are ``Joint({"types": Masked(...), "positions": DDIM(...)})``.

    Args:
        processes: One a leaf; all must have the same number of steps.
        time_of: The leaf whose time the network is given; the first if None.

    Raises:
        ParameterError: If the numbers of steps differ.
    """

    processes: Mapping[str, Process]
    time_of: str | None = None

    def __post_init__(self) -> None:
        steps = {name: process.num_steps for name, process in self.processes.items()}
        if not steps or len(set(steps.values())) != 1:
            raise ParameterError(
                f"All leaves of a joint process must have the same `num_steps`; got {steps}."
            )
        if self.time_of is not None and self.time_of not in self.processes:
            raise ParameterError(f"`time_of` must be a leaf, of {sorted(steps)}; got {self.time_of!r}.")

    @property
    def num_steps(self) -> int:
        return next(iter(self.processes.values())).num_steps

    def initial(self, batch_size: int, like: Tensor) -> Product:
        return Product({name: p.initial(batch_size, like) for name, p in self.processes.items()})

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        return self.processes[self.time_of or next(iter(self.processes))].time(step, like)

    def transition(self, state: Leaves, prediction: Leaves, step: int | Tensor) -> Product:
        return Product(
            {name: p.transition(state[name], prediction[name], step) for name, p in self.processes.items()}
        )

    def corrupt(
        self, data: Leaves, step: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        return {name: p.corrupt(data[name], step, generator) for name, p in self.processes.items()}

    def loss(self, prediction: Leaves, data: Leaves, state: Leaves, step: Tensor) -> Tensor:
        """Sum of the leaves' losses, [batch]."""
        parts = [
            p.loss(prediction[name], data[name], state[name], step) for name, p in self.processes.items()
        ]
        return torch.stack(parts).sum(0)
