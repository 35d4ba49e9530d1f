"""Moving averages of weights in training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MovingAverage:
    """An exponential moving average of parameters.

    ``average = decay_i * average + (1 - decay_i) * parameter`` after step i, with
    ``decay_i = min(decay, i / (i + 10))``: a young average follows the weights faster, since it has no better
    past to remember.

    Args:
        parameters: Named; the average begins at their present values.
        decay: In [0, 1); 0 is the parameters themselves.

    Attributes:
        tensors: The average, by the same names.

    Example:
        >>> weight = nn.Parameter(torch.zeros(()))
        >>> average = MovingAverage({"weight": weight}, decay=0.5)
        >>> with torch.no_grad():
        ...     _ = weight.fill_(11.0)
        >>> average.update(1)
        >>> average.tensors["weight"]
        tensor(10.)
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = dict(parameters), decay
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, iteration: int) -> None:
        """Take in the parameters after step `iteration`, counted from 1."""
        decay = min(self.decay, iteration / (iteration + 10))
        torch._foreach_lerp_(list(self.tensors.values()), list(self.parameters.values()), 1 - decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the average into the parameters."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.tensors[name])
