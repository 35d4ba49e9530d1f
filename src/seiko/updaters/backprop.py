"""Direct back-propagation of the value through the sampler: the paper's choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seiko import tree
from seiko.chain import C, Chain, fork, rollout
from seiko.errors import ParameterError
from seiko.typing import Condition, State
from seiko.updaters.base import (
    Objective,
    UpdateReport,
    lowest_where_infeasible,
    measure,
    penalty_total,
    start_kl,
    summarize,
)
from seiko.updaters.straight_through import RelaxedDraws
from seiko.updaters.training import Descent, DualController, check_objective


@dataclass(frozen=True)
class RewardBackprop:
    """Gradient ascent on the objective through the last steps of the sampler.

    Each iteration samples `batch_size` paths; the last `grad_steps` steps carry a graph, the prefix none. The
    divergence of the steps with a graph is exact, through the state too. Of the prefix, `prefix_kl_steps`
    random steps are evaluated again with a graph at the visited (constant) states and weighted up, so that
    every step is held near its references at the price of a few network calls.

    Differs: the paper's released code draws the truncation anew at every step and pays graph and checkpoints
    on all of them; here it is one draw a batch.

    Discrete steps use second-order straight-through gradients (`seiko.updaters.straight_through`), which have
    a small bias: `PolicyGradient` and `RewardWeighted` have none.

    The value of an infeasible sample has no gradient, so hard constraints are hardly learned;
    `PolicyGradient` and `RewardWeighted` learn them.

    Args:
        num_iterations: Optimiser steps.
        batch_size: Paths a step.
        learning_rate: Of Adam.
        grad_steps: Steps with a graph: a number, "all", or a pair (low, high) drawn from anew each iteration.
        prefix_kl_steps: Random prefix steps whose divergence is included.
        reference_gradient: Let the divergence's gradient flow through the state into the references (exact);
            False keeps them outside the graph, which is cheaper.
        checkpoint: Recompute activations in the backward pass.
        dual_rate: Speed of the KL controller when the objective has a target.
        clip_norm: Largest gradient norm.
        measure_samples: Fresh samples for the report, and for each look at the KL target.
        measure_every: Iterations between looks at the KL target.
    """

    num_iterations: int = 200
    batch_size: int = 64
    learning_rate: float = 1e-3
    grad_steps: int | Literal["all"] | tuple[int, int] = "all"
    prefix_kl_steps: int = 1
    reference_gradient: bool = True
    checkpoint: bool = False
    dual_rate: float = 0.1
    clip_norm: float = 1.0
    measure_samples: int = 256
    measure_every: int = 10

    def update(self, chain: C, objective: Objective, *, generator: torch.Generator) -> tuple[C, UpdateReport]:
        """See `Updater`.

        Raises:
            ParameterError: If the objective's value has no gradient.
        """
        if not objective.differentiable:
            raise ParameterError(
                "RewardBackprop needs a value with gradients, and this objective has none (the domain has no "
                "`soft_features`).",
                hint="Use RewardWeighted or PolicyGradient.",
            )
        check_objective(chain, objective)
        objective = objective.with_frozen_references()
        student = fork(chain)
        descent = Descent(
            student,
            learning_rate=self.learning_rate,
            num_iterations=self.num_iterations,
            clip_norm=self.clip_norm,
        )
        dual = DualController(objective, rate=self.dual_rate)
        trace = []
        for iteration in range(self.num_iterations):
            multiplier = dual.multiplier
            loss = descent.step(
                self.batch_size,
                lambda rows, own: self._loss(student, objective, multiplier, rows.stop - rows.start, own),  # noqa: B023
                generator,
            )
            trace.append({"loss": loss, "multiplier": multiplier})
            if objective.target is not None and (iteration + 1) % self.measure_every == 0:
                _, kl = measure(student, objective, self.batch_size, generator=generator)
                dual.observe({name: float(rows.mean()) for name, rows in kl.items()})
        values, kl = measure(student, objective, self.measure_samples, generator=generator)
        report = summarize(
            objective, values, kl, multiplier=dual.multiplier, gradient_norm=descent.norm, trace=trace
        )
        return student, report

    def _loss(
        self, chain: Chain, objective: Objective, multiplier: float, size: int, generator: torch.Generator
    ) -> Tensor:
        """Minus the objective on `size` paths, its gradient as described above, []."""
        grad_steps = self._draw_grad_steps(chain.num_steps, generator)
        first_grad = chain.num_steps - grad_steps
        condition = objective.condition(size, generator)
        kl = start_kl(chain, objective, size, condition)
        prefix = self._draw_prefix(first_grad, generator)
        for step in rollout(
            RelaxedDraws(chain),
            size,
            condition=condition,
            grad_steps=grad_steps,
            checkpoint=self.checkpoint,
            generator=generator,
        ):
            if step.index in prefix:
                law = chain.transition(step.state, step.index, condition)
                kl = self._add_kl(kl, law, step.state, step.index, condition, objective, prefix[step.index])
            elif step.index >= first_grad:
                kl = self._add_kl(kl, step.transition, step.state, step.index, condition, objective, 1.0)
        values = lowest_where_infeasible(objective.values(step.next_state, condition))
        return -(values - penalty_total(objective, multiplier, kl)).mean()

    def _add_kl(
        self,
        kl: Mapping[str, Tensor],
        law: object,
        state: State,
        index: int,
        condition: Condition,
        objective: Objective,
        factor: float,
    ) -> dict[str, Tensor]:
        total = dict(kl)
        for penalty in objective.penalties:
            if self.reference_gradient:
                other = penalty.reference.transition(state, index, condition)
            else:
                with torch.no_grad():
                    other = penalty.reference.transition(tree.detach(state), index, condition)
            total[penalty.name] = total[penalty.name] + factor * law.kl(other)  # type: ignore[attr-defined]
        return total

    def _draw_grad_steps(self, num_steps: int, generator: torch.Generator) -> int:
        if self.grad_steps == "all":
            return num_steps
        if isinstance(self.grad_steps, int):
            low = high = self.grad_steps
        else:
            low, high = self.grad_steps
        if not 1 <= low <= high <= num_steps:
            raise ParameterError(
                f'`grad_steps` must be "all", or lie in 1 ... num_steps = {num_steps}; got '
                f"{self.grad_steps!r}."
            )
        return int(torch.randint(low, high + 1, (), generator=generator))

    def _draw_prefix(self, length: int, generator: torch.Generator) -> dict[int, float]:
        """Chosen prefix steps and the factor that makes their sum unbiased for the whole prefix."""
        count = min(self.prefix_kl_steps, length)
        chosen = torch.randperm(length, generator=generator)[:count].tolist()
        return {int(index): length / count for index in chosen}
