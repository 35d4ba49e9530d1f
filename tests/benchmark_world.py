"""A small world for whole benchmark runs: words of four letters, a tiny untrained chain, quick settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seiko.benchmark import Task
from seiko.chain import Chain
from seiko.chains import DiffusionChain, Masked
from seiko.domains.base import Domain
from seiko.networks import SequenceMLP
from seiko.proposers.genetic import GeneticAlgorithm
from seiko.proposers.sampling import sampler
from seiko.results import Curve, Drawn, Reading, Result
from seiko.updaters import RewardWeighted

LETTERS, LENGTH = "abcde", 4

WORDS: Domain[str] = Domain(
    name="words",
    decode=lambda state, condition: [
        "".join(f"{LETTERS}?"[k] for k in row) for row in state.argmax(-1).tolist()
    ],
    features=lambda words: torch.tensor([[float(w == k) for w in word for k in LETTERS] for word in words]),
    is_valid=lambda word: "ee" not in word and set(word) <= set(LETTERS),
    key=str,
    to_bytes=str.encode,
    from_bytes=bytes.decode,
    render=lambda word: f"<svg width='10' height='10'><text>{word}</text></svg>",
    metrics={"diversity": lambda words: len(set(words)) / len(words)},
    figures={"Words": lambda words: f"<svg>{' '.join(words)}</svg>", "Nothing": lambda words: ""},
)

SOFT_WORDS = replace(WORDS, soft_features=lambda state, condition: state[..., : len(LETTERS)].flatten(1))


def reward(word: str) -> float:
    """How many letters are a."""
    return float(word.count("a"))


def materials() -> tuple[Chain, Domain[Any]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SequenceMLP(LENGTH, len(LETTERS) + 1, outputs=len(LETTERS), width=16, num_layers=1)
    return DiffusionChain(network, Masked(length=LENGTH, kinds=len(LETTERS))), WORDS


def mutate(word: str, rng: np.random.Generator) -> str:
    place = rng.integers(LENGTH)
    return word[:place] + LETTERS[rng.integers(len(LETTERS))] + word[place + 1 :]


def genetic(chain: Chain, domain: Domain[str], **settings: Any) -> GeneticAlgorithm[str]:
    return GeneticAlgorithm(
        domain, sampler(chain, domain), mutate=mutate, crossover=lambda a, b, rng: a[:2] + b[2:], **settings
    )


TASK = Task(
    name="words-a",
    domain_name="words",
    split="development",
    chain_name="tiny",
    oracle=lambda: reward,
    reward_name="letters a",
    definition="how many letters are a",
    num_rounds=2,
    num_queries=8,
    rivals={"genetic": genetic},
    load=materials,
)

QUICK = {
    "pool_size": 40,
    "updater": RewardWeighted(
        num_refreshes=1, pool_size=40, fit_iterations=3, batch_size=16, measure_samples=16
    ),
}
"""Settings of a method that fine-tunes, for tests."""


def made_up(method: str = "seiko_ucb", seed: int = 0, *, design: str = "CCO", **changes: Any) -> Result:
    """A result without a run: two rounds of three queries."""
    drawn = Drawn(design, 1.5, "<svg><circle r='3'/></svg>", query=2, round=0)
    readings = [
        Reading(r, design, "complete", float(k + r), *((k + 0.1, 1.0) if r else (None, None)))
        for r in range(2)
        for k in range(3)
    ]
    fields: dict[str, Any] = {
        "task": "words-a",
        "domain": "words",
        "split": "test",
        "queries": 6,
        "best": 3.0 + seed,
        "top10": 1.5 + seed,
        "top100": 1.5,
        "auc_top10": 1.2,
        "final_mean": 1.7,
        "final_diversity": 0.8,
        "final_feasible": 0.9,
        "final_distinct": 0.7,
        "kl_pretrained_nats": 2.5,
        "seconds": 1.0 + seed,
        "kl_target_nats": 4.0,
        "curve": Curve((1, 2, 3, 4, 5, 6), (0.0, 1.0, 2.0, 2.0, 2.0, 3.0), (0.0, 0.5, 1.0, 1.0, 1.2, 1.5)),
        "readings": tuple(readings),
        "rounds": ({"round/valid_fraction": 0.9}, {"kl/pretrained_nats": 2.0, "kl/previous_nats": "inf"}),
        "final_report": {"kl/pretrained_nats": 2.5, "kl/previous_nats": 1.0},
        "final_values": (1.0, 2.0, 2.1),
        "top_designs": (drawn,),
        "final_designs": (Drawn(design, 2.0, design),),
        "pretrained_designs": (drawn,),
        "about": {"chain": "tiny", "reward": "letters a", "definition": "as", "rounds": 2, "num_queries": 3},
        "versions": {"python": "3"},
    }
    return Result(method=method, seed=seed, **(fields | changes))
