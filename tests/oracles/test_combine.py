"""Combinations of rewards: arithmetic, refusals, and what is asked of whom."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rdkit", reason="molecules need the extra `molecules`")
from seiko.errors import ObservationError, ParameterError
from seiko.oracles.combine import Constrained, Constraint, Part, Weighted, WeightedFeedback
from seiko.oracles.modifiers import Linear
from seiko.oracles.rdkit_properties import qed
from seiko.oracles.similarity import Similarity
from seiko.records import Observation, TrialState


def test_means_by_hand():
    parts = {"a": Part(lambda s: 4.0, 3.0), "b": Part(lambda s: 1.0)}
    assert Weighted(parts, mean="sum")("C") == 13
    assert Weighted(parts)("C") == 13 / 4
    assert Weighted(parts, mean="geometric")("C") == pytest.approx(4 ** (3 / 4))
    less = {"a": Part(len), "b": Part(lambda s: 2.0, -1.0)}
    assert Weighted(less, mean="sum")("CCO") == 1
    shaped = Weighted({"size": Part(len, modifier=Linear(zero=0, one=4))})
    assert shaped("CC") == 0.5 and shaped.values("CC") == {"size": 0.5}


def test_bad_combinations():
    good = Part(len)
    for wrong in (
        lambda: Weighted({}),
        lambda: Weighted({"a": good}, mean="median"),
        lambda: Weighted({"a": Part(len, -1.0)}),
        lambda: Part(len, 0),
        lambda: Part(len, math.nan),
    ):
        with pytest.raises(ParameterError):
            wrong()
    with pytest.raises(ObservationError, match="negative"):
        Weighted({"a": Part(lambda s: -1.0)}, mean="geometric")("C")
    for value in (None, math.nan, "x"):
        with pytest.raises(ObservationError, match="part of a combination"):
            Weighted({"a": Part(lambda s, value=value: value)})("C")


def test_constraints_spare_the_costly_reward():
    asked = []

    def costly(smiles):
        asked.append(smiles)
        return qed(smiles)

    near = Constraint(Similarity("c1ccccc1"), low=0.3)
    feedback = Constrained(costly, {"size": Constraint(len, high=12), "similarity": near})
    found = feedback.evaluate(["Cc1ccccc1", "CCO", "C" * 20, "c1ccccc1"])
    assert asked == ["Cc1ccccc1", "c1ccccc1"]
    states = [o.state for o in found]
    assert states == [TrialState.COMPLETE, TrialState.INFEASIBLE, TrialState.INFEASIBLE, TrialState.COMPLETE]
    assert found[1].note.startswith("constraint similarity: 0") and "below 0.3" in found[1].note
    assert found[2].note == "constraint size: 20 is above 12"
    assert feedback.refused == {"similarity": 1, "size": 1} and found[3].value == qed("c1ccccc1")


def test_a_constraint_that_breaks_is_this_designs_failure():
    feedback = Constrained(len, {"similarity": Constraint(Similarity("CCO"), low=0.1)})
    good, bad = feedback.evaluate(["CCO", "C("])
    assert good.value == 3 and bad.state is TrialState.FAILED and "can read" in bad.note
    nan = Constrained(len, {"x": Constraint(lambda s: math.nan, low=0)}).evaluate(["C"])[0]
    assert nan.state is TrialState.FAILED


def test_bad_constraints():
    for wrong in (
        lambda: Constraint(len),
        lambda: Constraint(len, low=2, high=1),
        lambda: Constrained(len, {}),
        lambda: Constrained(3, {"a": Constraint(len, low=1)}),
    ):
        with pytest.raises(ParameterError):
            wrong()


class Assay:
    """Gives the length with known noise; long words are infeasible, "X" fails."""

    def __init__(self, noise):
        self.noise, self.asked = noise, []

    def evaluate(self, designs):
        self.asked += designs
        return [self.one(design) for design in designs]

    def one(self, design):
        if design == "X":
            return Observation.failed("no signal")
        return Observation.infeasible("long") if len(design) > 3 else Observation(len(design), self.noise)


def test_weighted_sources_of_readings():
    first, second = Assay(0.3), Assay(0.4)
    both = WeightedFeedback({"a": (first, 1.0), "b": (second, -1.0), "c": (lambda s: 10.0, 0.5)})
    found = both.evaluate(["CC", "X", "CCCC"])
    assert found[0].value == pytest.approx(5.0) and found[0].noise_std is None  # that of c is not known
    assert (found[1].state, found[1].note) == (TrialState.FAILED, "a: no signal")
    assert (found[2].state, found[2].note) == (TrialState.INFEASIBLE, "a: long")
    assert second.asked == ["CC"]
    (sum_,) = WeightedFeedback({"a": (first, 1.0), "b": (second, 1.0)}).evaluate(["C"])
    assert (sum_.value, sum_.noise_std) == (2.0, pytest.approx(0.5))
    for wrong in ({}, {"a": (first, 0)}, {"a": (first, math.inf)}):
        with pytest.raises(ParameterError, match="weight"):
            WeightedFeedback(wrong)
