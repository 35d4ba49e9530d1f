"""Shapes that bring a raw number of a molecule into [0, 1], and means of several, as in GuacaMol.

Brown, Fiscato, Segler and Vaucher, "GuacaMol: Benchmarking Models for de Novo Molecular Design",
J. Chem. Inf. Model. 59:1096 (2019), Methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seiko.errors import ParameterError

Modifier = Callable[[float], float]


def _check_sigma(sigma: float) -> None:
    if not sigma > 0:
        raise ParameterError(f"`sigma` must be positive; got {sigma!r}.")


@dataclass(frozen=True)
class Gaussian:
    """``exp(-((x - mu) / sigma)^2 / 2)``: a target value."""

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        _check_sigma(self.sigma)

    def __call__(self, x: float) -> float:
        return math.exp(-0.5 * ((x - self.mu) / self.sigma) ** 2)


@dataclass(frozen=True)
class MinGaussian:
    """1 up to `mu`, above it a Gaussian: small values are wanted.

    Example:
        >>> MinGaussian(4, 1)(3), round(MinGaussian(4, 1)(5), 4)
        (1.0, 0.6065)
    """

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        _check_sigma(self.sigma)

    def __call__(self, x: float) -> float:
        return math.exp(-0.5 * (max(x - self.mu, 0.0) / self.sigma) ** 2)


@dataclass(frozen=True)
class MaxGaussian:
    """1 from `mu` upward, below it a Gaussian: large values are wanted.

    Example:
        >>> MaxGaussian(90, 10)(95), round(MaxGaussian(90, 10)(80), 4)
        (1.0, 0.6065)
    """

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        _check_sigma(self.sigma)

    def __call__(self, x: float) -> float:
        return math.exp(-0.5 * (max(self.mu - x, 0.0) / self.sigma) ** 2)


@dataclass(frozen=True)
class Threshold:
    """``x / t`` up to `t`, 1 from there: GuacaMol's "thresholded(t)".

    Example:
        >>> Threshold(0.5)(0.25), Threshold(0.5)(0.8)
        (0.5, 1.0)
    """

    t: float

    def __post_init__(self) -> None:
        if not self.t > 0:
            raise ParameterError(f"`t` must be positive; got {self.t!r}.")

    def __call__(self, x: float) -> float:
        return min(max(x, 0.0) / self.t, 1.0)


@dataclass(frozen=True)
class Linear:
    """From 0 at `zero` to 1 at `one`, linear between and constant outside; `one` may be the smaller.

    Example:
        >>> Linear(zero=6, one=2)(3)
        0.75
    """

    zero: float
    one: float

    def __post_init__(self) -> None:
        if self.zero == self.one:
            raise ParameterError(f"`zero` and `one` must differ; got {self.zero!r} for both.")

    def __call__(self, x: float) -> float:
        return min(max((x - self.zero) / (self.one - self.zero), 0.0), 1.0)


def arithmetic_mean(scores: Sequence[float]) -> float:
    """``sum(scores) / n``."""
    return math.fsum(scores) / len(scores)


def geometric_mean(scores: Sequence[float]) -> float:
    """``prod(scores)^(1 / n)`` of scores that are not negative; 0 as soon as one is.

    Example:
        >>> geometric_mean([0.25, 1.0]), geometric_mean([0.0, 1.0])
        (0.5, 0.0)
    """
    return math.prod(scores) ** (1 / len(scores))
