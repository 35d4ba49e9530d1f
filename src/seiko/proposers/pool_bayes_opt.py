"""Bayesian optimisation over a pool: samples of the frozen chain, evolved under the acquisition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from seiko.acquisitions import Acquisition, UpperConfidenceBound
from seiko.domains.base import Domain
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.genetic import GeneticAlgorithm, told_best_first
from seiko.proposers.random import RandomSampling
from seiko.proposers.sampling import diverse_batch, numpy_rng
from seiko.proposers.scoring import Score, calibration, fit_score, predict
from seiko.records import History
from seiko.surrogates.base import Surrogate
from seiko.surrogates.feasibility import FeasibilityModel
from seiko.surrogates.gp import GaussianProcess

Design = TypeVar("Design")


@dataclass(frozen=True)
class PoolBayesOpt(Generic[Design]):
    """Gaussian-process Bayesian optimisation whose acquisition is maximised over a pool that evolves.

    The search of the acquisition by a genetic algorithm is that of GP BO in the PMO benchmark (Tripp et al.
    2021; Gao et al. 2022, arXiv 2206.12411)::

        fit       the surrogate to everything told; score = acquisition (and the feasibility model)
        pool      `pool_size` samples of the pre-trained chain, and all told designs
        evolve    `num_generations` times: the top of the pool by score are parents, its children join
        ask       a diverse top batch of what was never asked

    While fewer than two readings are complete, samples of the chain are asked.

    Differs: children join parents of any origin, the chain's samples included; the exploration is fixed
    and not drawn anew each round; the batch is diverse.

    Args:
        search: The inner genetic algorithm: domain, samples of the chain, moves, population and rates.
        surrogate: Recipe of the learned stand-in for the reward.
        acquisition: What is maximised.
        pool_size: Samples of the chain in one round's pool.
        num_generations: Generations of the search.
        num_children: Children tried in one generation.
        diversity: See `diverse_batch`, among the ten best candidates for each query; 0 takes the top scores.
        feasibility: Model of the probability that a design has a reward, learned from infeasible readings.

    Raises:
        ParameterError: If a number is outside of what is allowed.
        NotEnoughDesignsError: If the pool held too few valid, new designs.

    Example:
        >>> from seiko import zoo
        >>> from seiko.domains.molecule_moves import crossover_molecule, mutate_molecule
        >>> from seiko.proposers.sampling import sampler
        >>> chain, domain = zoo.load("qm9-graph")
        >>> moves = {"mutate": mutate_molecule, "crossover": crossover_molecule}
        >>> search = GeneticAlgorithm(domain, sampler(chain, domain), population_size=50, **moves)
        >>> proposer = PoolBayesOpt(search, surrogate=GaussianProcess("tanimoto"))
    """

    search: GeneticAlgorithm[Design]
    _: KW_ONLY
    surrogate: Surrogate = GaussianProcess()
    acquisition: Acquisition = UpperConfidenceBound()
    pool_size: int = 500
    num_generations: int = 10
    num_children: int = 200
    diversity: float = 0.5
    feasibility: FeasibilityModel = FeasibilityModel()

    def __post_init__(self) -> None:
        least = {"pool_size": 0, "num_generations": 0, "num_children": 1, "diversity": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ParameterError(f"`{name}` must be at least {bound}; got {getattr(self, name)!r}.")

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """A batch of the highest acquisition in this round's pool."""
        check_num_queries(num_queries)
        domain = self.search.domain
        report: dict[str, Any] = dict(calibration(history))
        told = [design for design, _ in told_best_first(history)]
        if num_queries == 0 or len(told) < 2:
            start = RandomSampling(domain, self.search.initial)
            proposal = start.propose(history, num_queries, resume=resume, generator=generator)
            return replace(proposal, report=report | dict(proposal.report))
        score = fit_score(
            history,
            domain,
            self.surrogate,
            self.acquisition,
            feasibility=self.feasibility,
            generator=generator,
        )
        pool = _Pool(domain, score)
        pool.add(told)
        pool.add(self.search.initial(self.pool_size, generator) if self.pool_size else ())
        before = pool.best_new(history.keys)
        self._evolve(pool, generator)
        after = pool.best_new(history.keys)
        report |= {"pool/scored": len(pool.designs), "pool/new_designs": pool.num_new(history.keys)}
        report |= {"pool/best_before": before, "pool/best_after": after}
        designs = pool.batch(history.keys, num_queries, self.diversity)
        return Proposal(designs, predictions=predict(score.model, domain, designs), report=report)

    def _evolve(self, pool: _Pool[Design], generator: torch.Generator) -> None:
        rng = numpy_rng(generator)
        for _ in range(self.num_generations):
            parents = pool.top(self.search.population_size)
            if len(parents) < 2:
                return
            children = islice(self.search.children(parents, rng), self.num_children)
            pool.add([child for child in children if child is not None])


@dataclass
class _Pool(Generic[Design]):
    """Valid designs, each once, with features and scores."""

    domain: Domain[Design]
    score: Score[Design]
    designs: dict[str, Design] = field(default_factory=dict)
    features: list[Tensor] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, designs: Sequence[Design]) -> None:
        """Score what is valid and not here yet, all in one call."""
        new: dict[str, Design] = {}
        for design in designs:
            if self.domain.is_valid(design) and (key := self.domain.key(design)) not in self.designs:
                new.setdefault(key, design)
        if new:
            features = self.domain.features(list(new.values()))
            self.designs |= new
            self.features += features.unbind()
            self.values += self.score.of_features(features).tolist()

    def top(self, count: int) -> list[Design]:
        """The designs of the highest scores, best first."""
        designs = list(self.designs.values())
        return [designs[row] for row in self._ranked()[:count]]

    def batch(self, known: frozenset[str], count: int, diversity: float) -> list[Design]:
        """A diverse batch of the best that are not known."""
        keys = list(self.designs)
        rows = [row for row in self._ranked() if keys[row] not in known][: 10 * count]
        if len(rows) < count:
            raise NotEnoughDesignsError(
                f"The pool of {len(keys)} valid designs held {len(rows)} that were not asked before; "
                f"{count} are needed.",
                hint="Ask for fewer designs, or raise `pool_size`, `num_children` or `num_generations`.",
            )
        values = torch.tensor([self.values[row] for row in rows], dtype=torch.float64)
        features = torch.stack([self.features[row] for row in rows])
        chosen = diverse_batch(values, features, count, diversity=diversity)
        return [self.designs[keys[rows[row]]] for row in chosen]

    def num_new(self, known: frozenset[str]) -> int:
        return len(self.designs.keys() - known)

    def best_new(self, known: frozenset[str]) -> float | None:
        """The highest score of a design that is not known; None where there is none."""
        pairs = zip(self.designs, self.values, strict=True)
        return max((value for key, value in pairs if key not in known), default=None)

    def _ranked(self) -> list[int]:
        return sorted(range(len(self.values)), key=lambda row: self.values[row], reverse=True)
