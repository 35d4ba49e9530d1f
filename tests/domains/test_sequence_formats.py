"""FASTA as the command line reads and writes it."""

from __future__ import annotations

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
