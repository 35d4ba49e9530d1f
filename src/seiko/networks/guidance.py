"""Classifier-free guidance: both branches in one call."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seiko import tree
from seiko.errors import ParameterError, ShapeError
from seiko.typing import Condition, State


class ClassifierFreeGuidance(nn.Module):
    """A conditional network, guided: ``u + guidance_scale * (c - u)`` (Ho & Salimans 2022, Eq. 6).

    c is the prediction under the condition and u the one under `unconditional`. Both come from one call on
    twice the rows, conditional rows first. A guidance scale of 1 is the conditional prediction alone, from
    one call on the plain batch. The paper's w is ``guidance_scale - 1``.

    Args:
        network: Called as ``network(state, time, condition)``; it must accept `unconditional` as a condition.
        guidance_scale: 1 is no guidance, 0 ignores the condition.
        unconditional: The condition that stands for none, one row: leaves [1, ...] like the condition's.

    Shape:
        state [batch, ...], time [batch], condition [batch, ...] -> the network's own, [batch, ...]. States
        and conditions may be mappings of such leaves.

    Raises:
        ParameterError: If `guidance_scale` is not a finite number, or a call brings no condition.
        ShapeError: If `unconditional` is not one row, or not of the condition's leaves and shapes.

    Example:
        >>> class Shift(nn.Module):
        ...     def forward(self, state, time, condition=None):
        ...         return state + condition
        >>> guided = ClassifierFreeGuidance(Shift(), 3.0, torch.zeros(1, 2))
        >>> guided(torch.zeros(1, 2), torch.ones(1), torch.tensor([[1.0, 2.0]]))
        tensor([[3., 6.]])
    """

    def __init__(self, network: nn.Module, guidance_scale: float, unconditional: State) -> None:
        super().__init__()
        is_number = isinstance(guidance_scale, int | float) and not isinstance(guidance_scale, bool)
        if not is_number or not -float("inf") < guidance_scale < float("inf"):
            raise ParameterError(f"`guidance_scale` must be a finite number; got {guidance_scale!r}.")
        if tree.batch_size(unconditional) != 1:
            raise ShapeError(
                f"`unconditional` must be one row, leaves [1, ...]; got {_shapes(unconditional)}. It is "
                "repeated for every row of a batch."
            )
        self.network = network
        self.guidance_scale = guidance_scale
        self._names = tuple(unconditional) if isinstance(unconditional, Mapping) else None
        for position, leaf in enumerate(tree.leaves(unconditional)):
            self.register_buffer(f"_unconditional_{position}", leaf.detach().clone(), persistent=False)

    @property
    def unconditional(self) -> State:
        """The condition that stands for none, leaves [1, ...]."""
        if self._names is None:
            return self.get_buffer("_unconditional_0")
        return {name: self.get_buffer(f"_unconditional_{i}") for i, name in enumerate(self._names)}

    def forward(self, state: State, time: Tensor, condition: Condition = None) -> State:
        if condition is None:
            raise ParameterError(
                "A guided network needs a condition, and this call has none.",
                hint="Give the condition to `sample` or to the domain, or use the network without guidance.",
            )
        if self.guidance_scale == 1:
            return self.network(state, time, condition)
        none = self._matching(condition)
        both = self.network(
            tree.concat([state, state]), torch.cat([time, time]), tree.concat([condition, none])
        )
        return tree.tree_map(self._guide, both)

    def _guide(self, both: Tensor) -> Tensor:
        given, none = both.chunk(2)
        return none + self.guidance_scale * (given - none)

    def _matching(self, condition: State) -> State:
        """`unconditional`, one row for each of the condition's."""
        want, found = _shapes(self.unconditional), _shapes(condition)
        if want.keys() != found.keys() or any(want[name][1:] != found[name][1:] for name in want):
            raise ShapeError(
                f"A condition must have the leaves and shapes of `unconditional`, {want}, in all but the "
                f"batch; got {found}."
            )
        rows = tree.batch_size(condition)
        return tree.tree_map(lambda leaf: leaf.expand(rows, *leaf.shape[1:]), self.unconditional)


def _shapes(state: State) -> dict[str, list[int]]:
    """The shape of each leaf; a plain tensor's stands under "tensor"."""
    if isinstance(state, Tensor):
        return {"tensor": list(state.shape)}
    return {name: list(leaf.shape) for name, leaf in state.items()}
