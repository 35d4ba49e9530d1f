"""How far the pictures that a method ends with are from what the pre-trained chain knows.

    python benchmarks/naturalness.py icons-jpeg --method genetic --method best_of_n --output naturalness.jsonl

The chain's own error of removing noise from a picture, at the same noise for all: of the last round that a
method asked for, and of samples of the pre-trained chain. A picture whose error is above that of 99 % of the
samples is called unnatural. ``--sheets FOLDER`` saves the pictures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch
from PIL.Image import Image
from torch import Tensor

from seiko import zoo
from seiko.benchmark import TASKS
from seiko.benchmark.running import run_method
from seiko.campaign import Campaign
from seiko.chain import SupportsLoss
from seiko.domains.image_format import ImageFormat, contact_sheet
from seiko.proposers.sampling import draw_designs
from seiko.zoo.pixels import folded

NATURAL = 0.99
"""Share of the chain's samples that are natural, by definition."""


@torch.no_grad()
def errors(chain: SupportsLoss, pictures: Sequence[Image], patch: int, draws: int) -> Tensor:
    """The chain's loss of each picture, mean over draws of noise that are the same for all, [picture]."""
    states = folded(ImageFormat(*pictures[0].size).to_levels(pictures), patch)
    found = []
    for state in states:
        rows = state.expand(draws, *state.shape)
        found.append(chain.loss(rows, None, torch.Generator().manual_seed(0)).mean())
    return torch.stack(found)


def last_round(name: str, method: str, seed: int) -> list[Image]:
    """What a method asks for in the last round of a campaign."""
    task = TASKS[name]
    with tempfile.TemporaryDirectory(prefix="seiko-") as folder:
        run_method(task, method, seed, directory=folder, num_samples=1)
        chain, domain = task.materials()
        campaign = Campaign.open(folder, domain=domain, proposer=task.method(method)(chain, domain))
        trials = campaign.history.trials
        return [trial.design for trial in trials if trial.round == trials[-1].round]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+", help="tasks of pictures")
    parser.add_argument("--method", action="append", required=True, help="may be given several times")
    parser.add_argument("--seeds", type=int, default=1, help="campaigns of each method")
    parser.add_argument("--samples", type=int, default=200, help="of the pre-trained chain")
    parser.add_argument("--draws", type=int, default=32, help="of noise, for each picture")
    parser.add_argument("--sheets", type=Path, help="folder for the pictures")
    parser.add_argument("--output", type=Path, help="file of JSON lines to append to")
    settings = parser.parse_args()
    for name in settings.tasks:
        chain, domain = TASKS[name].materials()
        samples = draw_designs(chain, domain, settings.samples, torch.Generator().manual_seed(0))
        patch = zoo.read_card(TASKS[name].chain_name)["patch"]
        usual = errors(chain, samples, patch, settings.draws)
        limit = usual.quantile(NATURAL)
        for method in settings.method:
            for seed in range(settings.seeds):
                pictures = last_round(name, method, seed)
                error = errors(chain, pictures, patch, settings.draws)
                line = {
                    "task": name,
                    "method": method,
                    "seed": seed,
                    "reward": mean(map(TASKS[name].reward, pictures)),
                    "error": float(error.mean()),
                    "error_of_samples": float(usual.mean()),
                    "unnatural": float((error > limit).float().mean()),
                }
                print(json.dumps(line), flush=True)
                if settings.output:
                    with settings.output.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                if settings.sheets:
                    settings.sheets.mkdir(parents=True, exist_ok=True)
                    contact_sheet(pictures).save(settings.sheets / f"{name}-{method}-{seed}.png")


if __name__ == "__main__":
    main()
