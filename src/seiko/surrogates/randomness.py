"""Randomness from a generator alone: the global one is never moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def as_generator(generator: torch.Generator | None) -> torch.Generator:
    """The generator itself, or one with seed 0 where none is given.

    Example:
        >>> as_generator(None).initial_seed()
        0
    """
    return torch.Generator().manual_seed(0) if generator is None else generator


def normal(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal draws in double, made where the generator lives and moved to `device`."""
    draws = torch.randn(tuple(shape), generator=generator, device=generator.device, dtype=torch.float64)
    return draws.to(device)


def integer(high: int, generator: torch.Generator) -> int:
    """A uniform integer in [0, high)."""
    return int(torch.randint(high, (), generator=generator, device=generator.device))


@contextmanager
def forked_rng(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Library calls that draw from torch's global state draw from `generator` inside, and leave no trace.

    Example:
        >>> before = torch.get_rng_state()
        >>> with forked_rng(torch.Generator().manual_seed(3), torch.device("cpu")):
        ...     _ = torch.randn(2)
        >>> torch.equal(before, torch.get_rng_state())
        True
    """
    seed = integer(2**62, generator)
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.random.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
