"""The control every table needs: designs from the pre-trained chain, with nothing learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Generic, TypeVar

import torch

from seiko.domains.base import Domain
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.base import Proposal, check_num_queries
from seiko.proposers.sampling import Pool
from seiko.records import History

Design = TypeVar("Design")


@dataclass(frozen=True)
class RandomSampling(Generic[Design]):
    """Proposes plain samples; drops invalid ones and everything ever asked, and samples again for the rest.

    Args:
        domain: Tells valid designs and their identities.
        sampler: ``(n, generator) -> n designs``, from the pre-trained chain.
        max_rounds: How often the sampler is called at most in one proposal.

    Raises:
        ParameterError: If `max_rounds` is below 1, or a negative number of designs is asked for.
        NotEnoughDesignsError: If the samples held too few valid, new designs.
    """

    domain: Domain[Design]
    sampler: Callable[[int, torch.Generator], Sequence[Design]]
    _: KW_ONLY
    max_rounds: int = 20

    def __post_init__(self) -> None:
        if self.max_rounds < 1:
            raise ParameterError(f"`max_rounds` must be at least 1; got {self.max_rounds}.")

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        """As many new, valid samples as asked for, in the order they came."""
        check_num_queries(num_queries)
        pool: Pool[Design] = Pool(seen=set(history.keys))
        for _ in range(self.max_rounds):
            if len(pool.designs) >= num_queries:
                break
            pool.add(self.sampler(num_queries, generator), self.domain)
        if len(pool.designs) < num_queries:
            raise NotEnoughDesignsError(
                f"{pool.sampled} samples held {len(pool.designs)} valid designs that were not asked before; "
                f"{num_queries} are needed.",
                hint="Ask for fewer designs, raise `max_rounds`, or use a sampler with more variety.",
            )
        fraction = {"round/valid_fraction": pool.valid_fraction} if pool.sampled else {}
        return Proposal(pool.designs[:num_queries], report={"round/sampled": pool.sampled, **fraction})
