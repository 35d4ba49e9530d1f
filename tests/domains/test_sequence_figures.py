"""Figures of many sequences: what is compared, what is left out, and that it says so."""

from __future__ import annotations

import doctest
import random
import re
from xml.etree import ElementTree

import pytest

from seiko.domains import sequence_alignment, sequence_fasta
from seiko.domains.sequence import DNA, PROTEIN, SequenceSpace, sequence_domain
from seiko.domains.sequence_alignment import GAP, align_to
from seiko.domains.sequence_drawing import FAINT, draw_alignment
from seiko.domains.sequence_figures import ROWS, VARYING, consensus, sequence_figures, varying
from seiko.domains.sequence_logo import draw_logo
from seiko.domains.sequence_metrics import edit_distance
from seiko.errors import ParameterError

SVG = "{http://www.w3.org/2000/svg}"


def words(count, low, high, letters="ACGT", seed=0):
    rng = random.Random(seed)
    return ["".join(rng.choices(letters, k=rng.randint(low, high))) for _ in range(count)]


def lines_of(drawing):
    tree = ElementTree.fromstring(drawing)
    return ["".join(s.text for s in t.iter(f"{SVG}tspan")) for t in tree.iter(f"{SVG}text") if len(t)]


@pytest.mark.parametrize("module", [sequence_alignment, sequence_fasta])
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


def test_each_row_of_an_alignment_is_its_sequence_at_the_fewest_edits():
    for seed in range(30):
        centre, *others = words(6, 0, 9, seed=seed)
        middle, rows = align_to(centre, others)
        assert middle.replace(GAP, "") == centre
        assert [row.replace(GAP, "") for row in rows] == others
        assert {len(row) for row in rows} == {len(middle)}
        for row, other in zip(rows, others, strict=True):
            assert sum(a != b for a, b in zip(middle, row, strict=True)) == edit_distance(centre, other)


def test_a_gapped_alignment_counts_along_the_parent():
    parent, rows = align_to("ACGT" * 6, ["ACG" + "GGG" + "T" + "ACGT" * 5])
    numbers = [t.text for t in ElementTree.fromstring(draw_alignment(rows, parent=parent)).iter(f"{SVG}text")]
    assert [n for n in numbers if n and n.isdigit()] == ["1", "10", "20", "1"]  # the last names the row


def test_positions_that_vary():
    assert varying(["ACGT", "ACGA", "CCGA"], "ACGT", 9) == [0, 3]
    assert varying(["ACGT", "ACGA", "CCGA"], "ACGT", 1) == [3]
    assert varying(["ACGT"], "ACGT", 9) == []
    assert consensus(["ACC", "AGC", "AGT", "TTT"], DNA) == "AGC"


def test_short_sequences_are_shown_whole_against_the_commonest_letters():
    figures = sequence_figures(SequenceSpace(DNA, 8))
    assert list(figures) == ["Sequence logo", "Differences from the commonest letters"]
    designs = words(30, 8, 8)
    first, *rows = lines_of(figures["Differences from the commonest letters"](designs))
    assert first == consensus(designs, DNA) and len(rows) == ROWS
    for row, design in zip(rows, designs, strict=False):
        assert "".join(b if a == "." else a for a, b in zip(row, first, strict=True)) == design
    assert figures["Sequence logo"](designs) == draw_logo(designs, DNA)


def test_of_large_proteins_only_what_varies_is_shown_and_it_says_so():
    parent = words(1, 237, 237, PROTEIN.letters)[0]
    rng = random.Random(1)

    def mutant(places):
        letters = list(parent)
        for k in places:
            letters[k] = rng.choice([a for a in PROTEIN.letters if a != parent[k]])
        return "".join(letters)

    logo, differences = sequence_figures(SequenceSpace(PROTEIN, 237), parent).values()
    few = [mutant([3, 100]), mutant([100, 236])]
    assert lines_of(differences(few))[0] == "".join(parent[k] for k in (3, 100, 236))
    labels = [t.text for t in ElementTree.fromstring(logo(few)).iter(f"{SVG}text")]
    assert {f"{parent[k]}{k + 1}" for k in (3, 100, 236)} <= set(labels)
    assert labels[-1] == "3 of 237 positions: all others are those of the parent in all 2"
    many = [mutant(rng.sample(range(237), 5)) for _ in range(100)]
    drawn = logo(many)
    assert len(re.findall(r"rotate\(-90\)' font-size='10'", drawn)) == VARYING
    assert f"{VARYING} of 237 positions: those where the most differ from the parent;" in drawn
    assert len(drawn) < 100_000
    assert "0 of 237 positions" in logo([parent])  # nothing varies: still a drawing


def test_long_logos_are_wrapped_and_the_parent_is_faint():
    designs = words(40, 100, 100)
    tree = ElementTree.fromstring(draw_logo(designs, DNA, parent=designs[0]))
    marks = [t.text for t in tree.iter(f"{SVG}text") if t.text == "bits"]
    assert len(marks) == 2
    tall = draw_logo(["ACGA"] * 99 + ["ACGT"], DNA, parent="ACGT")
    fills = [use.get("fill") for use in ElementTree.fromstring(tall).iter(f"{SVG}use")]
    assert fills[:3] == [FAINT] * 3 and FAINT not in fills[-1:]
    with pytest.raises(ParameterError, match="3 letters, the sequences 4"):
        draw_logo(["ACGT"], DNA, parent="ACG")


def test_where_lengths_vary_there_is_an_alignment_and_no_logo():
    space = SequenceSpace(DNA, 12, min_length=3)
    (title,) = figures = sequence_figures(space)
    assert title == "Alignment to the first"
    rows = lines_of(figures[title](["ACGTACG", "ACTACG", "ACGTTACG"]))
    assert rows == ["ACG-TACG", "..-.....", "...T...."]
    assert lines_of(figures[title](["ACGT"])) == ["ACGT"]
    ((title, draw),) = sequence_figures(space, "ACGTACG").items()
    assert title == "Alignment to the parent" and len(lines_of(draw(["ACGT"]))) == 2


def test_the_strand_nearer_to_the_first_is_shown():
    logo, _ = sequence_figures(SequenceSpace(DNA, 8), both_strands=True).values()
    site = "AACCGTCA"
    both = [site, DNA.reverse_complement(site)] * 20
    assert logo(both) == draw_logo([site] * 40, DNA)


def test_what_is_no_sequence_is_left_out_and_nothing_gives_nothing():
    domain = sequence_domain(SequenceSpace(DNA, 4))
    for draw in domain.figures.values():
        assert draw([]) == draw(["AC", "????"]) == ""
        assert draw(["ACGT", "AC?T"]) == draw(["ACGT"])
