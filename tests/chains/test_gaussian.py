from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from chain_families import generator
from seiko.chain import rollout, sample
from seiko.chains import (
    DDIM,
    Denoised,
    DiffusionChain,
    Epsilon,
    EulerMaruyama,
    FlowVelocity,
    RectifiedFlow,
    Score,
    VarianceExploding,
    VariancePreserving,
    Velocity,
)
from seiko.errors import DeterministicChainError, ParameterError
from seiko.schedules import cosine_alpha_bar

PREDICTIONS = [Epsilon(), Denoised(), Velocity(), FlowVelocity(), Score()]
PATHS = [VariancePreserving(), VarianceExploding(0.1, 5.0), RectifiedFlow()]


def _double(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("prediction", PREDICTIONS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p).__name__)
def test_every_prediction_recovers_data_and_noise_on_every_path(prediction, path):
    data, noise = _double(4, 3), _double(4, 3, seed=1)
    for time in (0.05, 0.3, 0.9):
        level = torch.tensor(time, dtype=torch.float64)
        alpha, sigma = path.alpha(level), path.sigma(level)
        state = alpha * data + sigma * noise
        output = prediction.target(data, noise, alpha, sigma)
        found = prediction.split(output, state, alpha, sigma)
        torch.testing.assert_close(found, (data, noise), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("prediction", PREDICTIONS, ids=lambda p: type(p).__name__)
def test_a_perfect_prediction_has_no_loss_and_any_other_has(prediction):
    process = DDIM(cosine_alpha_bar(5), (3,), prediction=prediction)
    data, step = _double(8, 3), torch.arange(8) % 5
    state = process.corrupt(data, step, generator())
    alpha, sigma = process.alpha_sigma(step, data)
    output = prediction.target(data, (state - alpha * data) / sigma, alpha, sigma)
    assert process.loss(output, data, state, step).max() < 1e-20
    assert (process.loss(output + 0.1, data, state, step) - 0.01).abs().max() < 1e-8


def test_corruption_has_the_marginal_law():
    process = DDIM(cosine_alpha_bar(4), (1,))
    data, step = torch.full((40000, 1), 2.0, dtype=torch.float64), torch.full((40000,), 2)
    state, (alpha, sigma) = process.corrupt(data, step, generator()), process.alpha_sigma(2, data)
    assert abs(float(state.mean() - 2 * alpha)) < 4 * float(sigma) / 200
    assert abs(float(state.std() - sigma)) < 0.02


# ---------------------------------------------------------------------------------------- against diffusers


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize(("name", "prediction"), [("epsilon", Epsilon()), ("v_prediction", Velocity())])
def test_ddim_steps_equal_those_of_diffusers(eta, name, prediction):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (extra `images`)")
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="scaled_linear", prediction_type=name, clip_sample=False
    )
    scheduler.set_timesteps(12)
    timesteps = scheduler.timesteps
    alpha_bar = torch.cat([scheduler.alphas_cumprod[timesteps].double(), torch.tensor([0.99995]).double()])
    process = DDIM(alpha_bar, (3, 4, 4), eta=eta, prediction=prediction)
    state, output = _double(2, 3, 4, 4), _double(2, 3, 4, 4, seed=1)
    for step in range(process.num_steps - 1):
        theirs = [
            scheduler.step(
                output, timesteps[step], state, eta=eta, variance_noise=torch.full_like(state, z)
            ).prev_sample
            for z in (0.0, 1.0)
        ]
        ours = process.transition(state, output, step)
        torch.testing.assert_close(ours.mean, theirs[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.scale.expand_as(state), theirs[1] - theirs[0], atol=1e-5, rtol=1e-5)


# --------------------------------------------------------------------------------------- against exact laws


class _ExactGaussian(nn.Module):
    """The true noise prediction for data N(mean, std^2), at the levels of a process."""

    def __init__(self, process, mean: float, std: float) -> None:
        super().__init__()
        self.process, self.mean, self.std = process, mean, std
        self.register_buffer("kind", torch.zeros((), dtype=torch.float64))

    def forward(self, state, time, condition=None):
        steps = torch.arange(self.process.num_steps)
        grid = torch.stack([self.process.time(int(k), state) for k in steps])
        step = (time[:, None] - grid).abs().argmin(1)
        alpha, sigma = self.process.alpha_sigma(step, state)
        variance = alpha**2 * self.std**2 + sigma**2
        noise = sigma * (state - alpha * self.mean) / variance
        data = self.mean + alpha * self.std**2 * (state - alpha * self.mean) / variance
        return self.process.prediction.target(data, noise, alpha, sigma)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: DDIM(cosine_alpha_bar(60), (1,), prediction=p),
        lambda p: DDIM(cosine_alpha_bar(60), (1,), eta=0.3, prediction=p),
        lambda p: EulerMaruyama(VariancePreserving(), 150, (1,), prediction=p),
        lambda p: EulerMaruyama(VarianceExploding(0.05, 20.0), 150, (1,), prediction=p),
        lambda p: EulerMaruyama(RectifiedFlow(), 150, (1,), prediction=p),
    ],
    ids=["ddpm", "ddim-0.3", "vp", "ve", "flow"],
)
@pytest.mark.parametrize("prediction", [Denoised(), FlowVelocity()], ids=lambda p: type(p).__name__)
def test_the_exact_predictor_samples_the_data_law(make, prediction):
    process = make(prediction)
    chain = DiffusionChain(_ExactGaussian(process, 1.5, 0.5), process)
    draws = sample(chain, 4000, batch_size=4000, generator=generator())
    assert draws.dtype == torch.float64
    assert abs(float(draws.mean()) - 1.5) < 0.04
    assert abs(float(draws.std()) - 0.5) < 0.04


