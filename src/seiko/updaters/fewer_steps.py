"""Updates at fewer sampling steps than designs are drawn with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from seiko.chain import C, Chain
from seiko.errors import ParameterError
from seiko.updaters.base import Objective, Updater, UpdateReport


@dataclass(frozen=True)
class FewerSteps:
    """Trains a chain's network under a process of fewer steps, at a part of the cost.

    The process with fewer steps samples the same diffusion model, more coarsely. Values and divergences,
    those that are reported and the one that is kept at a target included, are those of the coarse chain. The
    chain that comes back has all its steps.

    Args:
        updater: What updates.
        num_steps: Steps in training, at most the chain's own.

    Raises:
        ParameterError: If the chain's process cannot be had in fewer steps.

    Example:
        >>> from seiko.updaters import RewardBackprop
        >>> FewerSteps(RewardBackprop(grad_steps=2), num_steps=8).num_steps
        8
    """

    updater: Updater
    num_steps: int

    def update(self, chain: C, objective: Objective, *, generator: torch.Generator) -> tuple[C, UpdateReport]:
        """See `Updater`."""
        coarse: Any = self._coarse(chain)
        # An update that starts at one of its references saves their comparison: they must stay one object.
        references = [
            coarse if p.reference is chain else self._coarse(p.reference) for p in objective.penalties
        ]
        penalties = tuple(
            replace(p, reference=r) for p, r in zip(objective.penalties, references, strict=True)
        )
        tuned, report = self.updater.update(
            coarse, replace(objective, penalties=penalties), generator=generator
        )
        return tuned.with_process(chain.process), report  # type: ignore[attr-defined]

    def _coarse(self, chain: Chain) -> Any:
        process: Any = getattr(chain, "process", None)
        if not hasattr(process, "with_steps"):
            raise ParameterError(
                f"{type(process or chain).__name__} cannot be had in fewer steps.",
                hint="Use the updater itself, or make the chain with fewer steps.",
            )
        return chain.with_process(process.with_steps(self.num_steps))  # type: ignore[attr-defined]
