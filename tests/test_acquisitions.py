import math

import pytest
import torch
from botorch.models import SingleTaskGP

from seiko import acquisitions
from seiko.acquisitions import ExpectedImprovement, Mean, Thompson, UpperConfidenceBound
from seiko.errors import ParameterError, ShapeError
from seiko.surrogates import BootstrapEnsemble, GaussianProcess, LastLayerLinear, Observations

RECIPES = {
    "linear": LastLayerLinear(),
    "network": LastLayerLinear((16,)),
    "ensemble": BootstrapEnsemble(hidden=(16,)),
    "matern": GaussianProcess(),
    "tanimoto": GaussianProcess("tanimoto"),
}
ALL = [Mean(), UpperConfidenceBound(exploration=0.7), Thompson(), ExpectedImprovement()]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def fingerprints(n, seed):
    return torch.poisson(torch.full((n, 12), 1.0), generator=seeded(seed))


@pytest.fixture(scope="module", params=RECIPES)
def model(request):
    x = fingerprints(30, 0)
    y = x[:, 0] - x[:, 1] + 5 + 0.3 * torch.randn(30, generator=seeded(1))
    return RECIPES[request.param].fit(Observations(x, y), generator=seeded(2))


def mean_and_std(model, x):
    posterior = model.posterior(x.double().unsqueeze(-2))
    return posterior.mean[:, 0, 0], posterior.variance[:, 0, 0].sqrt()


def test_ucb_is_mean_plus_exploration_times_std(model):
    x = fingerprints(9, 3).double()
    mean, std = mean_and_std(model, x)
    torch.testing.assert_close(Mean().bind(model, best_value=6.0)(x), mean)
    for exploration in (0.0, 0.5, 3.0):
        value = UpperConfidenceBound(exploration).bind(model, best_value=6.0)(x)
        torch.testing.assert_close(value, mean + exploration * std)


def test_expected_improvement_equals_the_closed_form(model):
    x = fingerprints(9, 3).double()
    mean, std = mean_and_std(model, x)
    u = (mean - 6.0) / std
    normal = torch.distributions.Normal(0.0, 1.0)
    expected = std * (u * normal.cdf(u) + normal.log_prob(u).exp())
    torch.testing.assert_close(ExpectedImprovement().bind(model, best_value=6.0)(x), expected)
    log = ExpectedImprovement(log=True)
    seen = expected > 1e-6  # below, the closed form as written loses its digits
    logs = log.bind(model, best_value=6.0)(x)
    torch.testing.assert_close(logs[seen], expected[seen].log(), atol=1e-6, rtol=1e-5)
    far = x.clone().requires_grad_(True)
    value = log.bind(model, best_value=1e3)(far)
    assert torch.isfinite(value).all() and torch.isfinite(torch.autograd.grad(value.sum(), far)[0]).all()
    assert (ExpectedImprovement().bind(model, best_value=1e3)(x) >= 0).all()


@pytest.mark.parametrize("acquisition", ALL, ids=lambda a: type(a).__name__)
def test_rows_dtype_and_gradients(model, acquisition):
    bound = acquisition.bind(model, best_value=6.0, generator=seeded(4))
    x = (fingerprints(7, 5) + 0.25).requires_grad_(True)
    value = bound(x)
    assert value.shape == (7,) and value.dtype == torch.float32 and bound(x.double()).dtype == torch.float64
    gradient = torch.autograd.grad(value.sum(), x)[0]
    assert gradient.shape == x.shape and torch.isfinite(gradient).all() and gradient.abs().sum() > 0
    torch.testing.assert_close(bound(x[2:4]), value[2:4])
    torch.testing.assert_close(bound(x.flip(0)), value.flip(0))
    assert bound(x[:0]).shape == (0,)


def test_thompson_is_one_function_and_leaves_the_global_state(model):
    x = fingerprints(9, 3)
    before = torch.get_rng_state()
    first = Thompson().bind(model, best_value=0.0, generator=seeded(1))
    values = first(x)
    assert torch.equal(before, torch.get_rng_state())
    torch.randn(5)
    assert torch.equal(first(x), values)
    torch.testing.assert_close(first(x[3:5]), values[3:5])
    assert torch.equal(Thompson().bind(model, best_value=0.0, generator=seeded(1))(x), values)
    others = [Thompson().bind(model, best_value=0.0, generator=seeded(s))(x) for s in range(2, 8)]
    assert any(not torch.equal(other, values) for other in others)


def test_many_thompson_draws_have_the_posterior_as_their_law(model):
    x = fingerprints(6, 8).double()
    generator = seeded(0)
    draws = [Thompson().bind(model, best_value=0.0, generator=generator)(x) for _ in range(300)]
    mean, std = mean_and_std(model, x)
    assert ((torch.stack(draws).mean(0) - mean).abs() < 0.3 * std).all()
    assert ((torch.stack(draws).std(0) / std - 1).abs() < 0.25).all()


def test_an_ensemble_draw_is_one_of_its_members():
    x = fingerprints(30, 0)
    model = BootstrapEnsemble(hidden=(8,)).fit(Observations(x, x[:, 0]))
    members = model(x[:, None].double())[:, :, 0, 0]  # [30, M]
    drawn = Thompson().bind(model, best_value=0.0, generator=seeded(3))(x.double())
    assert min(float((members[:, m] - drawn).abs().max()) for m in range(8)) < 1e-9


def test_it_binds_to_botorch_models_of_others():
    x = torch.rand(10, 2, generator=seeded(0), dtype=torch.float64)
    other = SingleTaskGP(x, x.sum(1, keepdim=True)).eval()
    for acquisition in ALL:
        assert acquisition.bind(other, best_value=1.0, generator=seeded(0))(x).shape == (10,)


def test_bad_arguments(model):
    for exploration in (-1.0, math.nan, math.inf):
        with pytest.raises(ParameterError, match="exploration"):
            UpperConfidenceBound(exploration=exploration)
    with pytest.raises(ParameterError, match="best_value"):
        ExpectedImprovement().bind(model, best_value=math.nan)
    for acquisition in ALL:
        with pytest.raises(ParameterError, match="recipe"):
            acquisition.bind(LastLayerLinear(), best_value=0.0)
        bound = acquisition.bind(model, best_value=0.0)
        with pytest.raises(ShapeError, match=r"\[batch, 12\] as in `fit`; got \[32, 768\]. Were they made"):
            bound(torch.zeros(32, 768))
        with pytest.raises(ShapeError, match="batch, feature"):
            bound(torch.zeros(2, 3, 12))


def test_a_model_without_draws_is_refused():
    with pytest.raises(ParameterError, match="cannot draw"):
        acquisitions.draw_function(object(), seeded(0))
