"""What the suites share: a failing condition with its words, and a guard of the global random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def require(condition: object, message: str) -> None:
    """Raise AssertionError with `message` unless `condition` holds; works under ``python -O`` too."""
    if not condition:
        raise AssertionError(message)


def seeded(seed: int = 0) -> torch.Generator:
    """A new generator."""
    return torch.Generator().manual_seed(seed)


@contextmanager
def global_state_untouched(what: str) -> Iterator[None]:
    """Fail if the block draws from torch's or numpy's global generator, or reseeds it."""
    before, numpy_before = torch.get_rng_state(), np.random.get_state(legacy=False)
    yield
    numpy_after = np.random.get_state(legacy=False)
    require(
        torch.equal(before, torch.get_rng_state()),
        f"{what} moved torch's global random state. Draw from the generator that is given.",
    )
    require(
        repr(numpy_before) == repr(numpy_after),
        f"{what} moved numpy's global random state. Draw from the generator that is given.",
    )


def require_close(ours: Tensor, theirs: Tensor, message: str) -> None:
    """Fail unless two tensors agree to 1e-3 (single) or 1e-8 (double precision) of 1 + their size."""
    ours, theirs = ours.detach(), theirs.detach()
    require(
        ours.shape == theirs.shape, f"{message} Shapes {list(ours.shape)} and {list(theirs.shape)} differ."
    )
    tolerance = 1e-8 if ours.dtype == torch.float64 else 1e-3
    same = (ours == theirs) | ((ours - theirs).abs() <= tolerance * (1 + theirs.abs()))
    if not same.all():
        worst = torch.where(same, 0.0, (ours - theirs).abs()).max()
        raise AssertionError(f"{message} The largest difference is {float(worst):.3g}.")
