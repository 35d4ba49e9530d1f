"""Ridge regression told one reading at a time, and the bonuses that may be put on top of its mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seiko.errors import ParameterError
from seiko.theory.laws import Array


@dataclass(frozen=True)
class Ridge:
    """Everything told, summed up: ``A = ridge I + Phi^T Phi`` and what is needed of it.

    Attributes:
        precision: A, [feature, feature].
        inverse: A^-1, [feature, feature].
        moment: Phi^T y, [feature].
        log_det: log det(A / ridge), the information gathered; it grows like ``d log n``.
        count: Readings told.
        ridge: The penalty of the weights.

    Example:
        >>> state = Ridge.empty(2, ridge=1.0).told(np.array([1.0, 0.0]), 3.0)
        >>> state.mean(np.eye(2)).tolist(), state.width(np.eye(2)).round(3).tolist()
        ([1.5, 0.0], [0.707, 1.0])
    """

    precision: Array
    inverse: Array
    moment: Array
    log_det: float
    count: int
    ridge: float

    @classmethod
    def empty(cls, dimension: int, *, ridge: float) -> Ridge:
        """Before the first reading.

        Raises:
            ParameterError: If `ridge` is not positive.
        """
        _check_positive("ridge", ridge)
        eye = np.eye(dimension)
        return cls(ridge * eye, eye / ridge, np.zeros(dimension), 0.0, 0, ridge)

    def told(self, feature: Array, value: float) -> Ridge:
        """With one reading more: a rank-one update."""
        direction = self.inverse @ feature
        growth = 1 + float(feature @ direction)
        return Ridge(
            self.precision + np.outer(feature, feature),
            self.inverse - np.outer(direction, direction) / growth,
            self.moment + value * feature,
            self.log_det + math.log(growth),
            self.count + 1,
            self.ridge,
        )

    def mean(self, features: Array) -> Array:
        """``phi^T A^-1 Phi^T y`` of each row, [design]."""
        return features @ (self.inverse @ self.moment)

    def width(self, features: Array) -> Array:
        """``sqrt(phi^T A^-1 phi)`` of each row, [design]."""
        return elliptical_norm(features, self.inverse)


def elliptical_norm(features: Array, inverse: Array) -> Array:
    """``sqrt(phi^T M phi)`` of each row, [design]."""
    return np.sqrt(np.maximum(0.0, ((features @ inverse) * features).sum(1)))


class Bonus(Protocol):
    """What is added to the ridge mean, in reward units, [design]."""

    def __call__(self, state: Ridge, features: Array) -> Array: ...


@dataclass(frozen=True)
class Elliptical:
    """The bonus of the guarantee (Abbasi-Yadkori, Pal and Szepesvari 2011, theorem 2).

    ::

        bonus(phi) = beta sqrt(phi^T A^-1 phi)
        beta       = noise_std sqrt(log det(A / ridge) + 2 log(1 / failure)) + sqrt(ridge) norm

    With probability at least ``1 - failure``, ``|mean - reward| <= bonus`` on every design in every round, if
    the reward is linear in the features with weights of length at most `norm` and the noise is Gaussian
    (or lighter) with standard deviation `noise_std`.

    Raises:
        ParameterError: If a number is not positive, or `failure` is 1 or more.
    """

    noise_std: float
    norm: float
    failure: float = 0.05

    def __post_init__(self) -> None:
        for name in ("noise_std", "norm", "failure"):
            _check_positive(name, getattr(self, name))
        if self.failure >= 1:
            raise ParameterError(f"`failure` is a probability below 1; got {self.failure!r}.")

    def scale(self, log_det: float, ridge: float) -> float:
        """beta."""
        return self.noise_std * math.sqrt(log_det - 2 * math.log(self.failure)) + math.sqrt(ridge) * self.norm

    def __call__(self, state: Ridge, features: Array) -> Array:
        return self.scale(state.log_det, state.ridge) * state.width(features)


@dataclass(frozen=True)
class Modest:
    """``exploration * noise_std * sqrt(phi^T A^-1 phi)``: as surrogates give; promises less."""

    noise_std: float
    exploration: float = 1.0

    def __call__(self, state: Ridge, features: Array) -> Array:
        return self.exploration * self.noise_std * state.width(features)


@dataclass(frozen=True)
class NoBonus:
    """Zero: the greedy learner."""

    def __call__(self, state: Ridge, features: Array) -> Array:
        return np.zeros(len(features))


@dataclass(frozen=True)
class Unshrinking:
    """The scale of `Elliptical` on ``(Phi^T Phi / n + ridge I)^-1``, a covariance where a sum belongs.

    More readings change its shape and never its size. The code released with the paper divides in this way.
    """

    inner: Elliptical

    def __call__(self, state: Ridge, features: Array) -> Array:
        eye = state.ridge * np.eye(features.shape[1])
        covariance = (state.precision - eye) / max(1, state.count)
        inverse: Array = np.linalg.inv(covariance + eye).astype(np.float64, copy=False)
        return self.inner.scale(state.log_det, state.ridge) * elliptical_norm(features, inverse)


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ParameterError(f"`{name}` must be a finite number > 0; got {value!r}.")
