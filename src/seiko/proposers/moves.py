"""Children of designs by small random changes, without a chain: mutation and crossover."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

Design = TypeVar("Design")
Mutate = Callable[[Design, np.random.Generator], Design | None]
"""``(design, rng) -> design``, or None where it found no change."""

Crossover = Callable[[Design, Design, np.random.Generator], Design | None]
"""``(design, design, rng) -> design``, or None where the two cannot be crossed."""


def children(
    parents: Sequence[Design],
    rng: np.random.Generator,
    *,
    mutate: Mutate[Design],
    crossover: Crossover[Design],
    crossover_rate: float,
    mutation_rate: float,
    selection_pressure: float = 0.0,
) -> Iterator[Design | None]:
    """Children of designs, best first, without end; None where a move found nothing.

    A parent of rank r, from 0, among n is drawn with weight ``exp(-selection_pressure * r / n)``. A child is
    the crossover of two parents with probability `crossover_rate`, else a copy of one; copies are always
    mutated, crossovers with probability `mutation_rate`.

    Example:
        >>> moves = {"mutate": lambda word, rng: word + "!", "crossover": lambda a, b, rng: a + b}
        >>> rng = np.random.default_rng(0)
        >>> next(children(["ab", "cd"], rng, **moves, crossover_rate=0.0, mutation_rate=0.0))
        'cd!'
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
        yield child