def test_euler_maruyama_step_equals_the_score_form_of_the_reverse_sde():
    """VP: ds = [beta/2 x + beta score] h + sqrt(beta h) z, from noise to data (Song et al. 2021, Eq. 6)."""
    path = VariancePreserving(0.1, 5.0)
    process = EulerMaruyama(path, 5, (3,), prediction=Score(), end_time=0.05)
    state, score = _double(2, 3), _double(2, 3, seed=1)
    for step in range(5):
        time, h = 1 - 0.19 * step, 0.19
        beta = 0.1 + time * 4.9
        law = process.transition(state, score, step)
        torch.testing.assert_close(law.mean, state + h * (0.5 * beta * state + beta * score))
        assert abs(float(law.scale) - math.sqrt(beta * h)) < 1e-12


def test_euler_maruyama_step_of_a_flow_model():
    process = EulerMaruyama(RectifiedFlow(max_rate=0.5), 4, (3,), prediction=FlowVelocity(), end_time=0.0)
    state, velocity = _double(2, 3), _double(2, 3, seed=1)
    for step in range(4):
        time = 1 - step / 4
        noise = state + (1 - time) * velocity
        law = process.transition(state, velocity, step)
        torch.testing.assert_close(law.mean, state - 0.25 * (velocity + 0.25 / (2 * time) * noise))
        assert abs(float(law.scale) - 0.25) < 1e-12


# ------------------------------------------------------------------------------------------ what is refused


def test_deterministic_chains_are_refused():
    levels = cosine_alpha_bar(3)
    with pytest.raises(DeterministicChainError, match="eta"):
        DDIM(levels, (2,), eta=0.0)
    with pytest.raises(DeterministicChainError, match="last level"):
        DDIM(torch.tensor([0.1, 0.5, 1.0]), (2,))
    with pytest.raises(DeterministicChainError, match="noise rate"):
        EulerMaruyama(RectifiedFlow(scale=0.0), 3, (2,), prediction=FlowVelocity())


@pytest.mark.parametrize("eta", [-0.1, 1.5, math.nan])
def test_bad_eta_is_refused(eta):
    with pytest.raises(ParameterError, match="eta"):
        DDIM(cosine_alpha_bar(3), (2,), eta=eta)


@pytest.mark.parametrize("levels", [[0.5, 0.4], [0.5], [0.0, 0.5], [[0.1, 0.2]], [0.3, 0.3, 0.5]])
def test_bad_levels_are_refused(levels):
    with pytest.raises(ParameterError, match="alpha_bar"):
        DDIM(torch.tensor(levels), (2,))


@pytest.mark.parametrize("end_time", [-0.1, 1.0])
def test_bad_end_times_are_refused(end_time):
    with pytest.raises(ParameterError, match="end_time"):
        EulerMaruyama(VariancePreserving(), 3, (2,), end_time=end_time)


@pytest.mark.parametrize("prediction", [Epsilon(), Score()])
def test_predictions_that_divide_by_zero_at_the_start_are_refused(prediction):
    with pytest.raises(ParameterError, match="FlowVelocity"):
        EulerMaruyama(RectifiedFlow(), 3, (2,), prediction=prediction)


@pytest.mark.parametrize("num_steps", [158, 1000])
def test_many_steps_are_possible(num_steps):
    process = DDIM(cosine_alpha_bar(num_steps), (2,))
    chain = DiffusionChain(_ExactGaussian(process, 0.0, 1.0), process)
    assert sum(1 for _ in zip(rollout(chain, 1, generator=generator()), range(3), strict=False)) == 3
