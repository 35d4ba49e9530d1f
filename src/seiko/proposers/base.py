"""The protocol every proposer obeys: a campaign cannot tell SEIKO from a genetic algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from seiko.errors import ParameterError
from seiko.records import History

if TYPE_CHECKING:
    import torch

Design = TypeVar("Design")


@dataclass(frozen=True)
class Proposal(Generic[Design]):
    """What a proposer answers.

    Attributes:
        designs: The designs to ask for, most wanted first; exactly as many as asked.
        predictions: For each design the surrogate's mean and standard deviation of a new reading, in reward
            units; empty when there is no surrogate.
        artifacts: What the proposer needs to go on from here (weights as safetensors, numbers as JSON).
        report: Logged numbers of this round, named ``group/name`` (``kl/pretrained_nats``); JSON values only.
    """

    designs: Sequence[Design]
    predictions: Sequence[tuple[float, float]] = ()
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)


class Proposer(Protocol[Design]):
    """Chooses what to ask next.

    ``propose`` is pure: the same history, number, artifacts and generator state give the same proposal, on
    CPU to the bit. Asked for 0 designs it only learns, and its artifacts hold what it learned.
    """

    def propose(
        self,
        history: History[Design],
        num_queries: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Proposal[Design]: ...


@runtime_checkable
class SupportsFinalDesigns(Protocol[Design]):
    """A proposer whose final model is no chain of its own weights, but a rule that draws designs.

    ``final_designs`` gives `num_samples` independent draws of what is handed over in the end, invalid ones
    and repeats included, as samples of a chain would be. `resume` holds the artifacts of the last proposal.
    Its divergence to the pre-trained law, or a bound of that, stands as ``kl/pretrained_nats`` in the last
    proposal's report, where it is known.
    """

    def final_designs(
        self,
        history: History[Design],
        num_samples: int,
        *,
        resume: Mapping[str, bytes],
        generator: torch.Generator,
    ) -> Sequence[Design]: ...


def check_num_queries(num_queries: int) -> None:
    """Raise ParameterError if a negative number of designs is asked for."""
    if num_queries < 0:
        raise ParameterError(f"`num_queries` must be at least 0; got {num_queries}.")
