"""Soft-Q updates: a reparameterised gradient through one step, towards an untrained guess of what follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from seiko import tree
from seiko.chain import C, Chain, fork, frozen, sample_path
from seiko.chains.clean import as_diffusion, clean_of
from seiko.errors import ParameterError
from seiko.typing import Condition, State
from seiko.updaters.base import (
    Objective,
    UpdateReport,
    lowest_where_infeasible,
    measure,
    penalty_total,
    summarize,
)
from seiko.updaters.straight_through import Relaxed
from seiko.updaters.training import Descent, DualController, Paths, check_objective, stack_states


@dataclass(frozen=True)
class SoftQ:
    """Reparameterised policy gradient of the soft Q-function (SQDF, arXiv 2512.04559).

    With w = sum_j w_j and q the normalised product of the references to the powers w_j / w, the maximum's
    step is ``q(s' | s) exp(V(s') / w)`` with the soft value ``V(s) = w log E_q[exp(value / w) | s]``. V is
    not learned. It is taken of the clean state that q expects at s, and each step climbs it by itself:

    ``maximise  E[ discount^(K - 1 - k) value(clean(s')) ] - sum_j w_j KL(p(. | s) || reference_j(. | s))``

    over s' drawn from p(. | s) of step k, with the gradient through that one draw and through nothing before
    it. So states s may come from anywhere, and a share of them is replayed from paths of earlier iterations,
    which keeps modes in view that the chain has begun to leave. At the last step clean(s') is s' itself.

    ============================== ========================================================================
    published                      here
    ============================== ========================================================================
    value of Tweedie's estimate    the same for Gaussian leaves; for discrete ones the expected one-hot rows
                                   (derived: the paper is about Gaussian chains)
    one reference                  several: their networks' outputs averaged by weight, as if their product
                                   had that prediction (derived; exact for one step's laws)
    consistency model as estimate  left out: the references' own prediction
    discount                       `discount`, on the value only; 1 by default, which alone aims at the closed
                                   form. Below 1 early steps, whose guess is poor, stay nearer the references
    replay buffer                  the last `replay_batches` batches of paths, uniformly
    reparameterised draw           ``rsample``; discrete draws take ReinMax's gradient (derived)
    ============================== ========================================================================

    What is left is the bias of the guess: ``value(clean)`` is V in first order. It vanishes where the value
    is linear and the spread of what follows is the same for every s', as in a Gaussian chain.

    Args:
        num_iterations: Optimiser steps.
        batch_size: Steps (state, next state) in one optimiser step.
        num_paths: Fresh paths at each refresh.
        refresh_every: Iterations between refreshes.
        replay_batches: Batches of paths that are remembered, the newest included.
        replay_share: Share of an optimiser step's states that come from the whole memory; the others are of
            the newest paths. In [0, 1].
        discount: In (0, 1].
        learning_rate: Of Adam.
        dual_rate: Speed of the KL controller when the objective has a target.
        clip_norm: Largest gradient norm.
        measure_samples: Fresh samples for the report.
        measure_every: Iterations between looks at the KL target.

    Raises:
        ParameterError: If a number is outside of what is allowed.

    Example:
        >>> SoftQ(discount=0.99).replay_batches
        8
    """

    num_iterations: int = 200
    batch_size: int = 256
    num_paths: int = 64
    refresh_every: int = 5
    replay_batches: int = 8
    replay_share: float = 0.5
    discount: float = 1.0
    learning_rate: float = 1e-3
    dual_rate: float = 0.1
    clip_norm: float = 1.0
    measure_samples: int = 256
    measure_every: int = 10

    def __post_init__(self) -> None:
        for name in ("num_iterations", "batch_size", "num_paths", "refresh_every", "replay_batches"):
            if not getattr(self, name) >= 1:
                raise ParameterError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")
        if not 0 <= self.replay_share <= 1:
            raise ParameterError(f"`replay_share` must be in [0, 1]; got {self.replay_share!r}.")
        if not 0 < self.discount <= 1:
            raise ParameterError(f"`discount` must be in (0, 1]; got {self.discount!r}.")

    def update(self, chain: C, objective: Objective, *, generator: torch.Generator) -> tuple[C, UpdateReport]:
        """See `Updater`.

        Raises:
            ParameterError: If the value has no gradient, or a reference is no `DiffusionChain`.
        """
        if not objective.differentiable:
            raise ParameterError(
                "SoftQ needs a value with gradients, and this objective has none (the domain has no "
                "`soft_features`).",
                hint="Use RewardWeighted or PolicyGradient.",
            )
        check_objective(chain, objective)
        objective = objective.with_frozen_references()
        value = SoftValue(chain, objective, self.discount)
        student = fork(chain)
        descent = Descent(
            student,
            learning_rate=self.learning_rate,
            num_iterations=self.num_iterations,
            clip_norm=self.clip_norm,
        )
        dual = DualController(objective, rate=self.dual_rate)
        replay: list[Paths] = []
        trace = []
        for iteration in range(self.num_iterations):
            if iteration % self.refresh_every == 0:
                replay = [*replay, self._draw_paths(student, objective, generator)][-self.replay_batches :]
            fixed = (student, objective, value, dual.multiplier, replay)
            loss = descent.step(
                self.batch_size,
                lambda rows, own: self._loss(*fixed, rows.stop - rows.start, own),  # noqa: B023
                generator,
            )
            trace.append({"loss": loss, "multiplier": dual.multiplier})
            if objective.target is not None and (iteration + 1) % self.measure_every == 0:
                _, kl = measure(student, objective, self.num_paths, generator=generator)
                dual.observe({name: float(rows.mean()) for name, rows in kl.items()})
        values, kl = measure(student, objective, self.measure_samples, generator=generator)
        report = summarize(
            objective, values, kl, multiplier=dual.multiplier, gradient_norm=descent.norm, trace=trace
        )
        return student, report

    def _draw_paths(self, student: Chain, objective: Objective, generator: torch.Generator) -> Paths:
        """New paths of the chain; their values are not needed."""
        condition = objective.condition(self.num_paths, generator)
        with torch.no_grad():
            states = sample_path(student, self.num_paths, condition=condition, generator=generator)
        return Paths(stack_states(states), torch.zeros(self.num_paths), condition)

    def _loss(
        self,
        student: Chain,
        objective: Objective,
        value: SoftValue,
        multiplier: float,
        replay: list[Paths],
        size: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Minus the objective of `size` single steps, scaled to a whole path, []."""
        state, steps, condition = self._draw_states(student.num_steps, replay, size, generator)
        law = student.transition(state, steps, condition)
        gains = value(Relaxed(law).rsample(generator), steps, condition)
        kl: Mapping[str, Tensor] = {
            penalty.name: law.kl(penalty.reference.transition(state, steps, condition))
            for penalty in objective.penalties
        }
        return -student.num_steps * (gains - penalty_total(objective, multiplier, kl)).mean()

    def _draw_states(
        self, num_steps: int, replay: list[Paths], size: int, generator: torch.Generator
    ) -> tuple[State, Tensor, Condition]:
        """States with their steps, [size]: some of the newest paths, some of all that are kept."""
        batches = torch.randint(len(replay), (size,), generator=generator)
        batches[: size - math.floor(self.replay_share * size)] = len(replay) - 1
        parts, steps = [], []
        for index, paths in enumerate(replay):
            count = int((batches == index).sum())
            if count:
                rows = torch.randint(self.num_paths, (count,), generator=generator)
                steps.append(torch.randint(num_steps, (count,), generator=generator))
                now, _, given = paths.at(steps[-1], rows)
                parts.append((now, given))
        conditions = [given for _, given in parts if given is not None]
        given = tree.concat(conditions) if conditions else None
        return tree.concat([now for now, _ in parts]), torch.cat(steps), given


class SoftValue:
    """``discount^(K - 1 - k) value(clean(s'))`` of the next states s' of steps k, with gradients.

    Args:
        chain: The chain before the update: its own guess counts where no reference has a weight.
        objective: Its value, and its references with their weights.
        discount: In (0, 1].

    Raises:
        ParameterError: If a reference is no `DiffusionChain`.
    """

    def __init__(self, chain: Chain, objective: Objective, discount: float) -> None:
        weighted = [(p.reference, p.weight) for p in objective.penalties if p.weight > 0]
        weighted = weighted or [(frozen(chain), 1.0)]
        total = sum(weight for _, weight in weighted)
        self.references = [(as_diffusion(one), weight / total) for one, weight in weighted]
        self.objective, self.discount, self.num_steps = objective, discount, chain.num_steps

    def __call__(self, state: State, steps: Tensor, condition: Condition = None) -> Tensor:
        """Of `state` [batch, ...], reached by `steps` [batch]; where infeasible, the batch's lowest."""
        last = steps + 1 == self.num_steps
        clean = self.clean(state, (steps + 1).clamp_max(self.num_steps - 1), condition)
        clean = tree.tree_map(lambda s, c: torch.where(tree.expand(last, s), s, c), state, clean)
        values = lowest_where_infeasible(self.objective.values(clean, condition, final=False))
        return self.discount ** (self.num_steps - 1 - steps).to(values) * values

    def clean(self, state: State, steps: Tensor, condition: Condition = None) -> State:
        """The clean state that the product of the references expects, before `steps` are taken."""

        def average(*outputs: Tensor) -> Tensor:
            return torch.stack([w * o for (_, w), o in zip(self.references, outputs, strict=True)]).sum(0)

        outputs: list[State] = [one.predicted(state, steps, condition) for one, _ in self.references]
        prediction = tree.tree_map(average, *outputs)
        expected: State = clean_of(self.references[0][0].process, state, prediction, steps)
        return expected
