"""SEIKO with exact laws on a finite world: measured regret, the bound beside it, and how both grow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seiko.errors import ParameterError
from seiko.theory.bonuses import Bonus, Elliptical, Ridge
from seiko.theory.laws import Array, Pull, divergence, mean, objective, tilted
from seiko.theory.worlds import World

Schedule = Callable[[int], float]
"""w_prev of round i = 1, 2, ..., in reward units a nat."""


def constant(weight: float) -> Schedule:
    """The same w_prev in every round; 0 leaves the previous law out."""
    return lambda round_: weight


def telescoping(kl_weight_pretrained: float) -> Schedule:
    """``w_pre (i - 1)``: the law is then ``p_pre exp(mean of all h so far / w_pre)``."""
    return lambda round_: kl_weight_pretrained * (round_ - 1)


def quadratic(kl_weight_pretrained: float) -> Schedule:
    """``w_pre (i^2 - 1)``, faster than the guarantee allows: the law moves by 1/i^2 and stands still."""
    return lambda round_: kl_weight_pretrained * (round_**2 - 1)


@dataclass(frozen=True)
class Learner:
    """Settings of SEIKO: `previous` gives w_prev of each round, `bonus` is put on the ridge mean."""

    bonus: Bonus
    previous: Schedule
    kl_weight_pretrained: float = 0.03
    ridge: float = 0.1


@dataclass(frozen=True)
class Regret:
    """Round by round, [round], in reward units. A round's entry is about the law p_i that it ends with.

    Attributes:
        regret: ``J(q) - J(p_i)`` with ``J(p) = E_p[reward] - w_pre KL(p || p_pre)``, q its maximum.
        width: ``2 E_{p_i}[bonus_i]``.
        drift: ``w_prev KL(q || p_{i-1}) - (w_pre + w_prev) KL(q || p_i) - w_prev KL(p_i || p_{i-1})``.
        covered: Whether ``|mean - reward| <= bonus`` on the whole support. Where it is,
            ``regret <= width + drift``.
        first_pull: ``w_prev of round 1 * KL(q || p_pre)``: all that is left of the sum of `drift` where
            the schedule telescopes.
    """

    regret: Array
    width: Array
    drift: Array
    covered: NDArray[np.bool_]
    first_pull: float

    def cumulative(self) -> Array:
        """Measured regret up to each round, [round]."""
        return np.cumsum(self.regret)

    def bound(self) -> Array:
        """``sum of width + first_pull`` up to each round, [round]: the guarantee if `telescopes`."""
        return np.cumsum(self.width) + self.first_pull


def telescopes(previous: Schedule, kl_weight_pretrained: float, num_rounds: int) -> bool:
    """Whether ``w_prev(i + 1) <= w_pre + w_prev(i)`` up to the last round."""
    weights = np.array([previous(i) for i in range(1, num_rounds + 1)])
    return bool(np.all(np.diff(weights) <= kl_weight_pretrained * (1 + 1e-12)))


def measure(world: World, learner: Learner, *, num_rounds: int, generator: np.random.Generator) -> Regret:
    """Run rounds of one query and measure the regret exactly.

    Round i draws one design from ``p_{i-1}``, reads it with noise, fits ridge regression to everything told,
    and moves to the closed form ``p_i = argmax E_p[mean + bonus] - w_pre KL(p || p_pre) -
    w_prev KL(p || p_{i-1})``; ``p_0`` is the pre-trained law.

    Args:
        world: Designs, reward, pre-trained law.
        learner: Settings.
        num_rounds: Rounds, 1 or more.
        generator: Draws designs and noise.

    Raises:
        ParameterError: If `num_rounds` is below 1.

    Example:
        >>> from seiko.theory import Elliptical, rare_family
        >>> world = rare_family(np.random.default_rng(0))
        >>> learner = Learner(Elliptical(world.noise_std, world.norm), constant(0.0))
        >>> found = measure(world, learner, num_rounds=5, generator=np.random.default_rng(0))
        >>> bool(np.all(found.cumulative() <= found.bound()))
        True
    """
    if num_rounds < 1:
        raise ParameterError(f"`num_rounds` must be at least 1; got {num_rounds}.")
    home = Pull(world.log_pretrained, learner.kl_weight_pretrained)
    best = tilted(world.reward, [home])
    best_value = objective(best, world.reward, [home])
    state = Ridge.empty(world.features.shape[1], ridge=learner.ridge)
    law, rows = world.log_pretrained, []
    for round_ in range(1, num_rounds + 1):
        state = _ask(world, law, state, generator)
        centre, bonus = state.mean(world.features), learner.bonus(state, world.features)
        pulls = [home, Pull(law, learner.previous(round_))]
        new = tilted(centre + bonus, pulls)
        loss = best_value - objective(new, world.reward, [home])
        error = np.abs(centre - world.reward)[np.isfinite(world.log_pretrained)]
        optimistic = bool(np.all(error <= bonus[np.isfinite(world.log_pretrained)] + 1e-12))
        rows.append((loss, 2 * mean(new, bonus), _drift(best, new, pulls), optimistic))
        law = new
    regret, width, drift, covered = (np.array(column) for column in zip(*rows, strict=True))
    first = learner.previous(1)
    first_pull = first * divergence(best, world.log_pretrained) if first else 0.0
    return Regret(regret, width, drift, covered, first_pull)


def _ask(world: World, law: Array, state: Ridge, generator: np.random.Generator) -> Ridge:
    chosen = generator.choice(len(law), p=np.exp(law))
    return state.told(
        world.features[chosen], float(world.reward[chosen] + world.noise_std * generator.normal())
    )


def _drift(best: Array, new: Array, pulls: list[Pull]) -> float:
    home, back = pulls
    drift = -(home.weight + back.weight) * divergence(best, new)
    if back.weight > 0:
        drift += back.weight * (divergence(best, back.log_reference) - divergence(new, back.log_reference))
    return drift


def promised(num_rounds: int, *, dimension: int, ridge: float, bonus: Elliptical) -> float:
    """What `Regret.bound` is at most, in expectation, before any reading: of order ``d sqrt(K)``, up to logs.

    By Cauchy-Schwarz and the elliptical potential, for features of length at most 1 and a schedule that
    starts at 0::

        2 beta_K sqrt(K c L),   L = d log(1 + (K + 1) / (d ridge)),   c = (1 / ridge) / log(1 + 1 / ridge)

    L is the most that ``log det(A / ridge)`` can be, and beta_K is the bonus's factor there.

    Args:
        num_rounds: K.
        dimension: d, the number of features.
        ridge: Penalty of the weights.
        bonus: The bonus of the guarantee.

    Example:
        >>> sizes = [promised(k, dimension=18, ridge=0.1, bonus=Elliptical(0.1, 1.0)) for k in (100, 10_000)]
        >>> 10 < sizes[1] / sizes[0] < 25
        True
    """
    gathered = dimension * math.log(1 + (num_rounds + 1) / (dimension * ridge))
    share = (1 / ridge) / math.log(1 + 1 / ridge)
    return 2 * bonus.scale(gathered, ridge) * math.sqrt(num_rounds * share * gathered)


def growth_exponent(cumulative: Array, *, first: int | None = None, points: int = 40) -> float:
    """Slope of ``log cumulative`` on ``log round``, by least squares on rounds even in the logarithm.

    1 is linear growth, 0.5 the root of the number of rounds.

    Args:
        cumulative: A sum up to each round, [round].
        first: First round of the fit; a tenth of the rounds where None.
        points: How many rounds enter the fit.

    Raises:
        ParameterError: If the sum is not positive there, or fewer than two rounds are left.

    Example:
        >>> round(growth_exponent(np.sqrt(np.arange(1, 1001))), 3)
        0.5
    """
    start = first if first is not None else max(1, len(cumulative) // 10)
    if not 1 <= start < len(cumulative):
        raise ParameterError(f"`first` must be from 1 to {len(cumulative) - 1}; got {start}.")
    rounds = np.unique(np.geomspace(start, len(cumulative), points).round().astype(int))
    chosen = cumulative[rounds - 1]
    if np.any(chosen <= 0):
        raise ParameterError("An exponent needs sums above 0 in every round of the fit.")
    return float(np.polyfit(np.log(rounds), np.log(chosen), 1)[0])
