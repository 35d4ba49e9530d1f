"""Where a campaign stands, from its folder alone: needs neither the domain nor torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seiko.campaign.ledger import Ledger, settings_of
from seiko.campaign.store import Store
from seiko.records import Trial, TrialState


@dataclass(frozen=True)
class CampaignStatus:
    """A campaign at one moment.

    Attributes:
        path: The campaign folder.
        name: Given by its owner.
        domain: Name of the kind of its designs.
        budget: Queries allowed in all.
        queries_used: Designs asked for, whatever came of them.
        queries_left: Budget less queries used.
        num_rounds: Rounds asked.
        num_complete: Trials with a reading.
        num_pending: Trials whose reading is awaited.
        num_failed: Trials whose measurement did not work.
        num_infeasible: Trials whose design has no reward.
        best_id: The trial with the highest reading, if there is one.
        best_value: That reading, in reward units.
        best_key: Canonical identity of its design.
        next_action: What to do now, in words.
    """

    path: str
    name: str
    domain: str
    budget: int
    queries_used: int
    queries_left: int
    num_rounds: int
    num_complete: int
    num_pending: int
    num_failed: int
    num_infeasible: int
    best_id: int | None
    best_value: float | None
    best_key: str | None
    next_action: str


def read_status(path: str | os.PathLike[str]) -> CampaignStatus:
    """Where the campaign in a folder stands.

    Raises:
        CampaignError: If there is no campaign there, or it is damaged.

    Example:
        >>> read_status("no/such/folder")
        Traceback (most recent call last):
        ...
        seiko.errors.CampaignError: There is no campaign at no/such/folder: ...
    """
    store = Store.open(path)
    return status_of(Ledger().replay(store.events()), store.path)


def status_of(ledger: Ledger, path: Path) -> CampaignStatus:
    """Where the replayed events leave a campaign."""
    settings, trials = settings_of(ledger, path), ledger.trials
    top = next(iter(ranked(trials)), None)
    return CampaignStatus(
        path=str(path),
        name=settings.name,
        domain=settings.domain,
        budget=settings.budget,
        queries_used=len(trials),
        queries_left=settings.budget - len(trials),
        num_rounds=len(ledger.reports),
        num_complete=_count(trials, TrialState.COMPLETE),
        num_pending=sum(t.state.is_open for t in trials),
        num_failed=_count(trials, TrialState.FAILED),
        num_infeasible=_count(trials, TrialState.INFEASIBLE),
        best_id=top.id if top else None,
        best_value=top.value if top else None,
        best_key=top.key if top else None,
        next_action=_next_action(ledger, settings.budget - len(trials)),
    )


def ranked(trials: Sequence[Trial[Any]]) -> list[Trial[Any]]:
    """Complete trials from the highest reading down; of equal ones the first asked comes first."""
    return sorted((t for t in trials if t.value is not None), key=lambda t: (-(t.value or 0.0), t.id))


def _count(trials: Sequence[Trial[Any]], state: TrialState) -> int:
    return sum(t.state is state for t in trials)


def _next_action(ledger: Ledger, queries_left: int) -> str:
    awaited = [t.id for t in ledger.trials if t.state.is_open]
    if awaited:
        shown = ", ".join(map(str, awaited[:8])) + (", …" if len(awaited) > 8 else "")
        return f"Tell the readings of {len(awaited)} pending trials: {shown}."
    if queries_left:
        return f"Ask for the next designs; {queries_left} queries are left."
    if ledger.final_report is None:
        return "Call finish() to learn from the last readings."
    return "Nothing: the budget is spent and everything told was learned."
