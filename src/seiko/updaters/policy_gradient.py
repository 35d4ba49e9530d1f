"""The score-function gradient of the objective, with PPO's clipped ratio: unbiased, no gradient of the value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seiko import tree
from seiko.chain import C, Chain, fork, sample_path
from seiko.typing import Condition, State
from seiko.updaters.base import (
    Descent,
    DualController,
    Objective,
    UpdateReport,
    check_objective,
    lowest_where_infeasible,
    measure,
    penalty_total,
    summarize,
)


@dataclass(frozen=True)
class Paths:
    """Recorded paths under one chain, with what they earned.

    Attributes:
        states: Leaves [num_steps + 1, n, ...].
        values: Of the last states, [n].
        condition: One row a path.
    """

    states: State
    values: Tensor
    condition: Condition = None


@dataclass(frozen=True)
class PolicyGradient:
    """PPO on the steps of the chain (DDPO: Black et al. 2024; DPOK: Fan et al. 2023) with exact divergences.

    With KL_k the exact divergence of step k at the visited state, G_k = value - sum over j > k of penalty_j is what
    a step's choice can still change, and the gradient is estimated by

    ``sum_k grad log p(s_{k+1} | s_k) * (G_k - baseline) - grad penalty_k(s_k)``,

    which is unbiased: the divergence's own gradient is taken directly, its effect on later states through G. The
    baseline is the leave-one-out mean. Values are not divided by their spread, which would change the trade-off
    between value and divergence. With more than one epoch the log-density is replaced by PPO's clipped ratio.

    Args:
        num_iterations: Batches of paths.
        batch_size: Paths a batch.
        num_epochs: Passes over each batch.
        minibatch_size: Steps (state, next state) in one optimiser step.
        clip_ratio: PPO's clipping of the ratio, > 0.
        learning_rate: Of Adam.
        dual_rate: Speed of the KL controller when the objective has a target.
        clip_norm: Largest gradient norm.
        measure_samples: Fresh samples for the report.
    """

    num_iterations: int = 50
    batch_size: int = 256
    num_epochs: int = 2
    minibatch_size: int = 1024
    clip_ratio: float = 0.2
    learning_rate: float = 1e-3
    dual_rate: float = 0.1
    clip_norm: float = 1.0
    measure_samples: int = 256

    def update(
        self, chain: C, objective: Objective, *, generator: torch.Generator
    ) -> tuple[C, UpdateReport]:
        """See `Updater`."""
        check_objective(chain, objective)
        student = fork(chain)
        descent = self.descent(student)
        dual = DualController(objective, rate=self.dual_rate)
        trace = []
        for _ in range(self.num_iterations):
            paths = draw_paths(student, objective, self.batch_size, generator)
            kl = self.improve(student, paths, objective, descent, dual.multiplier, generator)
            trace.append({"value": float(paths.values.mean())} | {f"kl/{name}": v for name, v in kl.items()})
            dual.observe(kl)
        values, measured = measure(student, objective, self.measure_samples, generator=generator)
        report = summarize(
            objective, values, measured, multiplier=dual.multiplier, gradient_norm=descent.norm, trace=trace
        )
        return student, report

    def descent(self, student: Chain) -> Descent:
        """The optimiser of a whole update of `student`."""
        batches = -(-student.num_steps * self.batch_size // self.minibatch_size)
        return Descent(
            student,
            learning_rate=self.learning_rate,
            num_iterations=self.num_iterations * self.num_epochs * batches,
            clip_norm=self.clip_norm,
        )

    def improve(
        self,
        student: Chain,
        paths: Paths,
        objective: Objective,
        descent: Descent,
        multiplier: float,
        generator: torch.Generator,
    ) -> dict[str, float]:
        """Move `student`, in place, by one batch of its own paths; returns the mean KLs before."""
        old_log_prob, step_kl = compare(student, paths, objective, self.minibatch_size)
        advantages = advantages_to_go(paths.values, step_kl, objective, multiplier)
        num_steps, size = old_log_prob.shape
        for _ in range(self.num_epochs):
            order = torch.randperm(num_steps * size, generator=generator)
            for part in order.split(self.minibatch_size):
                loss = self.surrogate_loss(
                    student, paths, objective, multiplier, old_log_prob, advantages, part // size, part % size
                )
                descent.step(loss)
        return {name: float(rows.sum(0).mean()) for name, rows in step_kl.items()}

    def surrogate_loss(
        self,
        chain: Chain,
        paths: Paths,
        objective: Objective,
        multiplier: float,
        old_log_prob: Tensor,
        advantages: Tensor,
        steps: Tensor,
        rows: Tensor,
    ) -> Tensor:
        """Minus the clipped objective of the chosen (step, row) pairs, scaled to a whole path, []."""
        now = tree.tree_map(lambda leaf: leaf[steps, rows], paths.states)
        after = tree.tree_map(lambda leaf: leaf[steps + 1, rows], paths.states)
        condition = None if paths.condition is None else tree.index(paths.condition, rows)
        law = chain.transition(now, steps, condition)
        ratio = (law.log_prob(after) - old_log_prob[steps, rows]).exp()
        advantage = advantages[steps, rows]
        clipped = ratio.clamp(1 - self.clip_ratio, 1 + self.clip_ratio)
        gain = torch.minimum(ratio * advantage, clipped * advantage)
        kl = {}
        for penalty in objective.penalties:
            with torch.no_grad():
                other = penalty.reference.transition(now, steps, condition)
            kl[penalty.name] = law.kl(other)
        return -chain.num_steps * (gain - penalty_total(objective, multiplier, kl)).mean()


@torch.no_grad()
def draw_paths(
    chain: Chain, objective: Objective, batch_size: int, generator: torch.Generator
) -> Paths:
    """Sample paths and evaluate their ends; an infeasible end has the lowest value of the batch."""
    condition = objective.condition(batch_size, generator)
    states = sample_path(chain, batch_size, condition=condition, generator=generator)
    values = lowest_where_infeasible(objective.values(states[-1], condition))
    return Paths(stack_states(states), values, condition)


def stack_states(states: Sequence[State]) -> State:
    """Leaves [num_steps + 1, n, ...] of a recorded path."""
    return tree.tree_map(lambda *leaves: torch.stack(leaves), *states)


@torch.no_grad()
def compare(
    chain: Chain, paths: Paths, objective: Objective, chunk: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-density of each recorded step and its divergence to each reference, [num_steps, n], in few large calls."""
    num_steps, size = chain.num_steps, len(paths.values)
    log_prob: list[Tensor] = []
    kl: dict[str, list[Tensor]] = {penalty.name: [] for penalty in objective.penalties}
    for part in torch.arange(num_steps * size).split(chunk):
        steps, rows = part // size, part % size
        now = tree.tree_map(lambda leaf, s=steps, r=rows: leaf[s, r], paths.states)
        after = tree.tree_map(lambda leaf, s=steps, r=rows: leaf[s + 1, r], paths.states)
        condition = None if paths.condition is None else tree.index(paths.condition, rows)
        law = chain.transition(now, steps, condition)
        log_prob.append(law.log_prob(after))
        for penalty in objective.penalties:
            kl[penalty.name].append(law.kl(penalty.reference.transition(now, steps, condition)))
    return torch.cat(log_prob).view(num_steps, size), {
        name: torch.cat(parts).view(num_steps, size) for name, parts in kl.items()
    }


def advantages_to_go(
    values: Tensor, step_kl: dict[str, Tensor], objective: Objective, multiplier: float
) -> Tensor:
    """``value - sum of later penalties``, less its leave-one-out mean, [num_steps, n]."""
    penalty = penalty_total(objective, multiplier, step_kl)
    if penalty.ndim == 0:
        gains = values[None]
    else:
        later = penalty.flip(0).cumsum(0).flip(0) - penalty
        gains = values[None] - later
    size = gains.shape[1]
    baseline = (gains.sum(1, keepdim=True) - gains) / max(1, size - 1)
    return gains - baseline
