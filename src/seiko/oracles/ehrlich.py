"""Ehrlich functions: closed-form tests of sequence design with infeasible designs and a known optimum."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seiko.errors import ParameterError
from seiko.oracles.base import SequenceOracle, letter_indices

LETTERS = string.ascii_uppercase + string.digits + string.ascii_lowercase
BANNED_SHARE = 0.2
"""Of the other states, so many may not follow a state (rounded, at least one)."""

TEMPERATURE = 0.5
"""Of the softmax that makes transition probabilities of standard normal numbers."""


@dataclass(frozen=True)
class Ehrlich(SequenceOracle):
    """One Ehrlich function (Stanton et al., arXiv:2407.00236); built by `ehrlich`.

    A Markov chain over the states says which designs are feasible: those without a banned transition. There
    are c motifs ``a_i`` of k states with spacings ``s_i`` (offsets that begin with 0 and grow). With the
    quantisation q, a feasible design x of L states is worth::

        f(x) = prod_i max_l floor(q * #{j: x[l + s_ij] = a_ij} / k) / q

    and an infeasible one -inf, or an infeasible reading. The optimum is 1 and is known to be feasible.

    Attributes:
        alphabet: One letter a state.
        length: L.
        transitions: Probabilities [states, states], from row to column; 0 where banned.
        motifs: States [c, k].
        spacings: Offsets [c, k], in [0, L // c).
        quantization: q, in [1, k].
        seed: Of the instance.
    """

    alphabet: str
    length: int
    transitions: NDArray[np.float64] = field(repr=False)
    motifs: NDArray[np.int64] = field(repr=False)
    spacings: NDArray[np.int64] = field(repr=False)
    quantization: int
    seed: int

    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Values [n] in [0, 1], -inf where infeasible; errors as of `SequenceOracle.values`."""
        states = letter_indices(designs, self.alphabet, self.length)
        qualities = [self._quality(states, m, s) for m, s in zip(self.motifs, self.spacings, strict=True)]
        return np.where(self._is_feasible(states), np.prod(qualities, axis=0), -np.inf)

    def is_feasible(self, design: str) -> bool:
        """Whether the design has no banned transition."""
        return not self.why_infeasible(design)

    def why_infeasible(self, design: str) -> str:
        """The first banned transition, with its place; empty where there is none."""
        states = letter_indices([design], self.alphabet, self.length)[0]
        banned = np.flatnonzero(self.transitions[states[:-1], states[1:]] == 0)
        if not len(banned):
            return ""
        at = int(banned[0])
        return f"{design[at + 1]!r} may not follow {design[at]!r} (position {at + 2})"

    def initial_solutions(self, number: int, *, seed: int = 0) -> list[str]:
        """Feasible designs drawn from the Markov chain, its first state evenly; they may repeat."""
        rng = np.random.default_rng((self.seed, seed, 1))
        states = np.empty((number, self.length), dtype=np.int64)
        states[:, 0] = rng.integers(len(self.alphabet), size=number)
        cumulative = self.transitions.cumsum(1)
        for place in range(1, self.length):
            drawn = rng.random((number, 1)) * cumulative[states[:, place - 1], -1:]
            states[:, place] = (drawn >= cumulative[states[:, place - 1]]).sum(1)
        return [self._written(row) for row in states]

    @property
    def initial_solution(self) -> str:
        """One feasible design: where a search without data may start."""
        return self.initial_solutions(1)[0]

    @property
    def optimal_solution(self) -> str:
        """A feasible design of value 1: the motifs in turn, gaps filled by repeating the last state."""
        room = self.length // len(self.motifs)
        places = np.arange(room)
        blocks = [
            motif[np.searchsorted(offsets, places, side="right") - 1]
            for motif, offsets in zip(self.motifs, self.spacings, strict=True)
        ]
        states = np.concatenate(blocks)
        return self._written(np.pad(states, (0, self.length - len(states)), mode="edge"))

    def _written(self, states: NDArray[np.int64]) -> str:
        return "".join(self.alphabet[state] for state in states)

    def _is_feasible(self, states: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.asarray((self.transitions[states[:, :-1], states[:, 1:]] > 0).all(1))

    def _quality(
        self, states: NDArray[np.uint8], motif: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        starts = self.length - int(offsets[-1])
        present = sum(
            (states[:, offset : offset + starts] == state).astype(np.int64)
            for state, offset in zip(motif, offsets, strict=True)
        )
        best = np.asarray(present).max(1)
        return (best * self.quantization // len(motif)) / self.quantization


def ehrlich(
    num_states: int = 32,
    length: int = 32,
    *,
    num_motifs: int = 4,
    motif_length: int = 4,
    quantization: int | None = None,
    seed: int = 0,
    alphabet: str | None = None,
) -> Ehrlich:
    """A random Ehrlich function; the same arguments give the same one.

    Transitions: a softmax of normal numbers; every state may repeat, some others may not follow it, and a
    random round trip through all states stays allowed, so the chain is ergodic. Motifs: one walk of the chain
    without repeats of a state in a row, cut into pieces, so that all of them fit into one feasible design.
    Spacings: evenly drawn among those with a span of at most ``length // num_motifs``. The draws are our own:
    an instance is not that of another implementation with the same seed.

    Args:
        num_states: Letters.
        length: Of a design.
        num_motifs: Motifs; together they must fit.
        motif_length: States of a motif.
        quantization: Levels of each motif above 0; None for `motif_length`, the finest.
        seed: Of the instance.
        alphabet: One letter a state; None for capital letters, then digits, then small letters.

    Raises:
        ParameterError: If the motifs do not fit, or a number is outside its range.

    Example:
        >>> function = ehrlich(num_states=4, length=8, num_motifs=2, motif_length=3, alphabet="ACGT")
        >>> function(function.optimal_solution)
        1.0
    """
    levels = motif_length if quantization is None else quantization
    letters = LETTERS[:num_states] if alphabet is None else alphabet
    _check(num_states, length, num_motifs, motif_length, levels, letters)
    rng = np.random.default_rng(seed)
    transitions = _random_transitions(num_states, rng)
    walk = _walk(transitions, num_motifs * motif_length, rng)
    room = length // num_motifs
    spacings = [
        np.concatenate([[0], 1 + np.sort(rng.choice(room - 1, motif_length - 1, replace=False))])
        for _ in range(num_motifs)
    ]
    motifs = walk.reshape(num_motifs, motif_length)
    return Ehrlich(letters, length, transitions, motifs, np.stack(spacings), levels, seed)


def _check(states: int, length: int, motifs: int, motif_length: int, levels: int, letters: str) -> None:
    if not 3 <= states <= len(LETTERS):
        raise ParameterError(f"`num_states` must be in [3, {len(LETTERS)}]; got {states!r}.")
    if len(letters) != states or len(set(letters)) != states or not letters.isascii():
        raise ParameterError(
            f"`alphabet` must hold {states} different ASCII letters, one a state; got {letters!r}."
        )
    if motifs < 1 or motif_length < 2:
        raise ParameterError(
            f"At least 1 motif of at least 2 states is needed; got {motifs} of {motif_length}."
        )
    if motifs * motif_length > length:
        raise ParameterError(
            f"{motifs} motifs of {motif_length} states do not fit into {length} letters.",
            hint=f"Use a `length` of at least {motifs * motif_length}, or fewer or shorter motifs.",
        )
    if not 1 <= levels <= motif_length:
        raise ParameterError(
            f"`quantization` must be in [1, motif_length={motif_length}]; got {levels!r}.",
            hint="None takes the finest.",
        )


def _random_transitions(states: int, rng: np.random.Generator) -> NDArray[np.float64]:
    weights = np.exp(rng.standard_normal((states, states)) / TEMPERATURE)
    round_trip = rng.permutation(states)
    follower = np.empty(states, dtype=np.int64)
    follower[round_trip] = np.roll(round_trip, -1)
    banned = max(1, math.floor(BANNED_SHARE * (states - 1)))
    for state in range(states):
        free = np.setdiff1d(np.arange(states), [state, follower[state]])
        weights[state, rng.choice(free, banned, replace=False)] = 0
    return weights / weights.sum(1, keepdims=True)


def _walk(transitions: NDArray[np.float64], steps: int, rng: np.random.Generator) -> NDArray[np.int64]:
    moving = transitions * (1 - np.eye(len(transitions)))
    moving /= moving.sum(1, keepdims=True)
    walk = [int(rng.integers(len(moving)))]
    while len(walk) < steps:
        walk.append(int(rng.choice(len(moving), p=moving[walk[-1]])))
    return np.array(walk)
