"""Ligands for parp1: ten rounds of 30 quick dockings, then the best again with all of Vina's effort.

    SEIKO_DATA=data python examples/docking_parp1.py runs/parp1

``SEIKO_DATA`` names the folder with ``docking/``. A reading is minus the energy in kcal/mol, the mean over
seeds; what cannot be docked is told as infeasible or failed, with the reason.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import seiko
from seiko import methods, zoo
from seiko.domains.molecule_drawing import draw_molecule
from seiko.domains.molecule_filters import Catalog, PropertyRange
from seiko.domains.molecule_formats import write_molecules
from seiko.oracles.docking import FULL, QUICK, Docking, Fidelity
from seiko.oracles.ligands import pose_molecule
from seiko.oracles.receptors import load_receptor
from seiko.web.campaign_report import write_campaign_report
from seiko.zoo.molecule_tokens import token_domain

QED, SA = PropertyRange("qed", low=0.5), PropertyRange("sa", high=4.0)


def main(
    folder: str | Path, rounds: int = 10, num_queries: int = 30, final: Fidelity = FULL, **settings: Any
) -> Path:
    chain, _ = zoo.load("zinc-tokens")
    domain = token_domain(filters={"PAINS": Catalog("PAINS"), "QED": QED, "SA": SA})
    receptor = load_receptor("parp1")
    campaign = seiko.Campaign.create(
        folder,
        domain=domain,
        proposer=methods.seiko_ucb(chain, domain, **settings),
        budget=rounds * num_queries,
        num_queries=num_queries,
        name="Ligands for parp1",
    )
    with Docking(receptor, fidelity=QUICK, seeds=(1, 2), processes=2) as feedback:
        seiko.run(campaign, feedback, progress=lambda status: print(status.queries_used, "docked"))
        print(dict(feedback.outcomes))

    winners = [trial.design for trial in campaign.best(10)]
    with Docking(receptor, fidelity=final, seeds=(1, 2, 3), processes=2, timeout=600) as again:
        docked = again.dock(winners)
    for number, winner in enumerate(docked, 1):
        reading = winner.observation()
        print(f"{number}: {reading.value} +- {reading.noise_std} kcal/mol ({reading.note}) {winner.smiles}")
        (Path(folder) / f"winner-{number}.svg").write_text(draw_molecule(winner.smiles))
    poses = [pose_molecule(winner.best_pose) for winner in docked if winner.best_pose]
    write_molecules(Path(folder) / "winners.sdf", poses)
    return write_campaign_report(campaign.journal, Path(folder) / "report.html")


if __name__ == "__main__":
    print("report:", main(sys.argv[1]))
