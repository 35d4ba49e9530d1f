"""Random numbers drawn where their generator is: one on the CPU gives the same for states on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def _source(generator: torch.Generator | None, device: torch.device) -> torch.device:
    return device if generator is None else generator.device


def rand(
    shape: Sequence[int],
    device: torch.device,
    generator: torch.Generator | None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform in [0, 1), on a device.

    Example:
        >>> rand((2,), torch.device("meta"), torch.Generator().manual_seed(0)).device.type
        'meta'
    """
    source = _source(generator, device)
    return torch.rand(shape, generator=generator, dtype=dtype, device=source).to(device)


def randn_like(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal, of the shape and dtype and on the device of `like`."""
    source = _source(generator, like.device)
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=source).to(like.device)


def randint(
    low: int, high: int, shape: Sequence[int], device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Integers from `low` to ``high - 1``, on a device."""
    source = _source(generator, device)
    return torch.randint(low, high, tuple(shape), generator=generator, device=source).to(device)


def rows(weights: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Numbers of rows, each drawn by its weight, with repeats, [count], on the device of `weights`."""
    there = weights.to(_source(generator, weights.device))
    return torch.multinomial(there, count, replacement=True, generator=generator).to(weights.device)
