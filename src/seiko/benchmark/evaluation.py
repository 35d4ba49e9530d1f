"""The numbers of one finished campaign, and samples of its final model, which are no queries."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from seiko.benchmark.tasks import Task
from seiko.campaign.campaign import Campaign
from seiko.campaign.feedback import CallableFeedback
from seiko.campaign.proposals import seed_of
from seiko.chain import Chain, fork
from seiko.checkpoints import load_weights, tensors_from_bytes
from seiko.domains.base import Domain
from seiko.proposers.base import Proposer, SupportsFinalDesigns
from seiko.proposers.online import WEIGHTS
from seiko.proposers.random import RandomSampling
from seiko.proposers.sampling import draw_designs
from seiko.records import History, Trial
from seiko.results import BEST, FINAL, PRETRAINED, Drawn, Reading, Result, curve_of, mean_of_top

NUM_SHOWN = 12
"""Designs of a run that are drawn, of each sort."""
NUM_COMPARED = 50
"""Designs of a run that its figures of many designs are made of, at most."""


@dataclass(frozen=True)
class Finished:
    """A campaign whose budget is spent, with all that went into it."""

    task: Task
    method: str
    seed: int
    chain: Chain
    domain: Domain[Any]
    proposer: Proposer[Any]
    campaign: Campaign[Any]
    final_report: Mapping[str, Any]
    seconds: float
    cpu_seconds: float
    ask_seconds: tuple[float, ...]
    command: str = ""


def evaluate(run: Finished, num_samples: int) -> Result:
    """All numbers of a run; the samples come from a generator of their own."""
    task, domain, trials = run.task, run.domain, run.campaign.trials
    values = [trial.value for trial in trials]
    told = [value for value in values if value is not None]
    curve = curve_of(values)
    generator = torch.Generator().manual_seed(seed_of(run.seed, 0, "evaluation"))
    final = _final_samples(run, num_samples, generator)
    rewards = [value for _, value in final if value is not None]
    feasible = [design for design, value in final if value is not None]
    diversity = domain.metrics.get("diversity")
    pretrained = _scored(draw_designs(run.chain, domain, 4 * NUM_SHOWN, generator), domain, task.reward)
    return Result(
        task=task.name,
        domain=domain.name,
        split=task.split,
        method=run.method,
        seed=run.seed,
        queries=len(trials),
        best=max(told, default=None),
        top10=mean_of_top(told, 10),
        top100=mean_of_top(told, 100),
        auc_top10=sum(curve.top10) / len(curve.top10) if curve.top10 else None,
        final_mean=sum(rewards) / len(rewards) if rewards else None,
        final_diversity=diversity(feasible) if diversity and feasible else None,
        final_feasible=len(feasible) / len(final),
        final_distinct=len({domain.key(d) for d, _ in final if domain.is_valid(d)}) / len(final),
        kl_pretrained_nats=_kl(run),
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        ask_seconds=run.ask_seconds,
        command=run.command,
        kl_target_nats=run.final_report.get("kl/target_nats"),
        curve=curve,
        readings=tuple(map(_reading, trials)),
        rounds=tuple(run.campaign.rounds),
        final_report=run.final_report,
        final_values=tuple(rewards),
        top_designs=tuple(_drawn_trial(trial, domain) for trial in run.campaign.best(NUM_SHOWN)),
        final_designs=_drawn(final, domain),
        pretrained_designs=_drawn(pretrained, domain),
        figures=_figures(run, pretrained, final),
        about={
            "group": task.domain_name,
            "chain": task.chain_name,
            "reward": task.reward_name,
            "definition": task.definition,
            "rounds": task.num_rounds,
            "num_queries": task.num_queries,
            "num_samples": len(final),
        },
        versions=versions(),
    )


def _final_samples(
    run: Finished, num_samples: int, generator: torch.Generator
) -> list[tuple[Any, float | None]]:
    """Designs of the final model with their rewards, None where there is none."""
    artifacts, trials, chain = run.campaign.artifacts, run.campaign.trials, run.chain
    if isinstance(run.proposer, SupportsFinalDesigns):
        designs = run.proposer.final_designs(
            History(tuple(trials)), num_samples, resume=artifacts, generator=generator
        )
        return _scored(designs, run.domain, run.task.reward)
    if WEIGHTS in artifacts:
        chain = _tuned(chain, artifacts[WEIGHTS])
    elif not isinstance(run.proposer, RandomSampling):  # a population is its own model
        last = max(trial.round for trial in trials)
        return [(trial.design, trial.value) for trial in trials if trial.round == last]
    return _scored(draw_designs(chain, run.domain, num_samples, generator), run.domain, run.task.reward)


def _tuned(pretrained: Chain, content: bytes) -> Chain:
    """The chain whose trained weights a method left; those that it did not train are the pre-trained ones."""
    chain = fork(pretrained)
    assert isinstance(chain, nn.Module)
    tensors, _ = tensors_from_bytes(content, source=f"The artifact {WEIGHTS}")
    load_weights(chain, {**chain.state_dict(), **tensors}, source=f"The artifact {WEIGHTS}")
    return chain


def _scored(
    designs: Sequence[Any], domain: Domain[Any], reward: Callable[[Any], Any]
) -> list[tuple[Any, float | None]]:
    feedback = CallableFeedback(reward)
    return [(d, feedback.evaluate([d])[0].value if domain.is_valid(d) else None) for d in designs]


def _kl(run: Finished) -> float | None:
    if isinstance(run.proposer, RandomSampling):
        return 0.0
    found = run.final_report.get("kl/pretrained_nats")
    return float(found) if found is not None and math.isfinite(float(found)) else None


def _reading(trial: Trial[Any]) -> Reading:
    return Reading(
        trial.round, trial.key, str(trial.state), trial.value, trial.predicted_mean, trial.predicted_std
    )


def _drawn_trial(trial: Trial[Any], domain: Domain[Any]) -> Drawn:
    return Drawn(trial.key, trial.value, domain.render(trial.design), query=trial.id + 1, round=trial.round)


def _drawn(samples: Sequence[tuple[Any, float | None]], domain: Domain[Any]) -> tuple[Drawn, ...]:
    """The first different designs that have a reward."""
    first = {domain.key(design): (design, value) for design, value in reversed(samples) if value is not None}
    chosen = list(reversed(first.items()))[:NUM_SHOWN]
    return tuple(Drawn(key, value, domain.render(design)) for key, (design, value) in chosen)


def _figures(run: Finished, *samples: Sequence[tuple[Any, float | None]]) -> dict[str, dict[str, str]]:
    """Each figure of the domain: of the first model's samples, the best readings, the last samples."""
    before, after = ([design for design, value in drawn if value is not None] for drawn in samples)
    best = [trial.design for trial in run.campaign.best(NUM_COMPARED)]
    chosen = {PRETRAINED: before, BEST: best, FINAL: after[:NUM_COMPARED]}
    made = {
        title: {name: draw(designs) for name, designs in chosen.items()}
        for title, draw in run.domain.figures.items()
    }
    return {title: {name: svg for name, svg in of.items() if svg} for title, of in made.items()}


def versions() -> dict[str, str]:
    """Of Python and the packages that numbers depend on, where they are installed."""
    found = {"python": platform.python_version()}
    for name in ("seiko", "torch", "botorch", "rdkit"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
