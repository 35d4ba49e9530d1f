"""A small campaign on images; run by `accelerate launch` with a folder, it leaves what each process did."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from seiko import Campaign, methods, parallel
from seiko.campaign import CallableFeedback
from seiko.chains import DDIM, DiffusionChain
from seiko.domains.image import image_domain
from seiko.domains.image_format import ImageFormat, image_key
from seiko.networks import VectorMLP
from seiko.oracles.image_properties import colourfulness
from seiko.schedules import cosine_alpha_bar
from seiko.surrogates.linear import LastLayerLinear
from seiko.updaters import RewardBackprop


def world():
    """A small chain of pictures of 4 x 4 pixels, and its domain."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = VectorMLP(48, width=32, num_layers=1)
    chain = DiffusionChain(network, DDIM(cosine_alpha_bar(4), (48,)))
    return chain, image_domain(ImageFormat(4, 4), decoder=lambda state: state.view(-1, 3, 4, 4))


def proposer(chain, domain):
    updater = RewardBackprop(
        num_iterations=5, batch_size=6, learning_rate=0.01, grad_steps=2, measure_samples=6, measure_every=2
    )
    return methods.seiko_ucb(
        chain, domain, updater=updater, surrogate=LastLayerLinear(), pool_size=20, kl_target=10.0
    )


def run_campaign(folder: Path, accelerator, *, budget: int = 20) -> dict:
    """The report of the campaign; each reading is noted in a file of its process."""
    chain, domain = world()
    notes = folder / f"rank-{accelerator.process_index}.txt"
    notes.touch()

    def reward(image):
        with notes.open("a") as file:
            file.write(image_key(image) + "\n")
        return colourfulness(image)

    return dict(
        parallel.run(
            lambda shared: Campaign.create(
                folder / "campaign", domain=domain, proposer=shared, budget=budget, num_queries=10
            ),
            proposer(chain, domain),
            CallableFeedback(reward),
            accelerator=accelerator,
            shares=2,
            block=3,
        )
    )


def main() -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    folder = Path(sys.argv[1])
    report = run_campaign(folder, accelerator)
    (folder / f"report-{accelerator.process_index}.json").write_text(json.dumps(report, default=str))
    accelerator.end_training()
    (folder / f"threads-{accelerator.process_index}.txt").write_text(" ".join(thread_names()))


def thread_names() -> list[str]:
    """Of the threads of this process, where the system shows them."""
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


if __name__ == "__main__":
    main()
