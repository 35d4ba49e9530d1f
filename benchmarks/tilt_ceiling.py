"""How much of the best possible final model different acquisitions can win or lose.

    python benchmarks/tilt_ceiling.py icons-colourful icons-jpeg --output tilt-ceiling.jsonl

Samples of the pre-trained chain stand for it: a part is the pool that final models are tilted from, of the
others a campaign reads those that its acquisition chooses. The mean reward of the pool, tilted by the
surrogate's mean to a given divergence, is what a perfect fit would reach; tilted by the reward itself, what
no surrogate can pass. Both leave out the fit of the network, which is the same for all methods.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from seiko.acquisitions import Acquisition, Mean, UpperConfidenceBound
from seiko.benchmark import TASKS, Task
from seiko.proposers.sampling import diverse_batch, draw_designs, thompson_batch
from seiko.surrogates import GaussianProcess
from seiko.surrogates.base import Observations
from seiko.surrogates.randomness import forked_rng

ACQUISITIONS: dict[str, Acquisition | None] = {
    "greedy": Mean(),
    "seiko_ucb": UpperConfidenceBound(1.0),
    "seiko_ucb, 4 standard deviations": UpperConfidenceBound(4.0),
    "thompson batches": None,
}


def tilt(values: Tensor, nats: float) -> Tensor:
    """Weights ``softmax(b * values)``, b >= 0 such that their divergence from even ones is `nats`, [n]."""
    low, high = 1e-6, 1e6
    for _ in range(60):
        middle = (low * high) ** 0.5
        weights = (middle * values.double()).softmax(0)
        if float(torch.special.xlogy(weights, weights * len(weights)).sum()) > nats:
            high = middle
        else:
            low = middle
    return (low * values.double()).softmax(0)


def campaign(
    task: Task,
    features: Tensor,
    rewards: Tensor,
    acquisition: Acquisition | None,
    seed: int,
    settings: argparse.Namespace,
) -> Iterator[float]:
    """The mean reward of the tilted pool after each round's readings."""
    generator = torch.Generator().manual_seed(seed)
    pool = slice(0, settings.pool)
    free = torch.arange(len(rewards)) >= settings.pool
    asked: list[int] = torch.multinomial(free.double(), task.num_queries, generator=generator).tolist()
    for _ in range(task.num_rounds):
        free[asked] = False
        data = Observations(features[asked], rewards[asked])
        model = GaussianProcess("matern").fit(data, generator=generator)
        with torch.no_grad():
            bound = (acquisition or Mean()).bind(model, best_value=float(rewards[asked].max()))
            wanted = bound(features).double()
            weights = tilt(Mean().bind(model, best_value=0.0)(features[pool]), settings.nats)
            yield float(weights @ rewards[pool])
            likely = tilt(wanted, settings.nats) * free
            rows = torch.multinomial(likely, settings.candidates, generator=generator)
            if acquisition:
                chosen = diverse_batch(wanted[rows], features[rows], task.num_queries, diversity=0.5)
            else:
                with forked_rng(generator, features.device):
                    drawn = model.posterior(features[rows]).rsample(torch.Size([task.num_queries]))[..., 0]
                chosen = thompson_batch(drawn)
        asked += rows[chosen].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+", help="of the same chain")
    parser.add_argument("--samples", type=int, default=2000, help="of the pre-trained chain")
    parser.add_argument("--pool", type=int, default=512, help="of them, for the final model")
    parser.add_argument("--candidates", type=int, default=128, help="a round's batch is chosen of so many")
    parser.add_argument("--nats", type=float, default=2.8)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--output", type=Path, help="lines of JSON")
    settings = parser.parse_args()
    chain, domain = TASKS[settings.tasks[0]].materials()
    source = torch.Generator().manual_seed(0)
    designs: list[Any] = []
    while len(designs) < settings.samples:
        designs += draw_designs(chain, domain, 100, source)
    features = domain.features(designs).double()
    for name, label in product(settings.tasks, ACQUISITIONS):
        task = TASKS[name]
        rewards = torch.tensor([float(task.reward(design)) for design in designs]).double()
        rounds = [
            list(campaign(task, features, rewards, ACQUISITIONS[label], seed, settings))
            for seed in range(settings.seeds)
        ]
        pool = rewards[: settings.pool]
        line = {
            "task": name,
            "acquisition": label,
            "by_round": [round(mean(values), 4) for values in zip(*rounds, strict=True)],
            "std": round(stdev(values[-1] for values in rounds), 4),
            "possible": round(float(tilt(pool, settings.nats) @ pool), 4),
        }
        print(json.dumps(line), flush=True)
        if settings.output:
            with settings.output.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
