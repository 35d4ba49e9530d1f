"""Gradients through discrete draws: a second-order straight-through estimator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seiko.chain import Chain
from seiko.distributions import Categorical, Distribution, Product, Reveal
from seiko.typing import Condition, State


@dataclass(frozen=True)
class Relaxed:
    """A law with the same draws, densities and divergences, whose ``rsample`` has a smaller bias.

    Attributes:
        law: The law; only its discrete parts differ.
    """

    law: Any

    def sample(self, generator: torch.Generator | None = None) -> Any:
        return self.law.sample(generator)

    def rsample(self, generator: torch.Generator | None = None) -> Any:
        if isinstance(self.law, Product):
            return {name: Relaxed(part).rsample(generator) for name, part in self.law.parts.items()}
        if isinstance(self.law, Categorical):
            return with_gradient(self.law.log_probs, self.law.sample(generator))
        if isinstance(self.law, Reveal):
            return _revealed(self.law, self.law.sample(generator))
        return self.law.rsample(generator)

    def log_prob(self, state: State) -> Tensor:
        return self.law.log_prob(state)

    def kl(self, other: Any) -> Tensor:
        return self.law.kl(other)


def _revealed(law: Reveal, drawn: Tensor) -> Tensor:
    chosen = law.masked & (drawn[..., -1] <= 0.5)
    clean = with_gradient(law.log_probs, drawn[..., :-1])
    return torch.where(chosen[..., None], nn.functional.pad(clean, (0, 1)), law.state)


def with_gradient(log_probs: Tensor, hard: Tensor) -> Tensor:
    """The one-hot rows `hard`, with ReinMax's gradient (Liu et al. 2023, Algorithm 2), [..., kinds].

    With p the probabilities and m = (p + hard) / 2, the row's gradient is that of
    ``2 softmax(log m) - softmax(log p) / 2``, the logarithms moving with the logits. Its mean is exact if
    what follows is quadratic in the row; plain straight-through is exact only if it is linear, and the Gumbel
    relaxation at a finite temperature not even then.

    Args:
        log_probs: Normalised, in nats, [..., kinds].
        hard: The draw, one-hot, [..., kinds].
    """
    finite = log_probs.clamp_min(-1e9)  # a finite floor keeps (-inf) - (-inf) out of the gradient
    probs = finite.softmax(-1)
    middle = (0.5 * (probs + hard)).detach().log().clamp_min(-1e9)
    soft = 2 * (finite + (middle - finite.detach())).softmax(-1) - 0.5 * probs
    return hard.detach() + (soft - soft.detach())  # in this order the values are exactly one-hot


class RelaxedDraws:
    """The same chain, with `Relaxed` steps."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.num_steps = chain, chain.num_steps

    def initial(self, batch_size: int, condition: Condition = None) -> Distribution:
        return self.chain.initial(batch_size, condition)

    def transition(self, state: State, step: int | Tensor, condition: Condition = None) -> Distribution:
        return Relaxed(self.chain.transition(state, step, condition))

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return self.chain.parameters(recurse)
