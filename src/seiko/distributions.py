"""Distributions of one step of a chain: independent rows, exact log-densities and divergences in nats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seiko import draws
from seiko.errors import ParameterError, ShapeError
from seiko.tree import expand, sum_event
from seiko.typing import State


class Distribution(Protocol):
    """A law over states whose rows are independent.

    ``rsample`` lets gradients through; for discrete laws it is the straight-through estimator, which is
    biased. ``log_prob`` and ``kl`` are summed over the coordinates of a row and are in nats, shape [batch];
    ``kl`` is exact, and infinite where the supports differ.
    """

    def sample(self, generator: torch.Generator | None = None) -> State: ...
    def rsample(self, generator: torch.Generator | None = None) -> State: ...
    def log_prob(self, state: Any) -> Tensor: ...
    def kl(self, other: Any) -> Tensor: ...


def _check_same(name: str, ours: Tensor, other: Tensor) -> None:
    if ours.shape != other.shape:
        raise ShapeError(f"`{name}` must have shape {list(ours.shape)}; got {list(other.shape)}.")
    if ours.device != other.device:
        raise ShapeError(f"`{name}` must be on device {ours.device}; got {other.device}.")


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian with rows [batch, *event].

    Attributes:
        mean: [batch, *event].
        scale: Standard deviation, broadcastable to `mean`; 0 is a point mass.
        free: [batch, *event] bool; a False coordinate is padding, is 0, and counts nowhere.

    Example:
        >>> scale = torch.tensor(1.0)
        >>> a, b = Gaussian(torch.zeros(1, 2), scale), Gaussian(torch.ones(1, 2), scale)
        >>> a.kl(b)
        tensor([1.])
    """

    mean: Tensor
    scale: Tensor
    free: Tensor | None = None

    def _masked(self, tensor: Tensor) -> Tensor:
        return tensor if self.free is None else torch.where(self.free, tensor, tensor.new_zeros(()))

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        return self._masked(self.mean + self.scale * draws.randn_like(self.mean, generator))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self.rsample(generator).detach()

    def log_prob(self, state: Tensor) -> Tensor:
        """Log-density in nats, summed over free coordinates, [batch]; where scale is 0, 0 or -inf."""
        _check_same("state", self.mean, state)
        scale = self.scale.expand_as(self.mean)
        is_point = scale <= 0
        safe = torch.where(is_point, torch.ones_like(scale), scale)
        density = -0.5 * ((state - self.mean) / safe) ** 2 - safe.log() - 0.5 * math.log(2 * math.pi)
        point = torch.where(state == self.mean, 0.0, -math.inf).to(density)
        return sum_event(self._masked(torch.where(is_point, point, density)))

    def kl(self, other: Gaussian) -> Tensor:
        """Exact KL(self || other), in nats, summed over free coordinates, [batch].

        With equal scales it is the squared distance of the means over twice the variance.

        Raises:
            ShapeError: If the two means differ in shape.
        """
        _check_same("other.mean", self.mean, other.mean)
        ours, theirs = self.scale.expand_as(self.mean), other.scale.expand_as(other.mean)
        usable = (ours > 0) & (theirs > 0)
        one = torch.ones_like(ours)
        safe_ours, safe_theirs = torch.where(usable, ours, one), torch.where(usable, theirs, one)
        ratio = (safe_ours / safe_theirs) ** 2
        distance = ((self.mean - other.mean) / safe_theirs) ** 2
        same_point = (ours == theirs) & (self.mean == other.mean)
        point = torch.where(same_point, 0.0, math.inf).to(distance)
        return sum_event(self._masked(torch.where(usable, 0.5 * (ratio - 1 - ratio.log() + distance), point)))


