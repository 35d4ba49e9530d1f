"""Shapes and means of scores, by hand."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from seiko.errors import ParameterError
from seiko.oracles.isomers import Isomer, atom_counts, parse_formula
from seiko.oracles.modifiers import (
    Gaussian,
    Linear,
    MaxGaussian,
    MinGaussian,
    Threshold,
    arithmetic_mean,
    geometric_mean,
)


@pytest.mark.parametrize(
    ("modifier", "values"),
    [
        (Gaussian(3, 2), {3: 1, 5: math.exp(-0.5), 1: math.exp(-0.5), 7: math.exp(-2)}),
        (MinGaussian(4, 1), {-9: 1, 4: 1, 5: math.exp(-0.5), 6: math.exp(-2)}),
        (MaxGaussian(90, 10), {200: 1, 90: 1, 80: math.exp(-0.5), 70: math.exp(-2)}),
        (Threshold(0.75), {0: 0, 0.3: 0.4, 0.75: 1, 1: 1, -1: 0}),
        (Linear(zero=2, one=6), {1: 0, 2: 0, 3: 0.25, 6: 1, 9: 1}),
        (Linear(zero=6, one=2), {1: 1, 3: 0.75, 6: 0, 9: 0}),
    ],
)
def test_shapes(modifier, values):
    for x, y in values.items():
        assert modifier(x) == pytest.approx(y)


def test_means():
    assert arithmetic_mean([0.0, 1.0, 0.5]) == 0.5
    assert geometric_mean([0.5, 0.5, 4.0]) == pytest.approx(1) and geometric_mean([0.0, 1.0]) == 0


def test_bad_shapes():
    for kind in (Gaussian, MinGaussian, MaxGaussian):
        with pytest.raises(ParameterError, match="sigma"):
            kind(0, 0)
    for wrong in (lambda: Threshold(0), lambda: Linear(zero=1, one=1)):
        with pytest.raises(ParameterError):
            wrong()


def test_formulas():
    assert parse_formula("C9H10N2O2PF2Cl") == {"C": 9, "H": 10, "N": 2, "O": 2, "P": 1, "F": 2, "Cl": 1}
    assert dict(atom_counts("C[N+](=O)[O-]")) == {"C": 1, "H": 3, "N": 1, "O": 2}
    for wrong in ("", "c7", "C7H8C2", "C7 H8", "7C", "C0"):
        with pytest.raises(ParameterError, match="formula"):
            parse_formula(wrong)


def test_benzene_is_far_from_c7h8n2o2():
    """C 6 of 7, H 6 of 8, N and O 0 of 2, 12 of 19 atoms; widths 1, and 2 for all atoms."""
    exponents = [1 / 2, 4 / 2, 4 / 2, 4 / 2, (7 / 2) ** 2 / 2]
    assert Isomer("C7H8N2O2")("c1ccccc1") == pytest.approx(math.exp(-sum(exponents) / 5))
    by_mean = sum(math.exp(-e) for e in exponents) / 5
    assert Isomer("C7H8N2O2", mean="arithmetic")("c1ccccc1") == pytest.approx(by_mean)
    assert Isomer("C7H8N2O2")("COc1cc(N)cnc1C=O") == 1
    with pytest.raises(ParameterError, match="mean"):
        Isomer("C7", mean="median")
