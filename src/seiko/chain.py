"""The heart: what a chain is, and the one loop that samples, differentiates, compares and replays it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpointed

from seiko import tree
from seiko.distributions import Distribution
from seiko.errors import ParameterError, ShapeError
from seiko.typing import Condition, State

C = TypeVar("C", bound="Chain")


@runtime_checkable
class Chain(Protocol):
    """A Markov chain s_0 (noise) -> s_1 -> ... -> s_K (data) whose steps have exact densities.

    The rules, which ``seiko.testing.check_chain`` enforces: every step that depends on trained weights is
    random and keeps its support; rows are independent; a noise scale never depends on trained weights;
    ``transition`` is pure in its arguments and the weights. ``step`` is one integer for all rows, or [batch]
    integers.
    """

    @property
    def num_steps(self) -> int: ...
    def initial(self, batch_size: int, condition: Condition = None) -> Distribution: ...
    def transition(self, state: State, step: int | Tensor, condition: Condition = None) -> Distribution: ...
    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...


@runtime_checkable
class SupportsLoss(Chain, Protocol):
    """A chain that can be trained on data."""

    def loss(
        self, data: State, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Tensor: ...


@runtime_checkable
class SupportsVariation(Chain, Protocol):
    """A chain that can write parts of clean states anew, as a move of a search.

    ``variations`` gives the new states and their conditions, in parts and in any order: samples of the chain
    given what it keeps of each row.
    """

    def variations(
        self, clean: State, condition: Condition = None, generator: torch.Generator | None = None
    ) -> Iterator[tuple[State, Condition]]: ...


@dataclass(frozen=True)
class Step:
    """One step of a rollout: ``next_state ~ transition``, the law of step `index` from `state`."""

    index: int
    state: State
    next_state: State
    transition: Distribution


def rollout(
    chain: Chain,
    batch_size: int | None = None,
    *,
    condition: Condition = None,
    grad_steps: int | Literal["all"] = 0,
    states: Sequence[State] | None = None,
    start: tuple[int, State] | None = None,
    checkpoint: bool = False,
    generator: torch.Generator | None = None,
) -> Iterator[Step]:
    """Run a chain, or replay a recorded path, one `Step` at a time.

    Args:
        chain: The chain.
        batch_size: Number of rows; taken from `states` in a replay, or from `start`.
        condition: What is given, one row a sample.
        grad_steps: How many of the last steps carry gradients ("all" for every one). The earlier ones run
            without a graph, so memory does not grow with them.
        states: A recorded path s_0, ..., s_K to replay instead of sampling.
        start: A step k and a state s_k to go on from, instead of the start law.
        checkpoint: Recompute each step's network in the backward pass instead of keeping its activations.
        generator: Source of randomness; the global one is used only if this is None.

    Yields:
        `Step` 0, or that of `start`, to K - 1. The caller's own gradient mode is untouched between steps.

    Raises:
        ParameterError: If `grad_steps` or `batch_size` is out of range.
        ShapeError: If `states` does not have K + 1 entries.

    Example:
        >>> from seiko.chains import DiffusionChain, Masked
        >>> from seiko.networks import SequenceMLP
        >>> chain = DiffusionChain(SequenceMLP(3, 5, outputs=4), Masked(length=3, kinds=4))
        >>> [step.index for step in rollout(chain, 2, generator=torch.Generator().manual_seed(0))]
        [0, 1, 2]
    """
    first_grad = chain.num_steps - _checked_grad_steps(grad_steps, chain.num_steps)
    if states is not None:
        if len(states) != chain.num_steps + 1:
            raise ShapeError(
                f"A path of this chain has {chain.num_steps + 1} states (num_steps + 1); got {len(states)}."
            )
        first, state = 0, states[0]
    elif start is not None:
        first, state = start
    else:
        law = chain.initial(_checked_count("batch_size", batch_size), condition)
        first, state = 0, _draw(law, first_grad == 0, generator)
    for index in range(first, chain.num_steps):
        with_grad = index >= first_grad
        with torch.set_grad_enabled(with_grad):
            if checkpoint and with_grad:
                transition = checkpointed(chain.transition, state, index, condition, use_reentrant=False)
            else:
                transition = chain.transition(state, index, condition)
            next_state = _draw(transition, with_grad, generator) if states is None else states[index + 1]
        yield Step(index, state, next_state, transition)
        state = next_state


def _draw(law: Distribution, with_grad: bool, generator: torch.Generator | None) -> State:
    return law.rsample(generator) if with_grad else law.sample(generator)


def _checked_grad_steps(grad_steps: int | Literal["all"], num_steps: int) -> int:
    if grad_steps == "all":
        return num_steps
    if isinstance(grad_steps, bool) or not isinstance(grad_steps, int) or not 0 <= grad_steps <= num_steps:
        raise ParameterError(
            f'`grad_steps` must be "all" or an integer from 0 to num_steps = {num_steps}; got {grad_steps!r}.'
        )
    return grad_steps


def _checked_count(name: str, count: int | None) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ParameterError(f"`{name}` must be an integer >= 1; got {count!r}.")
    return count


def sample(
    chain: Chain,
    num_samples: int,
    *,
    condition: Condition = None,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> State:
    """Draw designs' states from a chain, without gradients, in batches.

    Args:
        chain: The chain.
        num_samples: How many.
        condition: One row a sample, if the chain is conditional.
        batch_size: Rows run at once; it bounds memory.
        generator: Source of randomness.

    Returns:
        The last states s_K, leaves [num_samples, ...].
    """
    parts = []
    _checked_count("num_samples", num_samples)
    for start in range(0, num_samples, _checked_count("batch_size", batch_size)):
        rows = slice(start, min(start + batch_size, num_samples))
        given = None if condition is None else tree.index(condition, rows)
        for step in rollout(chain, rows.stop - rows.start, condition=given, generator=generator):
            last = step.next_state
        parts.append(last)
    return tree.concat(parts)


def sample_path(
    chain: Chain,
    num_samples: int,
    *,
    condition: Condition = None,
    generator: torch.Generator | None = None,
) -> list[State]:
    """One whole path a row, without gradients: the states s_0, ..., s_K."""
    states: list[State] = []
    for step in rollout(chain, num_samples, condition=condition, generator=generator):
        states = states or [step.state]
        states.append(step.next_state)
    return states


def path_kl(
    chain: Chain,
    reference: Chain,
    num_samples: int,
    *,
    condition: Condition = None,
    grad_steps: int | Literal["all"] = 0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """KL of path laws along sampled paths, in nats, summed over steps and coordinates, [num_samples].

    ``KL(P || Q) = KL(start laws) + E_P sum_k KL(p(. | s_k) || q(. | s_k))``. Each step's divergence is exact,
    so only the visited states are random; the mean over rows is unbiased.

    Raises:
        ShapeError: If the two chains have different numbers of steps.
    """
    check_same_steps(chain, reference)
    total = chain.initial(num_samples, condition).kl(reference.initial(num_samples, condition))
    first_grad = chain.num_steps - _checked_grad_steps(grad_steps, chain.num_steps)
    for step in rollout(chain, num_samples, condition=condition, grad_steps=grad_steps, generator=generator):
        with torch.set_grad_enabled(step.index >= first_grad):
            total = total + step.transition.kl(reference.transition(step.state, step.index, condition))
    return total


def path_log_prob(
    chain: Chain,
    states: Sequence[State],
    *,
    condition: Condition = None,
    grad_steps: int | Literal["all"] = 0,
) -> Tensor:
    """Log-density of each step of recorded paths by replay, in nats, [batch, num_steps].

    The start law is not included: it has no trained weights in any chain of this library.
    """
    steps = rollout(chain, condition=condition, grad_steps=grad_steps, states=states)
    return torch.stack([step.transition.log_prob(step.next_state) for step in steps], dim=1)


def check_same_steps(chain: Chain, reference: Chain) -> None:
    """Raise ShapeError unless both chains have the same number of steps."""
    if chain.num_steps != reference.num_steps:
        raise ShapeError(
            f"Two chains can be compared only step by step: `num_steps` is {chain.num_steps} and "
            f"{reference.num_steps}."
        )


def fork(chain: C) -> C:
    """A copy that can be trained without changing `chain`; parameters that are frozen are shared, not copied.

    Example:
        >>> from seiko.chains import DiffusionChain, Masked
        >>> from seiko.networks import SequenceMLP
        >>> chain = DiffusionChain(SequenceMLP(3, 5, outputs=4), Masked(length=3, kinds=4))
        >>> copy_of_it = fork(chain)
        >>> next(copy_of_it.parameters()) is next(chain.parameters())
        False
    """
    shared = {id(p): p for p in chain.parameters() if not p.requires_grad}
    return copy.deepcopy(chain, shared)


def frozen(chain: C) -> C:
    """A copy whose parameters take no gradient: a reference for divergences."""
    twin = fork(chain)
    for parameter in twin.parameters():
        parameter.requires_grad_(False)
    return twin
