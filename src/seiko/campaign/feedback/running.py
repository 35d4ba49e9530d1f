"""The loop that spends a campaign's budget on a feedback."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from seiko.campaign.feedback.base import Feedback, StreamingFeedback, rest_of
from seiko.campaign.feedback.retries import Backoff
from seiko.errors import BudgetExhausted, ObservationError, TrialError
from seiko.records import Observation, Trial, TrialState

if TYPE_CHECKING:
    from seiko.campaign.campaign import Campaign
    from seiko.campaign.status import CampaignStatus

Design = TypeVar("Design")
Batch = Mapping[int, Observation]

ENOUGH_FAILURES = 5
"""So many failures, and more than half of the last readings, stop a run."""

WINDOW = 20
"""The last readings that the failure rate is taken over."""


def run(
    campaign: Campaign[Design],
    feedback: Feedback[Design] | StreamingFeedback,
    *,
    progress: Callable[[CampaignStatus], None] | None = None,
    on_told: Callable[[Batch], None] | None = None,
    retries: Backoff | None = None,
    wait: float = 0.0,
) -> Mapping[str, Any]:
    """Spend what is left of a campaign's budget, and learn from all of it.

    Trials that an earlier run left pending are evaluated first: a run that was cut off is simply run again.
    Trials are marked as running before they are evaluated, so that several runs share a campaign; those of a
    run on this machine that is dead are taken over. Readings of a streaming feedback are told as they come.

    Ctrl-C stops it: what has not begun is withdrawn, what came is told, the rest waits for the next run, and
    ``KeyboardInterrupt`` is raised.

    Args:
        campaign: The campaign.
        feedback: Evaluates the designs.
        progress: Called with the campaign's status after every round.
        on_told: Called with the readings whenever some were told.
        retries: Whether failed trials are tried again, and when; not at all by default.
        wait: Seconds to wait for another run that is asking.

    Returns:
        The proposer's last report, as of :meth:`Campaign.finish`.

    Raises:
        ObservationError: If the feedback answers something that is not one observation a design. Or if too
            much failed: a whole round, when there has been no reading so far or the round had at least 5
            trials; or more than half of the last 20 readings of this run and at least 5. All that came is
            recorded first.
    """
    loop = _Loop(campaign, feedback, on_told, retries or Backoff())
    while True:
        trials = loop.claimed(campaign.history.open)
        if not trials:
            try:
                trials = loop.claimed(campaign.ask(wait=wait))
            except BudgetExhausted:
                return campaign.finish(wait=wait)
        loop.evaluate(trials)
        if progress is not None:
            progress(campaign.status())


class _Loop:
    """One run: what it evaluates, tells and tries again."""

    def __init__(
        self,
        campaign: Campaign[Any],
        feedback: Any,
        on_told: Callable[[Batch], None] | None,
        retries: Backoff,
    ) -> None:
        self._campaign = campaign
        self._feedback = feedback
        self._on_told = on_told
        self._retries = retries
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._name = worker_name()

    def claimed(self, trials: Iterable[Trial[Any]]) -> list[Trial[Any]]:
        """Those that nobody else is measuring, marked as ours from now on."""
        wanted = {trial.id: trial for trial in trials}
        if not wanted:
            return []
        running = [id_ for id_, trial in wanted.items() if trial.state is TrialState.RUNNING]
        workers = {row["worker"] for row in self._campaign.journal.rows(running)} if running else set()
        gone = [worker for worker in workers if worker and is_gone(worker)]
        mine = self._campaign.start(wanted, by=self._name, gone=gone)
        return [wanted[id_] for id_ in mine]

    def evaluate(self, trials: list[Trial[Any]]) -> None:
        """Evaluate, tell, and try again what failed while it may be."""
        failed: dict[int, Observation] = {}
        again, attempt = trials, 0
        while again:
            attempt += 1
            last = attempt > self._retries.retries
            found = self._evaluated(again, final=last)
            failed.update(found)
            again = [] if last else self._again([t for t in again if t.id in found], attempt, found)
            for trial in again:
                del failed[trial.id]
        self._stop_if_hopeless(trials, failed)

    def _evaluated(self, trials: list[Trial[Any]], *, final: bool) -> dict[int, Observation]:
        failed: dict[int, Observation] = {}
        batches = _batches(self._feedback, trials)
        batch: Batch = {}
        with closing(batches):
            try:
                for batch in batches:
                    failed.update(self._tell(batch))
                    self._settle(o for o in batch.values() if final or o.state is not TrialState.FAILED)
            except KeyboardInterrupt as stop:
                self._tell(batch)
                self._tell(rest_of(batches, stop) or {})
                raise
        return failed

    def _tell(self, batch: Batch) -> dict[int, Observation]:
        if batch:
            self._campaign.tell(batch)
            if self._on_told is not None:
                self._on_told(batch)
        return {id_: o for id_, o in batch.items() if o.state is TrialState.FAILED}

    def _again(self, trials: list[Trial[Any]], attempt: int, found: Batch) -> list[Trial[Any]]:
        """The failed trials that wait once more, after the pause; the campaign may refuse some."""
        if not trials:
            return []
        time.sleep(self._retries.pause(attempt))
        granted: list[int] = []
        for trial in trials:
            try:
                granted += self._campaign.retry([trial.id])
            except (TrialError, BudgetExhausted):
                self._settle([found[trial.id]])
        return self.claimed(trial for trial in trials if trial.id in granted)

    def _settle(self, observations: Iterable[Observation]) -> None:
        """Count readings that stand, and stop when too many of the last ones failed."""
        settled = list(observations)
        self._recent.extend(o.state is TrialState.FAILED for o in settled)
        num_failed = sum(self._recent)
        if num_failed < ENOUGH_FAILURES or num_failed * 2 <= len(self._recent):
            return
        reasons = [o.note for o in settled if o.state is TrialState.FAILED and o.note]
        raise ObservationError(
            f"{num_failed} of the last {len(self._recent)} readings failed; the last: "
            f"{reasons[-1] if reasons else 'no reason given'}.",
            hint=self._mend(),
        )

    def _stop_if_hopeless(self, trials: Sequence[Trial[Any]], failed: Batch) -> None:
        if not trials or len(failed) < len(trials):
            return
        status = self._campaign.status()
        if len(trials) < ENOUGH_FAILURES and (status.num_complete or status.num_infeasible):
            return
        raise ObservationError(
            f"All {len(trials)} readings of round {trials[-1].round} failed; the first: "
            f"{failed[trials[0].id].note or 'no reason given'}.",
            hint=self._mend(),
        )

    def _mend(self) -> str:
        left = self._campaign.queries_left
        return f"They are recorded. Mend the reward and run again; {left} queries are left."


def _batches(feedback: Any, trials: list[Trial[Any]]) -> Generator[Batch, None, None]:
    """What the feedback gives, checked; all at once where it does not stream."""
    if not hasattr(feedback, "stream"):
        yield _at_once(feedback, trials)
        return
    awaited = {trial.id for trial in trials}
    name = type(feedback).__name__
    stream = iter(feedback.stream(trials))
    try:
        for batch in stream:
            _check_batch(batch, awaited, name)
            awaited -= set(batch)
            yield batch
    except KeyboardInterrupt as stop:
        yield rest_of(stream, stop) or {}
        raise
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
    if awaited:
        raise ObservationError(
            f"{name}.stream gave nothing for {len(awaited)} of {len(trials)} trials, first {min(awaited)}.",
            hint="What it gave is told; the others are still awaited.",
        )


def _check_batch(batch: Any, awaited: set[int], name: str) -> None:
    if not isinstance(batch, Mapping):
        raise ObservationError(
            f"{name}.stream must give mappings from trial id to Observation; it gave {batch!r}."
        )
    for id_, observation in batch.items():
        if id_ not in awaited:
            raise ObservationError(
                f"{name}.stream gave a reading of trial {id_!r}, which is not awaited.",
                hint="Give each trial of the call once.",
            )
        if not isinstance(observation, Observation):
            raise ObservationError(
                f"{name}.stream must give Observations; for trial {id_} it gave {observation!r}."
            )


def _at_once(feedback: Any, trials: list[Trial[Any]]) -> Batch:
    observations = list(feedback.evaluate([t.design for t in trials]))
    name = type(feedback).__name__
    if len(observations) != len(trials):
        raise ObservationError(
            f"{name}.evaluate gave {len(observations)} observations for {len(trials)} designs.",
            hint="Nothing was told; the trials are still pending.",
        )
    for trial, observation in zip(trials, observations, strict=True):
        if not isinstance(observation, Observation):
            raise ObservationError(
                f"{name}.evaluate must give Observations; for trial {trial.id} it gave {observation!r}.",
                hint="Nothing was told. Wrap a plain function as CallableFeedback(function).",
            )
    return {t.id: o for t, o in zip(trials, observations, strict=True)}


def worker_name(pid: int | None = None) -> str:
    """This process's name in the record: host, process id, and where it is known when it began."""
    pid = os.getpid() if pid is None else pid
    return f"{socket.gethostname()}:{pid}:{_began(pid)}"


def is_gone(name: str) -> bool:
    """Whether a name of :func:`worker_name` is that of a dead process of this machine."""
    host, _, rest = name.rpartition(":")[0].rpartition(":")
    pid = rest
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return worker_name(int(pid)) != name


def _began(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
