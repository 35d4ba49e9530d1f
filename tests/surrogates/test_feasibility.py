import pytest
import torch
from surrogate_data import counts, seeded

from seiko.errors import NotEnoughDataError, ObservationError, ParameterError, ShapeError
from seiko.surrogates import FeasibilityModel


def test_it_learns_a_separable_rule():
    x = torch.randn(200, 5, generator=seeded(0))
    model = FeasibilityModel().fit(x, x[:, 0] + x[:, 1] > 0)
    new = torch.randn(500, 5, generator=seeded(1))
    probability, truth = model(new), new[:, 0] + new[:, 1] > 0
    assert ((probability > 0.5) == truth).double().mean() > 0.95
    assert probability.dtype == torch.float32 and (probability > 0).all() and (probability < 1).all()
    clear = (new[:, 0] + new[:, 1]).abs() > 2
    assert ((probability > 0.9) == truth)[clear].double().mean() > 0.95


def test_it_is_at_the_mode_of_its_posterior():
    x = torch.randn(50, 3, generator=seeded(0), dtype=torch.float64)
    label = torch.rand(50, generator=seeded(1)) < x[:, 0].sigmoid()
    model = FeasibilityModel(prior_std=2.0).fit(x, label)
    phi = torch.cat([torch.ones(50, 1), model.scaler(x)], 1)
    residual = label.double() - (phi @ model.weight).sigmoid()
    penalty = 3 / 2.0**2 * model.weight
    penalty[0] = 0
    torch.testing.assert_close(phi.T @ residual, penalty, atol=1e-4, rtol=0)


def test_probabilities_are_calibrated_on_fresh_designs():
    x = torch.randn(400, 4, generator=seeded(0))
    weight = torch.tensor([2.0, -1.0, 0.5, 0.0])
    model = FeasibilityModel().fit(x, torch.rand(400, generator=seeded(1)) < (x @ weight).sigmoid())
    new = torch.randn(4000, 4, generator=seeded(2))
    probability, truth = model(new), (new @ weight).sigmoid()
    assert (probability - truth).abs().mean() < 0.06


@pytest.mark.parametrize("value, expected", [(True, 21 / 22), (False, 1 / 22)])
def test_one_kind_alone_gives_a_constant(value, expected):
    x = counts(20, 30, seed=0)
    probability = FeasibilityModel().fit(x, torch.full((20,), value))(counts(5, 30, seed=1) + 2)
    torch.testing.assert_close(probability, torch.full((5,), expected))


def test_uncertain_designs_are_moderated_towards_a_half():
    x = torch.linspace(-1, 1, 10)[:, None]
    few = FeasibilityModel().fit(x, x[:, 0] > 0)
    many = FeasibilityModel().fit(x.repeat(50, 1), (x[:, 0] > 0).repeat(50))
    new = torch.tensor([[0.8]])
    assert 0.5 < float(few(new)) < float(many(new))


def test_gradient_reaches_the_features():
    x = torch.randn(40, 3, generator=seeded(0))
    new = torch.zeros(2, 3, requires_grad=True)
    FeasibilityModel().fit(x, x[:, 0] > 0)(new).sum().backward()
    assert (new.grad[:, 0] > 0).all()


def test_bad_inputs():
    x, label = torch.randn(4, 3), torch.tensor([True, False, True, True])
    with pytest.raises(NotEnoughDataError):
        FeasibilityModel().fit(x[:0], label[:0])
    with pytest.raises(ShapeError, match="got"):
        FeasibilityModel().fit(x, label[:3])
    with pytest.raises(ShapeError, match="bool"):
        FeasibilityModel().fit(x, label.float())
    with pytest.raises(ObservationError, match="row 2"):
        FeasibilityModel().fit(x.index_fill(0, torch.tensor(2), torch.nan), label)
    with pytest.raises(ShapeError, match="another domain"):
        FeasibilityModel().fit(x, label)(torch.zeros(2, 5))
    with pytest.raises(ParameterError):
        FeasibilityModel(prior_std=0.0)
