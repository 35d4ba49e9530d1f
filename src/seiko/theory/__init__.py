"""The guarantee, runnable: exact laws on a finite space, linear reward, measured regret beside its bound."""

from seiko.theory.bonuses import Bonus, Elliptical, Modest, NoBonus, Ridge, Unshrinking
from seiko.theory.laws import Pull, divergence, normalised, objective, tilted
from seiko.theory.regret import (
    Learner,
    Regret,
    Schedule,
    constant,
    growth_exponent,
    measure,
    promised,
    quadratic,
    telescopes,
    telescoping,
)
from seiko.theory.worlds import World, aliased, rare_family, shared_features

__all__ = [
    "Bonus",
    "Elliptical",
    "Learner",
    "Modest",
    "NoBonus",
    "Pull",
    "Regret",
    "Ridge",
    "Schedule",
    "Unshrinking",
    "World",
    "aliased",
    "constant",
    "divergence",
    "growth_exponent",
    "measure",
    "normalised",
    "objective",
    "promised",
    "quadratic",
    "rare_family",
    "shared_features",
    "telescopes",
    "telescoping",
    "tilted",
]
