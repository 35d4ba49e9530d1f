"""Where a campaign stands, from its place alone: needs neither the domain nor torch."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from seiko.campaign.ledger import Round
from seiko.campaign.location import Location
from seiko.campaign.settings import Settings
from seiko.campaign.store import Transaction
from seiko.records import TrialState, micro

SHOWN = 8


@dataclass(frozen=True)
class CampaignStatus:
    """A campaign at one moment.

    Attributes:
        path: Where it is: the campaign folder, or the address of its database with its name.
        name: Given by its owner.
        domain: Name of the kind of its designs.
        budget: Queries that the whole budget pays for.
        queries_used: Queries that what is charged would have paid for.
        queries_left: Queries that what is left pays for.
        num_rounds: Rounds asked.
        num_complete: Trials with a reading.
        num_pending: Trials whose reading is awaited, running and stale ones included.
        num_failed: Trials whose measurement did not work.
        num_infeasible: Trials whose design has no reward.
        best_id: The trial with the highest reading, if there is one.
        best_value: That reading, in reward units.
        best_key: Canonical identity of its design.
        next_action: What to do now, in words.
        num_running: Awaited trials that somebody is measuring.
        num_stale: Awaited trials whose time is over.
        num_abandoned: Trials that will not be measured.
        num_trials: All of them.
        num_attached: Those that were not asked but came from elsewhere.
        unit: Of the budget.
        budget_total: All that may be spent, in that unit.
        budget_used: What is charged.
        budget_left: What is not.
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
    num_running: int
    num_stale: int
    num_abandoned: int
    num_trials: int
    num_attached: int
    unit: str
    budget_total: float
    budget_used: float
    budget_left: float

    def __str__(self) -> str:
        """One line, for a progress print."""
        best = "no reading yet"
        if self.best_value is not None:
            best = f"best {self.best_value:.6g} (trial {self.best_id})"
        return f"{self.queries_used} of {self.budget} queries in {self.num_rounds} rounds; {best}"


def read_status(location: str | os.PathLike[str]) -> CampaignStatus:
    """Where a campaign stands.

    Raises:
        CampaignError: If there is no campaign there, or it is damaged.

    Example:
        >>> read_status("no/such/folder")
        Traceback (most recent call last):
        ...
        seiko.errors.CampaignError: There is no campaign at no/such/folder: ...
    """
    from seiko.campaign.journal import Journal

    return Journal.open(location).status()


def status_of(transaction: Transaction, location: Location, settings: Settings) -> CampaignStatus:
    """Where the tables leave a campaign."""
    tables, now = transaction.tables, time.time()
    counts = tables.counts()
    awaited = counts.get(TrialState.PENDING, 0) + counts.get(TrialState.RUNNING, 0)
    late = tables.count_late(now)
    left = micro(settings.budget.total) - tables.charged()
    queries_left = max(left, 0) // micro(settings.budget.cost)
    top = next(iter(tables.best(1)), None)
    last = tables.last_round()
    return CampaignStatus(
        path=str(location),
        name=settings.name,
        domain=settings.domain,
        budget=settings.budget.queries,
        queries_used=settings.budget.queries - queries_left,
        queries_left=queries_left,
        num_rounds=tables.next_round(),
        num_complete=counts.get(TrialState.COMPLETE, 0),
        num_pending=awaited,
        num_failed=counts.get(TrialState.FAILED, 0),
        num_infeasible=counts.get(TrialState.INFEASIBLE, 0),
        best_id=top.id if top else None,
        best_value=top.value if top else None,
        best_key=top.key if top else None,
        next_action=_next_action(transaction, awaited, sum(late.values()), queries_left, last),
        num_running=counts.get(TrialState.RUNNING, 0) - late.get(TrialState.RUNNING, 0),
        num_stale=sum(late.values()),
        num_abandoned=counts.get(TrialState.ABANDONED, 0),
        num_trials=sum(counts.values()),
        num_attached=tables.count_attached(),
        unit=settings.budget.unit,
        budget_total=float(settings.budget.total),
        budget_used=(micro(settings.budget.total) - left) / 1e6,
        budget_left=left / 1e6,
    )


def final_round(transaction: Transaction) -> Round | None:
    """What the proposer last learned, if it knew everything that is told now."""
    last = transaction.tables.last_round()
    if last is None or last.round is not None or last.report is None:
        return None
    return last if transaction.tables.last_change() <= last.after else None


def _next_action(transaction: Transaction, awaited: int, stale: int, left: int, last: Round | None) -> str:
    if awaited:
        ids = transaction.tables.first_open(SHOWN)
        shown = ", ".join(map(str, ids)) + (", …" if awaited > SHOWN else "")
        late = f" {stale} of them are stale: tell, retry or abandon them." if stale else ""
        return f"Tell the readings of {awaited} pending trials: {shown}.{late}"
    if left:
        return f"Ask for the next designs; {left} queries are left."
    if final_round(transaction) is None:
        return "Call finish() to learn from the last readings."
    return "Nothing: the budget is spent and everything told was learned."
