"""Tasks on small images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from seiko.benchmark.tasks.base import Method, Task
from seiko.domains.image_moves import crossover_image, mutate_image
from seiko.methods import METHODS, genetic
from seiko.oracles.image_properties import REWARDS
from seiko.updaters import FewerSteps, RewardBackprop

TRAINING_STEPS, POOL = 10, 256


def pixel_updater(num_iterations: int = 25) -> FewerSteps:
    """Back-propagation that a CPU can pay: few rows, a graph on the last steps, ten steps for training.

    On one core a network call takes about 5 ms a row and a gradient three times as much: one iteration is a
    second or two, and a campaign of five rounds with its pools less than ten minutes on two cores.
    """
    return FewerSteps(
        RewardBackprop(
            num_iterations=num_iterations,
            batch_size=16,
            learning_rate=1e-4,
            grad_steps=(1, 4),
            reference_gradient=False,
            measure_samples=32,
            measure_every=5,
        ),
        TRAINING_STEPS,
    )


def pixel_methods() -> dict[str, Method]:
    """Methods with what a CPU can pay, pools of one size for all, and the genetic algorithm."""
    settings: dict[str, Any] = {
        "updater": pixel_updater(),
        "final_updater": pixel_updater(50),
        "pool_size": POOL,
    }
    names = ("seiko_ucb", "seiko_bootstrap", "seiko_thompson", "greedy", "non_adaptive")
    moves: dict[str, Any] = {"mutate": mutate_image, "crossover": crossover_image}
    return {name: partial(METHODS[name], **settings) for name in names} | {
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
