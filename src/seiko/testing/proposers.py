"""The conformance suite of proposers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from seiko.domains.base import Domain
from seiko.proposers.base import Proposal, Proposer
from seiko.records import History, Trial, TrialState
from seiko.testing.base import global_state_untouched, require, seeded


def check_proposer(
    make_proposer: Callable[[], Proposer[Any]],
    domain: Domain[Any],
    *,
    num_queries: int = 5,
    num_rounds: int = 3,
    reward: Callable[[Any], float] | None = None,
) -> None:
    """Check that a proposer keeps the rules of `seiko.proposers.base.Proposer`.

    Over some rounds, with readings that are complete, infeasible, failed and pending: it gives exactly as
    many designs as asked, all valid, none twice and none ever asked; it is pure, also when made anew with
    only the artifacts; asked for none it gives none; predictions, artifacts and report are well formed.

    Args:
        make_proposer: Makes the proposer; called anew where another process would.
        domain: Tells valid designs and their identities.
        num_queries: Designs a round.
        num_rounds: Rounds, each continuing from the artifacts of the one before.
        reward: Reading of a design; the mean of its features if None.

    Raises:
        AssertionError: Saying which rule is broken.
    """
    measure = reward or (lambda design: float(domain.features([design]).mean()))
    history: History[Any] = History()
    resume: Mapping[str, bytes] = {}
    proposer = make_proposer()
    for round_ in range(num_rounds):
        ask = _Ask(history, resume, seed=round_)
        with global_state_untouched("`propose`"):
            proposal = ask(proposer, num_queries)
        _check_form(proposal, num_queries)
        _check_designs(proposal, domain, history)
        _check_purity(ask, proposer, make_proposer, proposal, domain, num_queries)
        history, resume = _told(history, proposal, domain, measure, round_), proposal.artifacts
    nothing = _Ask(history, resume, seed=num_rounds)(proposer, 0)
    require(len(nothing.designs) == 0, f"Asked for 0 designs it gave {len(nothing.designs)}.")
    _check_form(nothing, 0)


class _Ask:
    """One question that can be asked again: history, artifacts and generator state are fixed."""

    def __init__(self, history: History[Any], resume: Mapping[str, bytes], seed: int) -> None:
        self.history, self.resume, self.seed = history, dict(resume), seed

    def __call__(self, proposer: Proposer[Any], num_queries: int) -> Proposal[Any]:
        return proposer.propose(
            self.history, num_queries, resume=dict(self.resume), generator=seeded(100 + self.seed)
        )


def _check_form(proposal: Proposal[Any], num_queries: int) -> None:
    found = len(proposal.designs)
    require(found == num_queries, f"Asked for {num_queries} designs it gave {found}.")
    predictions = list(proposal.predictions)
    require(
        len(predictions) in (0, num_queries),
        f"There are {len(predictions)} predictions for {num_queries} designs.",
    )
    for mean, std in predictions:
        good = math.isfinite(mean) and math.isfinite(std) and std >= 0
        require(good, f"A prediction must be a finite mean and a std >= 0; got {(mean, std)}.")
    for name, content in proposal.artifacts.items():
        require(isinstance(content, bytes), f"Artifact {name!r} must be bytes; got {type(content).__name__}.")
    _report_text(proposal)


def _report_text(proposal: Proposal[Any]) -> str:
    try:
        return json.dumps(dict(proposal.report), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"`report` must hold JSON values only: {error}.") from error


def _check_designs(proposal: Proposal[Any], domain: Domain[Any], history: History[Any]) -> None:
    keys = [domain.key(design) for design in proposal.designs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    require(not twice, f"Designs are proposed twice: {twice[:3]}.")
    asked = [key for key in keys if key in history.keys]
    require(not asked, f"Designs are proposed that were already asked or are pending: {asked[:3]}.")
    for design in proposal.designs:
        require(
            domain.is_valid(design),
            f"An invalid design is proposed: {design!r}, {domain.why_invalid(design)}.",
        )


def _check_purity(
    ask: _Ask,
    proposer: Proposer[Any],
    make_proposer: Callable[[], Proposer[Any]],
    proposal: Proposal[Any],
    domain: Domain[Any],
    num_queries: int,
) -> None:
    again = ask(proposer, num_queries)
    with torch.random.fork_rng():
        torch.manual_seed(4321)
        elsewhere = ask(make_proposer(), num_queries)
    for other, where in ((again, "asked again"), (elsewhere, "made anew and given the same artifacts")):
        ours, theirs = ([domain.key(d) for d in p.designs] for p in (proposal, other))
        require(ours == theirs, f"The same question has another answer when the proposer is {where}.")
        require(
            list(proposal.predictions) == list(other.predictions)
            and dict(proposal.artifacts) == dict(other.artifacts),
            f"Predictions or artifacts differ when the proposer is {where}.",
        )
    require(
        _report_text(proposal) == _report_text(again), "The report differs when the proposer is asked again."
    )


_STATES = (
    TrialState.COMPLETE,
    TrialState.COMPLETE,
    TrialState.INFEASIBLE,
    TrialState.PENDING,
    TrialState.FAILED,
)


def _told(
    history: History[Any],
    proposal: Proposal[Any],
    domain: Domain[Any],
    reward: Callable[[Any], float],
    round_: int,
) -> History[Any]:
    trials = list(history.trials)
    for design in proposal.designs:
        state = _STATES[len(trials) % len(_STATES)]
        value = float(reward(design)) if state is TrialState.COMPLETE else None
        trials.append(Trial(len(trials), round_, design, domain.key(design), state, value))
    return History(tuple(trials))
