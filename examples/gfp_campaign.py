"""Brighter green fluorescent proteins: five rounds of 96, from variants that are mostly dark.

    python examples/gfp_campaign.py runs/gfp

The assay here is a predictor trained on 31,028 measured variants; put your plate reader in its place. A
second predictor, trained on other variants, says in the end whether the designs only please the first one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

import seiko
from seiko import methods, zoo
from seiko.oracles.gfp_brightness import WILD_TYPE, GFPBrightness, mutations
from seiko.proposers.online import load_chain
from seiko.web.campaign_report import write_campaign_report


def main(folder: str | Path, rounds: int = 5, num_queries: int = 96, **settings: Any) -> Path:
    chain, domain = zoo.load("gfp-variants")  # about five of 237 residues differ from the wild type
    assay, control = GFPBrightness(), GFPBrightness("control")
    campaign = seiko.Campaign.create(
        folder,
        domain=domain,
        proposer=methods.seiko_ucb(chain, domain, **settings),
        budget=rounds * num_queries,
        num_queries=num_queries,
        name="Brighter GFP",
    )
    while campaign.queries_left:
        trials = campaign.ask()  # slow; safe to kill and repeat
        readings = assay.values([trial.design for trial in trials])
        campaign.tell({trial.id: value for trial, value in zip(trials, readings, strict=True)})
        print(f"round {trials[0].round + 1}: mean {readings.mean():.2f}, best {campaign.best()[0].value:.2f}")
    campaign.finish()  # learns from the last plate

    for trial in campaign.best(5):
        changes = " ".join(mutations(trial.design))
        print(f"{trial.value:.2f}, control {control(trial.design):.2f}: {changes}")
    final, *_ = load_chain(chain, campaign.artifacts)
    states = seiko.sample(final, 2 * num_queries, generator=torch.Generator().manual_seed(0))
    designs = domain.decode(states, None)
    for name, predictor in (("assay", assay), ("control", control)):
        mean, wild = predictor.values(designs).mean(), predictor(WILD_TYPE)
        print(f"{name}: the final model's samples average {mean:.2f}, the wild type has {wild:.2f}")
    numbers = {name: round(measure(designs), 3) for name, measure in domain.metrics.items()}
    print(f"of these samples: {numbers}")
    return write_campaign_report(campaign.journal, Path(folder) / "report.html", domain=domain)


if __name__ == "__main__":
    print("report:", main(sys.argv[1]))
