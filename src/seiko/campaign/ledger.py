"""The state of a campaign as the replay of its events. Knows no designs, only their hashes; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seiko.campaign.store import Event, NewEvent
from seiko.errors import CampaignError
from seiko.records import Observation, Trial, TrialState

if TYPE_CHECKING:
    from seiko.domains.base import Domain


@dataclass(frozen=True)
class Settings:
    """What a campaign was created with; fixed for its life."""

    name: str
    domain: str
    media_type: str
    budget: int
    num_queries: int
    seed: int


class Ledger:
    """Everything the events say so far.

    Attributes:
        settings: What the campaign was created with; None before its first event.
        trials: In order of id; the design of each is the hash of its stored bytes.
        renderings: For each trial the hash of its stored drawing.
        reports: What the proposer reported, one a round.
        artifacts: Name to hash, of what the proposer last left.
        final_report: Of the last :meth:`Campaign.finish`, if nothing was asked or told since.
        last_id: Id of the last event replayed.
    """

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.trials: list[Trial[str]] = []
        self.renderings: list[str] = []
        self.reports: list[Mapping[str, Any]] = []
        self.artifacts: Mapping[str, str] = {}
        self.final_report: Mapping[str, Any] | None = None
        self.last_id = 0

    def replay(self, events: Iterable[Event]) -> Ledger:
        """Take in further events, in order.

        Raises:
            CampaignError: If an event is of a kind that this version does not know.
        """
        kinds = {"created": self._created, "asked": self._asked, "told": self._told, "learned": self._learned}
        for event in events:
            if event.kind not in kinds:
                raise CampaignError(
                    f"Event {event.id} is of the unknown kind {event.kind!r}; known are {', '.join(kinds)}.",
                    hint="Install the version of seiko that wrote it.",
                )
            kinds[event.kind](event)
            self.last_id = event.id
        return self

    def _created(self, event: Event) -> None:
        self.settings = Settings(**event.payload)

    def _asked(self, event: Event) -> None:
        for asked in event.payload["trials"]:
            mean, std = asked["predicted"] or (None, None)
            self.trials.append(
                Trial(
                    id=asked["id"],
                    round=event.payload["round"],
                    design=asked["design"],
                    key=asked["key"],
                    predicted_mean=mean,
                    predicted_std=std,
                )
            )
            self.renderings.append(asked["rendering"])
        self.reports.append(event.payload["report"])
        self.artifacts = event.payload["artifacts"]
        self.final_report = None

    def _told(self, event: Event) -> None:
        told = event.payload
        self.trials[told["id"]] = replace(
            self.trials[told["id"]],
            state=TrialState(told["state"]),
            value=told["value"],
            noise_std=told["noise_std"],
            note=told["note"],
        )
        self.final_report = None

    def _learned(self, event: Event) -> None:
        self.artifacts = event.payload["artifacts"]
        self.final_report = event.payload["report"]


def settings_of(ledger: Ledger, path: Path) -> Settings:
    """What the campaign was created with.

    Raises:
        CampaignError: If its events do not say.
    """
    if ledger.settings is None:
        raise CampaignError(f"The campaign {path} has no first event.", hint="Restore it from a copy.")
    return ledger.settings


def check_domain(settings: Settings, domain: Domain[Any], path: Path) -> None:
    """Refuse a domain other than the one that the campaign was created with.

    Raises:
        CampaignError: If its name or the media type of its bytes is another.
    """
    if (domain.name, domain.media_type) != (settings.domain, settings.media_type):
        raise CampaignError(
            f"The campaign {path} is about {settings.domain!r} designs ({settings.media_type}); it was "
            f"opened with the domain {domain.name!r} ({domain.media_type}).",
            hint="Open it with the domain that it was created with.",
        )


def created_event(settings: Settings) -> NewEvent:
    """The first event of every campaign."""
    return NewEvent("created", asdict(settings))


def told_event(trial: Trial[Any], observation: Observation) -> NewEvent:
    """One reading of one trial."""
    payload = {
        "id": trial.id,
        "state": str(observation.state),
        "value": None if observation.value is None else float(observation.value),
        "noise_std": None if observation.noise_std is None else float(observation.noise_std),
        "note": str(observation.note),
    }
    return NewEvent("told", payload, round=trial.round)
