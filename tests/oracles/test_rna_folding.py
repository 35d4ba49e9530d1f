"""RNA rewards against ViennaRNA's other programs, enumeration of structures, and the published definition."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

pytest.importorskip("RNA", reason="these rewards need the extra `sequences`")
import RNA

from seiko.errors import ParameterError
from seiko.oracles.rna_folding import (
    CONSERVED,
    RNABinding,
    StructureDesign,
    base_pairs,
    binding_names,
    eterna_structures,
    rna_binding,
)
from seiko.records import TrialState


def reverse_complement(design: str) -> str:
    return "".join({"A": "U", "C": "G", "G": "C", "U": "A"}[letter] for letter in reversed(design))


def some(number: int, length: int, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return ["".join(generator.choices("ACGU", k=length)) for _ in range(number)]


def test_stacking_energies_of_a_perfect_duplex():
    """Turner 2004 stacks of GGC/GCC: GG -3.3, GC -3.4; initiation 4.1; no terminal AU."""
    energy = RNABinding(("GGC",), 3).energies(["GCC"])[0, 0]
    assert energy == pytest.approx(-3.3 - 3.4 + 4.1, abs=0.05)


@pytest.mark.parametrize("length", [14, 50, 100])
def test_value_is_energy_over_that_of_a_scaled_perfect_partner(length):
    oracle = rna_binding(f"L{length}_RNA1")
    target = oracle.targets[0]
    assert len(target) == 100 and oracle.length == length
    perfect = RNA.duplexfold(reverse_complement(target), target).energy * length / 100
    designs = some(5, length)
    expected = [RNA.duplexfold(target, design).energy / perfect for design in designs]
    np.testing.assert_allclose(oracle.values(designs), expected, rtol=1e-6)
    if length == 100:
        assert oracle(reverse_complement(target)) == pytest.approx(1.0)


def test_two_targets_are_averaged():
    both, designs = rna_binding("L14_RNA1+3"), some(4, 14)
    mean = (rna_binding("L14_RNA1").values(designs) + rna_binding("L14_RNA3").values(designs)) / 2
    np.testing.assert_allclose(both.values(designs), mean)


def test_a_broken_conserved_region_is_worth_nothing():
    free, bound = rna_binding("L100_RNA1+2"), rna_binding("C20_L100_RNA1+2")
    (design,) = some(1, 100)
    kept = design[:21] + CONSERVED + design[41:]
    broken = kept[:30] + ("A" if kept[30] != "A" else "C") + kept[31:]
    assert bound(kept) == free(kept) > 0 and bound(broken) == 0 < free(broken)


def test_every_published_problem_is_there():
    assert len(binding_names()) == len(set(binding_names())) == 4 * 3 + 6 * 3 + 6
    assert all(rna_binding(name).length in (14, 50, 100) for name in binding_names())
    with pytest.raises(ParameterError, match="no RNA-binding problem 'L20_RNA1'"):
        rna_binding("L20_RNA1")


def test_base_pairs():
    assert base_pairs("..") == frozenset()
    assert base_pairs("((..).)") == {(0, 6), (1, 4)}
    for wrong, message in (("(()", "position 1"), ("())", "position 3"), ("([.])", r"'\['")):
        with pytest.raises(ParameterError, match=message):
            base_pairs(wrong)


def test_match_counts_pairs():
    design = "GGGGAAAACCCC"  # folds into ((((....))))
    assert StructureDesign("((((....))))")(design) == 1
    assert StructureDesign("(((......)))")(design) == pytest.approx(2 * 3 / (4 + 3))
    assert StructureDesign("(...).......")(design) == 0
    assert StructureDesign("((((....))))")("A" * 12) == 0


def test_gap_and_probability_agree_with_enumeration():
    """All structures of a short sequence: the gap to the lowest energy, and exp(-E/RT) over its sum."""
    design, beta = "GGGCAAAAGCCC", 1 / (0.00198717 * 310.15)
    all_of_them = {s.structure: s.energy for s in RNA.subopt(design, 5000)}
    assert len(all_of_them) > 30
    weight = {s: math.exp(-e * beta) for s, e in all_of_them.items()}
    for target in ("((((....))))", "((........))", "(((......)))"):
        gap = StructureDesign(target, "gap")(design)
        assert gap == pytest.approx(min(all_of_them.values()) - all_of_them[target], abs=1e-4)
        share = weight[target] / sum(weight.values())
        assert StructureDesign(target, "probability")(design) == pytest.approx(share, rel=0.02)


def test_best_designs_of_a_tiny_target_by_all_scores():
    """Every design of 8 letters: `gap` is 0 exactly where no other structure has lower energy."""
    match, gap = StructureDesign("((....))"), StructureDesign("((....))", "gap")
    designs = ["".join(ends) for ends in itertools.product("GC", "GC", ["AAAA", "GAAA"], "GC", "GC")]
    for m, g in zip(match.values(designs), gap.values(designs), strict=True):
        assert g <= 0 and (m < 1 or g == 0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("GGGGAAAACCC", "11 letters; this oracle takes 12. Extend it by 1"),
        ("GGGGTTTTCCCC", "Write U for T"),
        ("ggggaaaacccc", "upper case"),
        ("GGGG-AAACCCC", "Remove gaps"),
        ("GGGGNAAACCCC", "ambiguous"),
        ("", "is empty"),
        (None, "is a NoneType"),
    ],
)
def test_designs_that_cannot_be_read(bad, message):
    for oracle in (StructureDesign("((((....))))"), RNABinding(("GGGG",), 12)):
        with pytest.raises(ParameterError, match=message):
            oracle(bad)
        failed, good = oracle.evaluate([bad, "GGGGAAAACCCC"])
        assert failed.state is TrialState.FAILED and message in failed.note and good.value is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), 14), "at least one RNA"),
        ((("ACGT",), 14), "Write U for T"),
        ((("ACGU",), 0), "`length`"),
        ((("ACGU",), 14, (10, "ACGUA")), "5 letters from 10 on"),
    ],
)
def test_binding_problems_that_cannot_be(arguments, message):
    with pytest.raises(ParameterError, match=message):
        RNABinding(*arguments)


@pytest.mark.parametrize(
    ("target", "score"), [("....", "match"), ("((...)", "match"), ("(...)", "energy"), ("", "match")]
)
def test_targets_that_cannot_be(target, score):
    with pytest.raises(ParameterError):
        StructureDesign(target, score)


@pytest.mark.parametrize("score", ["match", "gap", "probability"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("()", "Positions 1 and 2 of the target pair around 0 letters"),
        ("(..)", "pair around 2 letters; a hairpin loop has at least 3"),
        ("((...)(.))", "Positions 7 and 9"),
    ],
)
def test_hairpins_that_cannot_be(target, message, score):
    with pytest.raises(ParameterError, match=message):
        StructureDesign(target, score)


def test_every_target_that_is_taken_has_an_energy():
    """ViennaRNA writes 100,000 kcal/mol for what has none."""
    targets = ["(...)", "(((...)))", "((...)(...))", f"({'.' * 60}(...){'.' * 60})", f"({'.' * 300})"]
    for target in targets:
        n = len(target)
        readings = StructureDesign(target, "gap").values([letter * n for letter in "ACGU"] + some(4, n))
        assert ((readings > -1000) & (readings <= 0)).all(), target


@pytest.mark.data
def test_eterna100_targets_are_solved_by_their_sample_solutions(measured):
    lines = [line.split("\t") for line in measured("eterna100").read_text().splitlines()]
    column = lines[0].index("Sample Solution (V2/Vienna2)")
    structures = eterna_structures()
    assert len(structures) == 100
    solutions = {line[1]: line[column] for line in lines[1:]}
    short = [name for name, structure in structures.items() if len(structure) <= 120]
    solved = [StructureDesign(structures[n])(solutions[n]) == 1 for n in short if solutions[n]]
    assert len(solved) >= 60 and np.mean(solved) >= 0.95
    changed = {n for n, s in eterna_structures(1).items() if s != structures[n]}
    assert len(changed) == 19
    with pytest.raises(ParameterError, match="1 or 2"):
        eterna_structures(3)
