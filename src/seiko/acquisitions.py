"""Acquisitions: what is climbed in place of the unknown reward, bound to a fitted surrogate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Protocol

import torch
from botorch.acquisition import analytic
from botorch.models import SingleTaskGP
from botorch.models.ensemble import EnsembleModel
from botorch.models.model import Model
from gpytorch.models import ExactGP
from torch import Tensor

from seiko.errors import ParameterError, ShapeError
from seiko.surrogates.ensemble import NetworkEnsemble
from seiko.surrogates.features import check_width
from seiko.surrogates.gp import matheron_path
from seiko.surrogates.linear import LinearModel
from seiko.surrogates.randomness import as_generator


class BoundAcquisition(Protocol):
    """Features [batch, feature] -> value [batch], with gradients, in the features' dtype."""

    def __call__(self, features: Tensor, /) -> Tensor: ...


class Acquisition(Protocol):
    """A recipe of what to climb.

    ``bind`` takes a fitted BoTorch model, the best reading so far in reward units, and a generator for what
    is random (seed 0 where None); what it returns is a fixed function.
    """

    def bind(
        self, model: Model, *, best_value: float, generator: torch.Generator | None = None
    ) -> BoundAcquisition: ...


@dataclass(frozen=True)
class Mean:
    """Posterior mean, in reward units: greedy, the control of every optimistic method.

    Example:
        >>> from seiko.surrogates import LastLayerLinear, Observations
        >>> x = torch.linspace(-1, 1, 20)[:, None]
        >>> model = LastLayerLinear().fit(Observations(x, 2 * x[:, 0]))
        >>> round(float(Mean().bind(model, best_value=2.0)(torch.tensor([[0.5]]))), 1)
        1.0
    """

    def bind(
        self, model: Model, *, best_value: float, generator: torch.Generator | None = None
    ) -> BoundAcquisition:
        """Bind to a fitted model; `best_value` and `generator` are not used."""
        return _Bound(_fitted(model), analytic.PosteriorMean(model))


@dataclass(frozen=True)
class UpperConfidenceBound:
    """``mean + exploration * std``, in reward units.

    BoTorch's beta stands under a root: it is ``exploration**2``.

    Args:
        exploration: Multiplier of the posterior standard deviation.

    Raises:
        ParameterError: If `exploration` is negative or not finite.

    Example:
        >>> UpperConfidenceBound(exploration=1.0)
        UpperConfidenceBound(exploration=1.0)
    """

    exploration: float = 1.0

    def __post_init__(self) -> None:
        if not (self.exploration >= 0 and math.isfinite(self.exploration)):
            raise ParameterError(
                f"`exploration` must be a finite number >= 0; got {self.exploration!r}.",
                hint="Use 0 for the posterior mean.",
            )

    def bind(
        self, model: Model, *, best_value: float, generator: torch.Generator | None = None
    ) -> BoundAcquisition:
        """Bind to a fitted model; `best_value` and `generator` are not used."""
        return _Bound(_fitted(model), analytic.UpperConfidenceBound(model, beta=self.exploration**2))


@dataclass(frozen=True)
class Thompson:
    """One function drawn from the posterior, in reward units.

    Every bind draws anew; the bound function is fixed: the same features give the same values, always.

    A GP gives a Matheron path, an ensemble one of its members, a linear model one weight vector.

    Example:
        >>> from seiko.surrogates import LastLayerLinear, Observations
        >>> x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
        >>> model = LastLayerLinear().fit(Observations(x, x.sum(1)))
        >>> drawn = Thompson().bind(model, best_value=0.0, generator=torch.Generator().manual_seed(1))
        >>> torch.equal(drawn(x), drawn(x))
        True
    """

    def bind(
        self, model: Model, *, best_value: float, generator: torch.Generator | None = None
    ) -> BoundAcquisition:
        """Draw the function; `best_value` is not used.

        Raises:
            ParameterError: If the model is not fitted, or its kind gives no function draws.
        """
        function = draw_function(_fitted(model), as_generator(generator))
        return _Bound(model, lambda X: function(X.squeeze(-2)))


