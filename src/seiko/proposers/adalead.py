"""AdaLead: greedy evolution of the best designs, with roll-outs that a surrogate stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from seiko.acquisitions import Acquisition, Mean
from seiko.domains.base import Crossover, Domain, Mutate
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.genetic import told_best_first
from seiko.proposers.random import RandomSampling
from seiko.proposers.sampling import numpy_rng
from seiko.proposers.scoring import Score, calibration, fit_score, predict
from seiko.records import History
from seiko.surrogates.base import Surrogate
from seiko.surrogates.feasibility import FeasibilityModel

Design = TypeVar("Design")


@dataclass(frozen=True)
class AdaLead(Generic[Design]):
    """AdaLead (Sinai et al. 2020, arXiv 2010.02141), for any kind of design that has moves.

    With best reading y*, a round is::

        parents   designs with  y >= y* - threshold |y*|
        roots     the parents, one for each query, some recombined with another parent
        roll-out  x <- mutant of x,  as long as  score(x) >= score(root)
        again from the roots, until `model_queries` designs were scored; then the best of all scored

    The score is the surrogate's (`seiko.proposers.scoring.Score`). All roots are rolled out together: a whole
    generation is scored in one call. Invalid designs and those ever asked are dropped before they are scored.
    While fewer than two readings are complete, samples of `initial` are asked.

    Differs: the surrogate is any of ours, and the feasibility model takes part in the score; recombined
    roots may be asked too; a mutant is drawn again at most `max_tries` times, and once nothing new is left
    around the roots, mutants take one move more each time, up to `max_moves`.

    Args:
        domain: Tells valid designs and their identities, and gives features.
        initial: ``(n, generator) -> n designs``, from the pre-trained chain, so that all methods start equal.
        mutate: ``(design, rng) -> design``, or None where it found no change. The paper's mutation rate mu
            belongs to it: ``partial(mutate_sequence, space=space, rate=mu / length)``.
        crossover: ``(design, design, rng) -> design``, or None where the two cannot be crossed.
        surrogate: Recipe of the learned stand-in for the reward.
        acquisition: What is made of its posterior.
        feasibility: Model of the probability that a design has a reward, learned from infeasible readings.
        threshold: How far below the best a parent may be, as a share of the best's size.
        recombination_rate: Chance of each root to be recombined.
        model_queries: Designs scored in one round, at most.
        max_tries: Mutants drawn at most to find one that is valid and new.
        max_moves: Moves that a mutant takes at most.

    Raises:
        ParameterError: If a number is outside of what is allowed.
        NotEnoughDesignsError: If fewer valid, new designs were scored than are asked for.

    Example:
        >>> from functools import partial
        >>> from seiko import zoo
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> from seiko.domains.sequence_moves import crossover_sequence, mutate_sequence
        >>> from seiko.domains.sequence_space import SequenceSpace
        >>> from seiko.proposers.sampling import sampler
        >>> from seiko.surrogates import BootstrapEnsemble
        >>> chain, domain = zoo.load("tfbind8-low")
        >>> moves = {"mutate": mutate_sequence, "crossover": crossover_sequence}
        >>> moves = {name: partial(move, space=SequenceSpace(DNA, 8)) for name, move in moves.items()}
        >>> proposer = AdaLead(domain, sampler(chain, domain), surrogate=BootstrapEnsemble(4), **moves)
    """

    domain: Domain[Design]
    initial: Callable[[int, torch.Generator], Sequence[Design]]
    _: KW_ONLY
    mutate: Mutate[Design]
    crossover: Crossover[Design]
    surrogate: Surrogate
    acquisition: Acquisition = Mean()
    feasibility: FeasibilityModel = FeasibilityModel()
    threshold: float = 0.05
    recombination_rate: float = 0.2
    model_queries: int = 2000
    max_tries: int = 20
    max_moves: int = 4

    def __post_init__(self) -> None:
        for name, least in (("model_queries", 1), ("max_tries", 1), ("max_moves", 1), ("threshold", 0)):
            if not getattr(self, name) >= least:
                raise ParameterError(f"`{name}` must be at least {least}; got {getattr(self, name)!r}.")
        if not 0 <= self.recombination_rate <= 1:
            raise ParameterError(f"`recombination_rate` must be in [0, 1]; got {self.recombination_rate!r}.")

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """The best designs of this round's roll-outs."""
        check_num_queries(num_queries)
        report: dict[str, Any] = dict(calibration(history))
        told = told_best_first(history)
        if num_queries == 0 or len(told) < 2:
            start = RandomSampling(self.domain, self.initial)
            proposal = start.propose(history, num_queries, resume=resume, generator=generator)
            return replace(proposal, report=report | dict(proposal.report))
        score = fit_score(
            history,
            self.domain,
            self.surrogate,
            self.acquisition,
            feasibility=self.feasibility,
            generator=generator,
        )
        rng = numpy_rng(generator)
        parents = [design for design, value in told if value >= told[0][1] - self.threshold * abs(told[0][1])]
        rollouts = _RollOuts(self, score, history.keys, rng)
        rollouts.run(parents, num_queries)
        designs = rollouts.best(num_queries)
        report |= {
            "adalead/parents": len(parents),
            "adalead/model_queries": len(rollouts.values),
            "adalead/candidates": len(rollouts.new),
            "adalead/generations": rollouts.generations,
        }
        return Proposal(designs, predictions=predict(score.model, self.domain, designs), report=report)


