"""Evidence of a Gaussian linear model, and the noise and ridge that maximise it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seiko.surrogates.lbfgs import minimise

HYPERPRIOR_STD = 1.5  # of log sigma and log signal: wide, but keeps one or two readings from degenerate fits
SIGMA_MEDIAN, SIGNAL_MEDIAN = 0.3, 1.0  # of readings standardised to std 1


def maximise_evidence(
    phi: Tensor, y: Tensor, variance: Tensor, *, sigma: float | None, ridge: float | None
) -> tuple[float, float]:
    """sigma and ridge that maximise the marginal likelihood of the readings, times a wide prior.

    ``y ~ N(0, (sigma^2 / ridge) Phi Phi^T + D)`` with D the known variances, sigma^2 where unknown. The prior
    is log-normal on sigma and on the signal's std ``sigma sqrt(mean |phi|^2 / ridge)``. A value that is given
    stays.
    """
    if sigma is not None and ridge is not None:
        return sigma, ridge
    evidence = Evidence(phi, y, variance)
    low = torch.tensor([math.log(1e-3), math.log(1e-6 * evidence.mean_square)]).to(phi)
    high = torch.tensor([math.log(10.0), math.log(1e6 * evidence.mean_square)]).to(phi)
    given = torch.tensor([math.nan if v is None else math.log(v) for v in (sigma, ridge)]).to(phi)

    def bounded(free: Tensor) -> Tensor:  # log sigma, log ridge
        return torch.where(given.isnan(), low + (high - low) * free.sigmoid(), given)

    with torch.enable_grad():
        free = phi.new_zeros(2, requires_grad=True)
        minimise(free, lambda: -evidence.log_posterior(bounded(free)))
    best = bounded(free.detach()).exp()
    return float(best[0]), float(best[1])


class Evidence:
    """Sufficient statistics of rows with known and unknown noise: one evaluation costs min(n, p)^3."""

    def __init__(self, phi: Tensor, y: Tensor, variance: Tensor) -> None:
        self.mean_square = float(phi.square().sum(1).mean())
        if len(phi) < phi.shape[1]:  # the evidence sees phi only through Phi Phi^T
            phi = torch.linalg.qr(phi.T, mode="r")[1].T
        unknown = variance.isnan()
        root = variance[~unknown].rsqrt()
        known_phi, known_y = phi[~unknown] * root[:, None], y[~unknown] * root
        self.num_unknown = int(unknown.sum())
        self.log_det_known = variance[~unknown].log().sum()
        self.gram = (phi[unknown].T @ phi[unknown], known_phi.T @ known_phi)
        self.cross = (phi[unknown].T @ y[unknown], known_phi.T @ known_y)
        self.square = (y[unknown].square().sum(), known_y.square().sum())

    def log_posterior(self, log_sigma_ridge: Tensor) -> Tensor:
        """Log evidence plus log prior, up to a constant, at (log sigma, log ridge)."""
        log_sigma, log_ridge = log_sigma_ridge
        precision = torch.exp(-2 * log_sigma)
        weight_precision = torch.exp(log_ridge - 2 * log_sigma)
        gram = precision * self.gram[0] + self.gram[1]
        cross = precision * self.cross[0] + self.cross[1]
        eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        factor = torch.linalg.cholesky(gram + weight_precision * eye)
        log_det = (
            2 * factor.diagonal().log().sum()
            - len(gram) * torch.log(weight_precision)
            + 2 * self.num_unknown * log_sigma
            + self.log_det_known
        )
        half = torch.linalg.solve_triangular(factor, cross[:, None], upper=False)
        quadratic = precision * self.square[0] + self.square[1] - half.square().sum()
        log_signal = log_sigma + 0.5 * (math.log(self.mean_square) - log_ridge)
        prior = (log_sigma - math.log(SIGMA_MEDIAN)) ** 2 + (log_signal - math.log(SIGNAL_MEDIAN)) ** 2
        return -0.5 * (log_det + quadratic + prior / HYPERPRIOR_STD**2)
