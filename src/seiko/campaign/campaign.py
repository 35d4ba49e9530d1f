"""The campaign: asks a proposer for designs, and tells it what they scored."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seiko.campaign import proposals, status
from seiko.campaign.ledger import Ledger, Settings, check_domain, created_event, settings_of, told_event
from seiko.campaign.lock import exclusive
from seiko.campaign.numbers import whole
from seiko.campaign.readings import NO_VALUE, FailedReadingWarning, read_readings, unwritten
from seiko.campaign.store import NewEvent, Store
from seiko.errors import BudgetExhausted, CampaignError
from seiko.records import History, Observation, Trial, TrialState

if TYPE_CHECKING:
    from seiko.domains.base import Domain
    from seiko.proposers.base import Proposal, Proposer

Design = TypeVar("Design")


class Campaign(Generic[Design]):
    """A durable record of trials, and the proposer that chooses the next ones. Readings are maximised.

    Everything lives in one folder. :meth:`ask` is slow: it learns from what was told, then proposes;
    :meth:`tell` only writes. Whatever either returned is on the disk, so a process may end at any moment, and
    an ask that was cut off gives the same designs when it is asked again.

    Made by :meth:`create` or :meth:`open`.

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
        >>> campaign.tell({trials[0].id: 0.5, trials[1].id: 0.8})
        >>> campaign.queries_left, campaign.best(1)[0].value
        (2, 0.8)
    """

    def __init__(self, store: Store, *, domain: Domain[Design], proposer: Proposer[Design]) -> None:
        self._store = store
        self._domain = domain
        self._proposer = proposer
        self._designs: list[Design] = []
        self._replayed = Ledger()
        self._settings = settings_of(self._refreshed(), store.path)
        check_domain(self._settings, domain, store.path)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        domain: Domain[Design],
        proposer: Proposer[Design],
        budget: int,
        num_queries: int,
        seed: int = 0,
        name: str | None = None,
    ) -> Campaign[Design]:
        """Start a campaign in a new folder.

        Args:
            path: The folder; made if it is not there.
            domain: The kind of its designs.
            proposer: Chooses what to ask.
            budget: Number of designs that may be asked for in all.
            num_queries: Number of designs of one ask, unless the ask says otherwise.
            seed: Of all randomness of the proposals.
            name: For reports; the folder's name by default.

        Raises:
            ParameterError: If a number is not a whole one, or too small.
            CampaignError: If there is a campaign already, or the folder cannot be written.
        """
        settings = Settings(
            name=name or Path(path).resolve().name,
            domain=domain.name,
            media_type=domain.media_type,
            budget=whole("budget", budget, least=1),
            num_queries=whole("num_queries", num_queries, least=1),
            seed=whole("seed", seed),
        )
        store = Store.create(path, [created_event(settings)])
        return cls(store, domain=domain, proposer=proposer)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, domain: Domain[Design], proposer: Proposer[Design]
    ) -> Campaign[Design]:
        """Go on with a campaign, from another process or on another day.

        Raises:
            CampaignError: If there is none, it is damaged, or it is a campaign of another domain.
        """
        return cls(Store.open(path), domain=domain, proposer=proposer)

    @property
    def path(self) -> Path:
        """The campaign folder."""
        return self._store.path

    @property
    def trials(self) -> tuple[Trial[Design], ...]:
        """Everything asked so far, in order of id."""
        return self.history.trials

    @property
    def history(self) -> History[Design]:
        """Everything asked and told, as the proposer sees it."""
        return self._history(self._refreshed())

    @property
    def queries_left(self) -> int:
        """Designs that may still be asked for."""
        return self._settings.budget - len(self._refreshed().trials)

    @property
    def rounds(self) -> tuple[Mapping[str, Any], ...]:
        """What the proposer reported, one a round."""
        return tuple(self._refreshed().reports)

    @property
    def artifacts(self) -> dict[str, bytes]:
        """What the proposer last left: weights, numbers.

        Raises:
            CampaignError: If a file is missing or damaged; the message names it.
        """
        return {
            name: self._store.get_artifact(digest) for name, digest in self._refreshed().artifacts.items()
        }

    def ask(self, num_queries: int | None = None) -> list[Trial[Design]]:
        """Learn from everything told and propose the next designs; slow.

        Trials still pending stay so; the proposer knows them. The budget is charged here.

        Args:
            num_queries: How many; the campaign's own number by default, never more than are left.

        Returns:
            The new trials, already stored.

        Raises:
            BudgetExhausted: If no queries are left.
            CampaignError: If another run is asking, or the proposer answered something it may not; then
                nothing was stored and nothing charged.
        """
        wanted = self._settings.num_queries if num_queries is None else num_queries
        count = whole("num_queries", wanted, least=1)
        with exclusive(self.path):
            ledger = self._refreshed()
            left = self._settings.budget - len(ledger.trials)
            if not left:
                raise BudgetExhausted(
                    f"All {self._settings.budget} queries of the campaign {self.path} are spent.",
                    hint="Tell what is pending and call finish(); best() gives the best designs.",
                )
            first = len(ledger.trials)
            self._ask(self._history(ledger), ledger.last_id, min(count, left))
            return list(self.trials[first:])

    def tell(self, readings: Mapping[int, float | Observation | None]) -> None:
        """Record readings; fast, and all of them or none.

        Telling the same reading again changes nothing. None and NaN are recorded as failed, with a warning.

        Args:
            readings: Trial id to a number in reward units, or to an :class:`~seiko.Observation`.

        Raises:
            ObservationError: If a reading is not a finite number.
            TrialError: If a trial is unknown, or was told something else.
            CampaignError: If the folder cannot be written.
        """
        observations = read_readings(readings)
        with self._store.write() as transaction:
            ledger = self._replayed.replay(transaction.events(after=self._replayed.last_id))
            new = unwritten(observations, ledger.trials)
            transaction.append([told_event(ledger.trials[id_], o) for id_, o in new.items()])
        empty = [id_ for id_, o in new.items() if o.state is TrialState.FAILED and o.note == NO_VALUE]
        if empty:
            warnings.warn(
                f"Trials {empty} were told without a value and are recorded as failed. "
                "Tell Observation.failed(reason) to say why and silence this.",
                FailedReadingWarning,
                stacklevel=2,
            )

    def finish(self) -> Mapping[str, Any]:
        """Learn from everything told, without asking; slow.

        Afterwards :attr:`artifacts` hold what was learned. Called again with nothing new told, it only
        returns the same report.

        Returns:
            The proposer's report.

        Raises:
            CampaignError: If another run is asking, or the proposer answered something it may not.
        """
        with exclusive(self.path):
            ledger = self._refreshed()
            if ledger.final_report is None:
                return self._finish(self._history(ledger), ledger.last_id)
            return ledger.final_report

    def best(self, k: int = 1) -> list[Trial[Design]]:
        """The `k` complete trials with the highest readings, best first; fewer if there are not so many."""
        return status.ranked(self.trials)[: whole("k", k, least=1)]

    def status(self) -> status.CampaignStatus:
        """Where the campaign stands."""
        return status.status_of(self._refreshed(), self.path)

    def _refreshed(self) -> Ledger:
        """The state as it is stored now, other processes' writes included."""
        return self._replayed.replay(self._store.events(after=self._replayed.last_id))

    def _history(self, ledger: Ledger) -> History[Design]:
        """What the ledger says, with designs instead of their hashes."""
        self._decode(ledger.trials[len(self._designs) :])
        pairs = zip(ledger.trials, self._designs, strict=True)
        return History(tuple(replace(t, design=d) for t, d in pairs))  # type: ignore[arg-type, misc]

    def _decode(self, records: list[Trial[str]]) -> None:
        if not records:
            return
        blobs = self._store.blobs(t.design for t in records)
        for record in records:
            try:
                self._designs.append(self._domain.from_bytes(blobs[record.design]))
            except Exception as error:
                raise CampaignError(
                    f"Trial {record.id} cannot be read by the domain {self._domain.name!r}: {error}.",
                    hint="Open the campaign with the domain that it was created with.",
                ) from error

    def _ask(self, history: History[Design], after: int, count: int) -> None:
        """Propose from the events up to `after`; what is told meanwhile is for the next ask."""
        round_, first = history.next_round, len(history.trials)
        proposal = self._propose(history, count, "ask")
        encoded = proposals.encode(proposal, count, self._domain, history.keys)
        payload = {
            "round": round_,
            "after": after,
            "trials": [{"id": first + i, **trial} for i, trial in enumerate(encoded.trials)],
            "artifacts": self._put_artifacts(proposal.artifacts),
            "report": encoded.report,
        }
        self._store.append([NewEvent("asked", payload, round=round_)], blobs=encoded.blobs)

    def _finish(self, history: History[Design], after: int) -> Mapping[str, Any]:
        proposal = self._propose(history, 0, "finish")
        encoded = proposals.encode(proposal, 0, self._domain, history.keys)
        payload = {
            "after": after,
            "artifacts": self._put_artifacts(proposal.artifacts),
            "report": encoded.report,
        }
        self._store.append([NewEvent("learned", payload)])
        return encoded.report

    def _propose(self, history: History[Design], count: int, purpose: str) -> Proposal[Design]:
        import torch  # only here: everything else about a campaign starts without it

        from seiko.proposers.base import Proposal

        seed = proposals.seed_of(self._settings.seed, history.next_round, purpose)
        generator = torch.Generator().manual_seed(seed)
        answer = self._proposer.propose(history, count, resume=self.artifacts, generator=generator)
        if not isinstance(answer, Proposal):
            raise CampaignError(
                f"The proposer answered {type(answer).__name__}; it must answer a Proposal.",
                hint=proposals.FAULT,
            )
        return answer

    def _put_artifacts(self, artifacts: Mapping[str, bytes]) -> dict[str, str]:
        return {name: self._store.put_artifact(content) for name, content in artifacts.items()}