@dataclass
class _RollOuts(Generic[Design]):
    """One round's search: every design scored so far, by key."""

    settings: AdaLead[Design]
    score: Score[Design]
    known: frozenset[str]
    rng: np.random.Generator
    values: dict[str, float] = field(default_factory=dict)
    new: dict[str, Design] = field(default_factory=dict)
    generations: int = 0
    moves: int = 1

    @property
    def left(self) -> int:
        return self.settings.model_queries - len(self.values)

    def run(self, parents: Sequence[Design], num_roots: int) -> None:
        """Roll out from the parents until the model's queries are spent, or nothing new is found."""
        while self.left > 0 and self.moves <= self.settings.max_moves:
            found = len(self.values)
            roots = [self._root(parents, row) for row in range(num_roots)]
            levels = self._scored(roots)
            nodes = [
                (design, level) for design, level in zip(roots, levels, strict=True) if level is not None
            ]
            while nodes and self.left > 0:
                nodes = self._generation(nodes)
            self.moves += len(self.values) == found

    def best(self, count: int) -> list[Design]:
        """The new designs of the highest scores."""
        if len(self.new) < count:
            raise NotEnoughDesignsError(
                f"{len(self.values)} designs were scored, {len(self.new)} of them new; {count} are needed.",
                hint="Ask for fewer designs, or raise `model_queries`, `max_tries` or the rate of `mutate`.",
            )
        ranked = sorted(self.new, key=lambda key: self.values[key], reverse=True)
        return [self.new[key] for key in ranked[:count]]

    def _root(self, parents: Sequence[Design], row: int) -> Design:
        parent = parents[row % len(parents)]
        if len(parents) < 2 or self.rng.random() >= self.settings.recombination_rate:
            return parent
        other = parents[(row + 1 + int(self.rng.integers(len(parents) - 1))) % len(parents)]
        child = self.settings.crossover(parent, other, self.rng)
        return parent if child is None or not self.settings.domain.is_valid(child) else child

    def _generation(self, nodes: Sequence[tuple[Design, float]]) -> list[tuple[Design, float]]:
        """A mutant of each node; those that are at least as good as their root stay, with its level."""
        self.generations += 1
        children: dict[str, tuple[Design, float]] = {}
        for design, level in nodes[: self.left]:
            child = self._mutant(design, children)
            if child is not None:
                children[self.settings.domain.key(child)] = (child, level)
        values = self._scored([child for child, _ in children.values()])
        pairs = zip(children.values(), values, strict=True)
        return [(child, level) for (child, level), value in pairs if value is not None and value >= level]

    def _mutant(self, design: Design, taken: Mapping[str, Any]) -> Design | None:
        """A valid design near this one that was neither asked nor scored."""
        domain = self.settings.domain
        for _ in range(self.settings.max_tries):
            child: Design | None = design
            for _ in range(self.moves):
                child = None if child is None else self.settings.mutate(child, self.rng)
            if child is None or not domain.is_valid(child):
                continue
            key = domain.key(child)
            if not (key in self.known or key in self.values or key in taken):
                return child
        return None

    def _scored(self, designs: Sequence[Design]) -> list[float | None]:
        """Scores; all that are new to the model in one call. None where its queries did not suffice."""
        keys = [self.settings.domain.key(design) for design in designs]
        unseen = {k: d for k, d in zip(keys, designs, strict=True) if k not in self.values}
        asked = dict(list(unseen.items())[: self.left])
        self.values |= dict(zip(asked, self.score(list(asked.values())).tolist(), strict=True))
        self.new |= {key: design for key, design in asked.items() if key not in self.known}
        return [self.values.get(key) for key in keys]
