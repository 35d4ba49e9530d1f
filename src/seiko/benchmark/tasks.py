"""Benchmark tasks: a pre-trained chain, a reward, a budget, and the rivals that only a domain has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seiko import zoo
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.domains.molecule_moves import crossover_molecule, mutate_molecule
from seiko.errors import ParameterError
from seiko.methods import METHODS
from seiko.oracles.rdkit_properties import REWARDS
from seiko.proposers.base import Proposer
from seiko.proposers.genetic import GeneticAlgorithm
from seiko.proposers.sampling import sampler

Method = Callable[..., Proposer[Any]]


def molecule_genetic(chain: Chain, domain: Domain[str], **settings: Any) -> GeneticAlgorithm[str]:
    """The genetic algorithm with moves on molecular graphs, tuned; it starts from samples of the chain."""
    moves: dict[str, Any] = {"mutate": mutate_molecule, "crossover": crossover_molecule}
    return GeneticAlgorithm(domain, sampler(chain, domain), **(moves | settings))


@dataclass(frozen=True)
class Task:
    """What is to be designed, what is rewarded and how many readings there are. Readings are maximised.

    Attributes:
        name: For tables.
        domain_name: Of the kind of designs.
        split: "development" tasks may be used to tune settings, "test" tasks may not.
        chain_name: Of the pre-trained chain in the zoo.
        reward: One design to its reward.
        reward_name: For axes.
        definition: The reward in one sentence.
        num_rounds: Rounds of queries.
        num_queries: Queries of one round.
        rivals: Methods that only this domain has, by name.
        load: Gives the chain and its domain instead of the zoo.
    """

    name: str
    domain_name: str
    split: Literal["development", "test"]
    chain_name: str
    reward: Callable[[Any], Any]
    reward_name: str
    definition: str
    num_rounds: int = 5
    num_queries: int = 60
    rivals: Mapping[str, Method] = field(default_factory=dict)
    load: Callable[[], tuple[Chain, Domain[Any]]] | None = None

    def __post_init__(self) -> None:
        for name in ("num_rounds", "num_queries"):
            if not getattr(self, name) >= 1:
                raise ParameterError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")

    @property
    def budget(self) -> int:
        """Queries in all."""
        return self.num_rounds * self.num_queries

    @property
    def methods(self) -> dict[str, Method]:
        """All methods that can run on it, by name."""
        return {**METHODS, **self.rivals}

    def materials(self) -> tuple[Chain, Domain[Any]]:
        """The pre-trained chain and its domain."""
        return self.load() if self.load else zoo.load(self.chain_name)

    def method(self, name: str) -> Method:
        """The method of a name, or ParameterError."""
        if name not in self.methods:
            known = ", ".join(self.methods)
            raise ParameterError(f"There is no method {name!r} for {self.name}.", hint=f"There are {known}.")
        return self.methods[name]


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
        reward=REWARDS[reward_name],
        reward_name=READABLE[reward_name],
        definition=DEFINITIONS[reward_name],
        rivals={"genetic": molecule_genetic},
    )


TASKS: Mapping[str, Task] = {task.name: task for task in map(molecule_task, REWARDS)}
