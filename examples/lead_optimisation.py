"""Lead optimisation with a kept scaffold: what to put on a 4-aminoquinazoline, five rounds of 60 readings.

    python examples/lead_optimisation.py runs/lead

Every sample begins with the scaffold, open at its ``*``, and every method is held to it: a design without the
scaffold is invalid. The reward is a profile of properties here; put your assay in its place.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

import seiko
from seiko import methods, zoo
from seiko.domains.molecule_growth import growing_domain
from seiko.oracles.combine import Part, Weighted
from seiko.oracles.modifiers import Gaussian, Linear
from seiko.oracles.rdkit_properties import logp, qed, sa_score
from seiko.proposers.online import load_chain
from seiko.proposers.sampling import draw_designs
from seiko.web.campaign_report import write_campaign_report
from seiko.zoo.molecule_tokens import token_codec

SCAFFOLD = "COc1cc2ncnc(N*)c2cc1OC"


def main(folder: str | Path, rounds: int = 5, num_queries: int = 60, **settings: Any) -> Path:
    chain, plain = zoo.load("zinc-tokens")
    domain = growing_domain(plain, token_codec(), SCAFFOLD)
    profile = {
        "QED": Part(qed),
        "logP": Part(logp, modifier=Gaussian(2.5, 1.0)),
        "SA": Part(sa_score, modifier=Linear(zero=6, one=2)),
    }
    reward = Weighted(profile, mean="geometric")
    campaign = seiko.Campaign.create(
        folder,
        domain=domain,
        proposer=methods.seiko_ucb(chain, domain, **settings),
        budget=rounds * num_queries,
        num_queries=num_queries,
        name="Quinazolines",
    )
    seiko.run(campaign, seiko.CallableFeedback(reward), progress=lambda status: print(status.queries_used))
    for trial in campaign.best(5):
        print(f"{trial.value:.3f}: {trial.design}")
    final, *_ = load_chain(chain, campaign.artifacts)
    for name, model in (("pre-trained", chain), ("fine-tuned", final)):
        designs = draw_designs(model, domain, 200, torch.Generator().manual_seed(0))
        valid = [design for design in designs if domain.is_valid(design)]
        print(f"{name}: {len(valid)} of 200 samples valid, mean {sum(map(reward, valid)) / len(valid):.3f}")
    return write_campaign_report(campaign.journal, Path(folder) / "report.html")


if __name__ == "__main__":
    print("report:", main(sys.argv[1]))
