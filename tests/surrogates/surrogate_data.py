"""Small data sets with a known truth."""

from __future__ import annotations

import torch
from torch import Tensor

from seiko.surrogates import Observations


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def counts(n: int, width: int, seed: int) -> Tensor:
    """Count fingerprints of which a seventh of the columns never varies."""
    generator = seeded(seed)
    rate = 1.5 * torch.rand(width, generator=generator) ** 3
    x = torch.poisson(rate.expand(n, width), generator=generator)
    x[:, ::7] = 0
    return x


def linear_data(n: int, width: int, seed: int, noise: float = 0.5) -> tuple[Observations, Tensor]:
    generator = seeded(seed)
    x = torch.randn(n, width, generator=generator, dtype=torch.float64)
    weight = torch.randn(width, generator=seeded(99), dtype=torch.float64)
    y = x @ weight + 2 + noise * torch.randn(n, generator=generator, dtype=torch.float64)
    return Observations(x, y), weight


def smooth_function(seed: int, width: int = 2):
    """A draw of a GP with squared-exponential kernel (200 Fourier features), variance 1, lengthscale 0.7."""
    generator = seeded(seed)
    frequency = torch.randn(200, width, generator=generator, dtype=torch.float64) / 0.7
    phase = 6.283185 * torch.rand(200, generator=generator, dtype=torch.float64)
    weight = torch.randn(200, generator=generator, dtype=torch.float64) * 0.1
    return lambda x: torch.cos(x @ frequency.T + phase) @ weight
