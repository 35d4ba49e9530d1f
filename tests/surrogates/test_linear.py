import math

import pytest
import torch
from surrogate_data import linear_data, seeded

from seiko.errors import ParameterError, ShapeError
from seiko.surrogates import LastLayerLinear, Observations
from seiko.surrogates.evidence import Evidence, maximise_evidence


def dense_posterior(x, y, x_new, ridge, noise_var):
    """Mean and std from the n x n form, in reward units; `ridge` is over sigma^2, `noise_var` [n]."""
    scale = torch.maximum(x.std(0, correction=0), 0.25 * (x.amax(0) - x.amin(0)))
    phi = torch.cat([torch.ones(len(x), 1), (x - x.mean(0)) / scale], 1)
    phi_new = torch.cat([torch.ones(len(x_new), 1), (x_new - x.mean(0)) / scale], 1)
    shift, unit = y.mean(), y.std(correction=0)
    prior = 1 / ridge
    gram = prior * phi @ phi.T + torch.diag(noise_var / unit**2)
    cross = prior * phi_new @ phi.T
    mean = cross @ torch.linalg.solve(gram, (y - shift) / unit)
    var = prior * phi_new.square().sum(1) - (cross @ torch.linalg.inv(gram) * cross).sum(1)
    return shift + unit * mean, unit * var.sqrt()


@pytest.mark.parametrize("known", [False, True])
def test_posterior_equals_a_dense_solve(known):
    data, _ = linear_data(30, 5, seed=0)
    x_new = torch.randn(7, 5, generator=seeded(1), dtype=torch.float64)
    sigma, ridge = 0.5, 2.0
    noise = torch.full((30,), torch.nan, dtype=torch.float64)
    if known:
        noise[::2] = torch.rand(15, generator=seeded(2), dtype=torch.float64) + 0.1
    model = LastLayerLinear(ridge=ridge, noise_std=sigma).fit(Observations(data.features, data.values, noise))
    variance = noise.nan_to_num(sigma).square()
    sigma_unit = sigma / data.values.std(correction=0)
    mean, std = dense_posterior(data.features, data.values, x_new, ridge / sigma_unit**2, variance)
    posterior = model.posterior(x_new[:, None])
    torch.testing.assert_close(posterior.mean[:, 0, 0], mean)
    torch.testing.assert_close(posterior.variance[:, 0, 0].sqrt(), std)
    joint = model.posterior(x_new)
    torch.testing.assert_close(joint.variance[:, 0].sqrt(), std)
    new_reading = model.posterior(x_new, observation_noise=True)
    torch.testing.assert_close(new_reading.variance - joint.variance, torch.full_like(joint.variance, 0.25))


def slope_of_bonus(divide_by_n: bool) -> float:
    sizes, bonus = [50, 100, 200, 400, 800, 1600, 3200], []
    for n in sizes:
        data, _ = linear_data(n, 4, seed=n)
        x_new = torch.randn(50, 4, generator=seeded(5), dtype=torch.float64)
        variance = LastLayerLinear().fit(data).posterior(x_new).variance
        bonus.append(float((variance * n if divide_by_n else variance).sqrt().mean()))
    x = torch.tensor(sizes).double().log()
    y = torch.tensor(bonus).double().log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def test_the_bonus_falls_like_one_over_root_n():
    slope = slope_of_bonus(divide_by_n=False)
    print(f"slope of log std over log n: {slope:.3f}")
    assert abs(slope + 0.5) < 0.04
    assert abs(slope_of_bonus(divide_by_n=True) + 0.5) > 0.3  # a covariance divided by n fails the same check


def test_evidence_finds_noise_and_weights():
    data, weight = linear_data(400, 10, seed=3, noise=0.7)
    model = LastLayerLinear().fit(data)
    assert 0.6 < model.noise_std < 0.8
    slope = model.posterior(torch.eye(10).double()).mean - model.posterior(torch.zeros(1, 10)).mean
    torch.testing.assert_close(slope[:, 0], weight, atol=0.15, rtol=0)


def test_evidence_is_that_of_the_dense_gaussian():
    data, _ = linear_data(12, 20, seed=4)  # fewer rows than columns
    phi, y = data.features, data.values
    variance = torch.full((12,), torch.nan).double()
    variance[:4] = 0.3

    def dense(sigma, ridge):
        noise = variance.nan_to_num(sigma**2)
        law = torch.distributions.MultivariateNormal(
            torch.zeros(12).double(), sigma**2 / ridge * phi @ phi.T + noise.diag()
        )
        signal = sigma * (phi.square().sum(1).mean() / ridge) ** 0.5
        prior = math.log(sigma / 0.3) ** 2 + math.log(signal) ** 2
        return law.log_prob(y) - 0.5 * prior / 1.5**2

    ours = Evidence(phi, y, variance)
    log = lambda s, r: torch.tensor([s, r], dtype=torch.float64).log()  # noqa: E731
    difference = ours.log_posterior(log(0.5, 2.0)) - ours.log_posterior(log(0.9, 7.0))
    torch.testing.assert_close(difference, dense(0.5, 2.0) - dense(0.9, 7.0))
    best = maximise_evidence(phi, y, variance, sigma=None, ridge=None)
    for factor in (0.8, 1.25):
        assert dense(*best) >= dense(best[0] * factor, best[1])
        assert dense(*best) >= dense(best[0], best[1] * factor)


def test_gradient_reaches_the_features():
    data, _ = linear_data(50, 6, seed=0)
    for hidden in (None, (8,)):
        x = torch.randn(3, 1, 6, dtype=torch.float64, requires_grad=True)
        posterior = LastLayerLinear(hidden).fit(data).posterior(x)
        (posterior.mean + posterior.variance.sqrt()).sum().backward()
        assert x.grad is not None and (x.grad.abs().sum((1, 2)) > 0).all()


def test_a_network_learns_what_a_line_cannot():
    x = 4 * torch.rand(200, 1, generator=seeded(0), dtype=torch.float64) - 2
    data = Observations(x, x[:, 0] ** 2)
    new = torch.tensor([[-1.5], [0.0], [1.5]]).double()
    mean = LastLayerLinear((32,)).fit(data).posterior(new).mean[:, 0]
    torch.testing.assert_close(mean, new[:, 0] ** 2, atol=0.3, rtol=0)


@pytest.mark.parametrize("bad", [{"ridge": 0.0}, {"noise_std": -1.0}, {"hidden": ()}, {"hidden": (0,)}])
def test_bad_arguments(bad):
    with pytest.raises(ParameterError):
        LastLayerLinear(**bad)


def test_wrong_width_is_refused():
    data, _ = linear_data(20, 5, seed=0)
    with pytest.raises(ShapeError, match=r"\[batch, 5\] as in `fit`; got \[3, 6\]"):
        LastLayerLinear().fit(data).posterior(torch.zeros(3, 6))
