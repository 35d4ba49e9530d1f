"""How wanted a design is, by all that was told: an acquisition, lowered where feasibility is in doubt."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from seiko.acquisitions import Acquisition, BoundAcquisition
from seiko.domains.base import Domain
from seiko.records import History, Trial
from seiko.surrogates.base import Observations, Surrogate
from seiko.surrogates.feasibility import FeasibilityModel, FittedFeasibility
from seiko.surrogates.randomness import forked_rng

if TYPE_CHECKING:
    from botorch.models.model import Model

Design = TypeVar("Design")
ROWS = 1024
"""Designs scored in one call of the model: bounds the memory of many readings."""


@dataclass(frozen=True)
class Score(Generic[Design]):
    """A fixed function of a design, fitted to everything told.

    ``acquisition(x) + spread * log P(feasible | x)``, in reward units, with the standard deviation of the
    readings as spread, 1 where they are all equal; the second term is there once an infeasible reading was
    told.

    Attributes:
        domain: Gives the features.
        model: The fitted surrogate.
        acquisition: Bound to the model.
        feasible: The fitted feasibility model, or None where nothing infeasible was told.
        spread: Standard deviation of the readings, in reward units.
    """

    domain: Domain[Design]
    model: Model
    acquisition: BoundAcquisition
    feasible: FittedFeasibility | None = None
    spread: float = 0.0

    def __call__(self, designs: Sequence[Design]) -> Tensor:
        """Scores of valid designs, float64 [n]."""
        return self.of_features(self.domain.features(designs)) if designs else torch.zeros(0).double()

    @torch.no_grad()
    def of_features(self, features: Tensor) -> Tensor:
        """Scores of features [n, feature], float64 [n]."""
        return torch.cat([self.with_gradients(part).double() for part in features.split(ROWS)])

    def with_gradients(self, features: Tensor) -> Tensor:
        """Scores of features [n, feature], with gradients, in their dtype [n]."""
        wanted = self.acquisition(features)
        return wanted if self.feasible is None else wanted + self._doubt(self.feasible, features)

    @torch.no_grad()
    def draws(self, features: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Scores under functions drawn from the posterior in place of the acquisition, [count, n]."""
        with forked_rng(generator, features.device), warnings.catch_warnings():
            # A covariance is next to singular where candidates are alike; the jitter that helps is announced.
            warnings.simplefilter("ignore", NumericalWarning)
            drawn = self.model.posterior(features).rsample(torch.Size([count]))[..., 0]
        return drawn if self.feasible is None else drawn + self._doubt(self.feasible, features)

    def _doubt(self, feasible: FittedFeasibility, features: Tensor) -> Tensor:
        return self.spread * feasible(features).log()


def fit_score(
    history: History[Design],
    domain: Domain[Design],
    surrogate: Surrogate,
    acquisition: Acquisition,
    *,
    feasibility: FeasibilityModel | None,
    generator: torch.Generator,
) -> Score[Design]:
    """The surrogate and the feasibility model fitted to everything told.

    Args:
        history: With at least one complete reading.
        domain: Gives the features.
        surrogate: Recipe of the stand-in for the reward.
        acquisition: What is made of its posterior.
        feasibility: Recipe of the probability that a design has a reward; None leaves it out.
        generator: For all that is random in the fits.

    Raises:
        NotEnoughDataError: If nothing complete was told.

    Example:
        >>> from seiko import zoo
        >>> from seiko.acquisitions import Mean
        >>> from seiko.records import Trial, TrialState
        >>> from seiko.surrogates import LastLayerLinear
        >>> domain = zoo.load("tfbind8-low")[1]
        >>> words = {"AAAAAAAA": 1.0, "CCCCCCCC": 0.0}
        >>> told = [Trial(i, 0, w, w, TrialState.COMPLETE, y) for i, (w, y) in enumerate(words.items())]
        >>> parts = {"feasibility": FeasibilityModel(), "generator": torch.Generator().manual_seed(0)}
        >>> score = fit_score(History(tuple(told)), domain, LastLayerLinear(), Mean(), **parts)
        >>> bool(score(["AAAAAAAC"]) > score(["CCCCCCCA"]))
        True
    """
    data = observations(history.complete, domain)
    model = surrogate.fit(data, generator=generator)
    bound = acquisition.bind(model, best_value=float(data.values.max()), generator=generator)
    if feasibility is None or not history.infeasible:
        return Score(domain, model, bound)
    refused: Any = domain.features([trial.design for trial in history.infeasible])
    labels = torch.arange(len(data) + len(refused)) < len(data)
    feasible = feasibility.fit(torch.cat([data.features, refused]), labels, generator=generator)
    spread = float(data.values.std(unbiased=False)) or 1.0
    return Score(domain, model, bound, feasible, spread)


def observations(trials: Sequence[Trial[Design]], domain: Domain[Design]) -> Observations:
    """Told trials as tensors; unknown noise is NaN, and None if it is unknown everywhere."""
    noise = [math.nan if trial.noise_std is None else trial.noise_std for trial in trials]
    return Observations(
        features=domain.features([trial.design for trial in trials]),
        values=torch.tensor([trial.value for trial in trials], dtype=torch.float64),
        noise_std=None if all(map(math.isnan, noise)) else torch.tensor(noise, dtype=torch.float64),
    )


@torch.no_grad()
def predict(
    model: Model | None, domain: Domain[Design], designs: Sequence[Design]
) -> list[tuple[float, float]]:
    """Mean and standard deviation of a new reading of each design; empty without a model."""
    if model is None or not designs:
        return []
    posterior: Any = model.posterior(domain.features(designs).unsqueeze(1), observation_noise=True)
    mean, variance = posterior.mean.flatten().tolist(), posterior.variance.flatten().tolist()
    return [(m, math.sqrt(max(v, 0.0))) for m, v in zip(mean, variance, strict=True)]


def calibration(history: History[Any], level: float = 0.9) -> dict[str, float]:
    """How the last told round's readings lay in the intervals predicted for them before they were told."""
    z = math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=torch.float64)))
    told = [t for t in history.complete if t.predicted_mean is not None and t.predicted_std]
    last = [t for t in told if t.round == max(trial.round for trial in told)]
    if not last:
        return {}
    errors = torch.tensor([t.value - t.predicted_mean for t in last])  # type: ignore[operator]
    inside = errors.abs() <= z * torch.tensor([t.predicted_std for t in last])
    return {
        "surrogate/coverage": float(inside.double().mean()),
        "surrogate/coverage_nominal": level,
        "surrogate/bias": float(errors.mean()),
        "surrogate/rmse": float(errors.square().mean().sqrt()),
    }
