"""Noise schedules and time grids: pure functions, from noise (step 0) to data (step K)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seiko.errors import ParameterError


def check_num_steps(num_steps: int) -> None:
    """Raise ParameterError unless `num_steps` is a positive integer."""
    if isinstance(num_steps, bool) or not isinstance(num_steps, int) or num_steps < 1:
        raise ParameterError(f"`num_steps` must be an integer >= 1; got {num_steps!r}.")


def cosine_alpha_bar(num_steps: int, *, first: float = 1e-4, last: float = 0.9999) -> Tensor:
    """Squared-cosine schedule (Nichol & Dhariwal 2021, Eq. 17) on a grid of ``num_steps + 1`` levels.

    ``alpha_bar(t) = cos(pi t / 2)^2``, scaled to [first, last] so that the first state is nearly pure noise,
    the last step keeps a floor of noise, and the levels increase strictly for any number of steps.

    Returns:
        alpha_bar in double, increasing, [num_steps + 1].

    Example:
        >>> cosine_alpha_bar(2)
        tensor([1.0000e-04, 5.0000e-01, 9.9990e-01], dtype=torch.float64)
    """
    check_num_steps(num_steps)
    time = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
    return first + (last - first) * torch.cos(0.5 * math.pi * time) ** 2


def linear_beta_alpha_bar(
    num_steps: int,
    *,
    num_train_steps: int = 1000,
    beta_start: float = 1e-4,
    beta_end: float = 0.02,
    last: float = 0.9999,
) -> Tensor:
    """The DDPM schedule (Ho et al. 2020, section 4), ``num_steps + 1`` levels taken evenly from it.

    Returns:
        alpha_bar in double, increasing, [num_steps + 1]; the last level is `last`.
    """
    check_num_steps(num_steps)
    beta = torch.linspace(beta_start, beta_end, num_train_steps, dtype=torch.float64)
    levels = torch.cumprod(1 - beta, 0)
    chosen = torch.linspace(num_train_steps - 1, 0, num_steps + 1).round().long()
    return torch.cat([levels[chosen[:-1]], levels.new_tensor([last])])


def even_counts(total: int, num_steps: int) -> Tensor:
    """How many of `total` positions to reveal at each step, as evenly as integers allow.

    Returns:
        Integers that sum to `total`, [num_steps].

    Example:
        >>> even_counts(5, 3)
        tensor([1, 2, 2])
    """
    check_num_steps(num_steps)
    done = [(step * total) // num_steps for step in range(num_steps + 1)]
    return torch.tensor(done).diff()


def checked_counts(counts: Sequence[int] | Tensor, total: int) -> Tensor:
    """`counts` as an integer tensor [num_steps], if they reveal each of `total` positions exactly once.

    Raises:
        ParameterError: If a count is negative or the sum is not `total`.
    """
    tensor = torch.as_tensor(counts, dtype=torch.long)
    if tensor.ndim != 1 or (tensor < 0).any() or int(tensor.sum()) != total:
        raise ParameterError(f"`counts` must be integers >= 0 that sum to {total}; got {tensor.tolist()}.")
    return tensor
