"""Stronger E. coli promoters without cloning sites, every design measured three times.

    python examples/promoter_campaign.py runs/promoters

Replicates are told together: a trial's value is their mean, and what they scatter is its noise, which the
surrogate knows. The assay here is a predictor with the scatter of the library that it was trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import seiko
from seiko import methods, zoo
from seiko.domains.sequence import DNA, SequenceSpace, sequence_domain
from seiko.domains.sequence_constraints import MaxHomopolymer
from seiko.domains.sequence_files import Record, write_sequences
from seiko.domains.sequence_motifs import no_restriction_sites
from seiko.oracles.promoter_strength import PromoterStrength
from seiko.web.campaign_report import write_campaign_report


def main(folder: str | Path, rounds: int = 4, num_queries: int = 96, **settings: Any) -> Path:
    chain, _ = zoo.load("promoters-ecoli")
    space = SequenceSpace(DNA, 50)
    domain = sequence_domain(
        space,
        constraints=[no_restriction_sites("EcoRI", "BsaI"), MaxHomopolymer(6)],
        network=chain.network,  # beside letters and words, what the model makes of them
    )
    plates = [PromoterStrength(replicates=1, seed=seed) for seed in range(3)]
    campaign = seiko.Campaign.create(
        folder,
        domain=domain,
        proposer=methods.seiko_ucb(chain, domain, **settings),
        budget=rounds * num_queries,
        num_queries=num_queries,
        name="Strong promoters",
    )
    while campaign.queries_left:
        trials = campaign.ask()
        columns = [plate.readings([trial.design for trial in trials]) for plate in plates]
        wells = zip(trials, *columns, strict=True)
        campaign.tell({trial.id: seiko.Observation.replicates(well) for trial, *well in wells})
        print(f"round {trials[0].round + 1}: best {campaign.best()[0].value:.2f} log10 of the rate")
    campaign.finish()

    best = [
        Record(t.design, f"trial-{t.id}", fields={"mean": f"{t.value:.3f}", "error": f"{t.noise_std:.3f}"})
        for t in campaign.best(24)
    ]
    write_sequences(Path(folder) / "best.csv", best)  # for the order of oligos
    return write_campaign_report(campaign.journal, Path(folder) / "report.html", domain=domain)


if __name__ == "__main__":
    print("report:", main(sys.argv[1]))
