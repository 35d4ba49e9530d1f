"""A training loss less what a teacher's own samples lose: fits that only learn how data differ from them."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from seiko.chain import Chain
from seiko.chains.base import DiffusionChain
from seiko.chains.clean import expected_data
from seiko.chains.graph_sde import GraphSDEChain
from seiko.chains.left_to_right import LeftToRight
from seiko.errors import ParameterError
from seiko.typing import Condition, State


@singledispatch
def contrast(
    chain: Any, teacher: Chain, data: State, condition: Condition, generator: torch.Generator | None
) -> Tensor:
    """``loss(data) - loss(what the teacher expects of them)`` under the same corruption, row by row.

    The teacher expects the mean of the data given the corrupted state. Where it is right about its own
    samples, the gradients of both terms have the same mean over them, at any `chain`, and that of the
    contrast is 0. Where it is not, it is what a fit to its own samples would move it by. Subtracted from the
    loss of chosen samples, the contrast leaves what the choice teaches.

    Args:
        chain: The one that is trained.
        teacher: Of the same kind; no gradient reaches it.
        data: Whole designs' states, [batch, ...].
        condition: Of the rows.
        generator: Source of the corruption.

    Returns:
        [batch].

    Raises:
        ParameterError: If the chain is of an unknown kind; other kinds register here.
    """
    raise ParameterError(
        f"What a teacher expects of the data is not known of a {type(chain).__name__}.",
        hint="Set `baseline=0`, or register it with seiko.chains.contrast.contrast.",
    )


@contrast.register
def _of_diffusion(
    chain: DiffusionChain,
    teacher: DiffusionChain,
    data: State,
    condition: Condition,
    generator: torch.Generator | None,
) -> Tensor:
    state, step = chain.corrupted(data, generator)
    with torch.no_grad():
        expected = expected_data(chain.process, state, teacher.predicted(state, step, condition), step)
    prediction = chain.predicted(state, step, condition)
    return chain.process.loss(prediction, data, state, step) - chain.process.loss(
        prediction, expected, state, step
    )


@contrast.register
def _of_graphs(
    chain: GraphSDEChain,
    teacher: GraphSDEChain,
    data: State,
    condition: Condition,
    generator: torch.Generator | None,
) -> Tensor:
    corrupted = chain.corrupted(data, condition, generator)
    with torch.no_grad():
        expected = teacher.predicted(corrupted, condition)
    prediction = chain.predicted(corrupted, condition)
    return chain.error(prediction, corrupted.noise, condition) - chain.error(prediction, expected, condition)


@contrast.register
def _of_rows(
    chain: LeftToRight,
    teacher: LeftToRight,
    data: State,
    condition: Condition,
    generator: torch.Generator | None,
) -> Tensor:
    with torch.no_grad():
        expected = teacher.log_probs(data, condition)[0].exp()
    log_probs, written, row = chain.log_probs(data, condition)
    difference = torch.where(expected > 0, expected * log_probs, 0.0).sum(-1)
    difference = difference - log_probs.gather(-1, written[:, None])[:, 0]
    return difference.new_zeros(len(data)).index_add(0, row, difference)
