"""Which coordinates of a padded graph are free: slots that hold a node, and pairs of such slots."""

from __future__ import annotations

import torch
from torch import Tensor

from seiko.errors import ShapeError
from seiko.typing import Condition


def num_pairs(num_nodes: int) -> int:
    """Unordered pairs of N slots, N (N - 1) / 2."""
    return num_nodes * (num_nodes - 1) // 2


def pairs_present(present: Tensor) -> Tensor:
    """Which pairs of slots hold two nodes, [batch, N] bool -> [batch, N (N - 1) / 2] bool.

    Pair p is column p of ``torch.triu_indices(N, N, 1)``.

    Example:
        >>> pairs_present(torch.tensor([[True, False, True]]))
        tensor([[False,  True, False]])
    """
    first, second = torch.triu_indices(present.shape[1], present.shape[1], 1, device=present.device)
    return present[:, first] & present[:, second]


def slots_present(condition: Condition, batch_size: int, num_nodes: int) -> Tensor:
    """Which slots hold a node, [batch, N] bool; all of them where no condition is given.

    Raises:
        ShapeError: If the condition is not a bool tensor [batch, N].
    """
    if condition is None:
        return torch.ones(batch_size, num_nodes, dtype=torch.bool)
    if isinstance(condition, Tensor) and condition.dtype == torch.bool:
        if condition.shape == (batch_size, num_nodes):
            return condition
        got = f"bool {list(condition.shape)}"
    else:
        got = f"{condition.dtype}" if isinstance(condition, Tensor) else type(condition).__name__
    raise ShapeError(
        f"The condition of a graph says which slots hold a node: bool {[batch_size, num_nodes]}; got {got}.",
        hint="Make it with `domain.condition(batch_size, generator)`.",
    )
