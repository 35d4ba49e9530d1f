"""Tempered SMC: particles of the frozen chain, weighted by a surrogate of everything told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor

from seiko import tree
from seiko.chains.clean import as_diffusion
from seiko.chains.particles import Particles, TemperedParticles
from seiko.domains.base import Domain
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.proposers.sampling import value_of_states
from seiko.proposers.scoring import Score
from seiko.proposers.steered import SteeredChain
from seiko.typing import Condition, State

Design = TypeVar("Design")
MAX_RUNS = 5
"""Runs before a batch is given up: resampling may leave kin of one particle, all infeasible in the end."""


@dataclass(frozen=True)
class TemperedSMC(SteeredChain[Design], Generic[Design]):
    """Sequential Monte Carlo on the frozen chain with a tempered surrogate (DAS: arXiv 2501.05803).

    `TemperedParticles` of ``p_pre exp(acquisition / kl_weight)``: the very law that fine-tuning aims at,
    reached without training and without a bias but that of finitely many particles, at the price of
    `num_particles` paths for every batch of designs. Particles at the end are weighted by the acquisition of
    the decoded design, lowered where feasibility is in doubt; an invalid one has weight 0. On the way the
    soft features of the expected clean state count, or, in a domain without soft features, its most likely
    design: no gradient is needed.

    ``kl/pretrained_nats`` is the estimated divergence of the tilted law, which is also that of its paths.

    Args:
        num_particles: Particles of a run; a larger number of designs runs as many as designs.
        proposal: "chain" moves particles by the chain's own steps; "guided" by `Guided` ones, with exact
            weights. It needs soft features.
        growth: See `TemperedParticles`.
        min_effective: Share of effective particles below which they are resampled.

    The other arguments are those of `SteeredChain`.

    Raises:
        ParameterError: If a name or number is outside of what is allowed.

    Example:
        >>> from seiko import zoo
        >>> from seiko.surrogates import GaussianProcess
        >>> proposer = TemperedSMC(*zoo.load("qm9-graph"), surrogate=GaussianProcess("tanimoto"))
        >>> proposer.proposal
        'chain'
    """

    _: KW_ONLY
    num_particles: int = 256
    proposal: Literal["chain", "guided"] = "chain"
    growth: float = 2.0
    min_effective: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_particles < 2:
            raise ParameterError(f"`num_particles` must be at least 2; got {self.num_particles!r}.")
        self._sampler(_nothing, _nothing, 1.0)  # refuses numbers and names that are not allowed
        if self.proposal == "guided":
            as_diffusion(self.chain)
            if self.domain.soft_features is None:
                raise ParameterError(
                    f'proposal="guided" needs `soft_features`, and the domain {self.domain.name!r} has none.',
                    hint='Use proposal="chain".',
                )

    def steer(self, score: Score[Design], scale: float) -> ParticleSampler:
        """Particles of the tilted law."""
        decoded = replace(self.domain, soft_features=None)
        value = value_of_states(decoded, score.of_features)
        soft = self.domain.soft_features is not None
        expected = value_of_states(self.domain, score.acquisition) if soft else value
        return ParticleSampler(self._sampler(value, expected, scale), self.domain, self.num_particles)

    def _sampler(self, value: Any, expected: Any, scale: float) -> TemperedParticles:
        return TemperedParticles(
            self.chain,
            value,
            scale=scale,
            expected_value=expected,
            proposal=self.proposal,
            growth=self.growth,
            min_effective=self.min_effective,
        )


@dataclass(frozen=True)
class ParticleSampler:
    """Designs from particles, and the divergence of their law."""

    sampler: TemperedParticles
    domain: Domain[Any]
    num_particles: int

    def draw(self, num_samples: int, generator: torch.Generator) -> Sequence[Any]:
        """Equally weighted particles, decoded: the heavy ones several times.

        Raises:
            NotEnoughDesignsError: If in `MAX_RUNS` runs no particle ended at a feasible state.
        """
        for run in range(1, MAX_RUNS + 1):
            try:
                particles = self._run(max(num_samples, self.num_particles), generator)
                break
            except NotEnoughDesignsError:
                if run == MAX_RUNS:
                    raise
        states, condition = particles.resampled(num_samples, generator)
        return self.domain.decode(states, condition)

    def divergence(self, generator: torch.Generator) -> float:
        """Estimated KL of the tilted law to the pre-trained one, in nats; inf if no particle is feasible."""
        try:
            return max(0.0, self._run(self.num_particles, generator).divergence)
        except NotEnoughDesignsError:
            return math.inf

    def _run(self, count: int, generator: torch.Generator) -> Particles:
        condition = self.domain.condition(count, generator)
        return self.sampler.draw(count, condition=condition, generator=generator)


def _nothing(state: State, condition: Condition) -> Tensor:
    return torch.zeros(tree.batch_size(state))
