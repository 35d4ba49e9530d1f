"""What a chain expects the clean state to be, from the same network call as the law of its next step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from seiko.chain import Chain
from seiko.chains.base import DiffusionChain, Process
from seiko.chains.clamped import Clamped
from seiko.chains.gaussian import DDIM, _GaussianTraining
from seiko.chains.joint import Joint
from seiko.chains.masked import Absorbing, Masked, Uniform
from seiko.distributions import Distribution
from seiko.errors import ParameterError
from seiko.typing import Condition, State


@singledispatch
def clean_of(process: Any, state: Any, prediction: Any, step: int | Tensor) -> Any:
    """The expected clean state, of the state's own shapes; new processes register here.

    ========= ===================================================================================
    Gaussian  the denoised prediction x_0 (Tweedie's formula: Efron 2011; Robbins 1956)
    masked    what stands where it is revealed, the network's probabilities where it is not
    uniform   the network's probabilities at every position
    clamped   as the process does, of the allowed kinds alone
    joint     leaf by leaf
    ========= ===================================================================================

    Args:
        process: Of the chain.
        state: At `step`.
        prediction: The network's output there.
        step: One integer, or [batch].

    Raises:
        ParameterError: If the process is of an unknown kind.
    """
    raise ParameterError(
        f"What a step of {type(process).__name__} expects the clean state to be is not known.",
        hint="Register it with seiko.chains.clean.clean_of, or use a method that fine-tunes.",
    )


@clean_of.register(_GaussianTraining)
def _denoised(process: _GaussianTraining, state: Tensor, prediction: Tensor, step: int | Tensor) -> Tensor:
    return process.prediction.split(prediction, state, *process.alpha_sigma(step, state))[0]


@clean_of.register(DDIM)
def _clipped(process: DDIM, state: Tensor, prediction: Tensor, step: int | Tensor) -> Tensor:
    denoised = _denoised(process, state, prediction, step)
    return denoised if process.clip is None else denoised.clamp(-process.clip, process.clip)


@clean_of.register(Masked)
@clean_of.register(Absorbing)
def _revealed(process: Masked | Absorbing, state: Tensor, prediction: Tensor, step: int | Tensor) -> Tensor:
    expected = torch.nn.functional.pad(prediction.softmax(-1), (0, 1))
    return torch.where(state[..., -1:] > 0.5, expected, state)


@clean_of.register(Uniform)
def _expected(process: Uniform, state: Tensor, prediction: Tensor, step: int | Tensor) -> Tensor:
    return prediction.softmax(-1)


@clean_of.register(Clamped)
def _allowed(process: Clamped, state: Tensor, prediction: Tensor, step: int | Tensor) -> Tensor:
    return clean_of(process.process, state, process.conditioned(prediction), step)


@clean_of.register(Joint)
def _leaf_by_leaf(
    process: Joint, state: Mapping[str, Tensor], prediction: Mapping[str, Tensor], step: int | Tensor
) -> dict[str, Tensor]:
    return {
        name: clean_of(part, state[name], prediction[name], step) for name, part in process.processes.items()
    }


def expected_data(process: Any, state: Any, prediction: Any, step: int | Tensor) -> Any:
    """The mean of the data given the state: `clean_of` without a process's clipping, so that it can teach."""
    if isinstance(process, Joint):
        return {
            name: expected_data(part, state[name], prediction[name], step)
            for name, part in process.processes.items()
        }
    if isinstance(process, _GaussianTraining):
        return _denoised(process, state, prediction, step)
    return clean_of(process, state, prediction, step)


def look_ahead(
    chain: Chain, state: State, step: int | Tensor, condition: Condition = None
) -> tuple[Distribution, State]:
    """The law of the next state, and the expected clean state, from one call of the network.

    Raises:
        ParameterError: If the chain is not a network and a process of a known kind.
    """
    known = as_diffusion(chain)
    prediction: Any = known.predicted(state, step, condition)
    law = known.process.transition(state, prediction, step)
    return law, clean_of(known.process, state, prediction, step)


def as_diffusion(chain: Chain) -> DiffusionChain:
    """The chain itself, where it is a network and a process.

    Raises:
        ParameterError: If it is not.
    """
    if isinstance(chain, DiffusionChain):
        return chain
    raise ParameterError(
        f"What a {type(chain).__name__} expects the clean state to be is not known.",
        hint="Use a DiffusionChain, or a method that fine-tunes.",
    )


def can_look_ahead(chain: Chain) -> bool:
    """Whether `look_ahead` knows this kind of chain."""
    return isinstance(chain, DiffusionChain) and unknown_part(clean_of, chain.process) is None


def unknown_part(function: Any, process: Process) -> Process | None:
    """The first part of a process that a function of processes by kind, as `clean_of`, does not know."""
    if isinstance(process, Joint):
        parts = (unknown_part(function, part) for part in process.processes.values())
        return next((part for part in parts if part is not None), None)
    if isinstance(process, Clamped):
        return unknown_part(function, process.process)
    return process if function.dispatch(type(process)) is function.dispatch(object) else None
