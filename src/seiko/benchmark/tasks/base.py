"""Benchmark tasks: a pre-trained chain, a reward, a budget, and the rivals that only a domain has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from seiko import zoo
from seiko.ablations import ABLATIONS
from seiko.campaign.feedback.base import Feedback
from seiko.chain import Chain
from seiko.domains.base import Domain
from seiko.errors import ParameterError
from seiko.methods import METHODS
from seiko.proposers.base import Proposer
from seiko.records import Observation

Method = Callable[..., Proposer[Any]]


@dataclass(frozen=True)
class Reading:
    """One design to what one measurement of it gives, infeasible ones included."""

    oracle: Feedback[Any]

    def __call__(self, design: Any) -> Observation:
        return self.oracle.evaluate([design])[0]


@dataclass(frozen=True)
class Task:
    """What is to be designed, what is rewarded and how many readings there are. Readings are maximised.

    Attributes:
        name: For tables.
        domain_name: Of the kind of designs.
        split: "development" tasks may be used to tune settings, "test" tasks may not.
        chain_name: Of the pre-trained chain in the zoo.
        oracle: Gives the reward, one design to a number or an observation; called when a run needs it, so
            naming a task loads nothing.
        reward_name: For axes.
        definition: The reward in one sentence.
        num_rounds: Rounds of queries.
        num_queries: Queries of one round.
        rivals: Methods that only this domain has, by name.
        load: Gives the chain and its domain instead of the zoo.
        start: ``seed -> designs`` whose readings every method is given before its first round; they are
            queries too.
    """

    name: str
    domain_name: str
    split: Literal["development", "test"]
    chain_name: str
    oracle: Callable[[], Callable[[Any], Any]]
    reward_name: str
    definition: str
    num_rounds: int = 5
    num_queries: int = 60
    rivals: Mapping[str, Method] = field(default_factory=dict)
    load: Callable[[], tuple[Chain, Domain[Any]]] | None = None
    start: Callable[[int], Sequence[Any]] | None = None

    def __post_init__(self) -> None:
        for name in ("num_rounds", "num_queries"):
            if not getattr(self, name) >= 1:
                raise ParameterError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")

    @cached_property
    def reward(self) -> Callable[[Any], Any]:
        """One design to its reward."""
        return self.oracle()

    @property
    def budget(self) -> int:
        """Queries of all rounds; designs of `start` come on top."""
        return self.num_rounds * self.num_queries

    @property
    def methods(self) -> dict[str, Method]:
        """All methods that can run on it, by name."""
        return {**METHODS, **ABLATIONS, **self.rivals}

    def materials(self) -> tuple[Chain, Domain[Any]]:
        """The pre-trained chain and its domain."""
        return self.load() if self.load else zoo.load(self.chain_name)

    def method(self, name: str) -> Method:
        """The method of a name, or ParameterError."""
        if name not in self.methods:
            known = ", ".join(self.methods)
            raise ParameterError(f"There is no method {name!r} for {self.name}.", hint=f"There are {known}.")
        return self.methods[name]
