"""What a network has to expect of clean states so that its chain has the law of a weighted pool."""

from __future__ import annotations

from collections.abc import Callable

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
    of the teacher's clean state, regressed on the pool in each part of the path (log-linear, brought back by
    Duan's smearing, 1983). Early, the pool is enough, and there is no noise of single samples. Late, E_w =
    E_1 is the sample that was noised, and where x_t tells its weight the target is the teacher's own:
    nothing is learned by heart.

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
        rows = torch.arange(len(weights))
        self.data = pool.ends(rows)
        self.group = _groups(pool.condition, len(weights))
        self.coefficients = self._regress(rows, batch_size, generator)

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
        condition, process = self.condition(rows), self.teacher.process
        prediction = self.teacher.predicted(state, step, condition)
        likelihood = corruption_log_prob(process, state, self.data, step)
        likelihood = likelihood.masked_fill(self.group[rows][:, None] != self.group, -torch.inf)
        plain = likelihood.softmax(1)
        weight = plain @ self.weights
        rate = (weight + 1) / 2
        value = self.value(clean_of(process, state, prediction, step), condition)
        foretold = self._foretold(value, step).minimum(MAX_SHARE * rate)
        of_pool = plain * (self.weights - foretold[:, None])
        whole = weight.clamp_min(LEAST)
        of_teacher = foretold + (whole - weight)

        def moved(mean: Tensor, pool: Tensor) -> Tensor:
            target = (of_pool @ pool.flatten(1)).view_as(mean) + tree.expand(of_teacher, mean) * mean
            return target / tree.expand(whole, mean)

        return tree.tree_map(moved, expected_data(process, state, prediction, step), self.data), whole / rate

    def _part(self, step: Tensor) -> Tensor:
        return step * NUM_PARTS // self.teacher.num_steps

    @torch.no_grad()
    def _regress(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
        """Slope and intercept of the log of the foretold weight in each part, [part, 2]."""
        order = torch.randperm(len(rows), generator=generator)
        steps, values = (order % self.teacher.num_steps).to(self.weights.device), []
        for part in rows.split(batch_size):
            condition = self.condition(part)
            state = self.teacher.corrupt(tree.index(self.data, part), steps[part], generator)
            prediction = self.teacher.predicted(state, steps[part], condition)
            clean = clean_of(self.teacher.process, state, prediction, steps[part])
            values.append(self.value(clean, condition))
        return torch.stack(
            [_log_linear(torch.cat(values), self.weights, self._part(steps) == k) for k in range(NUM_PARTS)]
        )

    def _foretold(self, value: Tensor, step: Tensor) -> Tensor:
        slope, intercept = self.coefficients[self._part(step)].unbind(1)
        known = torch.isfinite(value)
        return torch.where(known, (slope * value.where(known, 0.0) + intercept).exp(), 1.0)


def _log_linear(value: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
    """``[slope, intercept]`` of ``log E[weight | value]`` over the chosen rows; of few it is the mean, 1."""
    used = chosen & torch.isfinite(value) & (weights > 0)
    if used.sum() < 8:
        return value.new_zeros(2)
    x, y = value[used], weights[used].log()
    centred = x - x.mean()
    slope = (centred * y).sum() / centred.square().sum().clamp_min(1e-12)
    rest = y - slope * x
    share = (used.sum() / (chosen & torch.isfinite(value)).sum()).log()
    return torch.stack([slope, rest.logsumexp(0) - torch.log(used.sum()) + share])


def _groups(condition: Condition, num_rows: int) -> Tensor:
    """A number for each row, the same for equal conditions; one for all if there are none."""
    if condition is None:
        return torch.zeros(num_rows, dtype=torch.long)
    leaves = [leaf.flatten(1) if leaf.ndim > 1 else leaf[:, None] for leaf in tree.leaves(condition)]
    numbers = [leaf.unique(dim=0, return_inverse=True)[1] for leaf in leaves]
    return torch.stack(numbers, 1).unique(dim=0, return_inverse=True)[1]
