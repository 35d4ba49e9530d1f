"""More drug-like molecules that stay similar to a lead: five rounds of 100 readings.

    python examples/drug_likeness_similarity.py runs/drug-likeness

Similarity (Tanimoto, ECFP4) of at least 0.4 is wanted. Almost no sample of the pre-trained chain has it, so
it is a part of the reward, full from 0.4 on, while undesirable groups are refused before they cost a reading.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import seiko
from seiko import methods, zoo
from seiko.domains.molecule_filters import Catalog, PropertyRange
from seiko.oracles.combine import Part, Weighted
from seiko.oracles.modifiers import Threshold
from seiko.oracles.rdkit_properties import qed
from seiko.oracles.similarity import Similarity, tanimoto
from seiko.web.campaign_report import write_campaign_report
from seiko.zoo.molecule_tokens import token_domain

LEAD = "CC(=O)Nc1ccc(S(=O)(=O)Nc2ccc3c(c2)C(=O)N(CCc2ccccc2)C3=O)cc1"


def main(folder: str | Path, rounds: int = 5, num_queries: int = 100, **settings: Any) -> Path:
    chain, _ = zoo.load("zinc-tokens")
    domain = token_domain(filters={"PAINS": Catalog("PAINS"), "weight": PropertyRange("weight", high=550)})
    similar = Similarity(LEAD, modifier=Threshold(0.4))
    reward = Weighted({"QED": Part(qed), "similarity": Part(similar, 2.0)}, mean="geometric")
    campaign = seiko.Campaign.create(
        folder,
        domain=domain,
        proposer=methods.seiko_ucb(chain, domain, **settings),
        budget=rounds * num_queries,
        num_queries=num_queries,
        name="Drug-likeness near a lead",
    )
    campaign.attach([LEAD], [reward(LEAD)])  # what is known already costs no reading
    seiko.run(campaign, seiko.CallableFeedback(reward), progress=lambda status: print(status.queries_used))

    near = [trial for trial in campaign.trials if tanimoto(trial.design, LEAD) >= 0.4]
    print(f"lead: QED {qed(LEAD):.3f}; {len(near)} of {len(campaign.trials)} designs are similar enough")
    for trial in sorted(near, key=lambda trial: -qed(trial.design))[:5]:
        print(f"QED {qed(trial.design):.3f}, similarity {tanimoto(trial.design, LEAD):.2f}: {trial.design}")
    return write_campaign_report(campaign.journal, Path(folder) / "report.html")


if __name__ == "__main__":
    print("report:", main(sys.argv[1]))
