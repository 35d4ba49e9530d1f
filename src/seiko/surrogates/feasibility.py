"""Logistic regression of which designs have a reward at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from seiko.errors import NotEnoughDataError, ObservationError, ParameterError, ShapeError
from seiko.surrogates.features import FeatureScaler
from seiko.surrogates.lbfgs import minimise

MARGIN = 1e-6  # probabilities stay this far from 0 and 1


@dataclass(frozen=True)
class FeasibilityModel:
    """Recipe of a Bayesian logistic regression on standardised features.

    ``P(feasible | x) = sigmoid(b + w^T x)`` with prior ``w ~ N(0, prior_std^2 / p)`` on p varying features
    and none on b. The weights' posterior is Gaussian about its mode (Laplace), with covariance H^-1, and the
    probability is moderated by it::

        P = sigmoid(m / sqrt(1 + pi s^2 / 8)),  m = b + w^T x,  s^2 = (1, x)^T H^-1 (1, x)

    Where only one kind was seen, the answer is the constant ``(k + 1) / (n + 2)`` with k of n feasible.

    Args:
        prior_std: Standard deviation, over typical designs, of the log-odds before any reading.

    Raises:
        ParameterError: If `prior_std` is not positive and finite.

    Example:
        >>> x = torch.linspace(-1, 1, 40)[:, None]
        >>> feasible = FeasibilityModel().fit(x, x[:, 0] > 0)
        >>> bool(feasible(torch.tensor([[0.9]])) > 0.9)
        True
    """

    prior_std: float = 3.0

    def __post_init__(self) -> None:
        if not (self.prior_std > 0 and math.isfinite(self.prior_std)):
            raise ParameterError(f"`prior_std` must be a finite number > 0; got {self.prior_std!r}.")

    def fit(
        self, features: Tensor, feasible: Tensor, *, generator: torch.Generator | None = None
    ) -> FittedFeasibility:
        """Fit to every design known to be feasible or infeasible.

        Args:
            features: [n, feature].
            feasible: Whether each design has a reward, bool [n].
            generator: Not used; the fit is deterministic.

        Raises:
            NotEnoughDataError: If there are no rows.
            ShapeError: If the shapes do not fit together or `feasible` is not bool.
            ObservationError: If a feature is not finite.
        """
        _check(features, feasible)
        scaler = FeatureScaler(features)
        x = _with_bias(scaler(features.detach()))  # [n, 1 + p]
        number, rate = len(feasible), int(feasible.sum())
        if rate in (0, number):
            share = (rate + 1) / (number + 2)
            weight = x.new_zeros(x.shape[1])
            weight[0] = math.log(share / (1 - share))
            return FittedFeasibility(scaler, weight, x.new_zeros(len(weight), len(weight)))
        precision = x.new_full((x.shape[1],), max(scaler.num_active, 1) / self.prior_std**2)
        precision[0] = 0.0  # the intercept is not penalised
        weight = _mode(x, feasible.double(), precision)
        return FittedFeasibility(scaler, weight, _laplace_root(x, weight, precision))


@dataclass(frozen=True)
class FittedFeasibility:
    """A fitted `FeasibilityModel`: features [batch, feature] -> probability of being feasible [batch].

    Probabilities are strictly between 0 and 1, in the features' dtype, with gradients.

    Attributes:
        scaler: Standardises the features.
        weight: Mode of intercept and weights, [1 + p].
        root: Root R of their covariance ``R R^T``, [1 + p, 1 + p].
    """

    scaler: FeatureScaler
    weight: Tensor
    root: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        x = _with_bias(self.scaler(features))
        variance = (x @ self.root).square().sum(-1)
        log_odds = (x @ self.weight) / torch.sqrt(1 + math.pi / 8 * variance)
        return log_odds.sigmoid().clamp(MARGIN, 1 - MARGIN).to(features.dtype)


def _with_bias(x: Tensor) -> Tensor:
    return torch.cat([x.new_ones(*x.shape[:-1], 1), x], -1)


def _mode(x: Tensor, label: Tensor, precision: Tensor) -> Tensor:
    with torch.enable_grad():
        weight = x.new_zeros(x.shape[1], requires_grad=True)

        def loss() -> Tensor:
            misfit = functional.binary_cross_entropy_with_logits(x @ weight, label, reduction="sum")
            return misfit + 0.5 * (precision * weight.square()).sum()

        minimise(weight, loss)
    return weight.detach()


def _laplace_root(x: Tensor, weight: Tensor, precision: Tensor) -> Tensor:
    probability = (x @ weight).sigmoid()
    hessian = (x.T * (probability * (1 - probability))) @ x + precision.diag()
    # A perfectly separable set can leave the intercept without curvature; the ridge bounds its std at 30.
    hessian[0, 0] += 1e-3
    eye = torch.eye(len(hessian), dtype=hessian.dtype, device=hessian.device)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(hessian), eye, upper=False).T


def _check(features: Tensor, feasible: Tensor) -> None:
    if len(features) == 0:
        raise NotEnoughDataError(
            "A feasibility model needs at least one design known to be feasible or not; got none.",
            hint="Tell readings first.",
        )
    if features.ndim != 2 or feasible.shape != features.shape[:1]:
        raise ShapeError(
            "`features` must have shape [n, feature] and `feasible` [n]; "
            f"got {list(features.shape)} and {list(feasible.shape)}."
        )
    if feasible.dtype is not torch.bool:
        raise ShapeError(f"`feasible` must be of dtype torch.bool; got {feasible.dtype}.")
    if not torch.isfinite(features).all():
        row = int((~torch.isfinite(features)).any(1).nonzero()[0, 0])
        raise ObservationError(f"`features` must be finite; row {row} is not.")
