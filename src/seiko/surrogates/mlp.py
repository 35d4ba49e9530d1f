"""Many small networks as one: every weight carries a member dimension, and one batched product serves all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from seiko.surrogates.randomness import normal


class BatchedMLP(nn.Module):
    """M perceptrons with the same shape and their own weights: ``[n, in] -> [M, n, 1]``.

    Args:
        num_inputs: Width of the input.
        hidden: Widths of the hidden layers, at least one.
        num_members: How many networks, M.
        generator: Draws the weights: normal with variance 2/in (1/in for the last layer); biases start at 0.
        device: Where the weights live.

    Example:
        >>> network = BatchedMLP(3, (16,), num_members=4, generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(5, 3)).shape
        torch.Size([4, 5, 1])
    """

    def __init__(
        self,
        num_inputs: int,
        hidden: Sequence[int],
        *,
        num_members: int,
        generator: torch.Generator,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        device = device or torch.device("cpu")
        widths = [num_inputs, *hidden, 1]
        gains = [2.0] * len(hidden) + [1.0]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for gain, width_in, width_out in zip(gains, widths[:-1], widths[1:], strict=True):
            draws = normal((num_members, width_in, width_out), generator, device)
            self.weights.append((gain / max(width_in, 1)) ** 0.5 * draws.float())
            self.biases.append(torch.zeros(num_members, 1, width_out, device=device))

    def hidden_features(self, x: Tensor) -> Tensor:
        """Activations of the last hidden layer, [n, in] -> [M, n, hidden]."""
        h = x.expand(len(self.weights[0]), *x.shape)  # [M, n, in]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = functional.silu(torch.baddbmm(bias, h, weight))
        return h

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.biases[-1], self.hidden_features(x), self.weights[-1])

    def member(self, index: int) -> BatchedMLP:
        """One of the networks alone, as an ensemble of one that shares its weights."""
        alone = copy.copy(self)
        alone._parameters, alone._modules = {}, {}
        alone.weights = nn.ParameterList(_row(w, index) for w in self.weights)
        alone.biases = nn.ParameterList(_row(b, index) for b in self.biases)
        return alone


def _row(parameter: nn.Parameter, index: int) -> nn.Parameter:
    return nn.Parameter(parameter[index : index + 1].detach(), requires_grad=False)


@dataclass(frozen=True)
class Training:
    """How the networks are trained: Adam with decoupled weight decay, step size falling linearly to 0.

    Args:
        num_steps: Steps of Adam.
        learning_rate: First step size.
        weight_decay: Strength of the decay.
        batch_size: Rows a step; all rows where there are no more than that.
    """

    num_steps: int = 200
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    batch_size: int = 256


def train(
    network: BatchedMLP,
    inputs: Tensor,
    targets: Tensor,
    row_weights: Tensor,
    *,
    training: Training,
    generator: torch.Generator,
) -> None:
    """Minimise ``mean_i w_mi (f_m(x_i) - y_mi)^2`` for every member m at once, in place.

    Args:
        network: The M networks.
        inputs: [n, in].
        targets: [M, n], or [1, n] where the members share them.
        row_weights: [M, n], w_mi >= 0.
        training: Steps and step sizes.
        generator: Draws the minibatches.
    """
    x, y, w = inputs.float(), targets.float().expand_as(row_weights), row_weights.float()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    with torch.enable_grad():
        for step in range(training.num_steps):
            optimiser.param_groups[0]["lr"] = training.learning_rate * (1 - step / training.num_steps)
            rows = _minibatch(len(x), training.batch_size, generator, x.device)
            residual = network(x[rows])[..., 0] - y[:, rows]  # [M, batch]
            optimiser.zero_grad()
            (w[:, rows] * residual.square()).mean(1).sum().backward()
            optimiser.step()
    network.requires_grad_(False)


def _minibatch(n: int, batch_size: int, generator: torch.Generator, device: torch.device) -> Tensor | slice:
    if n <= batch_size:
        return slice(None)
    return torch.randint(n, (batch_size,), generator=generator, device=generator.device).to(device)
