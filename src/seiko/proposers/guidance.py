"""Guidance: the frozen chain is steered by the gradient of a surrogate of everything told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeVar

import torch

from seiko.chain import path_kl
from seiko.chains.clean import as_diffusion
from seiko.chains.guided import Guided
from seiko.domains.base import Domain
from seiko.errors import ParameterError
from seiko.proposers.sampling import draw_designs, value_of_states
from seiko.proposers.scoring import Score
from seiko.proposers.steered import SteeredChain

Design = TypeVar("Design")


@dataclass(frozen=True)
class Guidance(SteeredChain[Design], Generic[Design]):
    """Classifier guidance with a regressor on the told data (the paper's *Guidance* baseline), in rounds.

    Every step of the frozen chain leans along the gradient of the acquisition at the clean state that the
    chain expects; see `Guided` for the formulas of Gaussian and discrete chains and their sources. The guided
    chain has exact step laws, so its path KL to the pre-trained chain is measured as that of a fine-tuned one
    is, and reported as ``kl/pretrained_nats``.

    Args:
        measure_samples: Paths on which the divergence is measured, for the report and for `kl_target`.

    The other arguments are those of `SteeredChain`.

    Raises:
        ParameterError: If the domain has no `soft_features`, the chain is no `DiffusionChain`, or a name or
            number is outside of what is allowed.

    Example:
        >>> from seiko import zoo
        >>> from seiko.surrogates import GaussianProcess
        >>> proposer = Guidance(*zoo.load("tfbind8-low"), surrogate=GaussianProcess("matern"), kl_target=4.0)
        >>> proposer.select
        'acquisition'
    """

    _: KW_ONLY
    measure_samples: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        as_diffusion(self.chain)
        if self.domain.soft_features is None:
            raise ParameterError(
                f"Guidance needs gradients of features by states, and the domain {self.domain.name!r} has no "
                "`soft_features`.",
                hint="Give the domain some (for molecular graphs molecule_domain(graph, soft=True)), or use "
                "TemperedSMC.",
            )
        if self.measure_samples < 2:
            raise ParameterError(f"`measure_samples` must be at least 2; got {self.measure_samples!r}.")

    def steer(self, score: Score[Design], scale: float) -> GuidedSampler:
        """The guided chain and its samples."""
        guided = Guided(self.chain, value_of_states(self.domain, score.acquisition), scale=scale)
        return GuidedSampler(guided, self.domain, self.measure_samples)


@dataclass(frozen=True)
class GuidedSampler:
    """Designs of a guided chain, and its exact step divergences along sampled paths."""

    chain: Guided
    domain: Domain[Any]
    measure_samples: int

    def draw(self, num_samples: int, generator: torch.Generator) -> Sequence[Any]:
        """Samples, decoded; valid or not, with repeats."""
        return draw_designs(self.chain, self.domain, num_samples, generator)

    @torch.no_grad()
    def divergence(self, generator: torch.Generator) -> float:
        """Mean path KL to the pre-trained chain, in nats."""
        condition = self.domain.condition(self.measure_samples, generator)
        rows = path_kl(
            self.chain, self.chain.chain, self.measure_samples, condition=condition, generator=generator
        )
        return float(rows.mean())
