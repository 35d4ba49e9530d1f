"""Features as a surrogate wants them: of the right width, double, and on a common scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seiko.errors import ShapeError

MIN_SCALE_OF_RANGE = 0.25  # a bit that is set in one row of a thousand must not become a 30-sigma outlier


class FeatureScaler(nn.Module):
    """Standardises features column by column: ``(x - mean) / scale``, in double.

    ``scale = max(std, range / 4)`` of the column, so that rare bits of a fingerprint stay within a few units.
    Columns that never varied are dropped: nothing can be learned from them.

    Args:
        features: What the scale is taken from, [n, feature].

    Example:
        >>> scaler = FeatureScaler(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
        >>> scaler(torch.tensor([[1.0, 7.0]])), scaler.num_active
        (tensor([[0.]], dtype=torch.float64), 1)
    """

    mean: Tensor
    scale: Tensor
    columns: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        x = features.detach().double()
        spread = x.amax(0) - x.amin(0)
        scale = torch.maximum(x.std(0, correction=0), MIN_SCALE_OF_RANGE * spread)
        self.num_features = x.shape[1]
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("scale", scale)
        self.register_buffer("columns", scale.nonzero()[:, 0])

    @property
    def num_active(self) -> int:
        """How many columns vary."""
        return len(self.columns)

    def forward(self, features: Tensor) -> Tensor:
        """Standardised features [..., active], with gradients."""
        check_width(features, self.num_features)
        x = features.double()
        if self.num_active == self.num_features:
            return (x - self.mean) / self.scale
        return (x[..., self.columns] - self.mean[self.columns]) / self.scale[self.columns]


class ValueScaler(nn.Module):
    """Standardises readings: ``(value - mean) / std``, in double; std is 1 where all readings agree.

    Args:
        values: Readings in reward units, [n].

    Example:
        >>> ValueScaler(torch.tensor([1.0, 3.0]))(torch.tensor([3.0]))
        tensor([1.], dtype=torch.float64)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        y = values.detach().double()
        std = y.std(correction=0)
        tiny = 1e-12 * (1.0 + y.abs().max())
        self.register_buffer("mean", y.mean())
        self.register_buffer("std", torch.where(std > tiny, std, torch.ones_like(std)))

    def forward(self, values: Tensor) -> Tensor:
        return (values.double() - self.mean) / self.std

    def invert(self, standardised: Tensor) -> Tensor:
        """Back to reward units."""
        return standardised * self.std + self.mean


def known_variance(
    noise_std: Tensor | None, values: Tensor, value_std: Tensor, *, floor: float = 1e-6
) -> Tensor:
    """Noise variances of the readings on the standardised scale, [n]; NaN where unknown, at least `floor`."""
    if noise_std is None:
        return torch.full_like(values, torch.nan, dtype=torch.float64)
    return (noise_std.double() / value_std).square().clamp_min(floor)


def row_precision(variance: Tensor) -> Tensor:
    """Weights of the readings for least squares, [n], mean 1; unknown noise counts as the mean of the known.

    Known noise is floored at a tenth of the readings' std: below that, what the network cannot fit dominates.
    """
    known = ~variance.isnan()
    if not known.any():
        return torch.ones_like(variance)
    filled = torch.where(known, variance, variance[known].mean()).clamp_min(1e-2)
    return (1 / filled) / (1 / filled).mean()


def check_width(features: Tensor, num_features: int) -> None:
    """Refuse features of another width than those fitted.

    Raises:
        ShapeError: If the last dimension is not `num_features`.
    """
    if features.ndim < 1 or features.shape[-1] != num_features:
        raise ShapeError(
            f"`features` must have shape [batch, {num_features}] as in `fit`; got {list(features.shape)}.",
            hint="Were they made by another domain?",
        )
