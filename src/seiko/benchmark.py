"""Methods on tasks over seeds: real campaigns, then samples of the final model that are no queries."""

from __future__ import annotations

import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from seiko import zoo
from seiko.campaign.campaign import Campaign
from seiko.campaign.feedback import CallableFeedback, run
from seiko.campaign.proposals import seed_of
from seiko.campaign.status import CampaignStatus
from seiko.chain import Chain, fork
from seiko.checkpoints import load_weights, tensors_from_bytes
from seiko.domains.base import Domain
from seiko.domains.molecule_moves import crossover_molecule, mutate_molecule
from seiko.errors import CampaignError, ParameterError
from seiko.methods import METHODS
from seiko.oracles.rdkit_properties import REWARDS
from seiko.proposers.base import Proposer
from seiko.proposers.genetic import GeneticAlgorithm
from seiko.proposers.online import WEIGHTS, OnlineFineTuner
from seiko.proposers.sampling import draw_designs, sampler
from seiko.records import Observation, Trial
from seiko.results import Drawn, Reading, Result, append_result, curve_of, mean_of_top, read_results

Method = Callable[..., Proposer[Any]]
NUM_SAMPLES = 1000
"""Samples of the final model that are scored after the campaign."""


def molecule_genetic(chain: Chain, domain: Domain[str], **settings: Any) -> GeneticAlgorithm[str]:
    """The genetic algorithm with moves on molecular graphs, tuned; it starts from samples of the chain."""
    moves: dict[str, Any] = {"mutate": mutate_molecule, "crossover": crossover_molecule}
    return GeneticAlgorithm(domain, sampler(chain, domain), **(moves | settings))


@dataclass(frozen=True)
class Task:
    """What is to be designed, what is rewarded and how many readings there are. Readings are maximised.

    Attributes:
        name: For tables.
        domain_name: Of the kind of designs.
        split: "development" tasks may be used to tune settings, "test" tasks may not.
        chain_name: Of the pre-trained chain in the zoo.
        reward: One design to its reward.
        reward_name: For axes.
        definition: The reward in one sentence.
        num_rounds: Rounds of queries.
        num_queries: Queries of one round.
        rivals: Methods that only this domain has, by name.
        load: Gives the chain and its domain instead of the zoo.
    """

    name: str
    domain_name: str
    split: Literal["development", "test"]
    chain_name: str
    reward: Callable[[Any], Any]
    reward_name: str
    definition: str
    num_rounds: int = 5
    num_queries: int = 60
    rivals: Mapping[str, Method] = field(default_factory=dict)
    load: Callable[[], tuple[Chain, Domain[Any]]] | None = None

    @property
    def budget(self) -> int:
        """Queries in all."""
        return self.num_rounds * self.num_queries

    @property
    def methods(self) -> dict[str, Method]:
        """All methods that can run on it, by name."""
        return {**METHODS, **self.rivals}

    def method(self, name: str) -> Method:
        """The method of a name, or ParameterError."""
        if name not in self.methods:
            known = ", ".join(self.methods)
            raise ParameterError(f"There is no method {name!r} for {self.name}.", hint=f"There are {known}.")
        return self.methods[name]


DEFINITIONS: Mapping[str, str] = {
    "penalized_logp": "logP - SA - max(0, atoms of the largest ring - 6): lipophilic, easy to make, "
    "without large rings; logP by Crippen's contributions, SA the synthetic accessibility from 1 to 10",
    "polar_ring": "geometric mean of scores for logP of at least 2, polar surface of at least 50 square "
    "Angstrom, and two rings; from 0 to 1",
    "median_norcamphor": "geometric mean of the similarities to norcamphor and to 4-methylcyclohexanol; from 0 to 1",
    "qed": "quantitative estimate of drug-likeness; from 0 to 1",
    "logp": "octanol-water partition coefficient (log10) by Crippen's atomic contributions",
}
DEVELOPMENT = ("penalized_logp", "qed", "logp")


def molecule_task(reward_name: str) -> Task:
    """Small molecules from the zoo's chain for one of the rewards of RDKit.

    Raises:
        ParameterError: If there is no such reward.
    """
    if reward_name not in REWARDS:
        raise ParameterError(f"There is no reward {reward_name!r}.", hint=f"There are {', '.join(REWARDS)}.")
    return Task(
        name=f"qm9-{reward_name.replace('_logp', '-logp').replace('_', '-')}",
        domain_name="molecule",
        split="development" if reward_name in DEVELOPMENT else "test",
        chain_name="qm9-graph",
        reward=REWARDS[reward_name],
        reward_name=reward_name,
        definition=DEFINITIONS[reward_name],
        rivals={"genetic": molecule_genetic},
    )


TASKS: Mapping[str, Task] = {task.name: task for task in map(molecule_task, REWARDS)}


@dataclass(frozen=True)
class Event:
    """Where a run is: "sampling", "asking", "learning", "scoring the final model" or "done"."""

    method: str
    seed: int
    phase: str
    queries: int
    budget: int


