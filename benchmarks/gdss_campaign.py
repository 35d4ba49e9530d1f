"""A campaign on GDSS with its published weights: 300 queries, before and after.

    python benchmarks/gdss_campaign.py gdss_zinc250k_v2.pth --output benchmarks/results/gdss-campaign.jsonl

Each round's queries are chosen among samples of the fine-tuned chain, which is fitted to one pool of samples
of the pre-trained chain, weighted by what is known by then. In the end as many samples of the pre-trained
and of the final chain are read; each line has both means, what of their graphs is valid as it is, and how
far the chain has gone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seiko import Campaign, methods
from seiko.campaign import CallableFeedback, run
from seiko.chain import Chain, sample
from seiko.domains.base import Domain
from seiko.domains.graph_molecule import ContinuousGraph
from seiko.domains.molecule_identity import INVALID
from seiko.oracles.rdkit_properties import logp, penalized_logp, qed
from seiko.proposers.online import load_chain
from seiko.updaters import RewardWeighted
from seiko.zoo.gdss import load_gdss

REWARDS: dict[str, Callable[[str], float]] = {"qed": qed, "logp": logp, "penalized-logp": penalized_logp}


def judged(chain: Chain, domain: Domain[str], reward: Callable[[str], float], count: int) -> dict[str, float]:
    """Mean reward, share of designs, share of graphs that need no correction, and variety."""
    generator = torch.Generator().manual_seed(7)
    condition = domain.condition(count, generator)
    states = sample(chain, count, condition=condition, generator=generator)
    designs = [design for design in domain.decode(states, condition) if domain.is_valid(design)]
    bare = ContinuousGraph(correct=False).decode(states)
    return {
        "mean": sum(map(reward, designs)) / len(designs),
        "feasible": len(designs) / count,
        "valid without correction": sum(not row.startswith(INVALID) for row in bare) / count,
        "diversity": domain.metrics["diversity"](designs),
        "distinct": domain.metrics["distinct"](designs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--reward", choices=sorted(REWARDS), default="qed")
    parser.add_argument("--diffusion-steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, default=60, help="in a round")
    parser.add_argument("--pool-size", type=int, default=192, help="samples to choose queries from")
    parser.add_argument("--fit-pool-size", type=int, default=512, help="samples of the pre-trained chain")
    parser.add_argument("--kl-target", type=float, default=3.0, help="nats, of the weighted pool")
    parser.add_argument("--fits", type=int, default=60, help="optimiser steps a climb")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("gdss-campaign.jsonl"))
    settings = parser.parse_args()
    chain, domain = load_gdss(
        settings.weights, diffusion_steps=settings.diffusion_steps, solver="splitting", seed=settings.seed
    )
    updater = RewardWeighted(
        pools="pretrained",
        num_refreshes=1,
        pool_size=settings.fit_pool_size,
        fit_iterations=settings.fits,
        batch_size=64,
        learning_rate=settings.learning_rate,
        likelihood="denoising",
        baseline=1.0,
        min_effective=0.02,
        ema_decay=0.9,
        measure_samples=32,
        sample_batch=128,
    )
    options: dict[str, Any] = {
        "pool_size": settings.pool_size,
        "kl_target": settings.kl_target,
        "kl_weight_previous": 0.0,
    }
    proposer = methods.seiko_ucb(chain, domain, updater=updater, final_updater=updater, **options)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign.create(
            Path(folder) / "run",
            domain=domain,
            proposer=proposer,
            budget=settings.rounds * settings.queries,
            num_queries=settings.queries,
            seed=settings.seed,
        )
        reward = REWARDS[settings.reward]
        report = run(campaign, CallableFeedback(reward), progress=lambda s: print(s.queries_used, flush=True))
        seconds = time.process_time() - began
        tuned, *_ = load_chain(chain, campaign.artifacts)
        means = [round_mean(campaign.trials, number) for number in range(settings.rounds)]
    line = {name: value for name, value in vars(settings).items() if name not in ("weights", "output")}
    line |= {"means of rounds": means, "cpu_seconds": round(seconds), "report": dict(report)}
    line |= {
        "before": judged(chain, domain, reward, settings.samples),
        "after": judged(tuned, domain, reward, settings.samples),
    }
    with settings.output.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line, indent=2))


def round_mean(trials: Any, number: int) -> float:
    """Mean reading of a round's queries."""
    values = [trial.value for trial in trials if trial.round == number and trial.value is not None]
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
