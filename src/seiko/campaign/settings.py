"""What a campaign was created with; written in its first event and fixed from then on, except by a fork."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from seiko.campaign.location import Location
from seiko.campaign.numbers import whole
from seiko.errors import CampaignError, ParameterError
from seiko.records import Budget, is_finite_number

if TYPE_CHECKING:
    from seiko.domains.base import Domain


@dataclass(frozen=True)
class Settings:
    """What a campaign was created with.

    Attributes:
        name: For reports.
        domain: Name of the kind of its designs.
        media_type: Of the designs' bytes.
        budget: What may be spent.
        num_queries: Designs of one ask, unless the ask says otherwise.
        seed: Of all randomness of the proposals.
        timeout: Seconds after which an awaited trial is stale; None for never.
        max_retries: How often one failed trial may be tried again.
        artifacts: Folder or URL of the artifacts; empty for the campaign's own place.
        config: Whatever its owner wants to find again, such as the method and its arguments; JSON values.
    """

    name: str
    domain: str
    media_type: str
    budget: Budget
    num_queries: int
    seed: int
    timeout: float | None = None
    max_retries: int = 2
    artifacts: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Settings:
        """Settings from JSON values, of this version or of the first."""
        budget = payload["budget"]
        return cls(
            **{**payload, "budget": Budget(**budget) if isinstance(budget, Mapping) else Budget(budget)}
        )

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "config": dict(self.config)}


def make_settings(
    *,
    name: str,
    domain: Domain[Any],
    budget: int | Budget,
    num_queries: int,
    seed: int,
    timeout: float | None,
    max_retries: int,
    artifacts: str,
    config: Mapping[str, Any] | None,
) -> Settings:
    """Check every argument of a new campaign.

    Raises:
        ParameterError: If a number is not whole or too small, or `config` holds more than JSON values.
    """
    if not isinstance(budget, Budget):
        budget = Budget(whole("budget", budget, least=1))
    return Settings(
        name=name,
        domain=domain.name,
        media_type=domain.media_type,
        budget=budget,
        num_queries=whole("num_queries", num_queries, least=1),
        seed=whole("seed", seed),
        timeout=check_timeout(timeout),
        max_retries=whole("max_retries", max_retries, least=0),
        artifacts=artifacts,
        config=check_config(config),
    )


def check_timeout(timeout: Any) -> float | None:
    """Raise ParameterError unless it is None or a number of seconds above 0."""
    if timeout is not None and not (is_finite_number(timeout) and timeout > 0):
        raise ParameterError(f"`timeout` must be a number of seconds > 0, or None; got {timeout!r}.")
    return None if timeout is None else float(timeout)


def check_config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The config as it will be read back.

    Raises:
        ParameterError: If it is no mapping, or holds something that JSON does not.
    """
    if not isinstance(config or {}, Mapping):
        raise ParameterError(f"`config` must be a mapping of JSON values; got {type(config).__name__}.")
    try:
        return json.loads(json.dumps(dict(config or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"`config` must hold JSON values only: {error}.") from error


def check_domain(settings: Settings, domain: Domain[Any], location: Location) -> None:
    """Refuse a domain other than the one that the campaign was created with.

    Raises:
        CampaignError: If its name or the media type of its bytes is another.
    """
    if (domain.name, domain.media_type) != (settings.domain, settings.media_type):
        raise CampaignError(
            f"The campaign {location} is about {settings.domain!r} designs ({settings.media_type}); it was "
            f"opened with the domain {domain.name!r} ({domain.media_type}).",
            hint="Open it with the domain that it was created with.",
        )
