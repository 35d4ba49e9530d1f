"""Small fully connected networks, for short sequences and low-dimensional vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seiko.typing import Condition


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.out(nn.functional.silu(self.into(self.norm(hidden))))


def time_features(time: Tensor, count: int = 16) -> Tensor:
    """Cosines and sines of [batch] times at `count` // 2 frequencies, [batch, count]."""
    frequencies = torch.exp(torch.linspace(0, math.log(100.0), count // 2, device=time.device)).to(time)
    angles = time[:, None] * frequencies * (math.pi / 2)
    return torch.cat([angles.cos(), angles.sin()], 1)


class SequenceMLP(nn.Module):
    """Logits at every position from the whole one-hot sequence and the time.

    Args:
        length: Positions.
        kinds: Kinds in the state, the mask included where there is one.
        outputs: Kinds in the output.
        width: Width of the residual stream.
        num_layers: Residual blocks.

    Shape:
        state [batch, length, kinds], time [batch] -> [batch, length, outputs].
    """

    def __init__(
        self, length: int, kinds: int, *, outputs: int, width: int = 128, num_layers: int = 2
    ) -> None:
        super().__init__()
        self.length, self.kinds, self.outputs = length, kinds, outputs
        self.into = nn.Linear(length * kinds + 16, width)
        self.blocks = nn.Sequential(*(_Residual(width) for _ in range(num_layers)))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, length * outputs))

    def hidden(self, state: Tensor, time: Tensor) -> Tensor:
        """The residual stream before the last layer, [batch, width]."""
        return self.blocks(self.into(torch.cat([state.flatten(1), time_features(time).to(state)], 1)))

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        return self.out(self.hidden(state, time)).view(-1, self.length, self.outputs)


class VectorMLP(nn.Module):
    """A prediction of the state's own shape from a vector and the time.

    Args:
        dimension: Coordinates of the state.
        width: Width of the residual stream.
        num_layers: Residual blocks.

    Shape:
        state [batch, dimension], time [batch] -> [batch, dimension].
    """

    def __init__(self, dimension: int, *, width: int = 128, num_layers: int = 3) -> None:
        super().__init__()
        self.into = nn.Linear(dimension + 16, width)
        self.blocks = nn.Sequential(*(_Residual(width) for _ in range(num_layers)))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dimension))

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        hidden = self.into(torch.cat([state, time_features(time).to(state)], 1))
        return self.out(self.blocks(hidden))
