"""Networks for sequences: attention over patches of positions, and dilated convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seiko.errors import ParameterError
from seiko.networks.mlp import time_features
from seiko.typing import Condition

TIME_FEATURES = 16


class SequenceTransformer(nn.Module):
    """Logits at every position by attention between patches of neighbouring positions.

    A patch of several letters is one token: on a CPU the cost falls almost in proportion, and the letters
    of a patch still meet in its own layers.

    Args:
        length: Positions.
        kinds: Kinds in the state, the mask included where there is one.
        outputs: Kinds in the output.
        width: Width of a token.
        num_layers: Layers, each attention and a perceptron.
        num_heads: Heads of the attention; they divide the width.
        patch: Positions in a token; they divide the length.

    Raises:
        ParameterError: If `num_heads` does not divide the width, or `patch` the length.

    Shape:
        state [batch, length, kinds], time [batch] -> [batch, length, outputs].

    Example:
        >>> network = SequenceTransformer(6, 5, outputs=4, width=16, num_heads=2, patch=3)
        >>> network(torch.zeros(2, 6, 5), torch.ones(2)).shape
        torch.Size([2, 6, 4])
    """

    def __init__(
        self,
        length: int,
        kinds: int,
        *,
        outputs: int,
        width: int = 128,
        num_layers: int = 3,
        num_heads: int = 4,
        patch: int = 1,
    ) -> None:
        super().__init__()
        for name, value, whole in (("num_heads", num_heads, width), ("patch", patch, length)):
            if value < 1 or whole % value:
                raise ParameterError(f"`{name}` must be a divisor of {whole}; got {value}.")
        self.length, self.kinds, self.outputs, self.patch = length, kinds, outputs, patch
        self.into = nn.Linear(patch * kinds, width)
        self.position = nn.Parameter(0.02 * torch.randn(length // patch, width))
        self.time = nn.Linear(TIME_FEATURES, width)
        self.layers = nn.ModuleList(_AttentionLayer(width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, patch * outputs)

    def hidden(self, state: Tensor, time: Tensor) -> Tensor:
        """Tokens before the last layer, [batch, length / patch, width]."""
        tokens = self.into(state.reshape(len(state), self.length // self.patch, -1)) + self.position
        tokens = tokens + self.time(time_features(time, TIME_FEATURES).to(tokens))[:, None]
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        return self.out(self.hidden(state, time)).view(len(state), self.length, self.outputs)


class _AttentionLayer(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        parts = self.query_key_value(self.norm(tokens)).view(batch, count, 3, self.num_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # [batch, heads, count, width / heads]
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.join(mixed.transpose(1, 2).reshape(batch, count, width))
        return tokens + self.narrow(nn.functional.silu(self.widen(self.norm_after(tokens))))


class SequenceConvolution(nn.Module):
    """Logits at every position by residual convolutions whose reach doubles from layer to layer.

    Args:
        length: Positions.
        kinds: Kinds in the state, the mask included where there is one.
        outputs: Kinds in the output.
        width: Channels.
        num_layers: Layers; layer k skips ``2^k`` positions between its taps, and starts again from 1
            where its reach would pass the length.
        kernel: Taps of a convolution, odd.

    Raises:
        ParameterError: If `kernel` is even.

    Shape:
        state [batch, length, kinds], time [batch] -> [batch, length, outputs].
    """

    def __init__(
        self,
        length: int,
        kinds: int,
        *,
        outputs: int,
        width: int = 64,
        num_layers: int = 4,
        kernel: int = 5,
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ParameterError(f"`kernel` must be odd; got {kernel}.")
        self.length, self.kinds, self.outputs = length, kinds, outputs
        rounds = max(1, (length // kernel).bit_length())
        self.into = nn.Linear(kinds, width)
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.time = nn.Linear(TIME_FEATURES, width)
        self.layers = nn.ModuleList(
            _ConvolutionLayer(width, kernel, 2 ** (layer % rounds)) for layer in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, outputs)

    def hidden(self, state: Tensor, time: Tensor) -> Tensor:
        """Channels before the last layer, [batch, length, width]."""
        rows = self.into(state) + self.position
        rows = rows + self.time(time_features(time, TIME_FEATURES).to(rows))[:, None]
        for layer in self.layers:
            rows = layer(rows)
        return self.norm(rows)

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        return self.out(self.hidden(state, time))


class _ConvolutionLayer(nn.Module):
    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        padding = dilation * (kernel // 2)
        self.mix = nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation)
        self.join = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        mixed = self.mix(self.norm(rows).transpose(1, 2)).transpose(1, 2)
        return rows + self.join(nn.functional.silu(mixed))
