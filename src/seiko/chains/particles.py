"""Tempered sequential Monte Carlo: weighted samples of a chain tilted by a value, without training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import torch
from torch import Tensor

from seiko import tree
from seiko.chain import Chain
from seiko.chains.clean import can_look_ahead, look_ahead
from seiko.chains.guided import Guided, Look
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.typing import Condition, State

Value = Callable[[State, Condition], Tensor]


@dataclass(frozen=True)
class Particles:
    """Weighted samples.

    Attributes:
        states: Last states, leaves [n, ...].
        condition: Of each, one row a particle.
        weights: Normalised, [n].
        values: Of the last states, [n]; -inf where infeasible.
        log_normaliser: Estimate of ``log E_chain[exp(scale * value)]``, in nats.
        divergence: Estimate of the tilted law's KL to the chain in nats, ``scale E[value] - log_normaliser``.
        num_resampled: Steps at which particles were resampled.
    """

    states: State
    condition: Condition
    weights: Tensor
    values: Tensor
    log_normaliser: float
    divergence: float
    num_resampled: int

    @property
    def effective_share(self) -> float:
        """Effective sample size of the weights as a share of the particles, in (0, 1]."""
        return float(1 / (self.weights.square().sum() * len(self.weights)))

    def resampled(self, count: int, generator: torch.Generator) -> tuple[State, Condition]:
        """`count` equally weighted particles, in random order, with the condition of each."""
        rows = systematic(self.weights, count, generator)
        rows = rows[torch.randperm(count, generator=generator)]
        return tree.index(self.states, rows), _rows(self.condition, rows)


@dataclass(frozen=True)
class TemperedParticles:
    """Particles of ``p proportional to p_chain exp(scale * value)`` (DAS: Kim et al. 2025, arXiv 2501.05803).

    With x(s) the clean state that the chain expects at state s, the laws that lead there are
    ``p_chain(s_k) exp(lambda_k scale value(x(s_k)))`` with 0 = lambda_0 < ... < lambda_K = 1. A particle
    moves by a proposal q, and its weight is multiplied by

    ``p(s' | s) / q(s' | s) * exp(lambda' scale value(x(s')) - lambda scale value(x(s)))``.

    Where the effective sample size falls below `min_effective` of the particles, they are resampled
    (systematically). The weighted law is the tilted one exactly in the limit of many particles, however poor
    the expected states are: at the last step the value is that of the state itself, and what was credited
    before is taken off again.

    ====================== ============================== ===========================================
    here                   in the paper                   differs
    ====================== ============================== ===========================================
    ``lambda_k``           ``(1 + gamma)^k - 1``, capped  ``(growth^(k/K) - 1) / (growth - 1)``: the
                                                          same form, 1 at the end for every K
    ``scale``              1 / alpha
    ``proposal="guided"``  mean + variance * gradient     `Guided` with scale ``lambda_{k+1} scale``:
                                                          for discrete chains too
    ``proposal="chain"``                                  the chain's own step: no gradient needed
    ====================== ============================== ===========================================

    Args:
        chain: Frozen. One whose clean state cannot be expected is only weighted at the last step.
        value: ``(state, condition) -> [batch]`` of last states, in units of 1 / scale; -inf where infeasible.
        scale: Nats for each unit of value.
        expected_value: The same for expected clean states; `value` if None. Where it is -inf the lowest of
            the others counts: an unlikely decoding on the way is no verdict.
        proposal: "guided" needs gradients of `expected_value`.
        growth: How far the tempering is bent towards the end, > 1; near 1 it is linear.
        min_effective: In [0, 1]; 1 resamples at every step, 0 never.
        batch_size: Rows run at once; it bounds memory.

    Raises:
        ParameterError: If a number or name is outside of what is allowed.

    Example:
        >>> from seiko.chains import DiffusionChain, Masked
        >>> from seiko.networks import SequenceMLP
        >>> chain = DiffusionChain(SequenceMLP(3, 5, outputs=4), Masked(length=3, kinds=4))
        >>> sampler = TemperedParticles(chain, lambda state, condition: state[..., 0].sum(1), scale=2.0)
        >>> particles = sampler.draw(100, generator=torch.Generator().manual_seed(0))
        >>> bool((particles.weights * particles.values).sum() > 1.5)
        True
    """

    chain: Chain
    value: Value
    _: KW_ONLY
    scale: float = 1.0
    expected_value: Value | None = None
    proposal: Literal["chain", "guided"] = "chain"
    growth: float = 2.0
    min_effective: float = 0.5
    batch_size: int = 256

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ParameterError(f"`scale` must be a finite number >= 0; got {self.scale!r}.")
        if self.proposal not in ("chain", "guided"):
            raise ParameterError(f'`proposal` must be "chain" or "guided"; got {self.proposal!r}.')
        if not (math.isfinite(self.growth) and self.growth > 1):
            raise ParameterError(f"`growth` must be a finite number > 1; got {self.growth!r}.")
        if not 0 <= self.min_effective <= 1:
            raise ParameterError(f"`min_effective` must be in [0, 1]; got {self.min_effective!r}.")
        if self.batch_size < 1:
            raise ParameterError(f"`batch_size` must be at least 1; got {self.batch_size!r}.")

    @property
    def tempering(self) -> Tensor:
        """lambda_0, ..., lambda_K, [num_steps + 1]."""
        share = torch.linspace(0, 1, self.chain.num_steps + 1, dtype=torch.float64)
        return (self.growth**share - 1) / (self.growth - 1)

    def draw(
        self, num_particles: int, *, condition: Condition = None, generator: torch.Generator
    ) -> Particles:
        """Run the particles from noise to data, without gradients.

        Raises:
            ParameterError: If fewer than 2 particles are asked for.
            NotEnoughDesignsError: If no particle ends at a feasible state.
        """
        if num_particles < 2:
            raise ParameterError(f"`num_particles` must be at least 2; got {num_particles!r}.")
        with torch.no_grad():
            cloud = _Cloud(
                self.chain.initial(num_particles, condition).sample(generator),
                condition,
                torch.zeros(num_particles, dtype=torch.float64),
                torch.zeros(num_particles, dtype=torch.float64),
            )
            guide = self._guide()
            for step in range(self.chain.num_steps):
                self._advance(cloud, step, guide, generator)
            return self._finished(cloud)

    def _guide(self) -> Guided | None:
        if self.proposal != "guided":
            return None
        scales = self.scale * self.tempering[1:]
        return Guided(self.chain, self.expected_value or self.value, scale=scales)

    def _advance(self, cloud: _Cloud, step: int, guide: Guided | None, generator: torch.Generator) -> None:
        """Credit what the present states promise, resample where weights are uneven, and take one step."""
        looks = self._looks(cloud, step, guide)
        if step > 0:
            promised = _lowest_where_infeasible(torch.cat([look.values for look in looks]).double())
            cloud.credit_anew(float(self.tempering[step]) * self.scale * promised)
            if cloud.effective_share < self.min_effective:
                cloud.resample(generator)
                looks = self._looks(cloud, step, guide)
        states = []
        for look, rows in zip(looks, cloud.rows(self.batch_size), strict=True):
            states.append(following := look.law.sample(generator))
            if guide is not None:
                gain = look.base.log_prob(following) - look.law.log_prob(following)
                cloud.log_weights[rows] += gain.double()
        cloud.states = tree.concat(states)

    def _looks(self, cloud: _Cloud, step: int, guide: Guided | None) -> list[Look]:
        """Laws of the next states, and values of the expected clean ones, in batches."""
        looks = []
        for rows in cloud.rows(self.batch_size):
            state, given = tree.index(cloud.states, rows), _rows(cloud.condition, rows)
            if guide is not None:
                looks.append(guide.look(state, step, given))
            elif can_look_ahead(self.chain):
                law, clean = look_ahead(self.chain, state, step, given)
                values = (self.expected_value or self.value)(clean, given)
                looks.append(Look(law, law, values))
            else:
                law = self.chain.transition(state, step, given)
                looks.append(Look(law, law, cloud.log_weights.new_zeros(len(rows))))
        return looks

    def _finished(self, cloud: _Cloud) -> Particles:
        chunks = cloud.rows(self.batch_size)
        parts = [self.value(tree.index(cloud.states, r), _rows(cloud.condition, r)) for r in chunks]
        values = torch.cat(parts).double()
        if not torch.isfinite(values).any():
            raise NotEnoughDesignsError(
                f"None of {len(values)} particles ended at a feasible state.",
                hint="Draw more particles, or lower `scale`.",
            )
        feasible = torch.isfinite(values)
        cloud.credit_anew(torch.where(feasible, self.scale * values, -math.inf))
        weights = cloud.log_weights.softmax(0)
        log_normaliser = cloud.log_normaliser + cloud.log_mean_weight
        mean = float(weights[feasible] @ values[feasible])
        return Particles(
            states=cloud.states,
            condition=cloud.condition,
            weights=weights,
            values=values,
            log_normaliser=log_normaliser,
            divergence=self.scale * mean - log_normaliser,
            num_resampled=cloud.num_resampled,
        )


@dataclass
class _Cloud:
    """Particles on their way.

    Attributes:
        states: Leaves [n, ...].
        condition: One row a particle.
        log_weights: Since the last resampling, in nats, [n].
        credit: What each was credited for its promise, in nats, [n].
        log_normaliser: Of the weights up to the last resampling, in nats.
    """

    states: State
    condition: Condition
    log_weights: Tensor
    credit: Tensor
    log_normaliser: float = 0.0
    num_resampled: int = 0

    def rows(self, batch_size: int) -> tuple[Tensor, ...]:
        return torch.arange(len(self.log_weights)).split(batch_size)

    @property
    def log_mean_weight(self) -> float:
        return float(self.log_weights.logsumexp(0)) - math.log(len(self.log_weights))

    @property
    def effective_share(self) -> float:
        weights = self.log_weights.softmax(0)
        return float(1 / (weights.square().sum() * len(weights)))

    def credit_anew(self, credit: Tensor) -> None:
        self.log_weights = self.log_weights + credit - self.credit
        self.credit = credit

    def resample(self, generator: torch.Generator) -> None:
        self.log_normaliser += self.log_mean_weight
        rows = systematic(self.log_weights.softmax(0), len(self.log_weights), generator)
        self.states, self.condition = tree.index(self.states, rows), _rows(self.condition, rows)
        self.credit, self.log_weights = self.credit[rows], torch.zeros_like(self.log_weights)
        self.num_resampled += 1


def systematic(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows drawn by weight from `count` evenly spaced points with one random offset, ascending, [count].

    A row of weight w is drawn ``floor(count w)`` or ``ceil(count w)`` times, ``count w`` in the mean.

    Args:
        weights: Normalised, [n].
        count: Rows drawn.
        generator: Of the offset.
    """
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    points = (torch.arange(count, dtype=torch.float64) + offset) / count
    edges = weights.double().cumsum(0)
    last = int(weights.nonzero()[-1])  # rounding in the sum must not draw a row of weight 0
    return torch.searchsorted(edges / edges[-1], points, right=True).clamp_max(last)


def _rows(condition: Condition, rows: Tensor) -> Condition:
    return None if condition is None else tree.index(condition, rows)


def _lowest_where_infeasible(values: Tensor) -> Tensor:
    finite = values[torch.isfinite(values)]
    return torch.where(torch.isfinite(values), values, finite.min() if len(finite) else values.new_zeros(()))
