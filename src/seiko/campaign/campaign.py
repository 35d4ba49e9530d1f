"""The campaign: asks a proposer for designs, and tells it what they scored."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seiko.campaign import proposals, status
from seiko.campaign.attaching import attach
from seiko.campaign.forking import fork
from seiko.campaign.history import Snapshot, StoredHistory
from seiko.campaign.journal import Journal, Told, trial_of
from seiko.campaign.ledger import NewEvent, Row
from seiko.campaign.location import Location
from seiko.campaign.numbers import whole
from seiko.campaign.settings import check_domain, make_settings
from seiko.campaign.store import Store, Transaction
from seiko.errors import BudgetExhausted, CampaignError
from seiko.records import Budget, History, Trial, micro

if TYPE_CHECKING:
    from seiko.domains.base import Domain
    from seiko.proposers.base import Proposal, Proposer

Design = TypeVar("Design")


class LostArtifactsWarning(UserWarning):
    """What was learned is lost or damaged, and is learned again from the readings."""


class Campaign(Generic[Design]):
    """A durable record of trials, and the proposer that chooses the next ones. Readings are maximised.

    Everything lives in one folder, or in a database. :meth:`ask` is slow: it learns from what was told, then
    proposes; :meth:`tell` only writes. Whatever either returned is on the disk, so a process may end at any
    moment, and an ask that was cut off gives the same designs when it is asked again.

    Made by :meth:`create`, :meth:`open` or :meth:`fork`. What needs neither domain nor proposer is done by
    its :attr:`journal`, which other programs open alone.

    Attributes:
        journal: The record itself.

    Example:
        >>> import tempfile
        >>> from seiko import Campaign, Domain, Proposal
        >>> class Alphabet:
        ...     def propose(self, history, num_queries, **rest):
        ...         first = 97 + len(history.trials)
        ...         return Proposal([chr(first + i) for i in range(num_queries)])
        >>> letters = Domain(
        ...     "letters", decode=list, features=list, is_valid=str.isalpha, key=str, render=str,
        ...     to_bytes=str.encode, from_bytes=bytes.decode,
        ... )
        >>> folder = tempfile.mkdtemp()
        >>> campaign = Campaign.create(folder, domain=letters, proposer=Alphabet(), budget=4, num_queries=2)
        >>> trials = campaign.ask()
        >>> _ = campaign.tell({trials[0].id: 0.5, trials[1].id: 0.8})
        >>> campaign.queries_left, campaign.best(1)[0].value
        (2, 0.8)
    """

    def __init__(self, store: Store, *, domain: Domain[Design], proposer: Proposer[Design]) -> None:
        self.journal = Journal(store)
        self._store = store
        self._settings = self.journal.settings
        self._domain = domain
        self._proposer = proposer
        self._designs: dict[int, Design] = {}
        check_domain(self._settings, domain, store.location)

    @classmethod
    def create(
        cls,
        location: str | os.PathLike[str],
        *,
        domain: Domain[Design],
        proposer: Proposer[Design],
        budget: int | Budget,
        num_queries: int,
        seed: int = 0,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        max_retries: int = 2,
        artifacts: str | os.PathLike[str] | None = None,
    ) -> Campaign[Design]:
        """Start a campaign in a new folder, or under a new name in a database.

        Args:
            location: The folder, made if it is not there; or ``postgresql://user@host/database#name``.
            domain: The kind of its designs.
            proposer: Chooses what to ask.
            budget: Number of designs that may be asked for in all, or a :class:`~seiko.records.Budget`.
            num_queries: Number of designs of one ask, unless the ask says otherwise.
            seed: Of all randomness of the proposals.
            name: For reports; the folder's name by default.
            config: JSON values to find again, such as the method's name and arguments.
            timeout: Seconds after which an awaited trial is stale; never by default.
            max_retries: How often one failed trial may be tried again.
            artifacts: Where weights are kept: a folder, or a URL that fsspec knows. By default within the
                campaign folder, or in the database.

        Raises:
            ParameterError: If a number is not a whole one, or too small; or `config` is not JSON.
            CampaignError: If there is a campaign already, or its place cannot be written.
        """
        where = Location.of(location, name=name)
        settings = make_settings(
            name=name or where.default_name,
            domain=domain,
            budget=budget,
            num_queries=num_queries,
            seed=seed,
            timeout=timeout,
            max_retries=max_retries,
            artifacts=_absolute(artifacts),
            config=config,
        )
        store = Store.create(where, [NewEvent("created", settings.as_json())])
        return cls(store, domain=domain, proposer=proposer)

    @classmethod
    def open(
        cls, location: str | os.PathLike[str], *, domain: Domain[Design], proposer: Proposer[Design]
    ) -> Campaign[Design]:
        """Go on with a campaign, from another process or on another day.

        Raises:
            CampaignError: If there is none, it is damaged, or it is a campaign of another domain.
        """
        return cls(Store.open(location), domain=domain, proposer=proposer)

    @property
    def domain(self) -> Domain[Design]:
        """The kind of its designs."""
        return self._domain

    @property
    def path(self) -> Path:
        """The campaign folder; CampaignError if the campaign is in a database on a server."""
        return self._store.path

    @property
    def trials(self) -> tuple[Trial[Design], ...]:
        """Everything asked and attached so far, in order of id; stale is read off the clock."""
        with self._store.read() as transaction:
            rows = [row for _, row in transaction.tables.rows()]
        return tuple(self._trials(rows))

    @property
    def history(self) -> History[Design]:
        """Everything asked and told, as the proposer sees it: in recorded states, never stale."""
        with self._store.read() as transaction:
            snapshot = Snapshot(transaction)
        return StoredHistory(self._store, snapshot, self._decoded)

    @property
    def queries_left(self) -> int:
        """Designs that may still be asked for."""
        with self._store.read() as transaction:
            return self._queries_left(transaction)

    @property
    def budget_left(self) -> float:
        """What is left of the budget, in its unit."""
        return self.status().budget_left

    @property
    def rounds(self) -> tuple[Mapping[str, Any], ...]:
        """What the proposer reported, one a round."""
        return self.journal.rounds

    @property
    def artifacts(self) -> dict[str, bytes]:
        """What the proposer last left: weights, numbers.

        Raises:
            CampaignError: If a file is missing or damaged; the message names it.
        """
        with self._store.read() as transaction:
            last = transaction.tables.last_round()
        return self._artifacts(last.artifacts if last else {})

    def ask(
        self, num_queries: int | None = None, *, replicate: bool = False, wait: float = 0.0
    ) -> list[Trial[Design]]:
        """Learn from everything told and propose the next designs; slow.

        Trials still pending stay so; the proposer knows them. The budget is charged here. Others may tell and
        attach meanwhile; a design attached meanwhile is not asked.

        Args:
            num_queries: How many; the campaign's own number by default, never more than are left.
            replicate: Whether designs of earlier trials may be asked again.
            wait: Seconds to wait for another run that is asking.

        Returns:
            The new trials, already stored.

        Raises:
            BudgetExhausted: If no queries are left.
            CampaignError: If another run is asking, or the proposer answered something it may not; then
                nothing was stored and nothing charged.
        """
        wanted = self._settings.num_queries if num_queries is None else num_queries
        count = whole("num_queries", wanted, least=1)
        with self._store.exclusive(wait=wait):
            with self._store.read() as transaction:
                snapshot = Snapshot(transaction)
                left = self._check_left(self._queries_left(transaction))
                last = transaction.tables.last_round()
            history = StoredHistory(self._store, snapshot, self._decoded, replicate=replicate)
            resume = self._resumed(last.artifacts if last else {})
            proposal = self._propose(history, min(count, left), "ask", resume)
            encoded = proposals.encode(proposal, min(count, left), self._domain)
            hashes = self._put_artifacts(proposal.artifacts)
            with self._store.write() as transaction:
                rows = self._asked(transaction, encoded, snapshot, hashes, replicate=replicate)
        return self._trials(rows)

    def _asked(
        self,
        transaction: Transaction,
        encoded: proposals.Encoded,
        snapshot: Snapshot,
        artifacts: Mapping[str, str],
        *,
        replicate: bool,
    ) -> list[Row]:
        """Store a round that was proposed from a snapshot; what was told meanwhile is for the next one."""
        trials = encoded.trials
        if not replicate:
            known = transaction.tables.by_key(trial["key"] for trial in trials)
            trials = proposals.without_known(trials, known, len(snapshot))
        if len(trials) > self._queries_left(transaction):
            raise BudgetExhausted(
                "Part of the budget was spent elsewhere while this round was proposed; nothing was stored.",
                hint="Ask again.",
            )
        first, timeout = transaction.tables.num_trials(), self._settings.timeout
        payload = {
            "round": snapshot.next_round,
            "after": snapshot.last,
            "trials": [{"id": first + i, **trial} for i, trial in enumerate(trials)],
            "artifacts": artifacts,
            "report": encoded.report,
            "reserve": micro(self._settings.budget.cost),
            "deadline": None if timeout is None else time.time() + timeout,
        }
        new = NewEvent("asked", payload, round=snapshot.next_round)
        transaction.append([new], blobs=encoded.blobs)
        return [row for _, row in transaction.tables.rows(range(first, first + len(trials)))]

    def tell(self, readings: Mapping[int, Told]) -> list[int]:
        """Record readings; fast, and all of them or none. See :meth:`Journal.tell`."""
        return self.journal.tell(readings, stacklevel=3)

    def start(
        self, ids: Iterable[int], *, timeout: float | None = None, by: str = "", gone: Collection[str] = ()
    ) -> list[int]:
        """Mark awaited trials as running. See :meth:`Journal.start`."""
        return self.journal.start(ids, timeout=timeout, by=by, gone=gone)

    def retry(self, ids: Iterable[int] | None = None) -> list[int]:
        """Let failed and stale trials wait for a reading again. See :meth:`Journal.retry`."""
        return self.journal.retry(ids)

    def abandon(self, ids: Iterable[int], *, reason: str) -> list[int]:
        """Give up on awaited or failed trials. See :meth:`Journal.abandon`."""
        return self.journal.abandon(ids, reason=reason)

    def amend(self, readings: Mapping[int, Told], *, reason: str) -> list[int]:
        """Correct what was told; the journal keeps what was there. See :meth:`Journal.amend`."""
        return self.journal.amend(readings, reason=reason)

    def attach(
        self,
        designs: Sequence[Design],
        readings: Sequence[Told] | None = None,
        *,
        charge: bool = False,
        note: str = "",
        dry_run: bool = False,
    ) -> list[Trial[Design]]:
        """Add designs from elsewhere, with their readings if there are any; all of them or none.

        Attached again, the same design with the same reading changes nothing. A design that is awaited is
        told its reading. Two entries of one design need readings with a `replicate` each.

        Args:
            designs: Of the campaign's domain.
            readings: One entry a design, as in :meth:`tell`; designs without readings are pending.
            charge: Whether new designs are charged to the budget, as if they had been asked.
            note: Of the readings that have none.
            dry_run: Check everything and write nothing.

        Returns:
            The trial of each design, in their order; the design is spelled as it is stored.

        Raises:
            ParameterError: If there are not as many readings as designs, or a design is not valid; the
                message names its place.
            ObservationError: If a reading is not a finite number.
            TrialError: If a design has another reading already.
            BudgetExhausted: If it is charged, and more than is left.
        """
        given = list(designs)
        rows = attach(
            self._store,
            self._settings,
            self._domain,
            given,
            readings,
            charge=charge,
            note=note,
            dry_run=dry_run,
        )
        now, domain = time.time(), self._domain
        stored = (domain.from_bytes(domain.to_bytes(design)) for design in given)
        return [trial_of(row, design, row.seen(now)) for row, design in zip(rows, stored, strict=True)]

    def fork(
        self,
        location: str | os.PathLike[str],
        *,
        proposer: Proposer[Design],
        budget: int | Budget | None = None,
        seed: int | None = None,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        keep_artifacts: bool = False,
    ) -> Campaign[Design]:
        """A new campaign that goes on from here with another method; this one is left as it is.

        The new one has a copy of the whole journal: every trial with its id, reading and charge.

        Args:
            location: Of the new campaign.
            proposer: Chooses its next designs.
            budget: Its budget, what is spent so far included; the same by default.
            seed: Of its proposals; the same by default.
            name: For reports; the folder's name by default.
            config: JSON values to find again; the same by default.
            keep_artifacts: Whether the new proposer goes on from what this one's left.

        Raises:
            CampaignError: If there is a campaign already, or this one's journal is damaged.
            ParameterError: If an argument is not allowed, or the budget is less than is spent.
        """
        store = fork(
            self._store,
            Location.of(location, name=name),
            budget=budget,
            seed=seed,
            name=name,
            config=config,
            keep_artifacts=keep_artifacts,
        )
        return Campaign(store, domain=self._domain, proposer=proposer)

    def finish(self, *, wait: float = 0.0) -> Mapping[str, Any]:
        """Learn from everything told, without asking; slow.

        Afterwards :attr:`artifacts` hold what was learned. Called again with nothing new told, it only
        returns the same report.

        Returns:
            The proposer's report.

        Raises:
            CampaignError: If another run is asking, or the proposer answered something it may not.
        """
        with self._store.exclusive(wait=wait):
            with self._store.read() as transaction:
                final, last = status.final_round(transaction), transaction.tables.last_round()
                snapshot = Snapshot(transaction)
            if final is not None and final.report is not None:
                return final.report
            history = StoredHistory(self._store, snapshot, self._decoded)
            proposal = self._propose(history, 0, "finish", self._resumed(last.artifacts if last else {}))
            encoded = proposals.encode(proposal, 0, self._domain)
            hashes = self._put_artifacts(proposal.artifacts)
            payload = {"after": snapshot.last, "artifacts": hashes, "report": encoded.report}
            self._store.append([NewEvent("learned", payload)])
            return encoded.report

    def best(self, k: int = 1) -> list[Trial[Design]]:
        """The `k` complete trials with the highest readings, best first; fewer if there are not so many."""
        with self._store.read() as transaction:
            rows = transaction.tables.best(whole("k", k, least=1))
        return self._trials(rows)

    def status(self) -> status.CampaignStatus:
        """Where the campaign stands."""
        return self.journal.status()

    def export(self) -> Iterator[dict[str, Any]]:
        """All trials as rows of a table. See :meth:`Journal.rows`."""
        return self.journal.rows()

    def _trials(self, rows: Sequence[Row]) -> list[Trial[Design]]:
        now = time.time()
        pairs = zip(rows, self._decoded(rows), strict=True)
        return [trial_of(row, design, row.seen(now)) for row, design in pairs]

    def _decoded(self, rows: Sequence[Row]) -> list[Design]:
        """The designs of trials; each is read once, for it never changes."""
        new = [row for row in rows if row.id not in self._designs]
        blobs = self._store.blobs(row.design for row in new) if new else {}
        for row in new:
            try:
                self._designs[row.id] = self._domain.from_bytes(blobs[row.design])
            except Exception as error:
                raise CampaignError(
                    f"Trial {row.id} cannot be read by the domain {self._domain.name!r}: {error}.",
                    hint="Open the campaign with the domain that it was created with.",
                ) from error
        return [self._designs[row.id] for row in rows]

    def _queries_left(self, transaction: Transaction) -> int:
        budget = self._settings.budget
        return max(micro(budget.total) - transaction.tables.charged(), 0) // micro(budget.cost)

    def _check_left(self, left: int) -> int:
        if not left:
            budget = self._settings.budget
            raise BudgetExhausted(
                f"All {budget.queries} queries of the campaign {self._store.location} are spent.",
                hint="Tell what is pending and call finish(); best() gives the best designs.",
            )
        return left

    def _propose(
        self, history: History[Design], count: int, purpose: str, resume: Mapping[str, bytes]
    ) -> Proposal[Design]:
        import torch  # only here: everything else about a campaign starts without it

        from seiko.proposers.base import Proposal

        seed = proposals.seed_of(self._settings.seed, history.next_round, purpose)
        generator = torch.Generator().manual_seed(seed)
        answer = self._proposer.propose(history, count, resume=resume, generator=generator)
        if not isinstance(answer, Proposal):
            raise CampaignError(
                f"The proposer answered {type(answer).__name__}; it must answer a Proposal.",
                hint=proposals.FAULT,
            )
        return answer

    def _resumed(self, hashes: Mapping[str, str]) -> dict[str, bytes]:
        """What the proposer last left; nothing at all if a part of it is lost, for it is learned again."""
        try:
            return self._artifacts(hashes)
        except CampaignError as error:
            warnings.warn(
                f"{error.message} What was learned is learned again from the readings, which are all there.",
                LostArtifactsWarning,
                stacklevel=3,
            )
            return {}

    def _artifacts(self, hashes: Mapping[str, str]) -> dict[str, bytes]:
        return {name: self._store.get_artifact(digest) for name, digest in hashes.items()}

    def _put_artifacts(self, artifacts: Mapping[str, bytes]) -> dict[str, str]:
        return {name: self._store.put_artifact(content) for name, content in artifacts.items()}


def _absolute(artifacts: str | os.PathLike[str] | None) -> str:
    text = os.fspath(artifacts) if artifacts is not None else ""
    return text if not text or "://" in text else str(Path(text).absolute())
