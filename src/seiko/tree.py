"""Map, index and join over a state: a tensor or a (nested) mapping of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from seiko.errors import ShapeError
from seiko.typing import State


def tree_map(function: Callable[..., Tensor], state: State, *others: Any) -> State:
    """Apply `function` leaf by leaf to states of one structure.

    Example:
        >>> tree_map(torch.add, {"a": torch.ones(2)}, {"a": torch.ones(2)})
        {'a': tensor([2., 2.])}
    """
    if isinstance(state, Tensor):
        return function(state, *others)
    mapped: Any = {
        name: tree_map(function, leaf, *(other[name] for other in others)) for name, leaf in state.items()
    }
    return mapped


def leaves(state: State) -> Iterator[Tensor]:
    """The tensors of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    else:
        for leaf in state.values():
            yield from leaves(leaf)


def batch_size(state: State) -> int:
    """The number of rows, equal in every leaf.

    Raises:
        ShapeError: If the leaves disagree or there is none.
    """
    sizes = {leaf.shape[0] if leaf.ndim else None for leaf in leaves(state)}
    if len(sizes) != 1 or None in sizes:
        raise ShapeError(f"Every leaf of a state must have the same first dimension, the batch; got {sizes}.")
    return int(sizes.pop())  # type: ignore[arg-type]


def index(state: State, rows: Tensor | slice) -> State:
    """The chosen rows of every leaf."""
    return tree_map(lambda leaf: leaf[rows], state)


def concat(states: Sequence[State]) -> State:
    """Rows of all states one after the other."""
    return tree_map(lambda *parts: torch.cat(parts), states[0], *states[1:])


def detach(state: State) -> State:
    """The same values outside any graph."""
    return tree_map(lambda leaf: leaf.detach(), state)


def sum_event(tensor: Tensor) -> Tensor:
    """Sum over everything but the batch: [batch, *event] -> [batch]."""
    return tensor.flatten(1).sum(1) if tensor.ndim > 1 else tensor


def expand(rows: Tensor, like: Tensor) -> Tensor:
    """A scalar or a value a row, [] or [batch], shaped to broadcast against `like` [batch, *event]."""
    return rows.reshape(rows.shape + (1,) * (like.ndim - rows.ndim)) if rows.ndim else rows
