import pytest
import torch
from surrogate_data import counts, seeded, smooth_function

from seiko.errors import ParameterError, ShapeError
from seiko.surrogates import GaussianProcess, Observations, TanimotoKernel
from seiko.surrogates.gp import matheron_path
from seiko.surrogates.tanimoto import TanimotoFeatures

RECIPES = [
    GaussianProcess("matern"),
    GaussianProcess("tanimoto"),
    GaussianProcess("linear+tanimoto"),
    GaussianProcess("tanimoto+matern", num_properties=3),
]


def test_tanimoto_equals_the_formula_and_is_positive_definite():
    x, y = counts(20, 64, seed=0).double(), counts(15, 64, seed=1).double()
    x[3] = 0
    y[4] = 0
    kernel = TanimotoKernel()
    similarity = kernel(x, y).to_dense()
    for i in range(20):
        for j in range(15):
            inner, total = x[i] @ y[j], x[i] @ x[i] + y[j] @ y[j]
            expected = inner / (total - inner) if total > 0 else torch.tensor(1.0).double()
            torch.testing.assert_close(similarity[i, j], expected)
    torch.testing.assert_close(kernel(x, x, diag=True), torch.ones(20).double())
    real = torch.randn(60, 5, generator=seeded(2), dtype=torch.float64)
    for points in (x, real):
        gram = kernel(points).to_dense()
        assert torch.linalg.eigvalsh(gram).min() > -1e-10
        torch.testing.assert_close(gram.diagonal(), torch.ones(len(points)).double())


def test_tanimoto_of_bits_is_the_share_of_common_bits_and_has_gradients():
    a, b = torch.tensor([[1.0, 1, 1, 0]]), torch.tensor([[0.0, 1, 1, 1]])
    assert float(TanimotoKernel()(a, b).to_dense()) == pytest.approx(2 / 4)
    x = torch.zeros(2, 4, dtype=torch.float64)
    x[1] = torch.tensor([1.0, 2, 0, 1])
    x.requires_grad_(True)
    TanimotoKernel()(x, b.double()).to_dense().sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad[1].abs().sum() > 0


def test_the_matrix_that_is_kept_in_training_is_that_of_the_rows_given():
    x, y = counts(20, 64, seed=0).double(), counts(20, 64, seed=1).double()
    kernel, plain = TanimotoKernel(num_counts=40).train(), TanimotoKernel().eval()
    similar = lambda a, b: plain(a[:, :40], b[:, :40]).to_dense()  # noqa: E731
    for a, b in ((x, x), (x, x), (y, y), (x, y), (y, x)):
        torch.testing.assert_close(kernel(a, b).to_dense(), similar(a, b))
    kernel(x, x).to_dense()
    x += 1
    torch.testing.assert_close(kernel(x, x).to_dense(), similar(x, x))
    assert kernel._known is not None and kernel.eval()._known is None