@dataclass(frozen=True)
class ExpectedImprovement:
    """``E[max(f(x) - best_value, 0)]`` under the Gaussian of the posterior's mean and std, in reward units.

    Computed as the exponential of BoTorch's LogEI, so that its gradient stays right where the value is tiny
    (Ament et al. 2023, arXiv 2310.20708).

    Args:
        log: Return the logarithm instead: always finite, never flat, but no longer in reward units.

    Example:
        >>> ExpectedImprovement(log=True)
        ExpectedImprovement(log=True)
    """

    log: bool = field(default=False, kw_only=True)

    def bind(
        self, model: Model, *, best_value: float, generator: torch.Generator | None = None
    ) -> BoundAcquisition:
        """Bind to a fitted model; `generator` is not used.

        Raises:
            ParameterError: If the model is not fitted or `best_value` is not finite.
        """
        if not math.isfinite(best_value):
            raise ParameterError(f"`best_value` must be a finite number; got {best_value!r}.")
        log_improvement = analytic.LogExpectedImprovement(
            _fitted(model), best_f=torch.tensor(best_value, dtype=torch.float64)
        )
        return _Bound(model, log_improvement if self.log else lambda X: log_improvement(X).exp())


@dataclass(frozen=True)
class _Bound:
    """Checks the features, evaluates in double where the model lives, answers in the features' own dtype."""

    model: Model
    function: Callable[[Tensor], Tensor]

    def __call__(self, features: Tensor, /) -> Tensor:
        width = num_features(self.model)
        if width is not None:
            check_width(features, width)
        if features.ndim != 2:
            raise ShapeError(f"`features` must have shape [batch, feature]; got {list(features.shape)}.")
        value = self.function(features.to(_device(self.model), torch.float64).unsqueeze(-2))
        return value.to(features)


@singledispatch
def draw_function(model: Model, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """One function of a fitted model's posterior, [batch, feature] -> [batch]; new kinds register here.

    Raises:
        ParameterError: If the model is of an unknown kind.
    """
    raise ParameterError(
        f"`Thompson` cannot draw a function from a {type(model).__name__}.",
        hint="Register one with seiko.acquisitions.draw_function, or use UpperConfidenceBound.",
    )


@draw_function.register(LinearModel)
@draw_function.register(NetworkEnsemble)
def _draw_own(model: LinearModel | NetworkEnsemble, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    return model.draw(generator)


@draw_function.register(SingleTaskGP)
def _draw_path(model: SingleTaskGP, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    return matheron_path(model, generator)


@draw_function.register(EnsembleModel)
def _draw_member(model: EnsembleModel, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    share = torch.rand((), generator=generator, device=generator.device)

    def function(features: Tensor) -> Tensor:
        values = model.posterior(features.unsqueeze(-2)).values  # [batch, M, 1, 1]
        return values[:, int(share * values.shape[1]), 0, 0]

    return function


@singledispatch
def num_features(model: Model) -> int | None:
    """Width of the features a model was fitted to; None where its kind does not tell."""
    return None


@num_features.register(LinearModel)
@num_features.register(NetworkEnsemble)
def _own_width(model: LinearModel | NetworkEnsemble) -> int:
    return model.num_features


@num_features.register(ExactGP)
def _gp_width(model: ExactGP) -> int:
    return int(model.train_inputs[0].shape[-1])


def _fitted(model: Model) -> Model:
    if isinstance(model, Model):
        return model
    raise ParameterError(
        f"`model` must be a fitted BoTorch model; got {type(model).__name__}.",
        hint="A surrogate is a recipe: bind to what its `fit` returns.",
    )


def _device(model: Model) -> torch.device:
    tensors = [*model.buffers(), *model.parameters()]
    return tensors[0].device if tensors else torch.device("cpu")
