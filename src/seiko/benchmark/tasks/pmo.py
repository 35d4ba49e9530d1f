"""PMO: the objectives that RDKit alone can compute, with 1,000 or 10,000 calls on drug-size molecules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from seiko import zoo
from seiko.benchmark.tasks.base import Task
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.domains.molecule_moves import crossover_molecule, mutate_molecule
from seiko.errors import ParameterError
from seiko.methods import genetic
from seiko.oracles.pmo import NAMES, OBJECTIVES
from seiko.proposers.genetic import GeneticAlgorithm

CHAIN = "zinc-tokens"
PROTOCOLS: Mapping[str, tuple[int, int]] = {"pmo": (10, 100), "pmo10k": (20, 500)}
"""Rounds and calls a round, by the first word of the task's name."""

DEVELOPMENT = (
    "albuterol_similarity",
    "celecoxib_rediscovery",
    "isomers_c7h8n2o2",
    "median1",
    "osimertinib_mpo",
    "scaffold_hop",
)
"""One of each sort, to tune settings on; all others are test objectives."""

SORTS: Mapping[str, str] = {
    "similarity": "similarity to a drug, full from a threshold on",
    "rediscovery": "Tanimoto similarity to a drug",
    "isomers": "closeness of the atom counts to a molecular formula",
    "median": "geometric mean of the similarities to two molecules",
    "mpo": "mean of a similarity to a drug and of wanted properties",
    "hop": "mean of a similarity and of substructures that must be kept or left",
    "smarts": "mean of a wanted substructure and of wanted properties",
    "qed": "quantitative estimate of drug-likeness",
}


def drug_genetic(chain: Chain, domain: Domain[str], **settings: Any) -> GeneticAlgorithm[str]:
    """The genetic algorithm on graphs of drug size; it starts from samples of the chain.

    It may use the elements, charges and sizes that the chain's molecules have.
    """
    card = zoo.read_card(CHAIN)
    allowed = {"num_atoms": card["max_atoms"], "elements": tuple(card["elements"]), "charges": True}
    options: dict[str, Any] = {
        "mutate": partial(mutate_molecule, **allowed),
        "crossover": partial(crossover_molecule, **allowed),
    }
    return genetic(chain, domain, **{**options, **TUNED, **settings})


TUNED: Mapping[str, Any] = {
    "population_size": 10,
    "selection_pressure": 4.0,
    "mutation_rate": 0.1,
    "crossover_rate": 0.9,
}
"""Best of a grid of nine: AUC top-10 of .782 and .405 on osimertinib_mpo and celecoxib_rediscovery, 2 seeds
each, from molecules of ZINC. With a pressure of 2, populations of 5, 10, 25 and 60 gave .783 and .393, .780
and .380, .767 and .369, .756 and .342."""


def pmo_task(objective: str, *, protocol: str = "pmo") -> Task:
    """One objective; AUC top-10 is the published number.

    Args:
        objective: A name among `seiko.oracles.pmo.NAMES`.
        protocol: One of `PROTOCOLS`: ``"pmo"`` has 10 rounds of 100 calls, ``"pmo10k"`` 20 of 500.

    Raises:
        ParameterError: If there is no such objective or protocol.

    Example:
        >>> pmo_task("qed").budget, pmo_task("qed", protocol="pmo10k").budget
        (1000, 10000)
    """
    if objective not in NAMES:
        raise ParameterError(f"There is no objective {objective!r}.", hint=f"There are {', '.join(NAMES)}.")
    if protocol not in PROTOCOLS:
        raise ParameterError(f"There is no protocol {protocol!r}.", hint=f"There are {', '.join(PROTOCOLS)}.")
    num_rounds, num_queries = PROTOCOLS[protocol]
    sort = next(text for word, text in SORTS.items() if word in objective)
    return Task(
        name=f"{protocol}-{objective.replace('_', '-')}",
        domain_name="molecule",
        split="development" if objective in DEVELOPMENT else "test",
        chain_name=CHAIN,
        oracle=lambda: OBJECTIVES[objective],
        reward_name=objective.replace("_", " "),
        definition=f"{sort}; from 0 to 1, as defined for PMO",
        num_rounds=num_rounds,
        num_queries=num_queries,
        rivals={"genetic": drug_genetic},
    )


PMO_TASKS = tuple(pmo_task(name, protocol=protocol) for protocol in PROTOCOLS for name in NAMES)
