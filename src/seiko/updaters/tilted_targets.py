"""What a network has to expect of clean states so that its chain has the law of a weighted pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seiko import draws, shares, tree
from seiko.chains.base import DiffusionChain
from seiko.chains.clean import clean_of, expected_data
from seiko.chains.posterior import corruption_log_prob
from seiko.typing import Condition, State
from seiko.updaters.training import Paths

NUM_PARTS = 5
"""Parts of the path in which weights are foretold apart."""
MAX_SHARE = 4.0
"""Largest foretold weight over the rate at which its rows are drawn; it bounds the noise of rare rows."""
LEAST_ROWS = 8
"""With fewer rows the mean weight, 1, is foretold."""
LARGEST = 30.0
"""Logarithm of a foretold weight in the regression, at most: weights may be 0 below some value."""
LEAST = 0.01
"""A pool's mean weight below is filled up with the teacher's own target."""


class TiltedTargets:
    """The clean state that the law of weighted samples expects, given a noised one.

    Let x_0 have the law q of the teacher's samples, w its weight with mean 1, x_t its noised state. Under
    ``q w`` the expected clean state is ``E[w x_0 | x_t] / E[w | x_t]``, which the pool says badly wherever
    few of it can be told from x_t; without weights the teacher says it, ``m = E[x_0 | x_t]``. So the target
    takes from the pool what weights make of it alone:

    ``target = E_w - (h / h_pool) (E_1 - m)``, and counts ``h_pool / r`` in the loss, ``r = (h_pool + 1) / 2``

    E_w and E_1 are the means of the pool given x_t with and without weights, h_pool its mean weight given
    x_t, and r the rate of rows drawn half by weight and half evenly. Since ``E_1 - m`` has mean 0, the target
    has the right mean whatever h is, and the least noise with ``h = E[w | x_t]``: it is foretold by the value
    of the teacher's clean state, in each part of the path as the pool has it (`log_linear`). Early, the pool
    is enough, and there is no noise of single samples. Late, E_w = E_1 is the sample that was noised, and
    where x_t tells its weight the target is the teacher's own: nothing is learned by heart.

    Noised states and their targets are made first, so that one that is used again costs the student's call
    alone.

    Args:
        teacher: The chain that drew the pool; not trained.
        pool: Samples.
        weights: Of the samples, mean 1, [n]; 0 where a design is infeasible.
        value: ``(clean states, condition) -> [batch]``, of what is expected on the way; -inf: not known.
        num_rows: Noised states, m.
        batch_size: Rows of the teacher's calls at once.
        generator: Source of the noise.
    """

    def __init__(
        self,
        teacher: DiffusionChain,
        pool: Paths,
        weights: Tensor,
        value: Callable[[State, Condition], Tensor],
        *,
        num_rows: int,
        batch_size: int,
        generator: torch.Generator,
    ) -> None:
        self.teacher, self.value, self.weights, self.batch_size = teacher, value, weights, batch_size
        self.condition = pool.condition_of
        self.data = pool.ends(torch.arange(len(weights)))
        self.group = _groups(pool.condition, len(weights)).to(weights.device)
        parts = shares.current().each(num_rows, generator, self._noised)
        noised = [_Noised(*row) for part in parts for row in part]
        self.coefficients = self._regress(noised)
        self.rows = torch.cat([seen.rows for seen in noised])
        self.step = torch.cat([seen.step for seen in noised])
        self.state = tree.concat([seen.state for seen in noised])
        aims, counts = zip(*map(self._aim, noised), strict=True)
        self.aim, self.counts = tree.concat(aims), torch.cat(counts)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Rows of the pool, half by weight and half evenly, [count]."""
        return draws.rows(self.weights + 1, count, generator)

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Numbers of noised states, each once before any comes again, [size]; without end."""
        left = torch.arange(0)
        while True:
            while len(left) < size:
                left = torch.cat([left, torch.randperm(len(self.counts), generator=generator)])
            yield left[:size]
            left = left[size:]

    def loss(self, student: DiffusionChain, chosen: Tensor) -> Tensor:
        """The student's training loss to the targets of the noised states of these numbers, [batch]."""
        state, aim = tree.index(self.state, chosen), tree.index(self.aim, chosen)
        step, condition = self.step[chosen], self.condition(self.rows[chosen])
        prediction = student.predicted(state, step, condition)
        return self.counts[chosen] * student.process.loss(prediction, aim, state, step)

    def target(self, state: State, step: Tensor, rows: Tensor) -> tuple[State, Tensor]:
        """Targets and what each counts, [batch]; `rows` of the pool have the same conditions as `state`."""
        return self._aim(_Noised(rows, state, step, *self._look(state, step, rows)))

    def _noised(self, count: int, generator: torch.Generator) -> list[tuple[Any, ...]]:
        """What `_Noised` is made of, in parts."""
        parts = []
        for rows in self.draw(count, generator).split(self.batch_size):
            state, step = self.teacher.corrupted(tree.index(self.data, rows), generator)
            parts.append((rows, state, step, *self._look(state, step, rows)))
        return parts

    @torch.no_grad()
    def _look(self, state: State, step: Tensor, rows: Tensor) -> tuple[Tensor, State, State, Tensor, State]:
        """The pool's mean weight, its means with and without weights; the teacher's value and mean."""
        condition, process = self.condition(rows), self.teacher.process
        prediction: Any = self.teacher.predicted(state, step, condition)
        likelihood = corruption_log_prob(process, state, self.data, step)
        likelihood = likelihood.masked_fill(self.group[rows][:, None] != self.group, -torch.inf).softmax(1)
        mean = expected_data(process, state, prediction, step)

        def averaged(law: Tensor) -> State:
            return tree.tree_map(lambda like, pool: (law @ pool.flatten(1)).view_as(like), mean, self.data)

        return (
            likelihood @ self.weights,
            averaged(likelihood * self.weights),
            averaged(likelihood),
            self.value(clean_of(process, state, prediction, step), condition),
            mean,
        )

    def _aim(self, seen: _Noised) -> tuple[State, Tensor]:
        slope, intercept = self.coefficients[self._part(seen.step)].unbind(1)
        known = torch.isfinite(seen.value)
        foretold = (slope * seen.value.where(known, 0.0) + intercept * known).exp()
        foretold = foretold.minimum(MAX_SHARE * seen.rate)
        whole = seen.weight.clamp_min(LEAST)
        of_teacher = foretold + (whole - seen.weight)

        def moved(mean: Tensor, weighted: Tensor, plain: Tensor) -> Tensor:
            of_pool = weighted - tree.expand(foretold, mean) * plain
            return (of_pool + tree.expand(of_teacher, mean) * mean) / tree.expand(whole, mean)

        return tree.tree_map(moved, seen.mean, seen.weighted, seen.plain), whole / seen.rate

    def _part(self, step: Tensor) -> Tensor:
        return step * NUM_PARTS // self.teacher.num_steps

    def _regress(self, noised: list[_Noised]) -> Tensor:
        """Slope and intercept of the log of the foretold weight in each part, [part, 2]."""
        number = torch.cat([self._part(seen.step) for seen in noised])
        columns = [
            torch.cat([getattr(seen, name) for seen in noised]) for name in ("value", "weight", "rate")
        ]
        return torch.stack([log_linear(*(c[number == k] for c in columns)) for k in range(NUM_PARTS)])


