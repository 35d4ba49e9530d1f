"""Feedback-efficient online fine-tuning of diffusion models.

A campaign asks a proposer for designs and tells it what they scored. Public names are imported when they are
first used, so that ``import seiko`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seiko.campaign.campaign import Campaign
    from seiko.domains.base import Domain
    from seiko.errors import SeikoError
    from seiko.proposers.base import Proposal
    from seiko.records import History, Observation, Trial, TrialState
    from seiko.surrogates.base import Observations

__version__ = "0.1.0.dev0"

_MODULES = {
    "Campaign": "seiko.campaign.campaign",
    "Domain": "seiko.domains.base",
    "History": "seiko.records",
    "Observation": "seiko.records",
    "Observations": "seiko.surrogates.base",
    "Proposal": "seiko.proposers.base",
    "SeikoError": "seiko.errors",
    "Trial": "seiko.records",
    "TrialState": "seiko.records",
}

__all__ = [  # the keys of _MODULES, written out for readers and type checkers
    "Campaign",
    "Domain",
    "History",
    "Observation",
    "Observations",
    "Proposal",
    "SeikoError",
    "Trial",
    "TrialState",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'seiko' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
