"""The linear kernel of standardised features, and random features of sums of kernels."""

from __future__ import annotations

from typing import Any

import torch
from botorch.sampling.pathwise.features.generators import GenKernelFeatures, gen_kernel_features
from botorch.sampling.pathwise.features.maps import KernelFeatureMap
from gpytorch.kernels import AdditiveKernel, Kernel
from torch import Tensor

from seiko.surrogates.features import FeatureScaler


class StandardisedLinearKernel(Kernel):
    """``k(x, y) = <z(x), z(y)> / c`` with z the standardised features and c the mean of ``|z|^2``.

    The scale is that of the features it is made with, on which the mean of ``k(x, x)`` is 1. A Gaussian
    process with it is Bayesian linear regression: its mean goes on beyond the readings, and its standard
    deviation grows with the distance from them.

    Args:
        features: What the scale is taken from, [n, feature].

    Example:
        >>> x = torch.tensor([[0.0, 5.0], [2.0, 5.0]])
        >>> StandardisedLinearKernel(x)(x).to_dense()
        tensor([[ 1., -1.],
                [-1.,  1.]], dtype=torch.float64)
    """

    has_lengthscale = False

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.scaler = FeatureScaler(features)
        mean_square = self.scaler(features).square().sum(1).mean()
        self.register_buffer("root", mean_square.clamp_min(1e-12).sqrt())

    def directions(self, x: Tensor) -> Tensor:
        """``z(x) / sqrt(c)``, whose inner products are the kernel, [..., active]."""
        return self.scaler(x) / self.root

    def forward(
        self,
        x1: Tensor,
        x2: Tensor,
        diag: bool = False,
        last_dim_is_batch: bool = False,
        **params: Any,
    ) -> Tensor:
        one, two = self.directions(x1), self.directions(x2)
        return (one * two).sum(-1) if diag else one @ two.mT


class LinearFeatures(KernelFeatureMap):
    """The kernel's own features, exact."""

    kernel: StandardisedLinearKernel

    def __init__(self, kernel: StandardisedLinearKernel) -> None:
        weight = torch.empty(kernel.scaler.num_active, 0)
        super().__init__(kernel, weight, output_transform=torch.nn.Identity())

    @property
    def num_outputs(self) -> int:  # type: ignore[override]  # a property in BoTorch's class, too
        return len(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., feature] -> [..., num_outputs]."""
        return self.kernel.directions(x)


class SumFeatures(KernelFeatureMap):
    """Features of a sum of kernels: those of its parts, side by side."""

    def __init__(self, kernel: AdditiveKernel, parts: list[KernelFeatureMap]) -> None:
        super().__init__(kernel, torch.empty(0), output_transform=torch.nn.Identity())
        self.parts = torch.nn.ModuleList(parts)
        self._num_outputs = sum(int(part.num_outputs) for part in parts)

    @property
    def num_outputs(self) -> int:  # type: ignore[override]  # a property in BoTorch's class, too
        return self._num_outputs

    def forward(self, x: Tensor) -> Tensor:
        """[..., feature] -> [..., num_outputs]."""
        return torch.cat([part(x) for part in self.parts], -1)


@GenKernelFeatures.register(StandardisedLinearKernel)
def _linear_features(
    kernel: StandardisedLinearKernel, *, num_inputs: int, num_outputs: int
) -> LinearFeatures:
    return LinearFeatures(kernel)


@GenKernelFeatures.register(AdditiveKernel)
def _sum_features(kernel: AdditiveKernel, *, num_inputs: int, num_outputs: int) -> SumFeatures:
    parts = [
        gen_kernel_features(part, num_inputs=num_inputs, num_outputs=num_outputs) for part in kernel.kernels
    ]
    return SumFeatures(kernel, parts)
