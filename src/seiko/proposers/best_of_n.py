"""Best of N by a surrogate on the frozen chain: what learning gives when the chain is never fine-tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeVar

import torch

from seiko.acquisitions import Acquisition, Mean
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.errors import ParameterError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.sampling import diverse_batch, draw_designs, draw_pool
from seiko.proposers.scoring import Score, calibration, fit_score, predict
from seiko.records import History
from seiko.surrogates.base import Surrogate
from seiko.surrogates.feasibility import FeasibilityModel

Design = TypeVar("Design")
DRAWN_AT_ONCE = 2000


@dataclass(frozen=True)
class BestOfN(Generic[Design]):
    """Asks for the best of a pool of samples of the pre-trained chain, by a surrogate of everything told.

    Each round fits the surrogate, draws `pool_size` samples of the chain and takes a diverse top batch of the
    new valid ones. Nothing but the surrogate changes from round to round.

    The model handed over in the end is the best-of-N law: draw N = `num_candidates` samples of the chain,
    give the one of the highest score. Its divergence to the chain is at most (Beirami et al. 2024,
    arXiv 2401.01879)::

        KL(best of N || p_pre) <= log N - (N - 1) / N   nats,

    with equality where no two designs score the same; the bound is reported as ``kl/pretrained_nats``. Its
    samples cost N samples of the chain each, for ever: what fine-tuning saves.

    Args:
        chain: The pre-trained chain; never changed.
        domain: What its states are.
        surrogate: Recipe of the learned stand-in for the reward.
        acquisition: What the pool is ranked by while readings follow.
        pool_size: Samples a round chooses from.
        diversity: See `diverse_batch`; 0 takes the top scores.
        feasibility: Model of the probability that a design has a reward, learned from infeasible readings.
        num_candidates: N of the law that is handed over.
        final_acquisition: What its candidates are ranked by.

    Raises:
        ParameterError: If a number is outside of what is allowed.
        NotEnoughDesignsError: If the samples held too few valid, new designs.

    Example:
        >>> from seiko import zoo
        >>> from seiko.surrogates import GaussianProcess
        >>> surrogate = GaussianProcess("tanimoto")
        >>> proposer = BestOfN(*zoo.load("qm9-graph"), surrogate=surrogate, num_candidates=4)
        >>> round(proposer.kl_bound_nats, 2)
        0.64
    """

    chain: Chain
    domain: Domain[Design]
    _: KW_ONLY
    surrogate: Surrogate
    acquisition: Acquisition = Mean()
    pool_size: int = 1000
    diversity: float = 0.0
    feasibility: FeasibilityModel = FeasibilityModel()
    num_candidates: int = 16
    final_acquisition: Acquisition = Mean()

    def __post_init__(self) -> None:
        for name, least in (("pool_size", 1), ("num_candidates", 1), ("diversity", 0)):
            if not getattr(self, name) >= least:
                raise ParameterError(f"`{name}` must be at least {least}; got {getattr(self, name)!r}.")

    @property
    def kl_bound_nats(self) -> float:
        """The most that the final law's divergence to the pre-trained chain can be, in nats."""
        return math.log(self.num_candidates) - (self.num_candidates - 1) / self.num_candidates

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """The best of a new pool; plain samples while nothing was told."""
        check_num_queries(num_queries)
        report: dict[str, Any] = dict(calibration(history))
        if num_queries == 0:
            return Proposal((), report=report | {"kl/pretrained_nats": self._kl(history)})
        score = self._score(history, self.acquisition, generator)
        pool = draw_pool(
            self.chain,
            self.domain,
            history.keys,
            least=num_queries,
            size=max(self.pool_size, num_queries) if score else num_queries,
            generator=generator,
        )
        designs, predictions = pool.designs[:num_queries], []
        if score is not None:
            features = self.domain.features(pool.designs)
            rows = diverse_batch(score.of_features(features), features, num_queries, diversity=self.diversity)
            designs = [pool.designs[row] for row in rows]
            predictions = predict(score.model, self.domain, designs)
        report |= pool.report()
        return Proposal(designs, predictions=predictions, report=report)

    def final_designs(
        self,
        history: History[Design],
        num_samples: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> list[Design]:
        """Draws of the best-of-N law, each from N samples of its own; of the chain's while nothing was told.

        An invalid candidate loses against every valid one; where all N are invalid the first is given.
        """
        score = self._score(history, self.final_acquisition, generator)
        if score is None:
            return draw_designs(self.chain, self.domain, num_samples, generator)
        designs: list[Design] = []
        groups = max(DRAWN_AT_ONCE // self.num_candidates, 1)
        while len(designs) < num_samples:
            now = min(groups, num_samples - len(designs))
            drawn = draw_designs(self.chain, self.domain, now * self.num_candidates, generator)
            designs += self._best_of_each(drawn, score)
        return designs

    def _best_of_each(self, drawn: Sequence[Design], score: Score[Design]) -> list[Design]:
        """The best of every N consecutive designs."""
        valid = [row for row, design in enumerate(drawn) if self.domain.is_valid(design)]
        values = torch.full((len(drawn),), -torch.inf, dtype=torch.float64)
        values[valid] = score([drawn[row] for row in valid])
        best = values.reshape(-1, self.num_candidates).argmax(1).tolist()
        return [drawn[group * self.num_candidates + row] for group, row in enumerate(best)]

    def _score(
        self, history: History[Design], acquisition: Acquisition, generator: torch.Generator
    ) -> Score[Design] | None:
        if not history.complete:
            return None
        return fit_score(
            history,
            self.domain,
            self.surrogate,
            acquisition,
            feasibility=self.feasibility,
            generator=generator,
        )

    def _kl(self, history: History[Design]) -> float:
        return self.kl_bound_nats if history.complete else 0.0
