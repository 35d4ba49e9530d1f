import time

import pytest
import torch
from surrogate_data import counts, linear_data, seeded

from seiko.errors import ParameterError
from seiko.surrogates import BootstrapEnsemble, Observations, Training
from seiko.surrogates.ensemble import bootstrap_counts, out_of_bag_noise
from seiko.surrogates.mlp import BatchedMLP, train


def test_the_batched_network_equals_a_loop_over_members():
    network = BatchedMLP(5, (7, 6), num_members=3, generator=seeded(0)).double()
    x = torch.randn(4, 5, dtype=torch.float64)
    for m, together in enumerate(network(x)):
        h = x
        for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
            h = torch.nn.functional.silu(h @ weight[m] + bias[m])
        alone = h @ network.weights[-1][m] + network.biases[-1][m]
        torch.testing.assert_close(together, alone)
        torch.testing.assert_close(network.member(m)(x)[0], alone)


def test_training_together_equals_training_alone():
    x, y = torch.randn(30, 4, generator=seeded(1)), torch.randn(1, 30, generator=seeded(2))
    weights = bootstrap_counts(3, 30, seeded(3))
    together = BatchedMLP(4, (8,), num_members=3, generator=seeded(0))
    alone = [together.member(m).requires_grad_(True) for m in range(3)]
    training = Training(num_steps=30)
    train(together, x, y, weights, training=training, generator=seeded(4))
    for m, network in enumerate(alone):
        train(network, x, y, weights[m : m + 1], training=training, generator=seeded(4))
        torch.testing.assert_close(together(x)[m], network(x)[0], atol=1e-4, rtol=1e-3)


def test_shapes_of_the_posterior():
    data, _ = linear_data(40, 5, seed=0)
    model = BootstrapEnsemble(num_members=6, hidden=(8,)).fit(data)
    x = torch.randn(2, 3, 4, 5)
    assert model(x).shape == (2, 3, 6, 4, 1)
    torch.testing.assert_close(model(x)[1, 2], model(x[1, 2]))
    assert model.posterior(x).mean.shape == (2, 3, 4, 1)
    noisy = model.posterior(x, observation_noise=True)
    torch.testing.assert_close(noisy.variance, model.posterior(x).variance + model.noise_std**2)


def test_it_learns_a_curve():
    x = 2 * torch.rand(100, 1, generator=seeded(0)) - 1
    model = BootstrapEnsemble(training=Training(num_steps=400)).fit(
        Observations(x, torch.sin(3 * x[:, 0])), generator=seeded(1)
    )
    new = torch.tensor([[-0.5], [0.0], [0.5]])
    torch.testing.assert_close(
        model.posterior(new).mean[:, 0], torch.sin(3 * new[:, 0]).double(), atol=0.2, rtol=0
    )


def test_the_prior_keeps_members_apart_on_fresh_designs():
    x, fresh = counts(80, 64, seed=0), counts(200, 64, seed=1)
    y = x @ torch.randn(64, generator=seeded(2))
    spread = {}
    for scale in (0.0, 1.0):
        model = BootstrapEnsemble(prior_scale=scale).fit(Observations(x, y), generator=seeded(3))
        spread[scale] = float(model.posterior(fresh).variance.sqrt().mean())
    assert spread[1.0] > 1.1 * spread[0.0]


def test_count_fingerprints_fit_fast_with_constant_columns():
    x = counts(300, 512, seed=0)
    y = x @ torch.randn(512, generator=seeded(1)) / 5
    started = time.process_time()
    model = BootstrapEnsemble().fit(Observations(x, y), generator=seeded(2))
    seconds = time.process_time() - started
    print(f"fit of 300 x 512: {seconds:.2f} s")
    assert seconds < 10  # of processor time, about 1 alone on a core
    assert model.scaler.num_active < 512
    posterior = model.posterior(counts(50, 512, seed=5)[:, None] + 1)
    assert torch.isfinite(posterior.mean).all() and torch.isfinite(posterior.variance).all()


def test_out_of_bag_noise_is_that_of_the_readings():
    generator = seeded(0)
    y = 0.3 * torch.randn(4000, generator=generator, dtype=torch.float64)
    members = 0.1 * torch.randn(8, 4000, generator=generator, dtype=torch.float64)
    noise = out_of_bag_noise(members, y, bootstrap_counts(8, 4000, generator))
    assert abs(noise - 0.3) < 0.02


@pytest.mark.parametrize("bad", [{"num_members": 1}, {"hidden": ()}, {"prior_scale": -1.0}])
def test_bad_arguments(bad):
    with pytest.raises(ParameterError):
        BootstrapEnsemble(**bad)
