"""What every recipe must do, one line a recipe."""

import pytest
import torch
from surrogate_data import counts, linear_data, seeded, smooth_function

from seiko.errors import NotEnoughDataError, ObservationError, ShapeError
from seiko.surrogates import BootstrapEnsemble, GaussianProcess, LastLayerLinear, Observations

RECIPES = {
    "linear": LastLayerLinear(),
    "network": LastLayerLinear((32,)),
    "ensemble": BootstrapEnsemble(),
    "matern": GaussianProcess(),
    "tanimoto": GaussianProcess("tanimoto"),
    "linear+tanimoto": GaussianProcess("linear+tanimoto"),
    "tanimoto+matern": GaussianProcess("tanimoto+matern", num_properties=2),
}


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


def moments(model, x):
    posterior = model.posterior(x.unsqueeze(-2))
    return posterior.mean[..., 0, 0], posterior.variance[..., 0, 0]


def test_same_seed_same_bits_and_the_global_state_stays(recipe):
    x = counts(60, 40, seed=0)
    data, new = Observations(x, x[:, 1] + x.sum(1)), counts(10, 40, seed=1)
    before = torch.get_rng_state()
    first = moments(recipe.fit(data, generator=seeded(7)), new)
    assert torch.equal(before, torch.get_rng_state())
    torch.randn(3)
    second = moments(recipe.fit(data, generator=seeded(7)), new)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_posterior_is_double_with_gradients_to_float_features(recipe):
    x = counts(50, 20, seed=0)
    model = recipe.fit(Observations(x, x.sum(1)))
    new = (counts(4, 20, seed=2) + 0.3).requires_grad_(True)
    mean, variance = moments(model, new)
    assert mean.dtype == variance.dtype == torch.float64 and (variance > 0).all()
    (mean + variance).sum().backward()
    assert new.grad.dtype == torch.float32 and new.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in model.parameters())
    assert model.num_features == 20 and model.noise_std > 0


def test_units_are_those_of_the_readings(recipe):
    x = counts(60, 20, seed=0)
    y = (x[:, 1] + x.sum(1) / 4).double()
    new = counts(8, 20, seed=1)
    mean, variance = moments(recipe.fit(Observations(x, y), generator=seeded(0)), new)
    moved = moments(recipe.fit(Observations(x, 1024 * y - 2.0**16), generator=seeded(0)), new)
    torch.testing.assert_close(moved[0], 1024 * mean - 2.0**16, rtol=1e-3, atol=20)
    torch.testing.assert_close(moved[1].sqrt(), 1024 * variance.sqrt(), rtol=0.05, atol=20)


def test_a_noisy_row_moves_the_fit_less(recipe):
    x = counts(40, 20, seed=0)
    y = x[:, 1].clone()
    y[0] += 20
    exact = torch.full((40,), 0.3)
    noisy = exact.clone()
    noisy[0] = 100.0
    trusted = moments(recipe.fit(Observations(x, y, exact), generator=seeded(0)), x[:1])[0]
    doubted = moments(recipe.fit(Observations(x, y, noisy), generator=seeded(0)), x[:1])[0]
    assert float(trusted - doubted) > 2


def test_partly_known_noise(recipe):
    x = counts(40, 20, seed=0)
    noise = torch.full((40,), torch.nan)
    noise[:10] = 0.1
    y = x[:, 1] + 0.1 * torch.randn(40, generator=seeded(0))
    mean, variance = moments(recipe.fit(Observations(x, y, noise)), x)
    assert torch.isfinite(mean).all() and torch.isfinite(variance).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_readings_and_constant_ones(recipe, n):
    x = counts(n, 20, seed=0)
    for y in (torch.full((n,), 3.0), torch.arange(n) + 1.0):
        mean, variance = moments(recipe.fit(Observations(x, y)), counts(5, 20, seed=1))
        assert torch.isfinite(mean).all() and torch.isfinite(variance).all()
        assert (mean > -20).all() and (mean < 20).all()


def test_wrong_widths_are_refused(recipe):
    model = recipe.fit(linear_data(20, 5, seed=0)[0])
    with pytest.raises(ShapeError, match="another domain"):
        model.posterior(torch.zeros(3, 1, 7))


def test_bad_readings_are_refused():
    x = torch.randn(3, 2)
    with pytest.raises(ObservationError, match="row 1"):
        Observations(x, torch.tensor([1.0, torch.nan, 2.0]))
    with pytest.raises(NotEnoughDataError):
        Observations(x[:0], torch.zeros(0))
    with pytest.raises(ShapeError):
        Observations(x, torch.zeros(2))


def test_coverage_is_printed(recipe):
    """90 % intervals on a smooth function of four features, 80 readings with noise 0.1; only a report."""
    reward, reading = [], []
    for seed in range(3):
        truth, generator = smooth_function(seed, width=4), seeded(50 + seed)
        x = 2 * torch.rand(380, 4, generator=generator, dtype=torch.float64)
        y = truth(x) + 0.1 * torch.randn(380, generator=generator, dtype=torch.float64)
        model = recipe.fit(Observations(x[:80], y[:80]), generator=generator)
        mean, variance = moments(model, x[80:])
        reward.append(((mean - truth(x[80:])).abs() < 1.645 * variance.sqrt()).double().mean())
        total = model.posterior(x[80:, None], observation_noise=True).variance[:, 0, 0]
        reading.append(((mean - y[80:]).abs() < 1.645 * total.sqrt()).double().mean())
    print(f"{recipe}: reward {sum(reward) / 3:.2f}, reading {sum(reading) / 3:.2f}")
    assert 0 < sum(reward) <= 3
