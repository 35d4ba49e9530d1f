"""Colourful icons from 320 queries on a CPU, in about ten minutes.

    python examples/colourful_icons.py runs/icons

Stopped, it goes on where it was when it is started again. It leaves the campaign, the icons that were asked
for, and samples of the fine-tuned model beside those of the pre-trained one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from seiko import Campaign, methods, run, zoo
from seiko.benchmark.tasks.images import pixel_settings
from seiko.campaign import CallableFeedback
from seiko.domains.image_format import contact_sheet, save_images
from seiko.oracles.image_properties import colourfulness
from seiko.proposers.online import load_chain
from seiko.proposers.sampling import draw_designs

ROUNDS, QUERIES = 5, 64


def main(folder: Path, *, queries: int = QUERIES, **settings: object) -> None:
    chain, domain = zoo.load("icons-32")
    proposer = methods.seiko_ucb(chain, domain, **(pixel_settings() | settings))
    if (folder / "campaign").exists():
        campaign = Campaign.open(folder / "campaign", domain=domain, proposer=proposer)
    else:
        campaign = Campaign.create(
            folder / "campaign",
            domain=domain,
            proposer=proposer,
            budget=ROUNDS * queries,
            num_queries=queries,
        )
    run(campaign, CallableFeedback(colourfulness), progress=print)

    tuned, *_ = load_chain(chain, campaign.artifacts)
    for name, model in (("before", chain), ("after", tuned)):
        icons = draw_designs(model, domain, queries, torch.Generator().manual_seed(1))
        save_images(folder / name, icons)
        contact_sheet(icons).save(folder / f"{name}.png")
        mean = sum(map(colourfulness, icons)) / len(icons)
        print(f"{name}: colourfulness {mean:.1f}, diversity {domain.metrics['diversity'](icons):.3f}")
    save_images(folder / "best", [trial.design for trial in campaign.best(12)])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/icons"))
