"""Ehrlich functions against their definition written another way, and by enumeration of small instances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seiko.errors import ParameterError
from seiko.oracles.ehrlich import Ehrlich, ehrlich
from seiko.records import TrialState

SMALL = [
    {"num_states": 4, "length": 6, "num_motifs": 2, "motif_length": 3, "alphabet": "ACGT"},
    {"num_states": 3, "length": 7, "num_motifs": 1, "motif_length": 4, "quantization": 2},
    {"num_states": 4, "length": 6, "num_motifs": 3, "motif_length": 2, "quantization": 1},
]


def by_definition(function: Ehrlich, design: str) -> float:
    """The published formula, letter by letter."""
    states = [function.alphabet.index(letter) for letter in design]
    for before, after in itertools.pairwise(states):
        if function.transitions[before, after] == 0:
            return -np.inf
    value = 1.0
    for motif, spacing in zip(function.motifs.tolist(), function.spacings.tolist(), strict=True):
        best = 0.0
        for start in range(len(states) - spacing[-1]):
            hits = sum(states[start + s] == a for a, s in zip(motif, spacing, strict=True))
            best = max(best, int(hits * function.quantization / len(motif)) / function.quantization)
        value *= best
    return value


@pytest.mark.parametrize("arguments", SMALL)
@pytest.mark.parametrize("seed", [0, 1])
def test_enumeration_of_all_designs(arguments, seed):
    function = ehrlich(**arguments, seed=seed)
    designs = ["".join(d) for d in itertools.product(function.alphabet, repeat=function.length)]
    values = function.values(designs)
    assert values.tolist() == [by_definition(function, design) for design in designs]
    assert values.max() == 1 and function(function.optimal_solution) == 1
    feasible = np.isfinite(values)
    paths = np.linalg.matrix_power((function.transitions > 0).astype(float), function.length - 1).sum()
    assert feasible.sum() == paths < len(designs)
    levels = {round(a / function.quantization, 9) for a in range(function.quantization + 1)}
    products = {round(np.prod(c), 6) for c in itertools.product(levels, repeat=len(function.motifs))}
    assert {round(v, 6) for v in values[feasible]} <= products
    assert all(function.is_feasible(d) == f for d, f in zip(designs[::31], feasible[::31], strict=True))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("states", "length", "motifs"), [(3, 15, 2), (32, 32, 4), (32, 64, 2), (20, 256, 8)])
def test_instances_are_sound(states, length, motifs, seed):
    function = ehrlich(states, length, num_motifs=motifs, motif_length=4, seed=seed)
    assert function(function.optimal_solution) == 1 and len(function.optimal_solution) == length
    np.testing.assert_allclose(function.transitions.sum(1), 1)
    allowed = function.transitions > 0
    assert allowed.diagonal().all()
    assert ((~allowed).sum(1) == max(1, int(0.2 * (states - 1)))).all()
    assert (np.linalg.matrix_power(allowed.astype(float), states) > 0).all()  # irreducible, aperiodic
    assert (function.spacings[:, 0] == 0).all() and (np.diff(function.spacings) > 0).all()
    assert (function.spacings[:, -1] < length // motifs).all()
    walk = function.motifs.ravel()
    assert (walk[1:] != walk[:-1]).all() and allowed[walk[:-1], walk[1:]].all()


def test_initial_solutions_are_feasible_repeatable_and_follow_the_chain():
    function = ehrlich(num_states=6, length=40, num_motifs=2, motif_length=3)
    designs = function.initial_solutions(2000, seed=1)
    assert np.isfinite(function.values(designs)).all()
    assert designs == function.initial_solutions(2000, seed=1) != function.initial_solutions(2000, seed=2)
    assert function.initial_solution == function.initial_solutions(1)[0]
    states = np.array([[function.alphabet.index(letter) for letter in d] for d in designs])
    counts = np.zeros((6, 6))
    np.add.at(counts, (states[:, :-1].ravel(), states[:, 1:].ravel()), 1)
    np.testing.assert_allclose(counts / counts.sum(1, keepdims=True), function.transitions, atol=0.02)


def test_the_seed_is_the_instance():
    first, again, other = ehrlich(seed=3), ehrlich(seed=3), ehrlich(seed=4)
    designs = first.initial_solutions(200)
    np.testing.assert_array_equal(first.values(designs), again.values(designs))
    assert (first.motifs != other.motifs).any() and (first.spacings != other.spacings).any()


def test_infeasible_readings_are_labels_with_the_reason():
    function = ehrlich(num_states=4, length=8, num_motifs=2, motif_length=2, alphabet="ACGT")
    before, after = np.argwhere(function.transitions == 0)[0]
    design = "ACGT"[before] * 4 + "ACGT"[after] * 4
    best, infeasible, failed = function.evaluate([function.optimal_solution, design, "ACGUACGU"])
    assert best.value == 1 and best.state is TrialState.COMPLETE
    assert infeasible.state is TrialState.INFEASIBLE and "position 5" in infeasible.note
    assert failed.state is TrialState.FAILED and "Write T for U" in failed.note
    assert function(design) == -np.inf and not function.is_feasible(design)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_motifs": 9}, "do not fit into 32 letters. Use a `length` of at least 36"),
        ({"quantization": 5}, r"in \[1, motif_length=4\]"),
        ({"quantization": 0}, r"in \[1, motif_length=4\]"),
        ({"num_states": 2}, "`num_states`"),
        ({"num_states": 63}, "`num_states`"),
        ({"alphabet": "ACGT"}, "32 different ASCII letters"),
        ({"motif_length": 1}, "at least 2 states"),
        ({"num_motifs": 0}, "At least 1 motif"),
    ],
)
def test_instances_that_cannot_be(arguments, message):
    with pytest.raises(ParameterError, match=message):
        ehrlich(**arguments)
