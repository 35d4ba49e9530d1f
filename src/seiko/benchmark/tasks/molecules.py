"""Tasks on molecules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from seiko.benchmark.tasks.base import Method, Task
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.domains.molecule_moves import crossover_molecule, mutate_molecule
from seiko.errors import ParameterError
from seiko.methods import adalead, genetic, pool_bayes_opt
from seiko.oracles.rdkit_properties import REWARDS
from seiko.proposers.genetic import GeneticAlgorithm

MOVES: Mapping[str, Any] = {"mutate": mutate_molecule, "crossover": crossover_molecule}
"""Random changes of molecular graphs, for the methods that search by them."""


def molecule_genetic(chain: Chain, domain: Domain[str], **settings: Any) -> GeneticAlgorithm[str]:
    """The genetic algorithm with moves on molecular graphs, tuned; it starts from samples of the chain."""
    return genetic(chain, domain, **{**MOVES, **settings})


RIVALS: Mapping[str, Method] = {
    "genetic": molecule_genetic,
    "adalead": partial(adalead, **MOVES),
    "pool_bayes_opt": partial(pool_bayes_opt, **MOVES),
}


DEFINITIONS: Mapping[str, str] = {
    "penalized_logp": "logP - SA - max(0, atoms of the largest ring - 6): lipophilic, easy to make, "
    "without large rings; logP by Crippen's contributions, SA the synthetic accessibility from 1 to 10",
    "polar_ring": "geometric mean of scores for logP of at least 2, polar surface of at least 50 square "
    "Angstrom, and two rings; from 0 to 1",
    "median_norcamphor": "geometric mean of the similarities to norcamphor and to "
    "4-methylcyclohexanol; from 0 to 1",
    "qed": "quantitative estimate of drug-likeness; from 0 to 1",
    "logp": "octanol-water partition coefficient (log10) by Crippen's atomic contributions",
}
READABLE: Mapping[str, str] = {
    "penalized_logp": "penalised logP",
    "polar_ring": "polar ring score",
    "median_norcamphor": "median norcamphor score",
    "qed": "QED",
    "logp": "logP",
}
DEVELOPMENT = ("penalized_logp", "qed", "logp")


def molecule_task(reward_name: str) -> Task:
    """Small molecules from the zoo's chain for one of the rewards of RDKit.

    Raises:
        ParameterError: If there is no such reward.
    """
    if reward_name not in REWARDS:
        raise ParameterError(f"There is no reward {reward_name!r}.", hint=f"There are {', '.join(REWARDS)}.")
    return Task(
        name=f"qm9-{reward_name.replace('_logp', '-logp').replace('_', '-')}",
        domain_name="molecule",
        split="development" if reward_name in DEVELOPMENT else "test",
        chain_name="qm9-graph",
        oracle=lambda: REWARDS[reward_name],
        reward_name=READABLE[reward_name],
        definition=DEFINITIONS[reward_name],
        rivals=RIVALS,
    )


MOLECULE_TASKS = tuple(map(molecule_task, REWARDS))
