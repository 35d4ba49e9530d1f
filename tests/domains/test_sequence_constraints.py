"""Constraints: by hand, against plain formulations on all short sequences, and as a search for any design."""

from __future__ import annotations

import re
from itertools import product

import pytest

from seiko.domains.sequence_alphabet import DNA, PROTEIN, RNA, Alphabet, translate
from seiko.domains.sequence_constraints import (
    FixedPositions,
    GCContent,
    MaxHomopolymer,
    MaxMutations,
    NoStopCodon,
)
from seiko.domains.sequence_metrics import edit_distance
from seiko.domains.sequence_motifs import ENZYMES, ForbiddenMotifs, no_restriction_sites
from seiko.domains.sequence_search import check_constraints, find_design
from seiko.domains.sequence_space import SequenceSpace
from seiko.errors import ParameterError

WORDS = ["".join(letters) for letters in product("ACGT", repeat=6)]


def gc(word: str) -> float:
    return (word.count("G") + word.count("C")) / len(word)


PLAIN = [  # a constraint, and the same said plainly
    (NoStopCodon(), lambda w: "*" not in translate(w)),
    (NoStopCodon(frame=2), lambda w: "*" not in translate(w, frame=2)),
    (NoStopCodon(frame=3), lambda w: "*" not in translate(w, frame=3)),
    (NoStopCodon(final_allowed=True), lambda w: "*" not in translate(w)[:-1]),
    (ForbiddenMotifs(("GATC", "AAA"), both_strands=False), lambda w: "GATC" not in w and "AAA" not in w),
    (ForbiddenMotifs(("AAC",)), lambda w: "AAC" not in w and "GTT" not in w),
    (ForbiddenMotifs(("GRC", "AN[^A]T")), lambda w: not re.search("G[AG]C|G[TC]C|A.[CGT]T|A[ACG].T", w)),
    (GCContent(0.3, 0.5), lambda w: 0.3 <= gc(w) <= 0.5),
    (GCContent(0.25, 0.75, window=4), lambda w: all(0.25 <= gc(w[k : k + 4]) <= 0.75 for k in range(3))),
    (GCContent(0.5, 0.5, window=99), lambda w: gc(w) == 0.5),
    (MaxHomopolymer(2), lambda w: not re.search(r"(.)\1\1", w)),
    (FixedPositions({1: "A", 4: "GC"}), lambda w: w[0] == "A" and w[3] in "GC"),
    (MaxMutations("ACGTAC", 2), lambda w: sum(a != b for a, b in zip(w, "ACGTAC", strict=True)) <= 2),
    (MaxMutations("ACGTA", 2, indels=True), lambda w: edit_distance(w, "ACGTA") <= 2),
]


@pytest.mark.parametrize(
    ("constraint", "plain"),
    PLAIN,
    ids=lambda x: "" if callable(x) and not hasattr(x, "why_not") else repr(x)[:50],
)
def test_judges_all_words_of_six_letters_as_said_plainly(constraint, plain):
    for word in WORDS:
        assert (constraint.why_not(word) == "") == plain(word), word


@pytest.mark.parametrize(
    ("constraint", "plain"),
    PLAIN,
    ids=lambda x: "" if callable(x) and not hasattr(x, "why_not") else repr(x)[:50],
)
def test_reading_letter_by_letter_agrees(constraint, plain):
    def kept(word: str) -> bool:
        memory = constraint.start()
        for position, letter in enumerate(word):
            memory = constraint.step(memory, letter, position, len(word))
            if memory is None:
                return False
        return True

    assert all(kept(word) == plain(word) for word in WORDS[::3])


def test_the_search_finds_a_design_just_when_there_is_one():
    space = SequenceSpace(DNA, 4)
    words = ["".join(letters) for letters in product("ACGT", repeat=4)]
    sets = [
        [GCContent(0.5, 0.5), FixedPositions({1: "A", 2: "T"}), MaxHomopolymer(1)],
        [GCContent(0.5, 0.5), FixedPositions({1: "A", 2: "T", 3: "A"})],
        [MaxMutations("AAAA", 1), GCContent(0.5, 1)],
        [MaxMutations("AAAA", 2), GCContent(0.5, 1), MaxHomopolymer(1)],
        [MaxMutations("AAAA", 2), GCContent(0.5, 1), MaxHomopolymer(2)],
        [ForbiddenMotifs(("NNNC", "NNGN"), both_strands=False), GCContent(0.75, 1)],
        [ForbiddenMotifs(("A", "C"), both_strands=True)],
        [FixedPositions({5: "A"})],
    ]
    for constraints in sets:
        expected = [w for w in words if all(c.why_not(w) == "" for c in constraints)]
        found, certain = find_design(space, constraints)
        assert certain and (found in expected if expected else found is None)


