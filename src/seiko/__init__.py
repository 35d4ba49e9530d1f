"""Feedback-efficient online fine-tuning of diffusion models.

A campaign asks a proposer for designs and tells it what they scored. Public names are imported when they are
first used, so that ``import seiko`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seiko.acquisitions import ExpectedImprovement, Mean, Thompson, UpperConfidenceBound
    from seiko.campaign.campaign import Campaign
    from seiko.campaign.feedback import CallableFeedback, Feedback, run
    from seiko.chain import Chain, fork, path_kl, path_log_prob, rollout, sample
    from seiko.chains.base import DiffusionChain
    from seiko.domains.base import Domain
    from seiko.errors import SeikoError
    from seiko.pretraining import Pretraining, pretrain
    from seiko.proposers.base import Proposal, Proposer
    from seiko.proposers.online import OnlineFineTuner
    from seiko.records import History, Observation, Trial, TrialState
    from seiko.surrogates.base import Observations, Surrogate
    from seiko.surrogates.ensemble import BootstrapEnsemble
    from seiko.surrogates.feasibility import FeasibilityModel
    from seiko.surrogates.gp import GaussianProcess
    from seiko.surrogates.linear import LastLayerLinear
    from seiko.updaters.backprop import RewardBackprop
    from seiko.updaters.base import KLPenalty, KLTarget, Objective, Updater, UpdateReport
    from seiko.updaters.policy_gradient import PolicyGradient
    from seiko.updaters.reward_weighted import RewardWeighted

__version__ = "0.1.0.dev0"

_MODULES = {
    "BootstrapEnsemble": "seiko.surrogates.ensemble",
    "CallableFeedback": "seiko.campaign.feedback",
    "Campaign": "seiko.campaign.campaign",
    "Chain": "seiko.chain",
    "DiffusionChain": "seiko.chains.base",
    "Domain": "seiko.domains.base",
    "ExpectedImprovement": "seiko.acquisitions",
    "FeasibilityModel": "seiko.surrogates.feasibility",
    "Feedback": "seiko.campaign.feedback",
    "GaussianProcess": "seiko.surrogates.gp",
    "History": "seiko.records",
    "KLPenalty": "seiko.updaters.base",
    "KLTarget": "seiko.updaters.base",
    "LastLayerLinear": "seiko.surrogates.linear",
    "Mean": "seiko.acquisitions",
    "Objective": "seiko.updaters.base",
    "Observation": "seiko.records",
    "Observations": "seiko.surrogates.base",
    "OnlineFineTuner": "seiko.proposers.online",
    "PolicyGradient": "seiko.updaters.policy_gradient",
    "Pretraining": "seiko.pretraining",
    "Proposal": "seiko.proposers.base",
    "Proposer": "seiko.proposers.base",
    "RewardBackprop": "seiko.updaters.backprop",
    "RewardWeighted": "seiko.updaters.reward_weighted",
    "SeikoError": "seiko.errors",
    "Surrogate": "seiko.surrogates.base",
    "Thompson": "seiko.acquisitions",
    "Trial": "seiko.records",
    "TrialState": "seiko.records",
    "UpdateReport": "seiko.updaters.base",
    "Updater": "seiko.updaters.base",
    "UpperConfidenceBound": "seiko.acquisitions",
    "fork": "seiko.chain",
    "path_kl": "seiko.chain",
    "path_log_prob": "seiko.chain",
    "pretrain": "seiko.pretraining",
    "rollout": "seiko.chain",
    "run": "seiko.campaign.feedback",
    "sample": "seiko.chain",
}

__all__ = [  # the keys of _MODULES, written out for readers and type checkers
    "BootstrapEnsemble",
    "CallableFeedback",
    "Campaign",
    "Chain",
    "DiffusionChain",
    "Domain",
    "ExpectedImprovement",
    "FeasibilityModel",
    "Feedback",
    "GaussianProcess",
    "History",
    "KLPenalty",
    "KLTarget",
    "LastLayerLinear",
    "Mean",
    "Objective",
    "Observation",
    "Observations",
    "OnlineFineTuner",
    "PolicyGradient",
    "Pretraining",
    "Proposal",
    "Proposer",
    "RewardBackprop",
    "RewardWeighted",
    "SeikoError",
    "Surrogate",
    "Thompson",
    "Trial",
    "TrialState",
    "UpdateReport",
    "Updater",
    "UpperConfidenceBound",
    "fork",
    "path_kl",
    "path_log_prob",
    "pretrain",
    "rollout",
    "run",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'seiko' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
