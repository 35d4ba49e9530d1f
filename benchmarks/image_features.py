"""How well a Gaussian process learns a reward of icons from different features.

    python benchmarks/image_features.py icons-colourful icons-jpeg

Of samples of the pre-trained chain some are read and the others predicted; each row has the correlation of
prediction and reward over the others, for each task.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from seiko.benchmark import TASKS
from seiko.chain import frozen, sample
from seiko.domains.image_features import ChainFeatures, PixelFeatures
from seiko.domains.image_format import ImageFormat
from seiko.surrogates import GaussianProcess
from seiko.surrogates.base import Observations


def correlation(features: Tensor, rewards: Tensor, num_read: int) -> float:
    """Of prediction and reward over what was not read."""
    model = GaussianProcess("matern").fit(Observations(features[:num_read], rewards[:num_read]))
    predicted = model.posterior(features[num_read:]).mean.squeeze(-1)
    return float(torch.corrcoef(torch.stack([predicted.detach(), rewards[num_read:]]))[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+", help="of the same chain")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--read", type=int, default=320)
    settings = parser.parse_args()
    tasks = [TASKS[name] for name in settings.tasks]
    chain, domain = tasks[0].materials()
    states = sample(chain, settings.samples, generator=torch.Generator().manual_seed(0))
    designs = domain.decode(states, None)
    levels = ImageFormat(*designs[0].size).to_levels(designs)
    rewards = [torch.tensor([float(task.reward(d)) for d in designs]).double() for task in tasks]
    denoiser = frozen(chain).network
    unet, patch = denoiser.model, designs[0].size[0] // denoiser.model.config.sample_size[0]
    blocks = {"first": unet.down_blocks[0], "middle": unet.mid_block, "last": unet.up_blocks[-1]}
    kinds: dict[str, nn.Module] = {f"pixels, {n} x {n} cells": PixelFeatures(n) for n in (8, 4, 2)}
    kinds |= {
        f"denoiser, {name} block": ChainFeatures(
            denoiser, block, encode=lambda rows: nn.functional.pixel_unshuffle(2 * rows - 1, patch)
        )
        for name, block in blocks.items()
    }
    print(f"| features | size | {' | '.join(settings.tasks)} |\n|---|---|{'---|' * len(tasks)}")
    for name, embed in kinds.items():
        with torch.no_grad():
            features = torch.cat([embed(part) for part in levels.split(128)]).double()
        found = [correlation(features, values, settings.read) for values in rewards]
        cells = " | ".join(f"{value:.3f}" for value in found)
        print(f"| {name} | {features.shape[1]} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
