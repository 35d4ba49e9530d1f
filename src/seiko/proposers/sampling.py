"""Designs from a chain: sampled, decoded, checked, and new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from seiko import shares, tree
from seiko.chain import Chain, SupportsVariation, sample
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
        seen: Keys of the designs, and of those that were asked.
    """

    designs: list[Design] = field(default_factory=list)
    sampled: int = 0
    valid: int = 0
    seen: set[str] = field(default_factory=set, repr=False)

    def add(self, samples: Sequence[Design], domain: Domain[Design]) -> list[Design]:
        """Take samples in; those that are valid and new are returned."""
        fresh: list[Design] = []
        for design in samples:
            self.sampled += 1
            if not domain.is_valid(design):
                continue
            self.valid += 1
            if (key := domain.key(design)) not in self.seen:
                self.seen.add(key)
                fresh.append(design)
        self.designs += fresh
        return fresh

    @property
    def valid_fraction(self) -> float:
        return self.valid / self.sampled if self.sampled else 0.0

    def report(self) -> dict[str, float]:
        """Its numbers, for the report of a round."""
        return {
            "round/sampled": self.sampled,
            "round/valid_fraction": self.valid_fraction,
            "round/new_designs": len(self.designs),
        }


def draw_pool(
    chain: Chain,
    domain: Domain[Design],
    known: frozenset[str],
    *,
    least: int,
    size: int,
    generator: torch.Generator,
    max_draws: int = 10,
    short: bool = False,
) -> Pool[Design]:
    """Draw `size` samples, and again while fewer than `least` new valid designs are among them.

    Raises:
        NotEnoughDesignsError: If `max_draws` draws hold fewer than `least` new valid designs, unless a
            `short` pool will do.
    """
    draw = sampler(chain, domain)
    return fill_pool(
        draw, domain, known, least=least, size=size, generator=generator, max_draws=max_draws, short=short
    )


def fill_pool(
    draw: Callable[[int, torch.Generator], Sequence[Design]],
    domain: Domain[Design],
    known: frozenset[str],
    *,
    least: int,
    size: int,
    generator: torch.Generator,
    max_draws: int = 10,
    short: bool = False,
) -> Pool[Design]:
    """`draw_pool` from anything that draws: ``(n, generator) -> n designs``."""
    pool: Pool[Design] = Pool(seen=set(known))
    for _ in range(max_draws):
        pool.add(draw(size, generator), domain)
        if len(pool.designs) >= least:
            return pool
    if short:
        return pool
    raise NotEnoughDesignsError(
        f"{least} valid designs that were not asked before are needed; {pool.sampled} samples of the chain "
        f"held {len(pool.designs)} (valid: {pool.valid}).",
        hint="Ask for fewer designs, raise `pool_size`, or lower `kl_target` to keep the chain's variety.",
    )


def top_up(
    pool: Pool[Design],
    draw: Callable[[int, torch.Generator], Sequence[Design]],
    domain: Domain[Design],
    *,
    least: int,
    size: int,
    generator: torch.Generator,
) -> dict[str, float]:
    """Fill a pool with samples of the pre-trained chain where its own chain has lost the variety for `least`.

    Returns:
        The report of the pool's own samples, and ``round/from_pretrained`` where others were taken.

    Raises:
        NotEnoughDesignsError: If the pre-trained chain has not enough new valid designs either.
    """
    report = pool.report()
    if (missing := least - len(pool.designs)) > 0:
        more = fill_pool(draw, domain, frozenset(pool.seen), least=missing, size=size, generator=generator)
        report["round/from_pretrained"] = len(more.designs)
        pool.designs += more.designs
        pool.seen |= more.seen
    return report


def draw_designs(
    chain: Chain, domain: Domain[Design], num_samples: int, generator: torch.Generator
) -> list[Design]:
    """Samples of the chain, decoded; valid or not, with repeats."""

    def draw(size: int, own: torch.Generator) -> list[Design]:
        condition = domain.condition(size, own)
        return list(domain.decode(sample(chain, size, condition=condition, generator=own), condition))

    return [design for part in shares.current().each(num_samples, generator, draw) for design in part]


