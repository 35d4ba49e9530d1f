"""What the updaters share: the optimiser, the KL controller, checks and recorded paths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seiko import memory, shares, tree
from seiko.averaging import MovingAverage
from seiko.chain import Chain, check_same_steps, rollout
from seiko.errors import DeterministicChainError, ObservationError, ParameterError
from seiko.typing import Condition, State
from seiko.updaters.base import Objective


class DualController:
    """Keeps a divergence at its target: raise the weights when it is above, lower them when below.

    ``log multiplier += rate * clip(kl / target - 1, -1, 1)``; without a target the multiplier stays.
    """

    def __init__(self, objective: Objective, *, rate: float) -> None:
        self.target, self.multiplier, self.rate = objective.target, objective.multiplier, rate

    def observe(self, kl: Mapping[str, float]) -> None:
        if self.target is not None:
            excess = kl[self.target.name] / self.target.nats - 1
            self.multiplier *= math.exp(self.rate * max(-1.0, min(1.0, excess)))


def check_objective(chain: Chain, objective: Objective) -> None:
    """Refuse what no updater can regularise: other step counts, or a chain without noise.

    Raises:
        ShapeError: If a reference has another number of steps.
        DeterministicChainError: If a penalised step has no noise.
    """
    for penalty in objective.penalties:
        check_same_steps(chain, penalty.reference)
    for step in rollout(
        chain, 1, condition=objective.condition(1, torch.Generator()), generator=torch.Generator()
    ):
        for part in _parts(step.transition):
            scale = getattr(part, "scale", None)
            if isinstance(scale, Tensor) and bool((scale <= 0).any()):
                raise DeterministicChainError(
                    f"Step {step.index} of the chain has no noise (scale 0): its divergence to any other "
                    "chain is infinite, so it cannot be fine-tuned under a KL penalty.",
                    hint="Use a stochastic sampler, such as DDIM with eta=1.0.",
                )


def _parts(law: object) -> Iterator[object]:
    parts = getattr(law, "parts", None)
    if isinstance(parts, Mapping):
        for part in parts.values():
            yield from _parts(part)
    else:
        yield law


def trainable(chain: Chain) -> list[nn.Parameter]:
    """The parameters that an updater may move.

    Raises:
        ParameterError: If there are none.
    """
    parameters = [p for p in chain.parameters() if p.requires_grad]
    if not parameters:
        raise ParameterError(
            "The chain has no parameters that require a gradient, so nothing can be fine-tuned.",
            hint="Was it made by `frozen`? Use `fork` for a copy to train.",
        )
    return parameters


class Descent:
    """Adam on a chain's trainable parameters: clipped gradients, a rate that falls linearly to a tenth.

    Args:
        chain: The chain that is trained in place.
        learning_rate: The first rate.
        num_iterations: Steps until the rate is lowest; it stays there.
        clip_norm: Largest gradient norm.
        ema_decay: Of a moving average of the weights, put in their place by `settle`.

    Attributes:
        norm: The last gradient's norm before clipping.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        learning_rate: float,
        num_iterations: int,
        clip_norm: float,
        ema_decay: float = 0.0,
    ) -> None:
        self.parameters = trainable(chain)
        self.optimizer = torch.optim.Adam(self.parameters, lr=learning_rate)
        self.schedule = torch.optim.lr_scheduler.LinearLR(
            self.optimizer, start_factor=1.0, end_factor=0.1, total_iters=max(1, num_iterations)
        )
        self.clip_norm, self.norm, self.iteration = clip_norm, 0.0, 0
        named = {str(i): p for i, p in enumerate(self.parameters)}
        self.average = MovingAverage(named, ema_decay) if ema_decay else None

    def step(
        self, total: int, loss: Callable[[slice, torch.Generator], Tensor], generator: torch.Generator
    ) -> float:
        """One optimiser step on the mean loss of `total` rows.

        Args:
            total: Rows.
            loss: ``(rows, generator) -> mean loss of these rows, []``; called for each share of the team.
            generator: Source of randomness.

        Returns:
            The mean loss.

        Raises:
            ObservationError: If the gradient is not finite; the parameters are left as they were.
        """
        self.optimizer.zero_grad(set_to_none=True)
        team, mean = shares.current(), 0.0
        jobs = team.jobs(total, generator)
        ends = [sum(rows for rows, _ in jobs[: share + 1]) for share in range(len(jobs))]
        for share, (rows, own) in team.own(jobs):
            part = loss(slice(ends[share] - rows, ends[share]), own) * (rows / total)
            with memory.explained("The backward pass"):
                part.backward()
            mean += float(part.detach())
        team.sum_gradients(self.parameters)
        self._descend()
        return team.total(mean)

    def _descend(self) -> None:
        self.norm = float(nn.utils.clip_grad_norm_(self.parameters, self.clip_norm))
        if not math.isfinite(self.norm):
            raise ObservationError(
                f"The gradient's norm is {self.norm}; this step changed nothing.",
                hint="Lower `learning_rate`, raise the KL weights, or look at the surrogate's values.",
            )
        self.optimizer.step()
        self.schedule.step()
        self.iteration += 1
        if self.average:
            self.average.update(self.iteration)

    def settle(self) -> None:
        """Put the moving average in the place of the weights."""
        if self.average:
            self.average.apply()


@dataclass(frozen=True)
class Paths:
    """Recorded paths with what they earned.

    Attributes:
        states: Leaves [num_steps + 1, n, ...].
        values: Of the last states, [n].
        condition: One row a path.
    """

    states: State
    values: Tensor
    condition: Condition = None

    def at(self, steps: Tensor, rows: Tensor) -> tuple[State, State, Condition]:
        """State, next state and condition of (step, row) pairs."""
        now = tree.tree_map(lambda leaf: leaf[steps, rows], self.states)
        after = tree.tree_map(lambda leaf: leaf[steps + 1, rows], self.states)
        return now, after, self.condition_of(rows)

    def ends(self, rows: Tensor) -> State:
        """The last states of the chosen rows."""
        return tree.tree_map(lambda leaf: leaf[-1, rows], self.states)

    def condition_of(self, rows: Tensor) -> Condition:
        return None if self.condition is None else tree.index(self.condition, rows)


def stack_states(states: Sequence[State]) -> State:
    """The states of a recorded path, leaves [num_steps + 1, n, ...]."""
    return tree.tree_map(lambda *leaves: torch.stack(leaves), states[0], *states[1:])


def join_paths(parts: Sequence[Paths]) -> Paths:
    """Recorded paths of several draws as one."""
    conditions = [part.condition for part in parts if part.condition is not None]
    return Paths(
        states=tree.tree_map(lambda *leaves: torch.cat(leaves, 1), *(part.states for part in parts)),
        values=torch.cat([part.values for part in parts]),
        condition=tree.concat(conditions) if conditions else None,
    )
