"""Designs from a chain: sampled, decoded, checked, and new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from seiko import shares, tree
from seiko.chain import Chain, sample
from seiko.domains.base import Domain
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.typing import Condition, State

Design = TypeVar("Design")


@dataclass
class Pool(Generic[Design]):
    """Valid designs that were never asked, each once, with how many samples they came from.

    Attributes:
        designs: In the order drawn.
        sampled: Samples drawn.
        valid: Samples that were valid, old ones included.
    """

    designs: list[Design] = field(default_factory=list)
    sampled: int = 0
    valid: int = 0

    @property
    def valid_fraction(self) -> float:
        return self.valid / self.sampled if self.sampled else 0.0


def draw_pool(
    chain: Chain,
    domain: Domain[Design],
    known: frozenset[str],
    *,
    least: int,
    size: int,
    generator: torch.Generator,
    max_draws: int = 10,
) -> Pool[Design]:
    """Draw `size` samples, and again while fewer than `least` new valid designs are among them.

    Raises:
        NotEnoughDesignsError: If `max_draws` draws hold fewer than `least` new valid designs.
    """
    pool: Pool[Design] = Pool()
    seen = set(known)
    for _ in range(max_draws):
        for design in draw_designs(chain, domain, size, generator):
            pool.sampled += 1
            if not domain.is_valid(design):
                continue
            pool.valid += 1
            if (key := domain.key(design)) not in seen:
                seen.add(key)
                pool.designs.append(design)
        if len(pool.designs) >= least:
            return pool
    raise NotEnoughDesignsError(
        f"{least} valid designs that were not asked before are needed; {pool.sampled} samples of the chain "
        f"held {len(pool.designs)} (valid: {pool.valid}).",
        hint="Ask for fewer designs, raise `pool_size`, or lower `kl_target` to keep the chain's variety.",
    )


def draw_designs(
    chain: Chain, domain: Domain[Design], num_samples: int, generator: torch.Generator
) -> list[Design]:
    """Samples of the chain, decoded; valid or not, with repeats."""

    def draw(size: int, own: torch.Generator) -> list[Design]:
        condition = domain.condition(size, own)
        return list(domain.decode(sample(chain, size, condition=condition, generator=own), condition))

    return [design for part in shares.current().each(num_samples, generator, draw) for design in part]


def sampler(chain: Chain, domain: Domain[Design]) -> Callable[[int, torch.Generator], Sequence[Design]]:
    """``(n, generator) -> n designs`` of a fixed chain, for rivals that start from the pre-trained law."""
    return lambda n, generator: draw_designs(chain, domain, n, generator)


def value_of_states(
    domain: Domain[Design], score: Callable[[Tensor], Tensor]
) -> Callable[[State, Condition], Tensor]:
    """An objective's value from a score of features, [batch].

    Where the domain has `soft_features` the score is taken of those, with gradients. Where it has none,
    states are decoded: a valid design has the score of its features, an invalid one -inf.
    """
    if domain.soft_features is not None:
        soft = domain.soft_features

        def soft_value(state: State, condition: Condition) -> Tensor:
            features = soft(state, condition)
            return score(features.cpu()).to(features.device)  # surrogates are small and stay on the CPU

        return soft_value

    def value(state: State, condition: Condition) -> Tensor:
        designs = domain.decode(state, condition)
        valid = [row for row, design in enumerate(designs) if domain.is_valid(design)]
        values = torch.full((tree.batch_size(state),), -torch.inf)
        if valid:
            with torch.no_grad():
                values[valid] = score(domain.features([designs[row] for row in valid])).to(values)
        return values

    return value


def diverse_batch(score: Tensor, features: Tensor, count: int, *, diversity: float) -> list[int]:
    """Greedy choice by maximal marginal relevance (Carbonell & Goldstein 1998).

    Each pick maximises ``z(score) - diversity * max over picked of cos(features)``, where z standardises the
    scores over the pool.

    Args:
        score: [n], higher is better.
        features: [n, feature].
        count: How many to choose, at most n.
        diversity: Weight of the similarity to what is chosen already, >= 0; 0 takes the top scores.

    Returns:
        Chosen rows, most wanted first.
    """
    if not diversity >= 0:
        raise ParameterError(f"`diversity` must be >= 0; got {diversity!r}.")
    spread = score.std(unbiased=False).clamp_min(1e-12)
    wanted = (score - score.mean()) / spread
    directions = torch.nn.functional.normalize(features.to(score), dim=1)
    closest, chosen = torch.zeros_like(score), []
    for _ in range(count):
        row = int((wanted - diversity * closest).argmax())
        chosen.append(row)
        wanted = wanted.index_fill(0, torch.tensor([row]), -torch.inf)
        closest = torch.maximum(closest, directions @ directions[row])
    return chosen
