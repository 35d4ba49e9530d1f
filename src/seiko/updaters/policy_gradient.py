"""The score-function gradient of the objective with PPO's clipped ratio: needs no gradient of the value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seiko import shares
from seiko.chain import C, Chain, fork, sample_path
from seiko.updaters.base import (
    Objective,
    UpdateReport,
    lowest_where_infeasible,
    measure,
    penalty_total,
    summarize,
)
from seiko.updaters.training import Descent, DualController, Paths, check_objective, join_paths, stack_states


@dataclass(frozen=True)
class Comparison:
    """Each recorded step under the chain that drew it and under the references, all [num_steps, n], in nats.

    Attributes:
        log_prob: Log-density under the chain.
        log_ratio: Log-density less that under each reference.
        kl: Exact divergence of the step's law to each reference.
    """

    log_prob: Tensor
    log_ratio: dict[str, Tensor]
    kl: dict[str, Tensor]


@dataclass(frozen=True)
class PolicyGradient:
    """PPO on the steps of the chain (DDPO: Black et al. 2024; DPOK: Fan et al. 2023), divergence included.

    With w = sum_j w_j, the gradient of the objective is, without bias,

    ``E[ grad log p(path) * A ]``, ``A = value - sum_j w_j log(p(path) / reference_j(path)) - baseline``,

    and the baseline is the leave-one-out mean. At the maximum p is proportional to ``exp(value / w)`` times
    the references to the powers w_j / w, so A is 0 on *every* path: the noise fades as it converges.

    Differs: DPOK takes each step's exact divergence instead of its log-ratio. The mean is the same, but it
    does not cancel against the value's spread, so the noise stays.

    With more than one epoch, or several minibatches, p has moved from the law q that drew the paths. Then
    log p = log q + log(p / q) in A: PPO's clipped ratio r multiplies the A of q, and
    ``w (r log r - r + 1)``, whose mean is KL(p || q) of a step, is the rest. Values are not divided by their
    spread, which would change the trade-off between value and divergence.

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

    def update(self, chain: C, objective: Objective, *, generator: torch.Generator) -> tuple[C, UpdateReport]:
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
        old = compare(student, paths, objective, self.minibatch_size)
        advantages = path_advantages(paths.values, old.log_ratio, objective, multiplier)
        weight = multiplier * sum(penalty.weight for penalty in objective.penalties)
        num_steps, size = old.log_prob.shape
        for _ in range(self.num_epochs):
            order = torch.randperm(num_steps * size, generator=generator)
            for part in order.split(self.minibatch_size):
                pairs = part // size, part % size

                def loss(rows: slice, _: torch.Generator, pairs: tuple[Tensor, Tensor] = pairs) -> Tensor:
                    some = pairs[0][rows], pairs[1][rows]
                    return self.surrogate_loss(student, paths, some, old.log_prob, advantages, weight)

                descent.step(len(part), loss, generator)
        return {name: float(rows.sum(0).mean()) for name, rows in old.kl.items()}

    def surrogate_loss(
        self,
        chain: Chain,
        paths: Paths,
        pairs: tuple[Tensor, Tensor],
        old_log_prob: Tensor,
        advantages: Tensor,
        weight: float,
    ) -> Tensor:
        """Minus the clipped gain of the chosen (step, row) pairs, scaled to a whole path, [].

        Args:
            chain: The chain that is trained.
            paths: What was drawn.
            pairs: Steps and rows, [m] each.
            old_log_prob: Of each step when it was drawn, [num_steps, n].
            advantages: Of each path, [n].
            weight: Sum of the KL weights, times the multiplier.
        """
        now, after, condition = paths.at(*pairs)
        log_ratio = chain.transition(now, pairs[0], condition).log_prob(after) - old_log_prob[pairs]
        ratio, advantage = log_ratio.exp(), advantages[pairs[1]]
        clipped = ratio.clamp(1 - self.clip_ratio, 1 + self.clip_ratio)
        gain = torch.minimum(ratio * advantage, clipped * advantage)
        moved = ratio * log_ratio - ratio + 1
        return -chain.num_steps * (gain - weight * moved).mean()


@torch.no_grad()
def draw_paths(chain: Chain, objective: Objective, batch_size: int, generator: torch.Generator) -> Paths:
    """Sample paths and evaluate their ends; an infeasible end has the lowest value of the batch."""

    def work(size: int, own: torch.Generator) -> tuple[Any, ...]:
        condition = objective.condition(size, own)
        states = sample_path(chain, size, condition=condition, generator=own)
        return stack_states(states), objective.values(states[-1], condition), condition

    paths = join_paths([Paths(*part) for part in shares.current().each(batch_size, generator, work)])
    return replace(paths, values=lowest_where_infeasible(paths.values))


@torch.no_grad()
def compare(chain: Chain, paths: Paths, objective: Objective, chunk: int) -> Comparison:
    """Log-densities, log-ratios and divergences of all recorded steps, in few large calls."""
    num_steps, size = chain.num_steps, len(paths.values)
    log_prob: list[Tensor] = []
    log_ratio: dict[str, list[Tensor]] = {penalty.name: [] for penalty in objective.penalties}
    kl: dict[str, list[Tensor]] = {penalty.name: [] for penalty in objective.penalties}
    for part in torch.arange(num_steps * size).split(chunk):
        steps, rows = part // size, part % size
        now, after, condition = paths.at(steps, rows)
        law = chain.transition(now, steps, condition)
        own = law.log_prob(after)
        log_prob.append(own)
        for penalty in objective.penalties:
            other = penalty.reference.transition(now, steps, condition)
            log_ratio[penalty.name].append(own - other.log_prob(after))
            kl[penalty.name].append(law.kl(other))

    def grid(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts).view(num_steps, size)

    return Comparison(
        log_prob=grid(log_prob),
        log_ratio={name: grid(parts) for name, parts in log_ratio.items()},
        kl={name: grid(parts) for name, parts in kl.items()},
    )


def path_advantages(
    values: Tensor, log_ratio: dict[str, Tensor], objective: Objective, multiplier: float
) -> Tensor:
    """``value - sum_j w_j log-ratio of the whole path``, less its leave-one-out mean, [n]."""
    paid = penalty_total(objective, multiplier, {name: grid.sum(0) for name, grid in log_ratio.items()})
    gains = values - paid
    size = len(gains)
    return gains - (gains.sum() - gains) / max(1, size - 1)
