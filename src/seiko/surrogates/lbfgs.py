"""Smooth functions of one tensor, minimised by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def minimise(variable: Tensor, loss: Callable[[], Tensor], *, max_iter: int = 200) -> None:
    """Minimise ``loss()`` over a leaf tensor in place, with a strong Wolfe line search.

    Example:
        >>> x = torch.zeros((), dtype=torch.float64, requires_grad=True)
        >>> minimise(x, lambda: (x - 3).square())
        >>> round(float(x), 6)
        3.0
    """
    optimiser = torch.optim.LBFGS(
        [variable], max_iter=max_iter, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)
