"""Updaters: one estimator a file, all maximising the same `Objective`."""

from seiko.updaters.backprop import RewardBackprop
from seiko.updaters.base import KLPenalty, KLTarget, Objective, Updater, UpdateReport
from seiko.updaters.fewer_steps import FewerSteps
from seiko.updaters.policy_gradient import PolicyGradient
from seiko.updaters.reward_weighted import RewardWeighted
from seiko.updaters.soft_q import SoftQ

__all__ = [
    "FewerSteps",
    "KLPenalty",
    "KLTarget",
    "Objective",
    "PolicyGradient",
    "RewardBackprop",
    "RewardWeighted",
    "SoftQ",
    "UpdateReport",
    "Updater",
]
