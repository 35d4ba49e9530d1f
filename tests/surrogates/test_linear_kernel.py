"""The linear kernel against Bayesian linear regression, and what a linear trend is for."""

from __future__ import annotations

import torch

from seiko.acquisitions import Thompson
from seiko.surrogates import GaussianProcess, Observations
from seiko.surrogates import gp as module
from seiko.surrogates.features import FeatureScaler
from seiko.surrogates.linear_kernel import StandardisedLinearKernel


def counts(n: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 3, (n, 8), generator=torch.Generator().manual_seed(seed)).double()


def trend(x: torch.Tensor) -> torch.Tensor:
    return x @ torch.linspace(-1, 1, 8, dtype=torch.float64)


def test_the_kernel_is_the_inner_product_of_standardised_features_with_mean_one():
    x, other = counts(30, 0), counts(5, 1)
    kernel, scaler = StandardisedLinearKernel(x), FeatureScaler(x)
    z, w = scaler(x), scaler(other)
    mean_square = z.square().sum(1).mean()
    assert torch.allclose(kernel(x, other).to_dense(), z @ w.T / mean_square)
    assert torch.allclose(kernel(x, diag=True).mean(), torch.ones(()).double())


def test_the_trend_goes_on_beyond_the_readings_where_tanimoto_falls_back():
    x = counts(80, 0)
    x = x[trend(x) < 0]
    far = counts(400, 2)
    far = far[trend(far) > 2]

    def error(kernel):
        model = GaussianProcess(kernel).fit(Observations(x, trend(x)))
        return float((model.posterior(far[:, None]).mean.flatten() - trend(far)).abs().mean())

    assert error("linear+tanimoto") < 0.3 * error("tanimoto")


def test_drawn_functions_have_the_posterior_of_the_sum():
    x, test = counts(40, 0), counts(60, 3)
    noise = torch.randn(40, generator=torch.Generator().manual_seed(4)).double()
    model = GaussianProcess("linear+tanimoto").fit(Observations(x, trend(x) + noise))
    posterior = model.posterior(test[:, None])
    drawn = torch.stack(
        [
            Thompson().bind(model, best_value=0.0, generator=torch.Generator().manual_seed(seed))(test)
            for seed in range(150)
        ]
    )
    std = posterior.variance.flatten().sqrt()
    assert ((drawn.mean(0) - posterior.mean.flatten()).abs() / std).mean() < 0.2
    assert 0.85 < float((drawn.std(0) / std).mean()) < 1.15


def test_many_readings_take_the_hyperparameters_of_a_part_and_all_count(monkeypatch):
    x = counts(300, 5)
    y = trend(x) + (x[:, 0] * x[:, 1])
    whole = GaussianProcess("tanimoto").fit(Observations(x, y))
    monkeypatch.setattr(module, "MAX_FITTED", 150)
    part = GaussianProcess("tanimoto").fit(Observations(x, y))
    assert len(part.train_inputs[0]) == 300
    scale = [float(model.covar_module.outputscale) for model in (whole, part)]
    assert 0.5 < scale[1] / scale[0] < 2 and scale[0] != scale[1]
    test = counts(100, 6)
    truth = trend(test) + test[:, 0] * test[:, 1]
    error = [float((model.posterior(test[:, None]).mean.flatten() - truth).std()) for model in (whole, part)]
    assert error[1] < 1.3 * error[0]
