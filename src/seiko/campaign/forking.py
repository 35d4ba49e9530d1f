"""A campaign copied, event by event, to go on with another method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seiko.campaign.ledger import NewEvent
from seiko.campaign.location import Location
from seiko.campaign.numbers import whole
from seiko.campaign.settings import Settings, check_config
from seiko.campaign.store import Store
from seiko.errors import ParameterError
from seiko.records import Budget, micro


def fork(
    source: Store,
    location: Location,
    *,
    budget: int | Budget | None,
    seed: int | None,
    name: str | None,
    config: Mapping[str, Any] | None,
    keep_artifacts: bool,
) -> Store:
    """Copy the journal and its blobs to a new place and append the event of the fork."""
    with source.read() as moment:
        old = Settings.read(moment.tables.settings() or {})
        settings = replace(
            old,
            name=name or location.default_name,
            budget=_budget(old.budget, budget, moment.tables.charged()),
            seed=old.seed if seed is None else whole("seed", seed),
            config=dict(old.config) if config is None else check_config(config),
            artifacts=old.artifacts if "://" in old.artifacts else "",
        )
        last = moment.tables.last_round()
        kept = dict(last.artifacts) if last and keep_artifacts else {}
        contents = [source.get_artifact(digest) for digest in kept.values()]
        event = {
            "from": str(source.location),
            "after": moment.last_id(),
            "settings": settings.as_json(),
            "artifacts": kept,
        }
        made = Store.copy(location, moment, NewEvent("forked", event))
    for content in contents:
        made.put_artifact(content)
    return made


def _budget(old: Budget, given: int | Budget | None, spent: int) -> Budget:
    if given is None:
        return old
    new = given if isinstance(given, Budget) else replace(old, total=whole("budget", given, least=1))
    if micro(new.total) < spent:
        raise ParameterError(
            f"The fork's budget of {new.total:g} {new.unit} is less than the {spent / 1e6:g} spent so far.",
            hint="A fork's budget includes what its campaign has spent; raise it.",
        )
    return new