@dataclass(frozen=True)
class _Noised:
    """Noised states of rows of the pool, and what they tell: see `TiltedTargets._look`."""

    rows: Tensor
    state: State
    step: Tensor
    weight: Tensor
    weighted: State
    plain: State
    value: Tensor
    mean: State

    @property
    def rate(self) -> Tensor:
        return (self.weight + 1) / 2


def log_linear(value: Tensor, weight: Tensor, rate: Tensor) -> Tensor:
    """``[slope, intercept]`` of ``log E[weight | value]`` by Poisson quasi-likelihood; rows come at `rate`.

    Its maximum has ``E[foretold] = E[weight]`` and ``E[foretold value] = E[weight value]``, for any law.
    """
    known = torch.isfinite(value)
    like, (value, weight, rate) = value, (part[known].double() for part in (value, weight, rate))
    if len(value) < LEAST_ROWS or not weight.any():
        return like.new_zeros(2)
    centre, spread = value.mean(), value.std().clamp_min(1e-6)
    design = torch.stack([torch.ones_like(value), (value - centre) / spread], 1)
    found = torch.stack([(weight / rate).sum().log() - (1 / rate).sum().log(), value.new_zeros(())])
    for _ in range(50):
        mean = (design @ found).clamp_max(LARGEST).exp()
        slope = design.T @ ((weight - mean) / rate)
        curve = (design.T * (mean / rate)) @ design
        curve += (1e-9 * curve.trace() + 1e-6) * torch.eye(2).to(value)  # one row may outweigh all others
        found = found + torch.linalg.solve(curve, slope).clamp(-1, 1)
    return torch.stack([found[1] / spread, found[0] - found[1] * centre / spread]).to(like)


def _groups(condition: Condition, num_rows: int) -> Tensor:
    """A number for each row, the same for equal conditions; one for all if there are none."""
    if condition is None:
        return torch.zeros(num_rows, dtype=torch.long)
    leaves = [leaf.flatten(1) if leaf.ndim > 1 else leaf[:, None] for leaf in tree.leaves(condition)]
    numbers = [leaf.unique(dim=0, return_inverse=True)[1] for leaf in leaves]
    return torch.stack(numbers, 1).unique(dim=0, return_inverse=True)[1]
