"""Masked chains small enough to enumerate: exact laws by dynamic programming over partly masked states."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from seiko.chain import Chain
from seiko.chains import DiffusionChain, Masked
from seiko.networks import SequenceMLP


@dataclass(frozen=True)
class Space:
    """All (kinds + 1)^length partly masked states, in base kinds + 1 with the mask as the last digit."""

    length: int = 6
    kinds: int = 4

    def states(self) -> Tensor:
        """Digits of every partly masked state, [(kinds + 1)^length, length]."""
        return torch.tensor(list(itertools.product(range(self.kinds + 1), repeat=self.length)))

    def designs(self) -> Tensor:
        """Digits of every design, [kinds^length, length]."""
        return torch.tensor(list(itertools.product(range(self.kinds), repeat=self.length)))

    def index(self, digits: Tensor) -> Tensor:
        powers = (self.kinds + 1) ** torch.arange(self.length - 1, -1, -1)
        return (digits * powers).sum(-1)

    def one_hot(self, digits: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(digits, self.kinds + 1).float()


@torch.no_grad()
def exact_law(chain: Chain, space: Space) -> Tensor:
    """Probability of every design under a chain that reveals one position a step, [kinds^length].

    In the order of `Space.designs`.
    """
    digits = space.states()
    masked = digits == space.kinds
    number = masked.sum(1)
    steps = (space.length - number).clamp_max(space.length - 1)
    law: Any = chain.transition(space.one_hot(digits), steps)
    table = law.log_probs.double().exp()
    law = torch.zeros(len(digits), dtype=torch.float64)
    law[space.index(torch.full((space.length,), space.kinds))] = 1.0
    for left in range(space.length, 0, -1):
        rows = (number == left).nonzero()[:, 0]
        for position in range(space.length):
            here = rows[masked[rows, position]]
            for kind in range(space.kinds):
                after = digits[here].clone()
                after[:, position] = kind
                law.index_add_(0, space.index(after), law[here] / left * table[here, position, kind])
    return law[space.index(space.designs())]


def conditionals(law: Tensor, space: Space) -> Tensor:
    """Exact p(kind at a masked position | what is revealed) of a law, [states, length, kinds]."""
    shape = (space.kinds,) * space.length
    totals = law.view(shape)
    for axis in range(space.length):  # append the marginal as the mask's slice, axis by axis
        totals = torch.cat([totals, totals.sum(axis, keepdim=True)], axis)
    digits = space.states()
    table = torch.zeros(len(digits), space.length, space.kinds, dtype=torch.float64)
    flat = totals.reshape(-1)
    for position in range(space.length):
        for kind in range(space.kinds):
            after = digits.clone()
            after[:, position] = kind
            table[:, position, kind] = flat[space.index(after)]
    return table / table.sum(-1, keepdim=True)


def random_law(space: Space, seed: int, strength: float = 0.6) -> Tensor:
    """A smooth law with pairwise interactions."""
    generator = torch.Generator().manual_seed(seed)
    pairs = strength * torch.randn(
        space.length, space.length, space.kinds, space.kinds, generator=generator, dtype=torch.float64
    )
    designs, energy = space.designs(), 0.0
    for i, j in itertools.combinations(range(space.length), 2):
        energy = energy + pairs[i, j, designs[:, i], designs[:, j]]
    return energy.softmax(0)


def fitted_chain(
    law: Tensor, space: Space, *, seed: int = 0, iterations: int = 1500, width: int = 96
) -> DiffusionChain:
    """A chain whose network is trained on the exact conditionals of `law` at every partly masked state."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SequenceMLP(space.length, space.kinds + 1, outputs=space.kinds, width=width)
    chain = DiffusionChain(network, Masked(space.length, space.kinds))
    digits, target = space.states(), conditionals(law, space).float()
    masked = (digits == space.kinds).float()
    states, time = space.one_hot(digits), masked.mean(1)
    weight = masked / masked.sum(1, keepdim=True).clamp_min(1)
    # A partly masked state is met as often as the law and the order say.
    reached = _reach(law, space)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for _ in range(iterations):
        rows = torch.multinomial(reached, 512, replacement=True, generator=generator)
        log_probs = network(states[rows], time[rows], None).log_softmax(-1)
        loss = -(weight[rows] * (target[rows] * log_probs).sum(-1)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.zero_grad()
    return chain


def _reach(law: Tensor, space: Space) -> Tensor:
    """Share of a partly masked state among all that a uniformly random order meets before its last reveal."""
    shape = (space.kinds,) * space.length
    totals = law.view(shape)
    for axis in range(space.length):
        totals = torch.cat([totals, totals.sum(axis, keepdim=True)], axis)
    number = (space.states() == space.kinds).sum(1)
    orders = torch.tensor([1.0 / math.comb(space.length, m) for m in range(space.length + 1)]).double()
    return torch.where(number > 0, totals.reshape(-1) * orders[number], 0.0)


def total_variation(p: Tensor, q: Tensor) -> float:
    return float(0.5 * (p - q).abs().sum())


def tilted(value: Tensor, weights: tuple[float, ...], references: tuple[Tensor, ...]) -> Tensor:
    """``exp(value / w) prod reference^(weight / w)``, normalised; w is the sum of the weights."""
    total = sum(weights)
    log = value / total + sum(w / total * r.log() for w, r in zip(weights, references, strict=True))
    return log.softmax(0)


@dataclass(frozen=True)
class MaskedProblem:
    """A value over all designs, a pre-trained and a previous chain, and their exact laws."""

    space: Space
    pretrained: DiffusionChain
    previous: DiffusionChain
    laws: tuple[Tensor, Tensor]

    def value(self, state: Tensor, condition: object = None) -> Tensor:
        """A term of each position and of each pair, linear in each position's row, [batch]."""
        generator = torch.Generator().manual_seed(5)
        length, kinds = self.space.length, self.space.kinds
        single = 0.5 * torch.randn(length, kinds, generator=generator)
        pairs = 0.15 * torch.randn(length, kinds, length, kinds, generator=generator)
        rows = state[..., :-1]
        return torch.einsum("bld,ld->b", rows, single) + torch.einsum("bld,ldme,bme->b", rows, pairs, rows)

    def target(self, pretrained: float, previous: float) -> Tensor:
        """The closed form of the maximum, in the order of `Space.designs`."""
        value = self.value(self.space.one_hot(self.space.designs())).double()
        return tilted(value, (pretrained, previous), self.laws)


@lru_cache
def masked_problem(length: int) -> MaskedProblem:
    """Two chains over 4^length designs, fitted to two random laws."""
    space = Space(length)
    first, second = random_law(space, 0), random_law(space, 1)
    mixed = tilted(0.3 * second.log(), (1.0,), (first,))
    size = {"width": 96, "iterations": 800} if length > 4 else {"width": 48, "iterations": 400}
    pretrained = fitted_chain(first, space, seed=0, **size)
    previous = fitted_chain(mixed, space, seed=1, **size)
    return MaskedProblem(
        space, pretrained, previous, (exact_law(pretrained, space), exact_law(previous, space))
    )
