"""Letters: reading, complements, translation, motifs, mutations."""

from __future__ import annotations

import numpy as np
import pytest

from seiko.domains.sequence_alphabet import (
    DNA,
    PROTEIN,
    RNA,
    STANDARD_CODE,
    Alphabet,
    mutations,
    translate,
)
from seiko.errors import ParameterError


@pytest.mark.parametrize(
    ("alphabet", "text", "sequence"),
    [
        (DNA, "ACGT", "ACGT"),
        (DNA, "acgt", "ACGT"),
        (DNA, " acg\tt \n", "ACGT"),
        (DNA, "ACGU", "ACGT"),
        (DNA, "acgu", "ACGT"),
        (RNA, "ACGT", "ACGU"),
        (RNA, "acgu", "ACGU"),
        (PROTEIN, "mkv*", "MKV"),
        (Alphabet("signs", "+-*"), "+-*", "+-*"),
        (Alphabet("case matters", "aA"), "aAa", "aAa"),
    ],
)
def test_what_is_read(alphabet, text, sequence):
    assert alphabet.read(text) == sequence
    assert alphabet.read(sequence) == sequence


@pytest.mark.parametrize(
    ("alphabet", "text", "message"),
    [
        (DNA, "", "it is empty. Leave the entry out"),
        (PROTEIN, "*", "it is empty"),
        (DNA, "ACGX", r"letter 'X' at position 4 is not among ACGT. Is this the right alphabet\?"),
        (DNA, "AC1T", "letter '1' at position 3 .* Remove everything that is no letter"),
        (DNA, "ACgt", "upper and lower case are mixed, from position 3 on. Write all letters in one case"),
        (DNA, "acGt", "mixed, from position 3"),
        (DNA, "AC-GT", "gap '-' at position 3. Remove the gaps"),
        (DNA, "ACGN", r"letter 'N' at position 4 stands for several \(A, C, G, T\). Choose one"),
        (DNA, "ATGU", r"both U \(position 4\) and T \(position 2\). Write T for each U"),
        (RNA, "AUGT", r"both T \(position 4\) and U \(position 2\). Write U for each T"),
        (PROTEIN, "MK*V", "stop '\\*' at position 3, before the end"),
        (PROTEIN, "MKX", "stands for several"),
        (PROTEIN, "MK.V", "gap '.' at position 3"),
        (DNA, "AC?T", "position 3 is still masked"),
        (DNA, "ACГT", "letter 'Г' at position 3"),
    ],
)
def test_what_is_refused(alphabet, text, message):
    with pytest.raises(ParameterError, match=message):
        alphabet.read(text)


def test_complements():
    assert DNA.reverse_complement("ATGC") == "GCAT"
    assert RNA.reverse_complement("AUGC") == "GCAU"
    rng = np.random.default_rng(0)
    for _ in range(20):
        sequence = "".join(rng.choice(list("ACGT"), 11))
        assert DNA.reverse_complement(DNA.reverse_complement(sequence)) == sequence
    with pytest.raises(ParameterError, match="no complements"):
        PROTEIN.reverse_complement("MKV")


def test_the_standard_code():
    # Codons per amino acid, as in any textbook.
    sizes = {"L": 6, "S": 6, "R": 6, "A": 4, "G": 4, "P": 4, "T": 4, "V": 4, "I": 3, "*": 3, "M": 1, "W": 1}
    for letter in set(STANDARD_CODE.values()):
        assert list(STANDARD_CODE.values()).count(letter) == sizes.get(letter, 2)
    known = {"ATG": "M", "TGG": "W", "TAA": "*", "TAG": "*", "TGA": "*", "GCT": "A", "AGA": "R", "CAC": "H"}
    assert {codon: STANDARD_CODE[codon] for codon in known} == known


def test_translation_of_the_start_of_gfp():
    assert translate("ATGAGTAAAGGAGAAGAACTTTTCACTGGAGTT") == "MSKGEELFTGV"
    assert translate("AUGAGUAAAGG", frame=1) == "MSK"
    assert translate("CAUGAGUAAA", frame=2) == "MSK"
    with pytest.raises(ParameterError, match="frame"):
        translate("ATG", frame=0)


def test_motifs():
    assert DNA.motif("gantc") == tuple(map(frozenset, ["G", "A", "ACGT", "T", "C"]))
    assert RNA.motif("AUT") == tuple(map(frozenset, ["A", "U", "U"]))
    assert RNA.motif("Y") == (frozenset("CU"),)
    assert PROTEIN.motif("N[^P][ST]")[1] == frozenset(PROTEIN.letters) - {"P"}
    for wrong in ("", "GA[TC", "G1A", "GA[]"):
        with pytest.raises(ParameterError, match="motif"):
            DNA.motif(wrong)


def test_mutations_and_their_numbers():
    assert mutations("MKVL", "MRVI") == ["K2R", "L4I"]
    assert mutations("MKVL", "MRVI", first=0) == ["K1R", "L3I"]
    assert mutations("MK", "MK") == []
    with pytest.raises(ParameterError, match="4 letters and the sequence 3"):
        mutations("MKVL", "MKV")


@pytest.mark.parametrize("letters", ["A", "AA", "A C", "A?", "A,C", "AÄ", ""])
def test_letters_that_make_no_alphabet(letters):
    with pytest.raises(ParameterError, match="at least two different printable"):
        Alphabet("wrong", letters)


def test_complements_must_fit():
    with pytest.raises(ParameterError, match="complements"):
        Alphabet("wrong", "ACGT", "TGC")
