"""What a network has to expect of clean states so that its chain has the law of a weighted pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seiko import tree
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

    Args:
        teacher: The chain that drew the pool; not trained.
        pool: Samples.
        weights: Of the samples, mean 1, [n]; 0 where a design is infeasible.
        value: ``(clean states, condition) -> [batch]``, of what is expected on the way; -inf: not known.
        batch_size: Rows of the teacher's calls at once.
        generator: Source of the noise of the regression.
    """

    def __init__(
        self,
        teacher: DiffusionChain,
        pool: Paths,
        weights: Tensor,
        value: Callable[[State, Condition], Tensor],
        *,
        batch_size: int,
        generator: torch.Generator,
    ) -> None:
        self.teacher, self.value, self.weights = teacher, value, weights
        self.condition = pool.condition_of
        self.data = pool.ends(torch.arange(len(weights)))
        self.group = _groups(pool.condition, len(weights)).to(weights.device)
        self.coefficients = self._regress(batch_size, generator)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Rows of the pool, half by weight and half evenly, [count]."""
        return torch.multinomial(self.weights + 1, count, replacement=True, generator=generator)

    def loss(self, student: DiffusionChain, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The student's training loss to the targets of drawn rows, at a random step each, [batch]."""
        data, condition = tree.index(self.data, rows), self.condition(rows)
        state, step = self.teacher.corrupted(data, generator)
        target, share = self.target(state, step, rows)
        return share * student.process.loss(student.predicted(state, step, condition), target, state, step)

    @torch.no_grad()
    def target(self, state: State, step: Tensor, rows: Tensor) -> tuple[State, Tensor]:
        """Targets and what each counts, [batch]; `rows` of the pool have the same conditions as `state`."""
        seen = self._look(state, step, rows)
        slope, intercept = self.coefficients[self._part(step)].unbind(1)
        known = torch.isfinite(seen.value)
        foretold = (slope * seen.value.where(known, 0.0) + intercept * known).exp()
        foretold = foretold.minimum(MAX_SHARE * seen.rate)
        of_pool = seen.likelihood * (self.weights - foretold[:, None])
        whole = seen.weight.clamp_min(LEAST)
        of_teacher = foretold + (whole - seen.weight)

        def moved(mean: Tensor, pool: Tensor) -> Tensor:
            target = (of_pool @ pool.flatten(1)).view_as(mean) + tree.expand(of_teacher, mean) * mean
            return target / tree.expand(whole, mean)

        return tree.tree_map(moved, seen.mean, self.data), whole / seen.rate

    def _look(self, state: State, step: Tensor, rows: Tensor) -> _Seen:
        condition, process = self.condition(rows), self.teacher.process
        prediction: Any = self.teacher.predicted(state, step, condition)
        likelihood = corruption_log_prob(process, state, self.data, step)
        likelihood = likelihood.masked_fill(self.group[rows][:, None] != self.group, -torch.inf).softmax(1)
        value = self.value(clean_of(process, state, prediction, step), condition)
        mean = expected_data(process, state, prediction, step)
        return _Seen(likelihood, likelihood @ self.weights, value, mean)

    def _part(self, step: Tensor) -> Tensor:
        return step * NUM_PARTS // self.teacher.num_steps

    @torch.no_grad()
    def _regress(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Slope and intercept of the log of the foretold weight in each part, [part, 2]."""
        rows = self.draw(len(self.weights), generator)
        found = []
        for part in rows.split(batch_size):
            state, step = self.teacher.corrupted(tree.index(self.data, part), generator)
            seen = self._look(state, step, part)
            found.append(torch.stack([self._part(step).to(seen.value), seen.value, seen.weight, seen.rate]))
        number, *columns = torch.cat(found, 1)
        return torch.stack([log_linear(*(c[number == k] for c in columns)) for k in range(NUM_PARTS)])


@dataclass(frozen=True)
class _Seen:
    """What noised states tell: of the pool, its mean weight, the teacher's clean state and its value."""

    likelihood: Tensor
    weight: Tensor
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
    value, weight, rate = value[known], weight[known], rate[known]
    if len(value) < LEAST_ROWS or not weight.any():
        return value.new_zeros(2)
    centre, spread = value.mean(), value.std().clamp_min(1e-6)
    design = torch.stack([torch.ones_like(value), (value - centre) / spread], 1)
    found = torch.stack([(weight / rate).sum().log() - (1 / rate).sum().log(), value.new_zeros(())])
    for _ in range(50):
        mean = (design @ found).clamp_max(LARGEST).exp()
        slope = design.T @ ((weight - mean) / rate)
        curve = (design.T * (mean / rate)) @ design + 1e-6 * torch.eye(2).to(value)
        found = found + torch.linalg.solve(curve, slope).clamp(-1, 1)
    return torch.stack([found[1] / spread, found[0] - found[1] * centre / spread])


def _groups(condition: Condition, num_rows: int) -> Tensor:
    """A number for each row, the same for equal conditions; one for all if there are none."""
    if condition is None:
        return torch.zeros(num_rows, dtype=torch.long)
    leaves = [leaf.flatten(1) if leaf.ndim > 1 else leaf[:, None] for leaf in tree.leaves(condition)]
    numbers = [leaf.unique(dim=0, return_inverse=True)[1] for leaf in leaves]
    return torch.stack(numbers, 1).unique(dim=0, return_inverse=True)[1]
