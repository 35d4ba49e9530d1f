"""FASTA as the command line reads and writes it."""

from __future__ import annotations

import re

import pytest

from seiko.domains.sequence import DNA, SequenceSpace, sequence_domain
from seiko.domains.sequence_formats import FORMATS
from seiko.errors import TableError
from seiko.tables.designs import DesignEntry, design_format

FASTA = FORMATS["fasta"]


def test_what_is_written_is_read(tmp_path):
    path, designs = tmp_path / "batch.fa", ["ACGT" * 40, "A"]
    FASTA.write(path, [DesignEntry(i, d, f"trial-{i}") for i, d in enumerate(designs)])
    assert max(map(len, path.read_text().splitlines())) == 60
    assert [(e.design, e.name) for e in FASTA.read(path)] == [
        (designs[0], "trial-0"),
        (designs[1], "trial-1"),
    ]


def test_words_of_a_header_are_what_was_told(tmp_path):
    path = tmp_path / "told.fasta"
    path.write_text(">trial-3 value=0.5 plate=2 note=late\nAC\n\nGT\n>trial-4 status=failed\n; remark\nTT\n")
    first, second = FASTA.read(path)
    assert (first.design, first.row, dict(first.cells)) == ("ACGT", 1, {"value": "0.5", "note": "late"})
    assert (second.design, second.row, dict(second.cells)) == ("TT", 5, {"status": "failed"})


@pytest.mark.parametrize(
    ("words", "cells"),
    [
        ("value=0.41 note=well B7, flat", {"value": "0.41", "note": "well B7, flat"}),
        ("NOTE = pH=7.4 at 5 C", {"note": "pH=7.4 at 5 C"}),
        ("Value=0.7 STATUS=complete", {"value": "0.7", "status": "complete"}),
        ("plate 2 value = 0.5 noise_std= 0.1", {"value": "0.5", "noise_std": "0.1"}),
        ("value=1 000 noise_std=0.1", {"value": "1 000", "noise_std": "0.1"}),
        (
            "value=0.5 sem=0.1 cost=3 replicate=2",
            {"value": "0.5", "sem": "0.1", "cost": "3", "replicate": "2"},
        ),
        ("value= status=failed", {"value": "", "status": "failed"}),
        ("histone H3 OS=Homo sapiens OX=9606 GN=H3 PE=1 SV=2 OS=x", {}),
        ("values=3 value=1", {"value": "1"}),
    ],
)
def test_what_a_header_says(tmp_path, words, cells):
    path = tmp_path / "told.fasta"
    path.write_text(f">trial-3 {words}\nACGT\n")
    [entry] = FASTA.read(path)
    assert (entry.name, dict(entry.cells)) == ("trial-3", cells)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("value=0.41 value=0.99", "row 3: The header has `value` 2 times"),
        ("value=0.41 VALUE = 0.41", "row 3: The header has `value` 2 times"),
        ("valeu=0.5", "row 3: The header has 'valeu'; did you mean `value`?"),
        ("Noise-Std=0.5 value=1", "did you mean `noise_std`?"),
        ("[value=0.5]", "did you mean `value`?"),
        ("notes=well B7", "did you mean `note`?"),
        ("note=well B7 value=0.5", "runs to the end of the header, but holds `value`"),
        ("note=well B7 Note=flat", "runs to the end of the header, but holds `note`"),
    ],
)
def test_a_header_in_doubt_is_refused(tmp_path, words, message):
    path = tmp_path / "told.fasta"
    path.write_text(f">trial-2\nAC\n>trial-3 {words}\nACGT\n")
    with pytest.raises(TableError, match=re.escape(message)):
        list(FASTA.read(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [("ACGT\n", "row 1: Letters stand before"), (">a\nAC\n>b\n", "row 3: The header has no letters")],
)
def test_a_broken_file_names_the_line(tmp_path, text, message):
    path = tmp_path / "told.fasta"
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        list(FASTA.read(path))


def test_the_domain_offers_it():
    domain = sequence_domain(SequenceSpace(DNA, 4))
    assert design_format(domain.formats, "x.faa") is FASTA