class _Watched:
    """A feedback that says how far it is."""

    def __init__(self, reward: Callable[[Any], Any], tell: Callable[[str, int], None]) -> None:
        self._feedback, self._tell, self._done = CallableFeedback(reward), tell, 0

    def evaluate(self, designs: Sequence[Any]) -> list[Observation]:
        answers = []
        for design in designs:
            self._tell("asking", self._done)
            answers += self._feedback.evaluate([design])
            self._done += 1
        return answers


def run_method(
    task: Task,
    method: str,
    seed: int,
    *,
    settings: Mapping[str, Any] | None = None,
    on_event: Callable[[Event], None] | None = None,
    directory: str | os.PathLike[str] | None = None,
    num_samples: int = NUM_SAMPLES,
) -> Result:
    """One campaign from start to end, then `num_samples` samples of its final model, scored but never asked.

    The final model of the genetic algorithm is its last round, that of random sampling the pre-trained chain.

    Args:
        task: The task.
        method: One of ``task.methods``.
        seed: Of all randomness.
        settings: Arguments of the method, instead of its own.
        on_event: Told where the run is.
        directory: A new folder for the campaign; a temporary one if None.
        num_samples: Samples of the final model.

    Raises:
        ParameterError: If the method is unknown, or a number out of range.
        CampaignError: If there is a campaign in `directory`.
    """
    factory = task.method(method)
    if num_samples < 1:
        raise ParameterError(f"`num_samples` must be at least 1; got {num_samples}.")
    chain, domain = task.load() if task.load else zoo.load(task.chain_name)
    proposer = factory(chain, domain, **(settings or {}))

    def tell(phase: str, queries: int) -> None:
        if on_event is not None:
            on_event(Event(method, seed, phase, queries, task.budget))

    def told(status: CampaignStatus) -> None:
        tell("learning", status.queries_used)

    start = time.monotonic()
    with _folder(directory) as folder:
        campaign = Campaign.create(
            folder, domain=domain, proposer=proposer, budget=task.budget, num_queries=task.num_queries, seed=seed
        )
        tell("sampling", 0)
        final_report = run(campaign, _Watched(task.reward, tell), progress=told)
        seconds = time.monotonic() - start
        tell("scoring the final model", task.budget)
        result = _result(task, method, seed, seconds, campaign, chain, domain, proposer, final_report, num_samples)
    tell("done", task.budget)
    return result


def _folder(directory: str | os.PathLike[str] | None) -> AbstractContextManager[str | os.PathLike[str]]:
    if directory is None:
        return tempfile.TemporaryDirectory(prefix="seiko-")
    if Path(directory).exists() and any(Path(directory).iterdir()):
        raise CampaignError(f"The folder {directory} is not empty.", hint="Name a new one for the campaign.")
    return nullcontext(directory)


def _result(
    task: Task,
    method: str,
    seed: int,
    seconds: float,
    campaign: Campaign[Any],
    chain: Chain,
    domain: Domain[Any],
    proposer: Proposer[Any],
    final_report: Mapping[str, Any],
    num_samples: int,
) -> Result:
    """All numbers of one finished campaign."""
    trials = campaign.trials
    values = [trial.value for trial in trials]
    told = [value for value in values if value is not None]
    curve = curve_of(values)
    generator = torch.Generator().manual_seed(seed_of(seed, 0, "evaluation"))
    final = _final_samples(campaign, chain, domain, proposer, num_samples, task.reward, generator)
    rewards = [value for _, value in final if value is not None]
    feasible = [design for design, value in final if value is not None]
    diversity = domain.metrics.get("diversity")
    pretrained = _scored(draw_designs(chain, domain, 48, generator), domain, task.reward)
    return Result(
        task=task.name,
        domain=domain.name,
        split=task.split,
        method=method,
        seed=seed,
        queries=len(trials),
        best=max(told, default=None),
        top10=mean_of_top(told, 10),
        top100=mean_of_top(told, 100),
        auc_top10=sum(curve.top10) / len(curve.top10) if curve.top10 else None,
        final_mean=sum(rewards) / len(rewards) if rewards else None,
        final_diversity=diversity(feasible) if diversity and feasible else None,
        final_feasible=len(feasible) / len(final),
        final_distinct=len({domain.key(d) for d, _ in final if domain.is_valid(d)}) / len(final),
        kl_pretrained_nats=_kl(campaign, proposer, final_report),
        seconds=seconds,
        kl_target_nats=proposer.kl_target if isinstance(proposer, OnlineFineTuner) else None,
        curve=curve,
        readings=tuple(map(_reading, trials)),
        rounds=tuple(campaign.rounds),
        final_report=final_report,
        final_values=tuple(rewards),
        top_designs=tuple(_drawn_trial(trial, domain) for trial in campaign.best(12)),
        final_designs=_drawn(final, domain, 12),
        pretrained_designs=_drawn(pretrained, domain, 12),
        about={
            "chain": task.chain_name,
            "reward": task.reward_name,
            "definition": task.definition,
            "rounds": task.num_rounds,
            "num_queries": task.num_queries,
            "num_samples": len(final),
        },
        versions=versions(),
    )
