"""Sequences, alignments and logos as drawings, and the numbers behind them."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from seiko.domains.sequence_alphabet import DNA, PROTEIN
from seiko.domains.sequence_drawing import (
    FAINT,
    colours,
    draw_alignment,
    draw_sequence,
)
from seiko.domains.sequence_logo import draw_logo, information_bits
from seiko.domains.sequence_metrics import (
    edit_distance,
    edit_diversity,
    hamming_distances,
    hamming_diversity,
    motif_enrichment,
    motif_share,
    position_weights,
    word_frequencies,
)
from seiko.errors import ParameterError

SVG = "{http://www.w3.org/2000/svg}"


def words(count: int, low: int, high: int, letters: str = "ACGT") -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list(letters), rng.integers(low, high + 1))) for _ in range(count)]


def plain_edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def test_edit_distances_are_those_of_the_plain_table():
    for a, b in combinations([*words(40, 0, 9), *words(6, 60, 90)], 2):
        assert edit_distance(a, b) == edit_distance(b, a) == plain_edit_distance(a, b)


def test_hamming_distances_and_diversity():
    sequences = words(12, 7, 7)
    plain = [[sum(x != y for x, y in zip(a, b, strict=True)) for b in sequences] for a in sequences]
    assert hamming_distances(sequences, sequences).tolist() == plain
    pairs = [plain[i][j] / 7 for i, j in combinations(range(12), 2)]
    assert hamming_diversity(sequences) == pytest.approx(np.mean(pairs))
    edits = [plain_edit_distance(a, b) / 7 for a, b in combinations(sequences, 2)]
    assert edit_diversity(sequences) == pytest.approx(np.mean(edits))
    assert hamming_diversity([]) == hamming_diversity(["AC"]) == edit_diversity(["AC"]) == 0
    assert hamming_diversity(["AC", "AC"]) == 0 and hamming_diversity(words(3000, 5, 5)) == pytest.approx(
        0.75, abs=0.02
    )
    with pytest.raises(ParameterError, match="one length"):
        hamming_distances(["AC"], ["ACG"])


def test_frequencies_by_hand():
    np.testing.assert_allclose(
        position_weights(["AC", "AG"], DNA, pseudocount=0), [[1, 0, 0, 0], [0, 0.5, 0.5, 0]]
    )
    frequencies = word_frequencies(["AAC", "A"], DNA, 2)
    assert frequencies[0] == frequencies[1] == 0.5 and frequencies.sum() == 1
    assert word_frequencies(["AAC"], DNA, 1).tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    with pytest.raises(ParameterError, match="at least one sequence"):
        position_weights([], DNA)


def test_motifs_are_counted_once_a_sequence():
    assert motif_share(["AANAA".replace("N", "C"), "GGGGG"], DNA, "AR") == 0.5
    assert motif_enrichment(["AA", "AA"], ["CC", "AA"], DNA, "AA") == pytest.approx(np.log2(2.5 / 1.5))


def test_information_of_known_columns():
    many = ["AAC", "ACC", "AGC", "ATC"] * 1000
    bits = information_bits(many, DNA)
    np.testing.assert_allclose(bits.sum(1), [2, 0, 2], atol=1e-3)
    assert bits[0].argmax() == 0 and bits[2].argmax() == 1
    few = information_bits(["A", "A"], DNA)
    assert few.sum() == pytest.approx(2 - 3 / (2 * np.log(2) * 2))


def test_the_logo_draws_letters_as_high_as_their_information():
    tree = ElementTree.fromstring(draw_logo(["AC", "AC", "AC", "AG"] * 500, DNA, height=100))
    glyphs = list(tree.iter(f"{SVG}use"))
    drawn = {path.get("id") for path in tree.iter(f"{SVG}path")}
    assert {g.get("href").removeprefix("#") for g in glyphs} <= drawn
    heights = {g.get("fill"): float(g.get("transform").split()[3]) for g in glyphs}
    bits = information_bits(["AC", "AC", "AC", "AG"] * 500, DNA) * 50
    table = colours(DNA.letters)
    assert heights[table["A"]] == pytest.approx(bits[0, 0], abs=0.01)
    assert heights[table["C"]] == pytest.approx(bits[1, 1], abs=0.01)
    assert heights[table["G"]] == pytest.approx(bits[1, 2], abs=0.01)
    assert "<text" in draw_logo(["MKV"], PROTEIN)


def test_a_sequence_shows_its_letters_and_its_mutations():
    tree = ElementTree.fromstring(draw_sequence("MKVL" * 40, parent="MKVL" * 39 + "MKVW"))
    text = "".join(span.text for span in tree.iter(f"{SVG}tspan"))
    assert text == "MKVL" * 40
    loud = [span.text for span in tree.iter(f"{SVG}tspan") if span.get("fill") != FAINT]
    assert loud == ["L"] and len(list(tree.iter(f"{SVG}rect"))) == 1
    numbers = [t.text for t in tree.iter(f"{SVG}text") if t.text]
    assert numbers == ["1", "61", "121"]
    assert len(draw_sequence("M" * 237, parent="M" * 237)) < 5000


def test_drawings_of_odd_sequences_are_well_formed():
    for text in ("", "A", "A?C", "<&>", "HPHP"):
        ElementTree.fromstring(draw_sequence(text))


def test_alignments():
    rows = ["ACGTACGTAC", "ACGTACGTAG", "TCGTACGTAC"]
    tree = ElementTree.fromstring(
        draw_alignment(rows, parent="ACGTACGTAC", names=["a", "b", "c"], only_changes=True)
    )
    lines = ["".join(s.text for s in t.iter(f"{SVG}tspan")) for t in tree.iter(f"{SVG}text") if len(t)]
    assert lines == ["AC", "..", ".G", "T."]
    # The last column's number has no room beside the first's.
    assert [t.text for t in tree.iter(f"{SVG}text") if t.text and t.text != "b"] == ["1", "parent", "a", "c"]
    assert "ACGTACGTAC" not in draw_alignment(
        rows, most=1
    ) and "aria-label='alignment of 1" in draw_alignment(rows, most=1)
    for call in (
        lambda: draw_alignment([]),
        lambda: draw_alignment(["A", "AC"]),
        lambda: draw_alignment(["A"], names=["a", "b"]),
        lambda: draw_alignment(["A"], only_changes=True),
    ):
        with pytest.raises(ParameterError):
            call()