@torch.no_grad()
def draw_variations(
    chain: Chain,
    domain: Domain[Design],
    parents: Sequence[Design],
    count: int,
    generator: torch.Generator,
    *,
    crossover_rate: float = 0.0,
) -> list[Design]:
    """Parents partly written anew by the chain: see its `variations`.

    What has no state of the chain is left out.

    Args:
        chain: Writes.
        domain: With `encode`.
        parents: Valid designs, drawn evenly.
        count: Children.
        generator: Of all randomness.
        crossover_rate: Share of the children that are of two parents, where designs can be crossed.

    Raises:
        ParameterError: If the chain cannot vary states, or the domain cannot encode designs.
    """
    if not isinstance(chain, SupportsVariation) or domain.encode is None:
        raise ParameterError(
            "Variations of designs need a chain with `variations` and a domain with `encode`.",
            hint="Set `num_generations` to 0.",
        )

    def write(size: int, own: torch.Generator) -> list[Design]:
        _, clean = encoded(domain, _crossed(domain, parents, size, own, crossover_rate))
        if clean is None:
            return []
        condition = domain.condition(tree.batch_size(clean), own)
        varied = chain.variations(clean, condition, own)
        return [design for state, given in varied for design in domain.decode(state, given)]

    return [design for part in shares.current().each(count, generator, write) for design in part]


def encoded(domain: Domain[Design], designs: Sequence[Design]) -> tuple[list[int], State | None]:
    """Which designs have a state of the chain, and the states of these; None where none has one."""
    assert domain.encode is not None
    try:
        return list(range(len(designs))), domain.encode(designs)
    except ParameterError:
        if len(designs) < 2:
            return [], None
        alone = ((row, encoded(domain, [design])[1]) for row, design in enumerate(designs))
        found = {row: state for row, state in alone if state is not None}
        return list(found), tree.concat(list(found.values())) if found else None


def _crossed(
    domain: Domain[Design], parents: Sequence[Design], count: int, generator: torch.Generator, rate: float
) -> list[Design]:
    """As many valid designs as wanted, a share of them crossed from two parents where the domain can."""
    chosen = [parents[row] for row in torch.randint(len(parents), (count,), generator=generator).tolist()]
    if domain.crossover is None or rate == 0:
        return chosen
    rng = numpy_rng(generator)
    for row in range(round(rate * count)):
        child = domain.crossover(chosen[row], parents[int(rng.integers(len(parents)))], rng)
        if child is not None and domain.is_valid(child):
            chosen[row] = child
    return chosen


def sampler(chain: Chain, domain: Domain[Design]) -> Callable[[int, torch.Generator], Sequence[Design]]:
    """``(n, generator) -> n designs`` of a fixed chain, for rivals that start from the pre-trained law."""
    return lambda n, generator: draw_designs(chain, domain, n, generator)


def value_of_states(
    domain: Domain[Design], score: Callable[[Tensor], Tensor]
) -> Callable[[State, Condition], Tensor]:
    """An objective's value from a score of features, [batch].

    Where the domain has `soft_features` the score is taken of those, with gradients; whether a state is a
    valid design is then for `feasible_states` to say. Where it has none, states are decoded: a valid design
    has the score of its features, an invalid one -inf.
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


def feasible_states(domain: Domain[Any]) -> Callable[[State, Condition], Tensor] | None:
    """Which states are valid designs, bool [batch]; None where `value_of_states` says it or all are."""
    if domain.soft_features is None or domain.always_valid:
        return None

    @torch.no_grad()
    def feasible(state: State, condition: Condition) -> Tensor:
        return torch.tensor([domain.is_valid(design) for design in domain.decode(state, condition)])

    return feasible


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


def thompson_batch(draws: Tensor) -> list[int]:
    """Of each drawn function the best candidate that no earlier one took (Hernández-Lobato et al. 2017).

    A batch by Thompson sampling (arXiv 1706.01825): as many tries of a region as the posterior gives chances.

    Args:
        draws: Jointly drawn values of all candidates, [draw, candidate], at least as many candidates.

    Returns:
        Chosen columns, one a draw.

    Example:
        >>> thompson_batch(torch.tensor([[1.0, 3.0, 2.0], [0.0, 9.0, 4.0]]))
        [1, 2]
    """
    values, chosen = draws.clone(), []
    for row in values:
        chosen.append(int(row.argmax()))
        values[:, chosen[-1]] = -torch.inf
    return chosen


def numpy_rng(generator: torch.Generator) -> np.random.Generator:
    """NumPy's generator, seeded by the next number of torch's."""
    seed = torch.randint(2**63 - 1, (1,), generator=generator, device=generator.device)
    return np.random.default_rng(int(seed))