def test_random_features_stand_for_the_tanimoto_kernel():
    x = counts(30, 128, seed=0).double()
    x[5] = x[5] * 3  # a design much larger than the others
    kernel = TanimotoKernel(typical_square=float(x.square().sum(1).mean()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = TanimotoFeatures(kernel, num_inputs=128, num_outputs=40_000)(x)
    torch.testing.assert_close(z @ z.T, kernel(x).to_dense(), atol=0.06, rtol=0)


def coverage_of_gp(seeds, shrink: float = 1.0) -> float:
    """Share of fresh true values inside 90 % intervals, the std multiplied by `shrink`."""
    inside = []
    for seed in seeds:
        truth, generator = smooth_function(seed), seeded(1000 + seed)
        x = 3 * torch.rand(40, 2, generator=generator, dtype=torch.float64)
        y = truth(x) + 0.1 * torch.randn(40, generator=generator, dtype=torch.float64)
        model = GaussianProcess().fit(Observations(x, y), generator=generator)
        fresh = 3 * torch.rand(300, 2, generator=generator, dtype=torch.float64)
        posterior = model.posterior(fresh[:, None])
        error = (posterior.mean[:, 0, 0] - truth(fresh)).abs()
        inside.append((error < 1.645 * shrink * posterior.variance[:, 0, 0].sqrt()).double().mean())
    return float(torch.stack(inside).mean())


def test_intervals_cover_what_they_promise():
    coverage = coverage_of_gp(range(30))
    print(f"coverage of 90 % intervals: {coverage:.3f}")
    assert abs(coverage - 0.9) < 0.05
    assert abs(coverage_of_gp(range(8), shrink=0.7) - 0.9) > 0.05  # the check fails for intervals too narrow
    assert abs(coverage_of_gp(range(8), shrink=2.0) - 0.9) > 0.05  # and for intervals too wide


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.kernel)
def test_pointwise_posterior_is_the_diagonal_of_the_joint_one(recipe):
    x = counts(40, 32, seed=0)
    y = x.sum(1) + torch.randn(40, generator=seeded(1))
    model = recipe.fit(Observations(x, y))
    new = counts(10, 32, seed=2)
    joint, pointwise = model.posterior(new), model.posterior(new.reshape(5, 2, 1, 32))
    torch.testing.assert_close(pointwise.mean.reshape(10), joint.mean[:, 0])
    torch.testing.assert_close(pointwise.variance.reshape(10), joint.variance[:, 0])
    noisy = model.posterior(new, observation_noise=True)
    torch.testing.assert_close(
        noisy.variance - joint.variance, torch.full_like(joint.mean, model.noise_std**2)
    )


def test_ard_finds_the_feature_that_matters():
    x = torch.rand(50, 4, generator=seeded(0), dtype=torch.float64)
    model = GaussianProcess(ard=True).fit(Observations(x, torch.sin(6 * x[:, 2])))
    assert int(model.covar_module.base_kernel.lengthscale.argmin()) == 2
    new = torch.rand(20, 4, generator=seeded(1), dtype=torch.float64)
    torch.testing.assert_close(model.posterior(new).mean[:, 0], torch.sin(6 * new[:, 2]), atol=0.1, rtol=0)


def counts_then_properties(n: int, seed: int) -> torch.Tensor:
    properties = torch.randn(n, 3, generator=seeded(seed + 50), dtype=torch.float64)
    return torch.cat([counts(n, 16, seed=seed).double(), properties], 1)


def test_properties_are_compared_by_distance_and_counts_by_similarity():
    x, new = counts_then_properties(40, 0), counts_then_properties(9, 1)
    recipe = GaussianProcess("tanimoto+matern", num_properties=3)
    model = recipe.fit(Observations(x, x[:, 1] + torch.sin(2 * x[:, 17])))
    similar, near = model.covar_module.kernels
    z = lambda rows: rows[:, 16:] / near.base_kernel.lengthscale  # noqa: E731
    r = 5**0.5 * torch.cdist(z(x), z(new))
    expected = near.outputscale * (1 + r + r.square() / 3) * torch.exp(-r)
    expected = expected + similar.outputscale * TanimotoKernel()(x[:, :16], new[:, :16]).to_dense()
    torch.testing.assert_close(model.covar_module(x, new).to_dense(), expected)


def test_a_range_of_one_property_is_found():
    x, new = counts_then_properties(150, 0), counts_then_properties(200, 1)
    reward = lambda rows: torch.exp(-(rows[:, 17] ** 2)) + 0.05 * rows[:, 2]  # noqa: E731
    recipe = GaussianProcess("tanimoto+matern", num_properties=3)

    def error(recipe):
        model = recipe.fit(Observations(x, reward(x)))
        return float((model.posterior(new[:, None]).mean[:, 0, 0] - reward(new)).abs().mean())

    assert error(recipe) < 0.3 * error(GaussianProcess("tanimoto"))
    lengthscale = recipe.fit(Observations(x, reward(x))).covar_module.kernels[1].base_kernel.lengthscale
    assert int(lengthscale.argmin()) == 1


@pytest.mark.parametrize("options", [{"num_properties": 2}, {"kernel": "tanimoto+matern"}, {"kernel": "rbf"}])
def test_options_that_do_not_fit_together_are_refused(options):
    with pytest.raises(ParameterError, match=r"`num_properties`|`kernel`"):
        GaussianProcess(**options)


def test_features_that_are_no_more_than_the_properties_are_refused():
    x = counts_then_properties(20, 0)[:, 16:]
    with pytest.raises(ShapeError, match="more than 3 columns; got 3"):
        GaussianProcess("tanimoto+matern", num_properties=3).fit(Observations(x, x[:, 0]))


def test_posterior_equals_a_dense_solve():
    x, y = counts(30, 32, seed=0).double(), torch.randn(30, generator=seeded(1), dtype=torch.float64)
    noise = torch.full((30,), torch.nan, dtype=torch.float64)
    noise[:10] = 0.4
    model = GaussianProcess("tanimoto").fit(Observations(x, 5 + 3 * y, noise))
    new = counts(6, 32, seed=2).double()
    kernel = lambda a, b: model.covar_module(a, b).to_dense()  # noqa: E731
    unit, shift = (3 * y).std(), 5 + 3 * y.mean()
    variance = noise.nan_to_num(model.noise_std).square() / unit**2
    constant = model.mean_module.constant
    solved = torch.linalg.solve(kernel(x, x) + variance.diag(), kernel(x, new))
    mean = constant + solved.T @ ((5 + 3 * y - shift) / unit - constant)
    posterior = model.posterior(new[:, None])
    torch.testing.assert_close(posterior.mean[:, 0, 0], shift + unit * mean, atol=1e-5, rtol=1e-4)
    covariance = kernel(new, new) - kernel(new, x) @ solved
    expected = unit * covariance.diagonal().sqrt()
    torch.testing.assert_close(posterior.variance[:, 0, 0].sqrt(), expected, atol=1e-4, rtol=1e-3)


def test_many_readings_are_solved_exactly():
    x = torch.rand(820, 2, generator=seeded(0), dtype=torch.float64)  # GPyTorch's own limit is 800
    y = torch.sin(5 * x[:, 0]) + 0.1 * torch.randn(820, generator=seeded(1)).double()
    model = GaussianProcess().fit(Observations(x, y))
    new = torch.rand(50, 2, generator=seeded(2), dtype=torch.float64)
    gram = model.covar_module(model.transform_inputs(x)).to_dense()
    cross = model.covar_module(model.transform_inputs(new), model.transform_inputs(x)).to_dense()
    noise = (model.noise_std / y.std()) ** 2 * torch.eye(820)
    constant = model.mean_module.constant
    mean = constant + cross @ torch.linalg.solve(gram + noise, (y - y.mean()) / y.std() - constant)
    posterior = model.posterior(new[:, None]).mean[:, 0, 0]
    torch.testing.assert_close(posterior, y.mean() + y.std() * mean, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.kernel)
def test_paths_have_the_posterior_as_their_law(recipe):
    x = counts(30, 16, seed=0) + 0.0
    y = 2 * x[:, 1] - x.sum(1) + 7 + 0.3 * torch.randn(30, generator=seeded(1))
    model = recipe.fit(Observations(x, y))
    new = counts(8, 16, seed=3).double()
    generator = seeded(2)
    draws = torch.stack([matheron_path(model, generator)(new) for _ in range(400)])
    posterior = model.posterior(new[:, None])
    std = posterior.variance[:, 0, 0].sqrt()
    assert ((draws.mean(0) - posterior.mean[:, 0, 0]).abs() < 0.25 * std + 1e-6).all()
    assert ((draws.std(0) / std - 1).abs() < 0.25).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.kernel)
