"""Docking to five receptors as a costly reward of drug-size molecules: 300 calls."""

from __future__ import annotations

from seiko import zoo
from seiko.benchmark.tasks.base import Reading, Task
from seiko.benchmark.tasks.pmo import CHAIN, drug_genetic
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.domains.molecule_filters import PropertyRange
from seiko.errors import ParameterError
from seiko.oracles.docking import QUICK, Docking
from seiko.oracles.receptors import PUBLISHED, load_receptor
from seiko.zoo.molecule_tokens import token_domain

DEVELOPMENT = ("parp1", "fa7")
"""Settings may be tuned on these receptors; the others are for tests."""

LOWEST_QED, HIGHEST_SA = 0.5, 5.0
"""What a hit has to keep in FREED (Yang et al. 2021) and MOOD (Lee et al. 2023)."""


def load() -> tuple[Chain, Domain[str]]:
    """The chain of drug-size molecules, and what of them is a design."""
    filters = {"QED": PropertyRange("qed", low=LOWEST_QED), "SA": PropertyRange("sa", high=HIGHEST_SA)}
    return zoo.load(CHAIN)[0], token_domain(CHAIN, filters=filters)


def docking_task(receptor: str) -> Task:
    """Ligands for one receptor: 5 rounds of 60 quick dockings, each the mean of two searches.

    Raises:
        ParameterError: If there is no such receptor.
    """
    if receptor not in PUBLISHED:
        raise ParameterError(f"There is no receptor {receptor!r}.", hint=f"There are {', '.join(PUBLISHED)}.")
    return Task(
        name=f"dock-{receptor}",
        domain_name="molecule",
        split="development" if receptor in DEVELOPMENT else "test",
        chain_name=CHAIN,
        oracle=lambda: Reading(Docking(load_receptor(receptor), fidelity=QUICK, seeds=(1, 2))),
        reward_name="docking score, kcal/mol",
        definition=f"minus the energy of AutoDock Vina's best pose in {receptor}, mean of two searches of "
        f"{QUICK.max_evals:,} evaluations; designs have QED of at least {LOWEST_QED} and SA of at most "
        f"{HIGHEST_SA:g}; what cannot be docked is infeasible",
        rivals={"genetic": drug_genetic},
        load=load,
    )


DOCKING_TASKS = tuple(map(docking_task, PUBLISHED))
