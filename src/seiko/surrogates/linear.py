"""Bayesian linear regression in given or learned features: a bonus that falls like one over root n."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from linear_operator.operators import LinearOperator, RootLinearOperator
from torch import Tensor, nn

from seiko.errors import ParameterError
from seiko.surrogates.base import Observations
from seiko.surrogates.evidence import maximise_evidence
from seiko.surrogates.features import FeatureScaler, ValueScaler, known_variance, row_precision
from seiko.surrogates.mlp import BatchedMLP, Training, train
from seiko.surrogates.randomness import as_generator, normal

NUM_FOLDS = 4  # of networks that see all but one fold, for an honest sigma


@dataclass(frozen=True)
class LastLayerLinear:
    """Recipe of a Gaussian linear model in features phi(x).

    With weights ``w_i = sigma^2 / noise_std_i^2`` (1 where a reading's noise is unknown)::

        A    = Phi^T W Phi + ridge I
        mean = phi^T A^-1 Phi^T W y
        std  = sigma sqrt(phi^T A^-1 phi)

    It is count-scaled: Phi^T W Phi grows with the number of readings, so std falls like 1/sqrt(n). phi is a 1
    for the bias and either the standardised features themselves or the last hidden layer of a small network
    trained on the same readings, kept fixed after that. A network fits what it has seen too well, so sigma is
    then its error on folds left out.

    Args:
        hidden: Widths of the network's hidden layers; None for the features themselves.
        ridge: Penalty of the weights, for standardised features and readings; None maximises the evidence.
        noise_std: sigma, noise of readings that bring none, in reward units; None maximises the evidence
            (with a network: takes its error on folds left out).
        training: How the network is trained.

    Raises:
        ParameterError: If a width, `ridge` or `noise_std` is not positive.

    Example:
        >>> x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
        >>> model = LastLayerLinear().fit(Observations(x, 3 * x[:, 0] + 1))
        >>> round(float(model.posterior(torch.tensor([[0.5]])).mean), 2)
        2.5
    """

    hidden: Sequence[int] | None = None
    ridge: float | None = field(default=None, kw_only=True)
    noise_std: float | None = field(default=None, kw_only=True)
    training: Training = field(default=Training(), kw_only=True)

    def __post_init__(self) -> None:
        if self.hidden is not None and (len(self.hidden) == 0 or min(self.hidden) < 1):
            raise ParameterError(f"`hidden` must be None or widths >= 1; got {self.hidden!r}.")
        for name, value in (("ridge", self.ridge), ("noise_std", self.noise_std)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ParameterError(f"`{name}` must be None or a finite number > 0; got {value!r}.")

    def fit(self, data: Observations, *, generator: torch.Generator | None = None) -> LinearModel:
        """Fit to everything told.

        Args:
            data: Readings; features [n, feature], values [n] in reward units.
            generator: Draws the network's first weights and minibatches; seed 0 where None.

        Returns:
            A BoTorch model with closed-form posterior.
        """
        scaler, values = FeatureScaler(data.features), ValueScaler(data.values)
        x, y = scaler(data.features.detach()), values(data.values)
        variance = known_variance(data.noise_std, data.values, values.std)
        sigma = None if self.noise_std is None else self.noise_std / float(values.std)
        network = None
        if self.hidden is not None:
            network, held_out = self._train(x, y, variance, as_generator(generator))
            sigma = held_out if sigma is None else sigma
        phi = basis(x, network)
        sigma, ridge = maximise_evidence(phi, y, variance, sigma=sigma, ridge=self.ridge)
        mean, root = weight_posterior(phi, y, variance, sigma=sigma, ridge=ridge)
        return LinearModel(scaler, values, network, mean, root, sigma=sigma, ridge=ridge)

    def _train(
        self, x: Tensor, y: Tensor, variance: Tensor, generator: torch.Generator
    ) -> tuple[BatchedMLP, float]:
        """The network fitted to all rows, and the error of others that each left a fold out."""
        num_members = 1 + NUM_FOLDS
        fold = torch.randperm(len(y), generator=generator, device=generator.device).to(x.device) % NUM_FOLDS
        member = torch.arange(num_members, device=x.device)[:, None] - 1  # member 0 leaves none out
        left_out = fold == member  # [M, n]
        network = BatchedMLP(
            x.shape[1], self.hidden or (), num_members=num_members, generator=generator, device=x.device
        )
        weights = row_precision(variance) * ~left_out
        train(network, x, y[None], weights, training=self.training, generator=generator)
        error = (network(x.float())[..., 0] - y)[left_out]
        return network.member(0).double(), float(error.square().mean().clamp_min(1e-6).sqrt())


class LinearModel(Model):
    """A fitted `LastLayerLinear`: posterior of ``phi(x)^T weight`` with a Gaussian weight.

    Attributes:
        num_features: Width of the features it was fitted to.
        noise_std: sigma, in reward units.
        ridge: Penalty of the weights that was used.
    """

    weight_mean: Tensor
    weight_root: Tensor

    def __init__(
        self,
        scaler: FeatureScaler,
        values: ValueScaler,
        network: BatchedMLP | None,
        weight_mean: Tensor,
        weight_root: Tensor,
        *,
        sigma: float,
        ridge: float,
    ) -> None:
        super().__init__()
        self.scaler, self.values, self.network = scaler, values, network
        self.register_buffer("weight_mean", weight_mean)
        self.register_buffer("weight_root", weight_root)
        self.noise_std = sigma * float(values.std)
        self.ridge = ridge

    @property
    def num_features(self) -> int:
        return self.scaler.num_features

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size()

    def phi(self, features: Tensor) -> Tensor:
        """[..., feature] -> [..., p], the first entry 1."""
        return basis(self.scaler(features), self.network)

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Any:
        """Joint Gaussian posterior over the q rewards, in reward units, double.

        Args:
            X: Features, [..., q, feature].
            output_indices: Ignored; there is one output.
            observation_noise: Add ``noise_std**2`` to the variances, for a new reading.
            posterior_transform: Applied to the posterior where given.
        """
        phi = self.phi(X)  # [..., q, p]
        mean = self.values.invert(phi @ self.weight_mean)
        covariance: LinearOperator = RootLinearOperator(self.values.std * (phi @ self.weight_root))
        if observation_noise is not False:
            covariance = covariance.add_diagonal(torch.full_like(mean, self.noise_std**2))
        posterior = GPyTorchPosterior(MultivariateNormal(mean, covariance))
        return posterior if posterior_transform is None else posterior_transform(posterior)

    def draw(self, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
        """One function of the posterior: [..., feature] -> [...], in reward units."""
        noise = normal(self.weight_mean.shape, generator, self.weight_mean.device)
        weight = self.weight_mean + self.weight_root @ noise
        return lambda features: self.values.invert(self.phi(features) @ weight)


def basis(x: Tensor, network: nn.Module | None) -> Tensor:
    """A 1 for the bias beside the standardised features or the last hidden layer, [..., p]."""
    if isinstance(network, BatchedMLP):
        hidden = network.hidden_features(x.flatten(0, -2))[0]  # [rows, hidden]
        x = hidden.reshape(*x.shape[:-1], hidden.shape[-1])
    return torch.cat([x.new_ones(*x.shape[:-1], 1), x], -1)


def weight_posterior(
    phi: Tensor, y: Tensor, variance: Tensor, *, sigma: float, ridge: float
) -> tuple[Tensor, Tensor]:
    """Mean [p] and root R [p, p] of the weights' covariance ``sigma^2 A^-1 = R R^T``."""
    w = torch.where(variance.isnan(), torch.ones_like(variance), sigma**2 / variance)
    weighted = phi * w[:, None]
    eye = torch.eye(phi.shape[1], dtype=phi.dtype, device=phi.device)
    factor = torch.linalg.cholesky(weighted.T @ phi + ridge * eye)
    mean = torch.cholesky_solve((weighted.T @ y)[:, None], factor)[:, 0]
    return mean, sigma * torch.linalg.solve_triangular(factor, eye, upper=False).T
