"""Designs from elsewhere: checked, encoded and written in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seiko.campaign import proposals
from seiko.campaign.artifacts import digest_of
from seiko.campaign.ledger import NewEvent, Row
from seiko.campaign.readings import label, read_reading, warn_of_empty
from seiko.campaign.settings import Settings
from seiko.campaign.store import Store, Transaction
from seiko.campaign.verbs import Desk, reading_payload
from seiko.errors import BudgetExhausted, ObservationError, ParameterError, SeikoError
from seiko.records import Observation, micro

if TYPE_CHECKING:
    from seiko.domains.base import Domain


def attach(
    store: Store,
    settings: Settings,
    domain: Domain[Any],
    designs: Sequence[Any],
    readings: Sequence[Any] | None,
    *,
    charge: bool,
    note: str,
    dry_run: bool,
) -> list[Row]:
    """Write what is new, and return the trial of each design; see :meth:`Campaign.attach`."""
    given = list(designs)
    told = [[_noted(reading, note) for reading in entry] for entry in _told(given, readings)]
    keys = [_key(design, index, domain) for index, design in enumerate(given)]
    wanted = _by_key(keys, told)
    places = {key: index for index, key in reversed(list(enumerate(keys)))}
    encoded = {key: _encoded(given[places[key]], key, domain, draw=True) for key in wanted}
    with store.write(commit=not dry_run) as transaction:
        known = transaction.tables.by_key(wanted)
        old = {known[key][0].id: told for key, told in wanted.items() if key in known and told}
        events = _told_again(Desk(transaction.tables, settings, old), old, keys)
        new = [key for key in wanted if key not in known]
        reserve = _reserve(transaction, settings, len(new)) if charge else 0
        first = transaction.tables.num_trials()
        deadline = None if settings.timeout is None else time.time() + settings.timeout
        for place, key in enumerate(new):
            payload = _payload(first + place, key, encoded[key][0], wanted[key], reserve)
            events.append(NewEvent("attached", payload if wanted[key] else {**payload, "deadline": deadline}))
        if events:
            transaction.append(events, blobs=[blob for key in new for blob in encoded[key][1]])
        ids = {key: known[key][0].id if key in known else first for key in wanted}
        ids |= {key: first + place for place, key in enumerate(new)}
        rows = dict(transaction.tables.rows(sorted(set(ids.values()))))
    warn_of_empty({ids[key]: told for key, told in wanted.items()}, [ids[k] for k in new], stacklevel=3)
    return [rows[ids[key]] for key in keys]


def _told_again(desk: Desk, old: Mapping[int, Sequence[Observation]], keys: Sequence[str]) -> list[NewEvent]:
    """Readings of designs that are there already; an error has the place of its design as `index`."""
    try:
        return desk.tell(old)
    except SeikoError as error:
        error.__dict__["index"] = keys.index(desk.rows[error.__dict__["trial_id"]].key)
        raise


def _at(index: int, error: SeikoError) -> SeikoError:
    """The error, with the place of the design that it is about as its attribute `index`."""
    error.__dict__["index"] = index
    return error


def _told(designs: Sequence[Any], readings: Sequence[Any] | None) -> list[list[Observation]]:
    if readings is None:
        return [[] for _ in designs]
    given = list(readings) if not isinstance(readings, (str, bytes, Mapping)) else None
    if given is None or len(given) != len(designs):
        count = "a mapping or text" if given is None else str(len(given))
        raise ParameterError(
            f"`readings` must hold one entry for each of the {len(designs)} designs; got {count}.",
            hint="Nothing was recorded.",
        )
    return [_read(index, reading) for index, reading in enumerate(given)]


def _read(index: int, reading: Any) -> list[Observation]:
    try:
        return read_reading(f"design {index}", reading)
    except ObservationError as error:
        raise _at(index, error) from None


def _noted(reading: Observation, note: str) -> Observation:
    return reading if reading.note or not note else replace(reading, note=note)


def _key(design: Any, index: int, domain: Domain[Any]) -> str:
    if not domain.is_valid(design):
        reason = domain.why_invalid(design) or "the domain gives no reason"
        raise _at(
            index,
            ParameterError(
                f"Design {index}, {design!r}, is not valid: {reason}.",
                hint="Nothing was recorded; mend it or leave it out.",
            ),
        )
    return domain.key(design)


def _by_key(keys: Sequence[str], told: Sequence[list[Observation]]) -> dict[str, list[Observation]]:
    """The readings of each different design; the same one twice under one replicate is taken once."""
    merged: dict[str, dict[str, Observation]] = {}
    for index, (key, observations) in enumerate(zip(keys, told, strict=True)):
        seen = merged.setdefault(key, {})
        for new in observations:
            if seen.setdefault(label(new), new) != new:
                raise _at(
                    index,
                    ObservationError(
                        f"Design {index}, {key!r}, comes twice with different readings under one replicate.",
                        hint="Nothing was recorded; give each reading a `replicate` of its own.",
                    ),
                )
    return {key: list(readings.values()) for key, readings in merged.items()}


def _encoded(design: Any, key: str, domain: Domain[Any], *, draw: bool) -> tuple[dict[str, str], list[bytes]]:
    content = proposals.to_bytes(design, key, domain, what=f"The design {key!r}")
    rendering = domain.render(design).encode()
    return {"design": digest_of(content), "rendering": digest_of(rendering)}, [content, rendering]


def _payload(
    id_: int, key: str, hashes: Mapping[str, str], told: Sequence[Observation], reserve: int
) -> dict[str, Any]:
    readings = [reading_payload(new) for new in told]
    return {"id": id_, "key": key, "reserve": reserve, "readings": readings, **hashes}


def _reserve(transaction: Transaction, settings: Settings, count: int) -> int:
    cost = micro(settings.budget.cost)
    left = micro(settings.budget.total) - transaction.tables.charged()
    if count * cost > left:
        raise BudgetExhausted(
            f"{count} new designs cost {count * cost / 1e6:g} {settings.budget.unit}, and {left / 1e6:g} "
            "are left.",
            hint="Nothing was recorded; attach fewer, or without `charge`.",
        )
    return cost