def gumbel(log_probs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Log-probabilities plus Gumbel noise: the arg max is an exact draw."""
    tiny = torch.finfo(log_probs.dtype).tiny
    uniform = draws.rand(log_probs.shape, log_probs.device, generator, log_probs.dtype)
    return log_probs - (-uniform.clamp_min(tiny).log()).clamp_min(tiny).log()


def _one_hot(kinds: Tensor, like: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(kinds, like.shape[-1]).to(like.dtype)


def _draw_rows(log_probs: Tensor, generator: torch.Generator | None, *, straight_through: bool) -> Tensor:
    noisy = gumbel(log_probs.detach() if not straight_through else log_probs, generator)
    hard = _one_hot(noisy.argmax(-1), log_probs)
    if not straight_through:
        return hard
    # A finite floor keeps the softmax's gradient free of (-inf) - (-inf).
    soft = noisy.clamp_min(-1e9).softmax(-1)
    return hard + (soft - soft.detach())  # in this order the values are exactly one-hot


def categorical_kl(ours: Tensor, theirs: Tensor) -> Tensor:
    """Sum over the last axis of p (log p - log q), in nats; inf where q = 0 < p."""
    possible, missed = ours > -math.inf, theirs == -math.inf
    both = possible & ~missed
    difference = torch.where(both, ours, 0.0) - torch.where(both, theirs, 0.0)
    probs = torch.where(possible, ours, -1e9).exp()
    infinite = torch.where(possible & missed, math.inf, 0.0).to(ours)
    return torch.where(both, probs * difference, infinite).sum(-1)


@dataclass(frozen=True)
class Categorical:
    """Independent categorical positions; a state is one-hot rows [batch, length, kinds].

    Attributes:
        log_probs: Normalised log-probabilities in nats, [batch, length, kinds]; -inf outside the support.
        free: [batch, length] bool; a False position is padding and counts nowhere.

    Example:
        >>> fair = Categorical.from_logits(torch.zeros(1, 3, 2))
        >>> fair.log_prob(fair.sample(torch.Generator().manual_seed(0)))
        tensor([-2.0794])
    """

    log_probs: Tensor
    free: Tensor | None = None

    @classmethod
    def from_logits(cls, logits: Tensor, free: Tensor | None = None) -> Categorical:
        return cls(logits.log_softmax(-1), free)

    @classmethod
    def from_probs(cls, probs: Tensor, free: Tensor | None = None) -> Categorical:
        positive = probs > 0
        return cls(torch.where(positive, torch.where(positive, probs, 1.0).log(), -math.inf), free)

    @property
    def probs(self) -> Tensor:
        return self.log_probs.exp()

    def _sum(self, per_position: Tensor) -> Tensor:
        if self.free is not None:
            per_position = torch.where(self.free, per_position, 0.0)
        return sum_event(per_position)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return _draw_rows(self.log_probs, generator, straight_through=False)

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """Straight-through Gumbel draw: one-hot values, the gradient of the relaxed row (biased)."""
        return _draw_rows(self.log_probs, generator, straight_through=True)

    def log_prob(self, state: Tensor) -> Tensor:
        _check_same("state", self.log_probs, state)
        return self._sum(torch.where(state > 0.5, self.log_probs, 0.0).sum(-1))

    def kl(self, other: Categorical) -> Tensor:
        """Exact KL(self || other), in nats, summed over free positions, [batch]."""
        _check_same("other.log_probs", self.log_probs, other.log_probs)
        return self._sum(categorical_kl(self.log_probs, other.log_probs))


@dataclass(frozen=True)
class Reveal:
    """Reveal exactly `count` of the masked positions, chosen uniformly; what stands there is categorical.

    A state is one-hot rows [batch, length, kinds + 1] whose last kind is the mask. With m masked positions

    ``log p(next | state) = -log C(m, count) + sum over revealed positions of log p(kind)``

    and, since which positions are revealed does not depend on weights,
    ``KL(p || q) = count / m * sum over masked positions of KL(p_position || q_position)``: the average over
    the choice is taken exactly and adds no noise.

    Attributes:
        log_probs: Over the clean kinds, in nats, [batch, length, kinds].
        state: The state before, [batch, length, kinds + 1].
        count: How many positions are revealed, [batch] integers; at most the number masked.
    """

    log_probs: Tensor
    state: Tensor
    count: Tensor

    @property
    def masked(self) -> Tensor:
        """Which positions are still masked, [batch, length] bool."""
        return self.state[..., -1] > 0.5

    def _draw(self, generator: torch.Generator | None, *, straight_through: bool) -> Tensor:
        masked = self.masked
        order = draws.rand(masked.shape, masked.device, generator).masked_fill(~masked, 2.0)
        rank = order.argsort(1).argsort(1)
        chosen = masked & (rank < self.count[:, None])
        clean = _draw_rows(self.log_probs, generator, straight_through=straight_through)
        return torch.where(chosen[..., None], torch.nn.functional.pad(clean, (0, 1)), self.state)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self._draw(generator, straight_through=False).detach()

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """Straight-through Gumbel values at the revealed positions (biased)."""
        return self._draw(generator, straight_through=True)

    def log_prob(self, state: Tensor) -> Tensor:
        _check_same("state", self.state, state)
        masked, revealed = self.masked, self.masked & (state[..., -1] <= 0.5)
        chosen = revealed[..., None] & (state[..., :-1] > 0.5)
        values = torch.where(chosen, self.log_probs, 0.0).sum((-1, -2))
        kept = ((state > 0.5) == (self.state > 0.5)).all(-1) | revealed
        possible = kept.all(-1) & (revealed.sum(-1) == self.count)
        total, count = masked.sum(-1).to(values), self.count.to(values)
        choices = torch.lgamma(total + 1) - torch.lgamma(count + 1) - torch.lgamma(total - count + 1)
        return torch.where(possible, values - choices, -math.inf)

    def kl(self, other: Reveal) -> Tensor:
        """Exact KL(self || other) in nats, [batch]; infinite if the two start or count differently."""
        _check_same("other.log_probs", self.log_probs, other.log_probs)
        masked = self.masked
        per_position = torch.where(masked, categorical_kl(self.log_probs, other.log_probs), 0.0)
        share = (self.count / masked.sum(-1).clamp_min(1).to(per_position)).to(per_position)
        same_state = ((self.state > 0.5) == (other.state > 0.5)).all(-1).all(-1)
        same = same_state & (self.count == other.count)
        # No reveal, no divergence: not 0 * inf.
        total = torch.where(self.count > 0, per_position.sum(-1), 0.0)
        return torch.where(same, share * total, math.inf)


@dataclass(frozen=True)
class Product:
    """Independent leaves of a state; divergences and log-densities add."""

    parts: Mapping[str, Any]

    def sample(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return {name: part.sample(generator) for name, part in self.parts.items()}

    def rsample(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return {name: part.rsample(generator) for name, part in self.parts.items()}

    def log_prob(self, state: Mapping[str, Tensor]) -> Tensor:
        return self._total({name: part.log_prob(state[name]) for name, part in self.parts.items()})

    def kl(self, other: Product) -> Tensor:
        if self.parts.keys() != other.parts.keys():
            raise ParameterError(
                f"Both products must have the leaves {sorted(self.parts)}; got {sorted(other.parts)}."
            )
        return self._total({name: part.kl(other.parts[name]) for name, part in self.parts.items()})

    @staticmethod
    def _total(values: Mapping[str, Tensor]) -> Tensor:
        return torch.stack(list(values.values())).sum(0)


def point_mass(state: Tensor) -> Gaussian:
    """The law that always gives `state`."""
    return Gaussian(state, expand(state.new_zeros(()), state))
