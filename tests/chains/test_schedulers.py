"""A scheduler's configuration as a process, step by step beside the schedulers of diffusers themselves."""

from __future__ import annotations

import pytest
import torch

from seiko.chains import DDIM, Denoised, Epsilon, FlowDDIM, Velocity
from seiko.chains.schedulers import BY_BETAS, process_from_scheduler
from seiko.errors import DeterministicChainError, ParameterError

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (extra `images`)")

PREDICTIONS = {"epsilon": Epsilon(), "v_prediction": Velocity(), "sample": Denoised()}


def _draw(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _require_equal_steps(scheduler, process, num_steps, eta):
    scheduler.set_timesteps(num_steps)
    for name in ("alphas_cumprod", "final_alpha_cumprod"):
        setattr(scheduler, name, getattr(scheduler, name).double())
    state, output = 2 * _draw(0), _draw(1)
    for step, timestep in enumerate(scheduler.timesteps):
        theirs = [
            scheduler.step(
                output, timestep, state, eta=eta, variance_noise=torch.full_like(state, z)
            ).prev_sample
            for z in (0.0, 1.0)
        ]
        ours = process.transition(state, output, step)
        torch.testing.assert_close(ours.mean, theirs[0], atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(ours.scale.expand_as(state), theirs[1] - theirs[0], atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_all_steps_are_those_of_ddim(kind, eta, clip):
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear",
        prediction_type=kind,
        clip_sample=clip,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    process = process_from_scheduler(scheduler, 12, (3, 4, 4), eta=eta)
    assert isinstance(process, DDIM) and process.prediction == PREDICTIONS[kind]
    assert process.clip == (1.0 if clip else None)
    _require_equal_steps(scheduler, process, 12, eta)


def test_trailing_steps_are_those_of_ddim_but_for_the_floor_of_the_last():
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    process = process_from_scheduler(scheduler, 10, (3, 4, 4))
    scheduler.final_alpha_cumprod = process.alpha_bar[-1]
    _require_equal_steps(scheduler, process, 10, 1.0)
    assert 0.9999 - 1e-9 <= float(process.alpha_bar[-1]) < 1
    assert float(process.transition(_draw(0), _draw(1), 9).scale) <= 0.0101


def test_the_network_is_told_the_time_steps():
    scheduler = diffusers.DDIMScheduler(steps_offset=1)
    process = process_from_scheduler(scheduler, 30, (1,))
    scheduler.set_timesteps(30)
    times = torch.stack([process.time(step, torch.zeros(1)) for step in range(30)])
    assert (times * 1000 - 1).round().long().tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("name", BY_BETAS)
def test_every_sampler_of_one_model_is_the_same_chain(name):
    options = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    scheduler = getattr(diffusers, name)(**options)
    ours = process_from_scheduler(scheduler, 5, (4,))
    stock = diffusers.DDIMScheduler(clip_sample=False, **options)
    levels = stock.alphas_cumprod.double()
    assert all((levels - float(a)).abs().min() < 1e-9 for a in ours.alpha_bar[:-1])
    assert (ours.clip is None) == (name not in ("DDIMScheduler", "DDPMScheduler"))


def test_a_start_without_any_signal_is_possible():
    scheduler = diffusers.DDIMScheduler(
        rescale_betas_zero_snr=True,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )
    process = process_from_scheduler(scheduler, 4, (3, 4, 4))
    velocity = _draw(1)
    law = process.transition(_draw(0), velocity, 0)  # all noise: the state says nothing of the data
    torch.testing.assert_close(law.mean, -process.alpha_bar[1].sqrt() * velocity, atol=1e-3, rtol=0.0)


# ------------------------------------------------------------------------------------------------ flow models


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_flow_model_has_its_own_noise_levels_and_without_noise_its_own_steps(shift):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    process = process_from_scheduler(scheduler, 8, (3, 4, 4), eta=1e-5)
    scheduler.set_timesteps(8)
    assert isinstance(process, FlowDDIM)
    torch.testing.assert_close(process.sigmas[:-1].float(), scheduler.sigmas[:-1])
    state, velocity = _draw(0), _draw(1)
    for step, timestep in enumerate(scheduler.timesteps[:-1]):
        theirs = scheduler.step(velocity, timestep, state).prev_sample
        ours = process.transition(state, velocity, step).mean
        torch.testing.assert_close(ours, theirs.double(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(process.time(step, state) * 1000, timestep.double())


def test_dynamic_shifting_follows_the_image_size():
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    small, large = (process_from_scheduler(scheduler, 4, (1,), image_tokens=n).sigmas for n in (256, 4096))
    scheduler.set_timesteps(4, mu=1.15)
    torch.testing.assert_close(large[:-1].float(), scheduler.sigmas[:-1])
    assert (small[1:-1] < large[1:-1]).all()
    with pytest.raises(ParameterError, match="image_tokens"):
        process_from_scheduler(scheduler, 4, (1,))


# -------------------------------------------------------------------------------------------- what is refused


def test_a_deterministic_sampler_is_refused():
    with pytest.raises(DeterministicChainError, match="eta"):
        process_from_scheduler(diffusers.DDIMScheduler(), 5, (1,), eta=0)


@pytest.mark.parametrize("name", ["LCMScheduler", "EDMEulerScheduler", "TCDScheduler"])
def test_schedulers_of_other_models_are_refused(name):
    with pytest.raises(ParameterError, match="supported are DDIMScheduler"):
        process_from_scheduler(getattr(diffusers, name)(), 5, (1,))


def test_other_bad_configurations_are_refused():
    with pytest.raises(ParameterError, match="thresholding"):
        process_from_scheduler(diffusers.DDIMScheduler(thresholding=True), 5, (1,))
    with pytest.raises(ParameterError, match="at most the 1000"):
        process_from_scheduler(diffusers.DDIMScheduler(), 1001, (1,))
    with pytest.raises(ParameterError, match="num_steps"):
        process_from_scheduler(diffusers.DDIMScheduler(), 0, (1,))
    with pytest.raises(ParameterError, match="scheduler or its configuration"):
        process_from_scheduler("ddim", 5, (1,))
    with pytest.raises(ParameterError, match="prediction_type"):
        process_from_scheduler({"_class_name": "DDIMScheduler", "prediction_type": "score"}, 5, (1,))
