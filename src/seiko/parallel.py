"""A campaign on several processes or devices, started by ``accelerate launch``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
import torch.distributed.nn  # its functions hold the process group they are first imported under, for ever

from seiko.campaign import feedback as feedbacks
from seiko.campaign.campaign import Campaign
from seiko.campaign.feedback import Feedback
from seiko.errors import ObservationError, ParameterError
from seiko.proposers.base import Proposal, Proposer
from seiko.records import History, Observation, Trial
from seiko.shares import Team, working

Design = TypeVar("Design")


def run(
    make: Callable[[Proposer[Design]], Campaign[Design]],
    proposer: Proposer[Design],
    feedback: Feedback[Design],
    *,
    accelerator: Any,
    shares: int | None = None,
    block: int = 16,
    **options: Any,
) -> Mapping[str, Any]:
    """Spend what is left of a campaign's budget with all processes of one ``accelerate launch``.

    The main process alone has the campaign: it reads, asks and writes. Samples, gradients, measurements and
    features are made in shares, one part on each process (`seiko.shares.Team`), and so are the readings: each
    design is evaluated once, by one process. Cut off, it is started again the same way and goes on. A process
    that fails ends the whole launch, and what was told until then is kept. Import this module before the
    accelerator is made, and call ``accelerator.end_training()`` in the end: both together end the threads
    that processes talk by, which may else abort one that exits.

    Args:
        make: ``proposer -> campaign``: `Campaign.create` or `Campaign.open` with the proposer that it is
            given; called on the main process only.
        proposer: The method, made alike in every process.
        feedback: Evaluates designs, made alike in every process.
        accelerator: An ``accelerate.Accelerator``, with mixed precision "no" or "bf16".
        shares: Into how many parts a batch is cut; the number of processes by default. The outcome depends on
            it, and not on the number of processes.
        block: Designs that a process evaluates between two writes of readings.
        **options: Of `seiko.run`.

    Returns:
        The proposer's last report, on every process.

    Raises:
        ObservationError: As `seiko.run`.
        ParameterError: If the accelerator's mixed precision needs scaled gradients, or a number is too small.
    """
    if isinstance(block, bool) or not isinstance(block, int) or block < 1:
        raise ParameterError(f"`block` must be an integer >= 1; got {block!r}.")
    team = Team(accelerator.num_processes if shares is None else shares, accelerator)
    with working(team):
        if team.rank:
            return _follow(team, proposer, feedback)
        office = _Office(team, proposer, feedback)
        report: Mapping[str, Any] = {}
        try:
            campaign = make(_Shared(office))
            report = feedbacks.run(campaign, _SharedFeedback(office, block), **options)
        finally:
            office.close(report)
        return report


class _Office:
    """The main process's side: tells the others what all do next, and does it with them."""

    def __init__(self, team: Team, proposer: Proposer[Any], feedback: Feedback[Any]) -> None:
        self.team, self._proposer, self._feedback = team, proposer, feedback
        self._busy = False

    def do(self, task: str, argument: Any) -> Any:
        self._busy = True  # if it fails the others are in the middle of it, and no message reaches them
        _broadcast(self.team, (task, argument))
        done = _work(self.team, self._proposer, self._feedback, task, argument)
        self._busy = False
        return done

    def close(self, report: Mapping[str, Any]) -> None:
        if not self._busy:
            _broadcast(self.team, ("end", dict(report)))


def _follow(team: Team, proposer: Proposer[Any], feedback: Feedback[Any]) -> Mapping[str, Any]:
    """The other processes' side: do what they are told until the end."""
    while True:
        task, argument = _broadcast(team, None)
        if task == "end":
            return argument
        _work(team, proposer, feedback, task, argument)


def _broadcast(team: Team, message: Any) -> Any:
    held = [message]
    if team.num_processes > 1:
        torch.distributed.broadcast_object_list(held, src=0)
    return held[0]


def _work(team: Team, proposer: Proposer[Any], feedback: Feedback[Any], task: str, argument: Any) -> Any:
    if task == "evaluate":
        return _evaluate(team, feedback, argument)
    return _propose(proposer, argument)


@dataclass(frozen=True)
class _Request(Generic[Design]):
    """Everything that a proposal depends on."""

    history: _SentHistory[Design]
    num_queries: int
    resume: Mapping[str, bytes]
    random_state: torch.Tensor


@dataclass(frozen=True)
class _SentHistory(History[Design]):
    """A campaign's history without its store."""

    known: frozenset[str] = frozenset()
    round: int = 0

    @property
    def keys(self) -> frozenset[str]:
        return self.known

    @property
    def next_round(self) -> int:
        return self.round


def _propose(proposer: Proposer[Any], request: _Request[Any]) -> Proposal[Any]:
    generator = torch.Generator()
    generator.set_state(request.random_state)
    return proposer.propose(request.history, request.num_queries, resume=request.resume, generator=generator)


def _evaluate(team: Team, feedback: Feedback[Any], designs: Sequence[Any]) -> list[Observation]:
    """One observation a design, each made by one process."""
    cuts = Team(team.num_processes).sizes(len(designs))
    parts = [designs[sum(cuts[:i]) : sum(cuts[: i + 1])] for i in range(len(cuts))]
    found = {i: list(feedback.evaluate(part)) for i, part in team.own(parts)}
    return [observation for part in team.gathered(found, len(parts)) for observation in part]


@dataclass(frozen=True)
class _Shared(Generic[Design]):
    """A proposer that all processes are."""

    office: _Office

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]:
        sent = _SentHistory(tuple(history.trials), history.keys, history.next_round)
        return self.office.do("propose", _Request(sent, num_queries, dict(resume), generator.get_state()))


@dataclass(frozen=True)
class _SharedFeedback:
    """A feedback of which each process does a part; what is there is told block by block."""

    office: _Office
    block: int

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        return self.office.do("evaluate", list(designs))

    def stream(self, trials: Sequence[Trial[Any]]) -> Iterator[Mapping[int, Observation]]:
        size = self.block * self.office.team.num_processes
        for start in range(0, len(trials), size):
            some = trials[start : start + size]
            told = self.evaluate([trial.design for trial in some])
            if len(told) != len(some):
                raise ObservationError(
                    f"The processes gave {len(told)} observations for {len(some)} designs.",
                    hint="Nothing of these was told; the trials are still awaited.",
                )
            yield {trial.id: observation for trial, observation in zip(some, told, strict=True)}
