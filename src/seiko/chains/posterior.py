"""Which clean states a noised one may come from: the likelihood of noised states under each of a pool."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from seiko.chain import Chain
from seiko.chains.clamped import Clamped
from seiko.chains.clean import as_diffusion, unknown_part
from seiko.chains.gaussian import _GaussianTraining
from seiko.chains.joint import Joint
from seiko.chains.masked import Absorbing, Masked
from seiko.errors import ParameterError


@singledispatch
def corruption_log_prob(process: Any, state: Any, data: Any, step: Tensor) -> Tensor:
    """``log p(state | data)`` of every pair, up to a constant of each row of `state`, [batch, n].

    ========= ===================================================================================
    Gaussian  ``(alpha / sigma^2) <state, data> - (alpha^2 / 2 sigma^2) |data|^2``
    masked    0 where all that is revealed agrees, -inf elsewhere
    clamped   as the process does: what is given is in every clean state
    joint     the sum over leaves
    ========= ===================================================================================

    New processes register here.

    Args:
        process: What noised the data.
        state: Noised states, [batch, ...].
        data: Clean states, [n, ...].
        step: Of each noised state, [batch].

    Raises:
        ParameterError: If the process is of an unknown kind.
    """
    raise _unknown(process)


def _unknown(process: Any) -> ParameterError:
    return ParameterError(
        f"How likely {type(process).__name__} noises one state to another is not known.",
        hint='Use likelihood="path" or "denoising", or register it with '
        "seiko.chains.posterior.corruption_log_prob.",
    )


@corruption_log_prob.register(_GaussianTraining)
def _gaussian(process: _GaussianTraining, state: Tensor, data: Tensor, step: Tensor) -> Tensor:
    alpha, sigma = (level.flatten()[:, None] for level in process.alpha_sigma(step, state))
    rows, clean = state.flatten(1), data.flatten(1)
    return (alpha * (rows @ clean.T) - alpha**2 / 2 * clean.square().sum(1)) / sigma**2


@corruption_log_prob.register(Masked)
@corruption_log_prob.register(Absorbing)
def _masked(process: Masked | Absorbing, state: Tensor, data: Tensor, step: Tensor) -> Tensor:
    shown, clean = (leaf[..., : process.kinds].flatten(1) for leaf in (state, data))
    agrees = shown @ clean.T > shown.sum(1, keepdim=True) - 0.5
    return torch.where(agrees, 0.0, -torch.inf).to(state)


@corruption_log_prob.register(Joint)
def _joint(process: Joint, state: Mapping[str, Tensor], data: Mapping[str, Tensor], step: Tensor) -> Tensor:
    parts = [
        corruption_log_prob(part, state[name], data[name], step) for name, part in process.processes.items()
    ]
    return sum(parts[1:], start=parts[0])


@corruption_log_prob.register(Clamped)
def _clamped(process: Clamped, state: Tensor, data: Tensor, step: Tensor) -> Tensor:
    return corruption_log_prob(process.process, state, data, step)


def check_posterior(chain: Chain) -> None:
    """Raise ParameterError unless `corruption_log_prob` knows this kind of chain."""
    part = unknown_part(corruption_log_prob, as_diffusion(chain).process)
    if part is not None:
        raise _unknown(part)
