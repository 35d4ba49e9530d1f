"""Bootstrap ensemble: small networks, each fitted to its own resample; their spread is the uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.ensemble import EnsembleModel
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from linear_operator.operators import RootLinearOperator
from torch import Tensor

from seiko.errors import ParameterError
from seiko.surrogates.base import Observations
from seiko.surrogates.features import FeatureScaler, ValueScaler, known_variance, row_precision
from seiko.surrogates.mlp import BatchedMLP, Training, train
from seiko.surrogates.randomness import as_generator, integer


@dataclass(frozen=True)
class BootstrapEnsemble:
    """Recipe of M networks ``f_m(x) + prior_scale g_m(x)``, each fitted to its own bootstrap resample.

    Member m weighs reading i by a draw of Poisson(1), times ``1 / noise_std_i^2`` where that is known, and
    starts from its own weights. g_m is a fixed random network (a random prior function, Osband et al. 2018,
    arXiv 1806.03335): where no readings are, it keeps the members apart, so the spread does not vanish far
    from the data. Mean and std are those of the members.

    Args:
        num_members: M.
        hidden: Widths of the hidden layers.
        prior_scale: Size of the fixed random networks, for readings standardised to std 1; 0 for none.
        training: How the networks are trained.

    Raises:
        ParameterError: If there are fewer than 2 members, a width below 1, or `prior_scale` is negative.

    Example:
        >>> x = torch.linspace(-1, 1, 30)[:, None]
        >>> model = BootstrapEnsemble(hidden=(16,)).fit(Observations(x, x[:, 0] ** 2))
        >>> model.posterior(torch.zeros(5, 1, 1)).values.shape      # [batch, M, q, 1]
        torch.Size([5, 8, 1, 1])
    """

    num_members: int = 8
    hidden: Sequence[int] = (64,)
    prior_scale: float = field(default=1.0, kw_only=True)
    training: Training = field(default=Training(), kw_only=True)

    def __post_init__(self) -> None:
        if self.num_members < 2:
            raise ParameterError(f"`num_members` must be at least 2; got {self.num_members}.")
        if len(self.hidden) == 0 or min(self.hidden) < 1:
            raise ParameterError(f"`hidden` must be widths >= 1; got {self.hidden!r}.")
        if not self.prior_scale >= 0:
            raise ParameterError(f"`prior_scale` must be >= 0; got {self.prior_scale!r}.")

    def fit(self, data: Observations, *, generator: torch.Generator | None = None) -> NetworkEnsemble:
        """Fit to everything told.

        Args:
            data: Readings; features [n, feature], values [n] in reward units.
            generator: Draws weights, resamples and minibatches; seed 0 where None.

        Returns:
            A BoTorch ensemble model.
        """
        generator = as_generator(generator)
        scaler, values = FeatureScaler(data.features), ValueScaler(data.values)
        x, y = scaler(data.features.detach()), values(data.values)
        counts = bootstrap_counts(self.num_members, len(y), generator).to(x.device)  # [M, n]
        precision = row_precision(known_variance(data.noise_std, data.values, values.std))
        network, prior = self._network(x, generator), self._network(x, generator).requires_grad_(False)
        targets = y - self.prior_scale * prior(x.float())[..., 0]  # [M, n]
        train(network, x, targets, counts * precision, training=self.training, generator=generator)
        model = NetworkEnsemble(scaler, values, network.double(), prior.double(), self.prior_scale)
        model.noise_std = float(values.std) * out_of_bag_noise(model.members(x), y, counts)
        return model

    def _network(self, x: Tensor, generator: torch.Generator) -> BatchedMLP:
        return BatchedMLP(
            x.shape[1], self.hidden, num_members=self.num_members, generator=generator, device=x.device
        )


class NetworkEnsemble(EnsembleModel):
    """A fitted `BootstrapEnsemble`.

    Attributes:
        num_features: Width of the features it was fitted to.
        noise_std: Std of a reading about the prediction, in reward units, from readings that members did not
            see.
    """

    noise_std: float = 0.0

    def __init__(
        self,
        scaler: FeatureScaler,
        values: ValueScaler,
        network: BatchedMLP,
        prior: BatchedMLP,
        prior_scale: float,
    ) -> None:
        super().__init__()
        self._num_outputs = 1
        self.scaler, self.values, self.network, self.prior = scaler, values, network, prior
        self.prior_scale = prior_scale

    @property
    def num_features(self) -> int:
        return self.scaler.num_features

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size()

    def members(self, x: Tensor) -> Tensor:
        """Standardised features [rows, active] -> standardised predictions [M, rows]."""
        prediction = self.network(x)
        if self.prior_scale > 0:
            prediction = prediction + self.prior_scale * self.prior(x)
        return prediction[..., 0]

    def forward(self, X: Tensor) -> Tensor:
        """Every member's prediction in reward units, [..., q, feature] -> [..., M, q, 1]."""
        x = self.scaler(X)
        flat = self.values.invert(
            self.members(x.reshape(X.shape[:-1].numel(), self.scaler.num_active))
        )  # [M, rows]
        return flat.reshape(len(flat), *X.shape[:-1]).movedim(0, -2).unsqueeze(-1)

    def posterior(  # type: ignore[override]  # BoTorch's own classes differ here
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        posterior_transform: PosteriorTransform | None = None,
        observation_noise: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Ensemble posterior over the q rewards, in reward units, double.

        With `observation_noise` it is the Gaussian of the same mean and covariance, plus ``noise_std**2``.

        Args:
            X: Features, [..., q, feature].
            output_indices: Ignored; there is one output.
            posterior_transform: Applied to the posterior where given.
            observation_noise: Whether the posterior is over new readings.
            **kwargs: Ignored, as other BoTorch models take more.
        """
        if not observation_noise:
            return EnsembleModel.posterior(self, X, posterior_transform=posterior_transform)
        values = self.forward(X)[..., 0]  # [..., M, q]
        mean = values.mean(-2)
        root = (values - mean.unsqueeze(-2)).mT / (values.shape[-2] - 1) ** 0.5
        covariance = RootLinearOperator(root).add_diagonal(torch.full_like(mean, self.noise_std**2))
        posterior = GPyTorchPosterior(MultivariateNormal(mean, covariance))
        return posterior if posterior_transform is None else posterior_transform(posterior)

    def draw(self, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
        """One member, drawn uniformly: [batch, feature] -> [batch], in reward units."""
        member = integer(len(self.network.weights[0]), generator)
        network, prior = self.network.member(member), self.prior.member(member)

        def function(features: Tensor) -> Tensor:
            x = self.scaler(features)
            return self.values.invert((network(x) + self.prior_scale * prior(x))[0, :, 0])

        return function


def bootstrap_counts(num_members: int, n: int, generator: torch.Generator) -> Tensor:
    """How often each member sees each reading, Poisson(1), [M, n]; a member that would see none sees all."""
    counts = torch.poisson(torch.ones(num_members, n, device=generator.device), generator=generator)
    return torch.where(counts.sum(1, keepdim=True) > 0, counts, torch.ones_like(counts))


def out_of_bag_noise(members: Tensor, y: Tensor, counts: Tensor) -> float:
    """Root mean square of what the members that did not see a reading leave unexplained by their own spread.

    Args:
        members: Predictions [M, n].
        y: Readings [n].
        counts: How often each member saw each reading, [M, n].

    Returns:
        Noise on the scale of `y`, at least 1e-3; that of all members where no reading was left out twice.
    """
    unseen = (counts == 0).double()
    unseen = torch.where((unseen.sum(0) >= 2).any(), unseen, torch.ones_like(unseen))
    number = unseen.sum(0)
    rows = number >= 2
    number, unseen, members = number[rows], unseen[:, rows], members[:, rows]
    mean = (unseen * members).sum(0) / number
    variance = (unseen * (members - mean).square()).sum(0) / (number - 1)
    excess = (y[rows] - mean).square() - variance * (1 + 1 / number)
    return float(excess.mean().clamp_min(1e-6).sqrt())
