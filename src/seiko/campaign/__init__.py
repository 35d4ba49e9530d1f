"""The durable campaign: ask for designs, tell what they scored, survive everything in between."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seiko.campaign.campaign import Campaign, LostArtifactsWarning
    from seiko.campaign.feedback import CallableFeedback, Feedback, run
    from seiko.campaign.journal import Journal
    from seiko.campaign.readings import FailedReadingWarning
    from seiko.campaign.status import CampaignStatus, read_status
    from seiko.campaign.store import Store

_MODULES = {
    "Campaign": "campaign",
    "CallableFeedback": "feedback",
    "Feedback": "feedback",
    "run": "feedback",
    "FailedReadingWarning": "readings",
    "Journal": "journal",
    "LostArtifactsWarning": "campaign",
    "CampaignStatus": "status",
    "read_status": "status",
    "Store": "store",
}

__all__ = [
    "CallableFeedback",
    "Campaign",
    "CampaignStatus",
    "FailedReadingWarning",
    "Feedback",
    "Journal",
    "LostArtifactsWarning",
    "Store",
    "read_status",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
