"""Gaussian processes: Tanimoto kernel on fingerprints, Matern 5/2 on embeddings, and their sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Literal, cast, get_args

import gpytorch
import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms.input import AffineInputTransform
from botorch.models.transforms.outcome import Standardize
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.sampling.pathwise import draw_kernel_feature_paths, draw_matheron_paths
from gpytorch.constraints import GreaterThan
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.likelihoods.noise_models import HomoskedasticNoise
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

from seiko.errors import ParameterError, ShapeError
from seiko.surrogates.base import Observations
from seiko.surrogates.features import FeatureScaler, check_width, known_variance
from seiko.surrogates.linear_kernel import StandardisedLinearKernel
from seiko.surrogates.randomness import as_generator, forked_rng
from seiko.surrogates.tanimoto import TanimotoKernel

KernelName = Literal["matern", "tanimoto", "linear+tanimoto", "tanimoto+matern"]
MIN_NOISE = 1e-4  # variance, of readings standardised to std 1
MIN_SCALE = 1e-3  # variance of the function, likewise; 0 has no prior density and would stop the optimiser
NUM_PRIOR_FEATURES = 2048  # of a drawn function; its prior variance is then right to a few per cent
MANY_PARAMETERS, EARLY_STOP = 8, 1e-6  # where more are fitted most are next to free: nats a reading and step
MAX_FITTED = 600  # readings that hyperparameters are fitted to, spread over their quantiles
EXACT_UP_TO = 20_000  # readings; GPyTorch would go over to iterative, random solves from 800 on


@dataclass(frozen=True)
class GaussianProcess:
    """Recipe of an exact Gaussian process; its bonus is the posterior standard deviation.

    ``f ~ GP(c, s k)`` with ``k`` Matern 5/2 on standardised features, or Tanimoto on counts as they are; or
    ``f ~ GP(c, s k + t l)`` with ``k`` Tanimoto and ``l`` the linear kernel of standardised features, whose
    mean goes on beyond the readings where Tanimoto's falls back; or ``f ~ GP(c, s k + t m)`` with ``k``
    Tanimoto on counts and ``m`` Matern 5/2 with a lengthscale for each of a few properties. Constant, scales,
    lengthscale and the noise of readings that bring none maximise the marginal likelihood times wide
    log-normal priors; the lengthscale's grows with the root of the number of features (Hvarfner et al. 2024,
    arXiv 2402.02229).

    A search needs the upper readings told apart. Where a few are far below the others, a stationary process
    takes their depth for the size of its uncertainty everywhere: `winsorize` raises the lowest.

    Args:
        kernel: ``"matern"`` for embeddings, ``"tanimoto"`` for count or binary fingerprints,
            ``"linear+tanimoto"`` for counts that each add something, such as letters and words of sequences,
            ``"tanimoto+matern"`` for counts followed by properties on scales of order one.
        ard: Whether every feature has its own lengthscale (``"matern"`` only).
        num_properties: How many features, the last, are properties (``"tanimoto+matern"`` only).
        winsorize: Share of the readings, in [0, 1), that are raised to the lowest of the others: y becomes
            max(y, quantile(y, winsorize)), and the posterior is that of such a reward. The law of a new
            reading (``observation_noise``) stays that of a process fitted to the readings as told.

    Raises:
        ParameterError: If the kernel is unknown, `ard` or `num_properties` does not fit it, or `winsorize` is
            not a share.

    Example:
        >>> x = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None]
        >>> model = GaussianProcess().fit(Observations(x, torch.sin(6 * x[:, 0])))
        >>> round(float(model.posterior(torch.tensor([[0.25]])).mean), 1)
        1.0
    """

    kernel: KernelName = "matern"
    ard: bool = field(default=False, kw_only=True)
    num_properties: int = field(default=0, kw_only=True)
    winsorize: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if self.kernel not in get_args(KernelName):
            raise ParameterError(f"`kernel` must be one of {get_args(KernelName)}; got {self.kernel!r}.")
        if self.ard and self.kernel != "matern":
            raise ParameterError(f'`ard` is for the kernel "matern"; got {self.kernel!r}.')
        if (self.kernel == "tanimoto+matern") != (self.num_properties > 0):
            raise ParameterError(
                f'`num_properties` must be positive for "tanimoto+matern" and 0 else; got '
                f"{self.num_properties!r} for {self.kernel!r}."
            )
        if not 0 <= self.winsorize < 1:
            raise ParameterError(f"`winsorize` must be a share in [0, 1); got {self.winsorize!r}.")

    def fit(self, data: Observations, *, generator: torch.Generator | None = None) -> ExactGaussianProcess:
        """Fit to everything told.

        Args:
            data: Readings; features [n, feature], values [n] in reward units.
            generator: For restarts, should the optimiser fail; seed 0 where None.

        Returns:
            A BoTorch single-task GP, its hyperparameters fixed.
        """
        values, as_told = data.values.detach().double(), None
        if self.winsorize:
            values = values.clamp_min(values.quantile(self.winsorize))
            as_told = cache(partial(replace(self, winsorize=0.0).fit, data))
        x, y = data.features.detach().double(), values[:, None]
        outcome = Standardize(m=1)
        outcome(y)
        likelihood = _likelihood(known_variance(data.noise_std, y[:, 0], outcome.stdvs.squeeze()))
        scaling = _scaling(x) if self.kernel == "matern" else None
        model = ExactGaussianProcess(x, y, self._covariance(x), likelihood, outcome, scaling, as_told)
        if len(y) <= MAX_FITTED:
            _fit_hyperparameters(model, as_generator(generator))
        else:
            rows = y[:, 0].argsort()[torch.linspace(0, len(y) - 1, MAX_FITTED).long()]
            noise = None if data.noise_std is None else data.noise_std[rows]
            part = replace(self, winsorize=0.0)
            fitted = part.fit(Observations(data.features[rows], values[rows], noise), generator=generator)
            _take_hyperparameters(model, fitted)
        return model

    def _covariance(self, x: Tensor) -> Kernel:
        width = x.shape[1]
        if self.kernel == "matern":
            return _scaled(_matern(max(FeatureScaler(x).num_active, 1), width if self.ard else None))
        num_counts = width - self.num_properties
        if num_counts < 1:
            raise ShapeError(f"`features` must have more than {self.num_properties} columns; got {width}.")
        typical_square = float(x[:, :num_counts].square().sum(1).mean())
        local = _scaled(TanimotoKernel(typical_square, num_counts=num_counts))
        if self.kernel == "linear+tanimoto":
            return _scaled(StandardisedLinearKernel(x)) + local
        if self.kernel == "tanimoto+matern":
            properties = tuple(range(num_counts, width))
            return local + _scaled(_matern(len(properties), len(properties), active_dims=properties))
        return local


class ExactGaussianProcess(SingleTaskGP):
    """A fitted `GaussianProcess`: BoTorch's single-task GP whose pointwise posterior costs [batch, n] memory.

    Attributes:
        num_features: Width of the features it was fitted to.
        noise_std: Inferred noise of readings that bring none, in reward units; where all readings brought
            theirs, its root mean square.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        kernel: Kernel,
        likelihood: GaussianLikelihood,
        outcome: Standardize,
        scaling: AffineInputTransform | None,
        as_told: Callable[[], ExactGaussianProcess] | None = None,
    ) -> None:
        super().__init__(
            x,
            y,
            likelihood=likelihood,
            covar_module=kernel,
            outcome_transform=outcome,
            input_transform=scaling,
        )
        self.num_features = x.shape[-1]
        self.value_std = float(outcome.stdvs.squeeze())
        self._as_told = as_told

    @property
    def noise_std(self) -> float:
        noise = cast(PartlyKnownNoise, self.likelihood.noise_covar)
        return self.value_std * float(noise.of_new_reading()) ** 0.5

    def posterior(  # type: ignore[override]  # BoTorch's own classes differ here
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Any:
        """Posterior over the q rewards, in reward units, double.

        Args:
            X: Features, [..., q, feature].
            output_indices: Ignored; there is one output.
            observation_noise: Add ``noise_std**2`` to the variances, for a new reading; of a winsorised
                process, ask one fitted to the readings as told.
            posterior_transform: Applied to the posterior where given.
        """
        check_width(X, self.num_features)
        if observation_noise is not False and self._as_told is not None:
            return self._as_told().posterior(X, output_indices, observation_noise, posterior_transform)
        X = X.double()
        with gpytorch.settings.max_cholesky_size(EXACT_UP_TO):
            pointwise = X.ndim > 2 and X.shape[-2] == 1
            distribution = self._pointwise(X) if pointwise else self._joint(X)
        if observation_noise is not False:
            noise = torch.full_like(distribution.mean, self.noise_std**2)
            covariance = distribution.lazy_covariance_matrix.add_diagonal(noise)
            distribution = MultivariateNormal(distribution.mean, covariance)
        posterior = GPyTorchPosterior(distribution)
        return posterior if posterior_transform is None else posterior_transform(posterior)

    def _joint(self, X: Tensor) -> MultivariateNormal:
        return cast(GPyTorchPosterior, SingleTaskGP.posterior(self, X)).distribution

    def _pointwise(self, X: Tensor) -> MultivariateNormal:
        """[..., 1, feature] as one joint posterior of all rows, of which only the diagonal is formed."""
        joint = self._joint(X.reshape(-1, X.shape[-1]))
        shape = X.shape[:-1]
        variance = joint.lazy_covariance_matrix.diagonal(dim1=-1, dim2=-2).clamp_min(0)
        return MultivariateNormal(joint.mean.reshape(shape), DiagLinearOperator(variance.reshape(shape)))


class PartlyKnownNoise(HomoskedasticNoise):
    """Gaussian noise whose variance is known for some training rows and one inferred level for the others.

    Args:
        variance: Of every training row, [n], NaN where unknown; readings standardised to std 1.
    """

    known: Tensor

    def __init__(self, variance: Tensor) -> None:
        super().__init__(
            noise_prior=LogNormalPrior(-3.0, 1.5),
            noise_constraint=GreaterThan(MIN_NOISE, transform=None, initial_value=0.05),
        )
        self.register_buffer("known", variance)

    def forward(self, *params: Any, shape: torch.Size | None = None, **kwargs: Any) -> DiagLinearOperator:
        """Variances of the training rows; GPyTorch asks for no others."""
        return DiagLinearOperator(torch.where(self.known.isnan(), self.noise, self.known))

    def of_new_reading(self) -> Tensor:
        """The inferred level, or the mean of the known variances where none is unknown."""
        return self.noise.squeeze() if self.known.isnan().any() else self.known.mean()


def _likelihood(variance: Tensor) -> GaussianLikelihood:
    likelihood = GaussianLikelihood()
    likelihood.noise_covar = PartlyKnownNoise(variance)
    return likelihood


def _scaled(base: Kernel) -> ScaleKernel:
    constraint = GreaterThan(MIN_SCALE, transform=None, initial_value=1.0)
    return ScaleKernel(base, outputscale_prior=LogNormalPrior(0.0, 1.0), outputscale_constraint=constraint)


def _matern(num_active: int, ard_num_dims: int | None, **options: Any) -> MaternKernel:
    prior = LogNormalPrior(math.sqrt(2) + 0.5 * math.log(num_active), math.sqrt(3))
    constraint = GreaterThan(2.5e-2, transform=None, initial_value=prior.mode)
    return MaternKernel(
        nu=2.5,
        ard_num_dims=ard_num_dims,
        lengthscale_prior=prior,
        lengthscale_constraint=constraint,
        **options,
    )


def _scaling(x: Tensor) -> AffineInputTransform:
    scaler = FeatureScaler(x)
    scale = torch.where(scaler.scale > 0, scaler.scale, torch.inf)  # a column that never varied becomes 0
    return AffineInputTransform(x.shape[1], coefficient=scale, offset=scaler.mean)


def _fit_hyperparameters(model: ExactGaussianProcess, generator: torch.Generator) -> None:
    x = model.train_inputs[0]
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    options = {"ftol": EARLY_STOP} if num_parameters > MANY_PARAMETERS else {}
    with (
        forked_rng(generator, x.device),
        torch.enable_grad(),
        gpytorch.settings.max_cholesky_size(EXACT_UP_TO),
    ):
        evidence = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(evidence, optimizer_kwargs={"options": options})
    _ready(model)


def _ready(model: ExactGaussianProcess) -> None:
    """Ready to predict: no gradients, caches filled with exact solves."""
    model.requires_grad_(False).eval()
    with gpytorch.settings.max_cholesky_size(EXACT_UP_TO):
        model.posterior(model.train_inputs[0][:1])


def _take_hyperparameters(model: ExactGaussianProcess, fitted: ExactGaussianProcess) -> None:
    """Those of a model of the same kind, fitted to a part of the readings."""
    given = dict(fitted.named_parameters())
    for name, parameter in model.named_parameters():
        parameter.data.copy_(given[name].data)
    _ready(model)


def matheron_path(model: SingleTaskGP, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """One function of the posterior: [batch, feature] -> [batch], in reward units.

    Matheron's rule (Wilson et al. 2020, arXiv 2002.09309): a function drawn from the prior by random
    features, plus the exact update towards the data.

    Args:
        model: A fitted single-output GP.
        generator: Draws the function.
    """
    sampler = partial(
        draw_kernel_feature_paths, num_features=NUM_PRIOR_FEATURES, weight_generator=torch.randn
    )
    with forked_rng(generator, model.train_inputs[0].device):
        path = draw_matheron_paths(model.eval(), sample_shape=torch.Size(), prior_sampler=sampler)
    return path.requires_grad_(False)
