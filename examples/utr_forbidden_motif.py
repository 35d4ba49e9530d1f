"""5'UTRs with a high ribosome load: a forbidden motif, no cloning sites, a Kozak sequence that stays.

    SEIKO_DATA=data python examples/utr_forbidden_motif.py runs/utr

The reward is the published network Optimus 5-Prime, whose weights are not part of the package.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import seiko
from seiko import methods, zoo
from seiko.chains import clamped
from seiko.domains.sequence import DNA, SequenceSpace, sequence_domain
from seiko.domains.sequence_constraints import FixedPositions, GCContent, MaxHomopolymer
from seiko.domains.sequence_features import SequenceFeatures
from seiko.domains.sequence_files import Record, write_sequences
from seiko.domains.sequence_motifs import ForbiddenMotifs, no_restriction_sites
from seiko.domains.sequence_positions import allowed_kinds
from seiko.oracles.ribosome_load import RibosomeLoad
from seiko.web.campaign_report import write_campaign_report

KOZAK = FixedPositions({45 + k: letter for k, letter in enumerate("GCCACC")})
CONSTRAINTS = [
    KOZAK,
    ForbiddenMotifs(("ATG",), both_strands=False),  # no upstream start codon
    no_restriction_sites("BsaI", "BsmBI"),
    GCContent(0.3, 0.7),
    MaxHomopolymer(6),
]


def main(folder: str | Path, rounds: int = 4, num_queries: int = 48, **settings: Any) -> Path:
    space = SequenceSpace(DNA, 50)
    domain = sequence_domain(
        space, constraints=CONSTRAINTS, features=SequenceFeatures(space, one_hot=False, words=(1, 2, 3))
    )
    natural, _ = zoo.load("utr5-natural")
    chain = clamped(natural, allowed_kinds(space, CONSTRAINTS))  # samples have the Kozak sequence
    campaign = seiko.Campaign.create(
        folder,
        domain=domain,
        proposer=methods.seiko_ucb(chain, domain, **settings),
        budget=rounds * num_queries,
        num_queries=num_queries,
        name="5'UTRs without upstream starts",
    )
    seiko.run(campaign, RibosomeLoad())  # asks, measures and tells until the budget is spent, then learns
    for number, report in enumerate(campaign.rounds, 1):
        print(f"round {number}: {report['round/valid_fraction']:.0%} of the samples keep the constraints")
    records = [Record(t.design, f"load={t.value:.2f}") for t in campaign.best(24)]
    write_sequences(Path(folder) / "best.fasta", records)
    return write_campaign_report(campaign.journal, Path(folder) / "report.html", domain=domain)


if __name__ == "__main__":
    print("report:", main(sys.argv[1]))
