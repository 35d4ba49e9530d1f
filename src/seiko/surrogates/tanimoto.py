"""The Tanimoto kernel of count or binary fingerprints, and random features that stand for it."""

from __future__ import annotations

from typing import Any

import torch
from botorch.sampling.pathwise.features.generators import GenKernelFeatures
from botorch.sampling.pathwise.features.maps import KernelFeatureMap
from gpytorch.kernels import Kernel
from torch import Tensor


class TanimotoKernel(Kernel):
    """``k(x, y) = <x, y> / (|x|^2 + |y|^2 - <x, y>)``; two zero vectors have similarity 1.

    On binary fingerprints it is the share of common bits. It is positive definite on all real vectors and
    differentiable in both arguments. While it is trained, the matrix of the readings is computed once.

    Args:
        typical_square: Typical ``|x|^2``; only the random features use it.
        num_counts: How many columns, the first, are compared; all if None.

    Example:
        >>> x = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
        >>> TanimotoKernel()(x).to_dense()
        tensor([[1.0000, 0.3333],
                [0.3333, 1.0000]])
    """

    has_lengthscale = False
    typical_square: Tensor

    def __init__(self, typical_square: float = 1.0, *, num_counts: int | None = None) -> None:
        super().__init__()
        self.num_counts = num_counts
        self._known: tuple[Tensor, Tensor, tuple[int, int], Tensor] | None = None
        square = torch.tensor(max(typical_square, 1e-12), dtype=torch.float64)
        self.register_buffer("typical_square", square)

    def counts(self, x: Tensor) -> Tensor:
        """The columns that are compared."""
        return x[..., : self.num_counts]

    def train(self, mode: bool = True) -> TanimotoKernel:
        """Also forgets the matrix."""
        self._known = None
        super().train(mode)
        return self

    def forward(
        self,
        x1: Tensor,
        x2: Tensor,
        diag: bool = False,
        last_dim_is_batch: bool = False,
        **params: Any,
    ) -> Tensor:
        if diag or not self.training or x1.requires_grad or x2.requires_grad:
            return _similarity(self.counts(x1), self.counts(x2), diag)
        known, versions = self._known, (x1._version, x2._version)
        if known is None or known[0] is not x1 or known[1] is not x2 or known[2] != versions:
            known = self._known = (x1, x2, versions, _similarity(self.counts(x1), self.counts(x2)))
        return known[3]


def _similarity(x1: Tensor, x2: Tensor, diag: bool = False) -> Tensor:
    square1, square2 = x1.square().sum(-1), x2.square().sum(-1)
    if diag:
        inner, total = (x1 * x2).sum(-1), square1 + square2
    else:
        inner, total = x1 @ x2.mT, square1[..., :, None] + square2[..., None, :]
    defined = total > 0
    return torch.where(defined, inner, 1.0) / torch.where(defined, total - inner, 1.0)


class TanimotoFeatures(KernelFeatureMap):
    """Random features z with ``E[z(x)^T z(y)] = k(x, y)``, differentiable in x.

    From ``1/a = int exp(-a t) dt``::

        k(x, y) = int <x, y> exp(-t |x|^2 / 2) exp(-t |y|^2 / 2) exp(-t |x - y|^2 / 2) dt

    the inner product is estimated by random signs, the last factor by Fourier features, the integral by draws
    of t with density ``c / (c + t)^2``, ``c = 1 / typical_square``, whose heavy tail serves every size of
    design. They are drawn from torch's global generator, as all of GPyTorch's and BoTorch's are: fork it.

    Args:
        kernel: The kernel.
        num_inputs: Width of the features.
        num_outputs: Number of features, even.
    """

    kernel: TanimotoKernel
    weight: Tensor
    time: Tensor
    signs: Tensor
    density_root: Tensor

    def __init__(self, kernel: TanimotoKernel, *, num_inputs: int, num_outputs: int) -> None:
        half = num_outputs // 2
        width = num_inputs if kernel.num_counts is None else kernel.num_counts
        centre = 1 / kernel.typical_square
        weight = torch.randn(half, width).to(centre)
        signs = (torch.randint(0, 2, (half, width)) * 2 - 1).to(centre)
        uniform = ((torch.arange(half) + torch.rand(half)) / half).to(centre)  # stratified
        time = centre * uniform / (1 - uniform).clamp_min(1e-9)
        super().__init__(kernel, weight, output_transform=torch.nn.Identity())
        self.register_buffer("time", time)
        self.register_buffer("signs", signs)
        self.register_buffer("density_root", centre**0.5 / (centre + time))

    @property
    def num_outputs(self) -> int:  # type: ignore[override]  # a property in BoTorch's class, too
        return 2 * len(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., feature] -> [..., num_outputs]."""
        x = self.kernel.counts(x)
        size = torch.exp(-0.5 * self.time * x.square().sum(-1, keepdim=True))
        amplitude = x @ self.signs.mT * size / (self.density_root * len(self.weight) ** 0.5)
        angle = x @ self.weight.mT * self.time.sqrt()
        return torch.cat([amplitude * angle.cos(), amplitude * angle.sin()], -1)


@GenKernelFeatures.register(TanimotoKernel)
def _tanimoto_features(kernel: TanimotoKernel, *, num_inputs: int, num_outputs: int) -> TanimotoFeatures:
    return TanimotoFeatures(kernel, num_inputs=num_inputs, num_outputs=num_outputs)