@pytest.mark.parametrize("signal", [0.0, 1.0])
def test_wide_features_with_pure_noise_and_none_at_all(recipe, signal):
    x = counts(60, 512, seed=0)
    y = signal * x @ torch.randn(512, generator=seeded(1)) + (1 - signal) * torch.randn(
        60, generator=seeded(2)
    )
    posterior = recipe.fit(Observations(x, y)).posterior(counts(9, 512, seed=3)[:, None])
    assert torch.isfinite(posterior.mean).all() and (posterior.variance > 0).all()


@pytest.mark.parametrize("n", [40, 700])
def test_winsorised_readings_are_those_of_the_upper_share(n):
    x = torch.rand(n, 2, generator=seeded(0), dtype=torch.float64)
    y = torch.sin(5 * x[:, 0])
    raised, new = y.clamp_min(y.quantile(0.5)), torch.rand(20, 1, 2, generator=seeded(2)).double()
    found = GaussianProcess(winsorize=0.5).fit(Observations(x, y)).posterior(new)
    expected = GaussianProcess().fit(Observations(x, raised)).posterior(new)
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.variance, expected.variance)


def test_new_readings_of_a_winsorised_process_are_foretold_as_they_are_told():
    x = torch.rand(40, 2, generator=seeded(0), dtype=torch.float64)
    data, new = Observations(x, torch.sin(5 * x[:, 0])), torch.rand(20, 1, 2, generator=seeded(2)).double()
    winsorised = GaussianProcess(winsorize=0.5).fit(data)
    expected = GaussianProcess().fit(data).posterior(new, observation_noise=True)
    for _ in range(2):
        found = winsorised.posterior(new, observation_noise=True)
        assert torch.equal(found.mean, expected.mean) and torch.equal(found.variance, expected.variance)
    assert winsorised.posterior(new).mean.min() > float(data.values.median()) - 0.1 > found.mean.min() + 0.2


def test_depths_do_not_pass_for_doubt_on_a_plateau():
    x = torch.rand(150, 3, generator=seeded(0), dtype=torch.float64)
    y = torch.where(x[:, 1] < 0.25, -10.0, 0.3 * torch.sin(6 * x[:, 0]))
    new = torch.rand(200, 1, 3, generator=seeded(1)).double()
    new[..., 1] = 0.5 + new[..., 1] / 2
    as_told, winsorised = (
        GaussianProcess(winsorize=share).fit(Observations(x, y)).posterior(new).variance.sqrt().mean()
        for share in (0.0, 0.5)
    )
    assert winsorised < as_told / 5


def test_bad_arguments():
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ParameterError, match="winsorize"):
            GaussianProcess(winsorize=share)
    with pytest.raises(ParameterError, match="must be"):
        GaussianProcess("rbf")
    with pytest.raises(ParameterError, match="ard"):
        GaussianProcess("tanimoto", ard=True)
