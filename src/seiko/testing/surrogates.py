"""The conformance suite of surrogates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seiko.surrogates.base import Observations, Surrogate
from seiko.testing.base import global_state_untouched, require, seeded


def check_surrogate(surrogate: Surrogate, *, dimension: int = 8, num_readings: int = 40) -> None:
    """Check that a surrogate keeps the rules of `seiko.surrogates.base.Surrogate`.

    The posterior has one output in the readings' own units, finite and with std >= 0; the fit draws from its
    generator alone; gradients flow to the inputs; uncertainty far from the readings is not smaller than at
    them.

    Args:
        surrogate: The recipe. It is fitted to features in [0, 1].
        dimension: Number of features.
        num_readings: How many readings it is fitted to.

    Raises:
        AssertionError: Saying which rule is broken.

    Example:
        >>> from seiko.surrogates import LastLayerLinear
        >>> check_surrogate(LastLayerLinear(), dimension=3)
    """
    x = torch.rand(num_readings, dimension, generator=seeded(), dtype=torch.float64)
    noise = torch.randn(num_readings, generator=seeded(1), dtype=torch.float64)
    y = 2 * x[:, 0] - x[:, -1] + 0.5 * torch.sin(6 * x[:, 0]) + 0.05 * noise
    data = Observations(x, y)
    with global_state_untouched("`fit` or `posterior`"):
        model = surrogate.fit(data, generator=seeded(5))
        again = surrogate.fit(data, generator=seeded(5))
        scaled = surrogate.fit(Observations(x, 30 * y + 1000), generator=seeded(5))
        fresh = torch.rand(12, dimension, generator=seeded(2), dtype=torch.float64)
        _check_posterior(model, fresh)
        _check_determinism(model, again, fresh)
        _check_units(model, scaled, fresh, float(y.std()))
        _check_learning(model, x, y)
        _check_gradient(model, fresh)
        _check_uncertainty(model, x)


def _predict(model: Any, features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation at single points, [batch]."""
    with torch.no_grad():
        posterior = model.posterior(features.unsqueeze(1))
    return posterior.mean[:, 0, 0], posterior.variance.sqrt()[:, 0, 0]


def _check_posterior(model: Any, features: Tensor) -> None:
    require(model.num_outputs == 1, f"The model must have one output; got {model.num_outputs}.")
    for noisy in (False, True):
        with torch.no_grad():
            posterior = model.posterior(features.unsqueeze(1), observation_noise=noisy)
        for name in ("mean", "variance"):
            tensor, want = getattr(posterior, name), (len(features), 1, 1)
            require(
                tuple(tensor.shape) == want,
                f"The posterior's {name} must be {want}; got {tuple(tensor.shape)}.",
            )
            require(torch.isfinite(tensor).all(), f"The posterior's {name} is not finite.")
        require((posterior.variance >= 0).all(), "The posterior's variance is negative.")
    reward, reading = (
        float(model.posterior(features.unsqueeze(1), observation_noise=n).variance.mean())
        for n in (False, True)
    )
    require(reading >= reward * (1 - 1e-6), "A reading's variance must not be smaller than the reward's.")


def _check_determinism(model: Any, again: Any, features: Tensor) -> None:
    for name, first, second in zip(
        ("mean", "std"), _predict(model, features), _predict(again, features), strict=True
    ):
        require(torch.equal(first, second), f"Two fits with one seed give another {name}.")
    require(
        torch.equal(_predict(model, features)[0], _predict(model, features)[0]),
        "Two calls of one posterior differ: it draws.",
    )
    order = torch.arange(len(features) - 1, -1, -1)
    require(
        torch.allclose(
            _predict(model, features)[0][order], _predict(model, features[order])[0], rtol=1e-6, atol=1e-8
        ),
        "The prediction of a row changes when the rows are permuted.",
    )


def _check_units(model: Any, scaled: Any, features: Tensor, spread: float) -> None:
    (mean, std), (scaled_mean, scaled_std) = _predict(model, features), _predict(scaled, features)
    gap = float(((scaled_mean - 1000) / 30 - mean).abs().max())
    require(
        gap < 0.05 * spread,
        f"Readings times 30 plus 1000 must give means times 30 plus 1000; they are off by {gap:.3g} units.",
    )
    gap = float((scaled_std / 30 - std).abs().max())
    require(gap < 0.1 * spread, f"Readings times 30 must give stds times 30; they are off by {gap:.3g}.")


def _check_learning(model: Any, x: Tensor, y: Tensor) -> None:
    error = float((_predict(model, x)[0] - y).square().mean().sqrt())
    require(
        error < float(y.std()),
        f"At its own readings the mean is off by {error:.3g}, more than their spread {float(y.std()):.3g}.",
    )


def _check_gradient(model: Any, features: Tensor) -> None:
    inputs = features.clone().requires_grad_()
    with torch.enable_grad():
        posterior = model.posterior(inputs.unsqueeze(1))
        total = posterior.mean.sum() + posterior.variance.sum()
    require(total.requires_grad, "No gradient flows from the posterior to its inputs.")
    gradient = torch.autograd.grad(total, inputs)[0]
    require(torch.isfinite(gradient).all(), "The gradient with respect to the inputs is not finite.")
    require(gradient.abs().max() > 0, "The gradient with respect to the inputs is zero.")


def _check_uncertainty(model: Any, x: Tensor) -> None:
    near = float(_predict(model, x)[1].mean())
    far = float(_predict(model, 3 + 4 * x)[1].mean())
    require(
        far >= near,
        f"The mean std is {near:.3g} at the readings and {far:.3g} far away; it must not be smaller there.",
    )
