"""A rival without a surrogate: selection, crossover and mutation of the best designs so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch

from seiko.domains.base import Crossover, Domain, Mutate
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.moves import children
from seiko.proposers.sampling import numpy_rng
from seiko.records import History

Design = TypeVar("Design")


@dataclass(frozen=True)
class GeneticAlgorithm(Generic[Design]):
    """Children of the best designs told so far; the first round is samples of the pre-trained chain.

    The population is the best designs of the history (of its last round without `elitist`), so nothing but
    the history is remembered. A parent of rank r, from 0, among n is drawn with weight
    ``exp(-selection_pressure * r / n)``. A child is the crossover of two parents with probability
    `crossover_rate`, else a copy of one; copies are always mutated, crossovers with probability
    `mutation_rate`. Invalid children and those ever asked are dropped before they cost a query.

    The defaults were the best of a grid on penalised logP of molecules of at most 9 heavy atoms, with
    5 rounds of 60 queries; a larger budget or a more rugged reward may want a larger population.

    Args:
        domain: Tells valid designs and their identities.
        initial: ``(n, generator) -> n designs``, from the pre-trained chain, so that all methods start equal.
        mutate: ``(design, rng) -> design``, or None where it found no change.
        crossover: ``(design, design, rng) -> design``, or None where the two cannot be crossed.
        population_size: The most designs that may be parents.
        selection_pressure: 0 draws all parents alike.
        mutation_rate: In [0, 1].
        crossover_rate: In [0, 1].
        elitist: Whether good designs of any round stay parents, and not only those of the last round.
        max_tries: Children tried at most for each design asked for.

    Raises:
        ParameterError: If a number is outside of what is allowed.
        NotEnoughDesignsError: If `max_tries` children for each design asked for held too few valid, new ones.
    """

    domain: Domain[Design]
    initial: Callable[[int, torch.Generator], Sequence[Design]]
    _: KW_ONLY
    mutate: Mutate[Design]
    crossover: Crossover[Design]
    population_size: int = 5
    selection_pressure: float = 2.0
    mutation_rate: float = 0.1
    crossover_rate: float = 0.9
    elitist: bool = True
    max_tries: int = 200

    def __post_init__(self) -> None:
        for name, least in (("population_size", 2), ("max_tries", 1), ("selection_pressure", 0)):
            if not getattr(self, name) >= least:
                raise ParameterError(f"`{name}` must be at least {least}; got {getattr(self, name)}.")
        for name in ("mutation_rate", "crossover_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"`{name}` must be in [0, 1]; got {getattr(self, name)}.")

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """New children of the population; samples of `initial` while fewer than two designs were told."""
        check_num_queries(num_queries)
        population = self._population(history)
        if len(population) < 2:
            candidates: Iterator[Design | None] = self._samples(num_queries, generator)
        else:
            candidates = self.children(population, numpy_rng(generator))
        designs, tried = self._new(candidates, num_queries, history.keys)
        return Proposal(designs, report={"genetic/population": len(population), "genetic/tried": tried})

    def _population(self, history: History[Design]) -> list[Design]:
        """The best told designs, best first."""
        last = max((trial.round for trial in history.complete), default=0)
        only = None if self.elitist else last
        return [design for design, _ in told_best_first(history, only)][: self.population_size]

    def _samples(self, num_queries: int, generator: torch.Generator) -> Iterator[Design]:
        while samples := self.initial(num_queries, generator):
            yield from samples

    def children(self, population: Sequence[Design], rng: np.random.Generator) -> Iterator[Design | None]:
        """Of designs, best first, without end; None where a move found nothing."""
        pairs = children(
            population,
            rng,
            mutate=self.mutate,
            crossover=self.crossover,
            crossover_rate=self.crossover_rate,
            mutation_rate=self.mutation_rate,
            selection_pressure=self.selection_pressure,
        )
        return (child for _, child in pairs)

    def _new(
        self, candidates: Iterator[Design | None], num_queries: int, known: frozenset[str]
    ) -> tuple[list[Design], int]:
        """The first valid, new designs among the candidates, and how many candidates were tried."""
        new: dict[str, Design] = {}
        tried = 0
        for candidate in islice(candidates, self.max_tries * num_queries):
            tried += 1
            if candidate is not None and self.domain.is_valid(candidate):
                key = self.domain.key(candidate)
                if key not in known:
                    new.setdefault(key, candidate)
            if len(new) == num_queries:
                break
        if len(new) < num_queries:
            raise NotEnoughDesignsError(
                f"{tried} candidates held {len(new)} valid designs that were not asked before; "
                f"{num_queries} are needed.",
                hint="Ask for fewer designs, or raise `max_tries`, `mutation_rate` or `population_size`.",
            )
        return list(new.values()), tried


def told_best_first(history: History[Design], round_: int | None = None) -> list[tuple[Design, float]]:
    """Complete designs and readings, best first, of one round or of all; one told twice has its mean."""
    told: dict[str, list[float]] = {}
    designs: dict[str, Design] = {}
    for trial in history.complete:
        if trial.value is not None and round_ in (None, trial.round):
            told.setdefault(trial.key, []).append(trial.value)
            designs.setdefault(trial.key, trial.design)
    means = {key: sum(values) / len(values) for key, values in told.items()}
    return [(designs[key], means[key]) for key in sorted(means, key=means.__getitem__, reverse=True)]
