"""Tasks on small images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from seiko.benchmark.tasks.base import Method, Task
from seiko.domains.image_moves import crossover_image, mutate_image
from seiko.methods import METHODS, genetic
from seiko.oracles.image_properties import REWARDS
from seiko.updaters import RewardWeighted

POOL = 128


def pixel_updater(fit_iterations: int = 20) -> RewardWeighted:
    """Posterior fits to one pool of the pre-trained chain, as many as a CPU can pay.

    On one core a network call takes 6 to 8 ms a row and a gradient three times as much: the pool, drawn once,
    takes two minutes, the candidates of a round and its fits half a minute each.
    """
    return RewardWeighted(
        pools="pretrained",
        num_refreshes=1,
        pool_size=512,
        fit_iterations=fit_iterations,
        batch_size=32,
        learning_rate=5e-4,
        likelihood="posterior",
        min_effective=0.01,
        ema_decay=0.95,
        measure_samples=16,
        sample_batch=128,
    )


def pixel_settings() -> dict[str, Any]:
    """Of methods that fine-tune a chain of pixels on a CPU; see docs/tuning.md for how they were found."""
    return {
        "updater": pixel_updater(),
        "final_updater": pixel_updater(60),
        "pool_size": POOL,
        "kl_target": 2.8,
        "kl_weight_previous": 0.0,
    }


def pixel_methods() -> dict[str, Method]:
    """Methods with what a CPU can pay, pools of one size for all, and the genetic algorithm."""
    names = ("seiko_ucb", "seiko_bootstrap", "seiko_thompson", "greedy", "non_adaptive")
    moves: dict[str, Any] = {"mutate": mutate_image, "crossover": crossover_image}
    return {name: partial(METHODS[name], **pixel_settings()) for name in names} | {
        "best_of_n": partial(METHODS["best_of_n"], pool_size=POOL),
        "genetic": partial(genetic, **moves),
    }


ICON_REWARDS: Mapping[str, tuple[str, str, str]] = {
    "colourful": (
        "colourfulness",
        "colourfulness",
        "colourfulness of the icon by Hasler and Süsstrunk: 0 is grey, 109 extremely colourful",
    ),
    "jpeg": (
        "jpeg_incompressibility",
        "JPEG size / kB",
        "size of the icon as a JPEG file of quality 95, in thousands of bytes",
    ),
}


def icon_task(name: str) -> Task:
    """Icons of 32 x 32 pixels from the zoo's chain, colourful or hard to compress."""
    reward, reward_name, definition = ICON_REWARDS[name]
    return Task(
        name=f"icons-{name}",
        domain_name="image",
        split="development" if name == "colourful" else "test",
        chain_name="icons-32",
        oracle=lambda: REWARDS[reward],
        reward_name=reward_name,
        definition=definition,
        num_rounds=5,
        num_queries=64,
        rivals=pixel_methods(),
    )


IMAGE_TASKS = tuple(map(icon_task, ICON_REWARDS))
