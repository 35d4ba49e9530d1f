"""A diffusers scheduler's configuration as a process: the same levels and times, with noise in every step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from seiko.chains.flow import FlowDDIM
from seiko.chains.gaussian import DDIM, Denoised, Epsilon, Prediction, Velocity, check_eta
from seiko.errors import MissingDependencyError, ParameterError
from seiko.schedules import check_num_steps

BY_BETAS = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)
"""Schedulers of networks trained on betas; each of them samples the model that DDIM samples, another way."""

BY_FLOW = ("FlowMatchEulerDiscreteScheduler",)
"""Schedulers of flow-matching networks."""

PREDICTIONS: Mapping[str, Prediction] = {
    "epsilon": Epsilon(),
    "v_prediction": Velocity(),
    "sample": Denoised(),
}
FLOOR = 1e-4
"""Noise variance that stays in the last step where the configuration leaves none (a deviation of 0.01)."""


def process_from_scheduler(
    scheduler: Any,
    num_steps: int,
    event_shape: tuple[int, ...],
    *,
    eta: float = 1.0,
    image_tokens: int | None = None,
) -> DDIM | FlowDDIM:
    """The stochastic process of a diffusers scheduler.

    Whatever sampler the configuration names, the chain has DDIM's steps with eta, as ``DDIMScheduler`` makes
    them of the same configuration: betas, spacing and offset of the time steps, prediction type, clipping.
    Where the configuration would end without noise, a variance of at most `FLOOR` is kept (half of what the
    step before has, if that is less), so that every step has a density. Flow models get `FlowDDIM`.

    Args:
        scheduler: A scheduler, or its configuration with ``_class_name``.
        num_steps: Sampling steps.
        event_shape: Shape of one state.
        eta: Stochasticity in (0, 1]; 1 is DDPM.
        image_tokens: Length of an image's token sequence, for flow models with dynamic shifting.

    Raises:
        MissingDependencyError: If diffusers is not installed.
        DeterministicChainError: If eta is 0.
        ParameterError: If the scheduler is of no supported kind, or a number is out of range.

    Example:
        >>> import diffusers
        >>> process_from_scheduler(diffusers.DDIMScheduler(clip_sample=False), 20, (3, 8, 8)).num_steps
        20
    """
    check_num_steps(num_steps)
    check_eta(eta, "the sampler")
    name, config = _named_config(scheduler)
    trained = int(config.get("num_train_timesteps", 1000))
    if num_steps > trained:
        raise ParameterError(f"`num_steps` must be at most the {trained} of training; got {num_steps}.")
    if name in BY_FLOW:
        return _flow(config, num_steps, event_shape, eta, image_tokens)
    if name in BY_BETAS:
        return _ddim(name, config, num_steps, event_shape, eta)
    raise ParameterError(
        f"The scheduler {name} cannot become a chain; supported are {', '.join(BY_BETAS + BY_FLOW)}.",
        hint="Give one that fits the network's training; a distilled few-step model has none.",
    )


def _named_config(scheduler: Any) -> tuple[str, Mapping[str, Any]]:
    config = getattr(scheduler, "config", scheduler)
    if not isinstance(config, Mapping):
        raise ParameterError(
            f"`scheduler` must be a diffusers scheduler or its configuration; got {type(scheduler).__name__}."
        )
    named = config.get("_class_name") or type(scheduler).__name__
    return str(named), config


def _diffusers() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise MissingDependencyError(
            "Image models need the package diffusers, which cannot be imported.",
            hint="Install seiko with the extra `images`: pip install 'seiko[images]'.",
        ) from error
    return diffusers


def _ddim(name: str, config: Mapping[str, Any], num_steps: int, shape: tuple[int, ...], eta: float) -> DDIM:
    """DDIM with the levels of `config`."""
    if config.get("thresholding"):
        raise ParameterError(
            "The scheduler's `thresholding` scales whole samples and cannot become a chain.",
            hint="Set `thresholding=False` in its configuration, with `clip_sample=True` if you need limits.",
        )
    kind = config.get("prediction_type", "epsilon")
    if kind not in PREDICTIONS:
        raise ParameterError(f"`prediction_type` must be one of {sorted(PREDICTIONS)}; got {kind!r}.")
    limits = {}
    if name not in ("DDIMScheduler", "DDPMScheduler"):  # clipping is the default of these two alone
        limits["clip_sample"] = bool(config.get("clip_sample", False))
    stock = _diffusers().DDIMScheduler.from_config(dict(config), **limits)
    stock.set_timesteps(num_steps)
    levels = stock.alphas_cumprod.double().clamp_min(1e-12)  # a start without signal has level 0
    chosen = levels[stock.timesteps]
    last = min(float(stock.final_alpha_cumprod), 1 - min(FLOOR, 0.5 * (1 - float(chosen[-1]))))
    return DDIM(
        torch.cat([chosen, chosen.new_tensor([last])]),
        shape,
        eta=eta,
        prediction=PREDICTIONS[kind],
        times=network_times(stock.timesteps, stock.config.num_train_timesteps),
        clip=float(stock.config.clip_sample_range) if stock.config.clip_sample else None,
    )


def network_times(timesteps: torch.Tensor, num_train_timesteps: int) -> torch.Tensor:
    """Time steps 0 ... T - 1 as times (t + 1) / T in (0, 1]; `DiffusersNetwork` makes steps of them again."""
    return (timesteps.double() + 1) / num_train_timesteps


def _flow(
    config: Mapping[str, Any], num_steps: int, shape: tuple[int, ...], eta: float, tokens: int | None
) -> FlowDDIM:
    """FlowDDIM with the noise levels of `config`."""
    stock = _diffusers().FlowMatchEulerDiscreteScheduler.from_config(dict(config))
    shift = _dynamic_shift(stock.config, tokens) if stock.config.use_dynamic_shifting else None
    stock.set_timesteps(num_steps, mu=shift)
    sigmas = stock.sigmas.double()[: num_steps + 1].clone()
    floor = min(math.sqrt(FLOOR), 0.5 * float(sigmas[-2]))
    sigmas[-1] = max(float(sigmas[-1]), floor)
    return FlowDDIM(sigmas, shape, eta=eta)


def _dynamic_shift(config: Any, tokens: int | None) -> float:
    """The shift of the noise levels for `tokens`, on the line through the configuration's two ends."""
    if tokens is None:
        raise ParameterError(
            "The scheduler shifts its noise levels with the image's size (`use_dynamic_shifting`).",
            hint="Give `image_tokens`: the length of an image's token sequence.",
        )
    span = config.max_image_seq_len - config.base_image_seq_len
    slope = (config.max_shift - config.base_shift) / span
    return config.base_shift + slope * (tokens - config.base_image_seq_len)
