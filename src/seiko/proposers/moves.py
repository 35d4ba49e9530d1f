"""Small random changes of designs, mutation and crossover, and those that a chain finds likely."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from seiko import tree
from seiko.chain import Chain, SupportsLoss
from seiko.domains.base import Crossover, Domain, Mutate
from seiko.proposers.sampling import encoded, numpy_rng

Design = TypeVar("Design")
NUM_DRAWS = 8
"""Noised copies that two designs are compared by."""


def children(
    parents: Sequence[Design],
    rng: np.random.Generator,
    *,
    mutate: Mutate[Design],
    crossover: Crossover[Design],
    crossover_rate: float,
    mutation_rate: float,
    selection_pressure: float = 0.0,
) -> Iterator[tuple[Design, Design | None]]:
    """A parent and its child, without end; None where a move found nothing.

    A parent of rank r, from 0, among n is drawn with weight ``exp(-selection_pressure * r / n)``. A child is
    the crossover with another parent with probability `crossover_rate`, else a copy; copies are always
    mutated, crossovers with probability `mutation_rate`.

    Example:
        >>> moves = {"mutate": lambda word, rng: word + "!", "crossover": lambda a, b, rng: a + b}
        >>> rng = np.random.default_rng(0)
        >>> next(children(["ab", "cd"], rng, **moves, crossover_rate=0.0, mutation_rate=0.0))
        ('cd', 'cd!')
    """
    count = len(parents)
    weights = np.exp(-selection_pressure * np.arange(count) / count)
    while True:
        a, b = rng.choice(count, size=2, replace=count < 2, p=weights / weights.sum())
        child: Design | None = parents[a]
        if crossed := rng.random() < crossover_rate:
            child = crossover(parents[a], parents[b], rng)
        if child is not None and (not crossed or rng.random() < mutation_rate):
            child = mutate(child, rng)
        yield parents[a], child


@torch.no_grad()
def draw_edits(
    chain: Chain, domain: Domain[Design], parents: Sequence[Design], count: int, generator: torch.Generator
) -> list[Design]:
    """Children that a chain finds about as likely as their parents: half crossed, half mutated.

    A child c of a is kept with probability ``min(1, p(c) / p(a))``, Metropolis et al. (1953), where
    ``log p`` is the chain's evidence bound at `NUM_DRAWS` noised copies, the same noise for both. Of a chain
    without `loss` all are kept.

    Args:
        chain: Whose law is p: the pre-trained one keeps edits among feasible designs.
        domain: With `mutate` and `crossover`, and with `encode` where the chain has `loss`.
        parents: Valid designs, drawn evenly.
        count: Children tried.
        generator: Of all randomness.

    Returns:
        Those that were kept; invalid ones are dropped.
    """
    assert domain.mutate is not None and domain.crossover is not None
    edits = children(
        parents,
        numpy_rng(generator),
        mutate=domain.mutate,
        crossover=domain.crossover,
        crossover_rate=0.5,
        mutation_rate=0.5,
    )
    tried = [(a, child) for a, child in islice(edits, count) if child is not None and domain.is_valid(child)]
    if not tried or not isinstance(chain, SupportsLoss) or domain.encode is None:
        return [child for _, child in tried]
    log_ratio = log_likelihood_ratio(chain, domain, tried, generator)
    kept = log_ratio > torch.rand(len(tried), generator=generator).log()
    return [child for (_, child), keep in zip(tried, kept.tolist(), strict=True) if keep]


@torch.no_grad()
def log_likelihood_ratio(
    chain: SupportsLoss,
    domain: Domain[Design],
    pairs: Sequence[tuple[Design, Design]],
    generator: torch.Generator,
) -> Tensor:
    """``log p(second) - log p(first)`` of pairs of designs by the evidence bound, [pair], nats.

    -inf where the second has no state of the chain, inf where only the first has none.
    """
    condition = domain.condition(len(pairs), generator)
    seeds = torch.randint(2**62, (NUM_DRAWS,), generator=generator).tolist()

    def bound(designs: Sequence[Design]) -> Tensor:
        total = torch.full((len(designs),), -torch.inf)
        rows, clean = encoded(domain, designs)
        if clean is not None:
            given = None if condition is None else tree.index(condition, torch.tensor(rows))
            losses = [chain.loss(clean, given, torch.Generator().manual_seed(seed)) for seed in seeds]
            total[rows] = -torch.stack(losses).mean(0).cpu()
        return total

    first, second = (bound(designs) for designs in zip(*pairs, strict=True))
    return torch.where(second.isneginf(), second, second - first)