def test_the_search_stays_near():
    space = SequenceSpace(DNA, 12)
    parent = "ACGAATTCACGT"
    assert find_design(space, [], near=parent) == (parent, True)
    found, _ = find_design(space, [no_restriction_sites("EcoRI")], near=parent)
    assert sum(a != b for a, b in zip(found, parent, strict=True)) == 1
    assert find_design(SequenceSpace(DNA, 6, 2), [MaxMutations("ACG", 0, indels=True)]) == ("ACG", True)


def test_the_search_gives_up_without_a_wrong_claim():
    constraints = [GCContent(0.5, 0.5, window=21), MaxMutations("A" * 50, 24)]
    assert find_design(SequenceSpace(DNA, 50), constraints, most_states=200) == (None, False)


def test_long_proteins_are_searched_quickly():
    parent = "MKVL" * 60
    constraints = [MaxMutations(parent, 10), ForbiddenMotifs(("N[^P][ST]",), PROTEIN), MaxHomopolymer(3)]
    check_constraints(SequenceSpace(PROTEIN, 240), constraints)


@pytest.mark.parametrize(
    ("constraint", "sequence", "reason"),
    [
        (NoStopCodon(), "AUGUAGGCC", "stop codon UAG at position 4"),
        (NoStopCodon(frame=2), "CTGACC", "stop codon TGA at position 2"),
        (no_restriction_sites("EcoRI"), "AGAATTCA", r"EcoRI site at position 2 (GAATTC)"),
        (no_restriction_sites("BsaI"), "AGAGACCA", "BsaI site on the other strand at position 2 (GAGACC)"),
        (ForbiddenMotifs(("UUU",), RNA), "GCAAAG", "UUU on the other strand at position 3 (AAA)"),
        (ForbiddenMotifs(("N[^P][ST]",), PROTEIN), "MNKSP", "N[^P][ST] at position 2 (NKS)"),
        (GCContent(0.4, 0.6), "AAAAAAAAAG", "GC 10 %, outside of 40-60 %"),
        (GCContent(0.4, 0.6, window=4), "ACGTGGCC", "GC 75 % at positions 2-5, outside of 40-60 %"),
        (MaxHomopolymer(3), "CAAAAC", "A repeated 4 times from position 2 on, at most 3"),
        (FixedPositions({2: "KR"}), "MV", "V at position 2, where K or R must stand"),
        (FixedPositions({5: "K"}), "MV", "no position 5, where K must stand"),
        (MaxMutations("MKVL", 1), "MRIL", "2 mutations from the parent (K2R, V3I), at most 1"),
        (MaxMutations("MKVL", 1), "MRI", "3 letters, where the parent has 4"),
        (MaxMutations("MKVL", 1, indels=True), "KV", "2 edits from the parent, at most 1"),
    ],
)
def test_reasons(constraint, sequence, reason):
    assert constraint.why_not(sequence) == reason


def test_sites_that_are_palindromes_are_searched_once():
    for name, site in ENZYMES.items():
        plain = set(site) <= set("ACGT")
        palindrome = DNA.reverse_complement(site) == site if plain else name in ("HincII", "SfiI")
        assert len(no_restriction_sites(name)._patterns) == (1 if palindrome else 2), name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NoStopCodon(frame=4), "frame"),
        (lambda: ForbiddenMotifs("AAA"), "a sequence of motifs; got the text 'AAA'"),
        (lambda: ForbiddenMotifs(()), "at least one motif"),
        (lambda: ForbiddenMotifs(("AJA",)), "'J', which is neither a letter of DNA"),
        (lambda: ForbiddenMotifs(("A",), Alphabet("x", "CG")), "'A', which is neither a letter of x"),
        (lambda: ForbiddenMotifs(("A[^ACGT]",)), r"The motif A\[\^ACGT\] has .* leaves no letter of DNA"),
        (lambda: no_restriction_sites("EcoRI", alphabet=PROTEIN), "cut DNA; got protein. Use DNA or RNA"),
        (lambda: no_restriction_sites("EcoRX"), "EcoRX: name enzymes among AatII"),
        (lambda: no_restriction_sites(), "None: name enzymes"),
        (lambda: GCContent(40, 60), "Give shares, not per cent"),
        (lambda: GCContent(0.6, 0.4), "in order"),
        (lambda: GCContent(0.4, 0.6, window=0), "window"),
        (lambda: MaxHomopolymer(0), "at least 1"),
        (lambda: FixedPositions({0: "A"}), "from 1 on"),
        (lambda: FixedPositions({}), "from 1 on"),
        (lambda: MaxMutations("A", -1), "most"),
        (lambda: MaxMutations("", 1), "parent"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
