"""Sequences in and out of files, and what is wrong with a file, by line."""

from __future__ import annotations

import gzip
import time

import numpy as np
import pytest

from seiko.domains.sequence_alphabet import DNA, PROTEIN, RNA, Alphabet
from seiko.domains.sequence_files import Record, read_sequences, write_sequences
from seiko.errors import ParameterError


def write(folder, name: str, text: str):
    path = folder / name
    path.write_text(text)
    return path


def test_fasta(tmp_path):
    path = write(
        tmp_path, "a.fasta", ">one first gene\nACGT\nacgt\n".replace("acgt", "TTAA") + "\n>two\nggcc\n"
    )
    assert read_sequences(path, DNA) == [Record("ACGTTTAA", "one first gene", 1), Record("GGCC", "two", 5)]


def test_fasta_is_known_by_its_first_letter_too(tmp_path):
    assert read_sequences(write(tmp_path, "a.seq", "\n>one\nACGU\n"), RNA) == [Record("ACGU", "one", 2)]


def test_plain_text(tmp_path):
    path = write(tmp_path, "a.txt", "\ufeff# a comment\nACGT\r\n\n  ttaa  \n")
    assert read_sequences(path, DNA) == [Record("ACGT", line=2), Record("TTAA", line=4)]


def test_tables(tmp_path):
    path = write(tmp_path, "a.csv", 'name,sequence,value\none,ACGT,0.5\n"two, too",ttaa,\n\n')
    assert read_sequences(path, DNA) == [
        Record("ACGT", "one", 2, {"value": "0.5"}),
        Record("TTAA", "two, too", 3, {"value": ""}),
    ]
    path = write(tmp_path, "a.tsv", "utr\tmrl\nACGT\t3\n")
    assert read_sequences(path, DNA, column="utr") == [Record("ACGT", "", 2, {"mrl": "3"})]
    assert read_sequences(write(tmp_path, "b.csv", "anything\nACGT\n"), DNA)[0].sequence == "ACGT"


def test_tables_of_spreadsheets(tmp_path):
    found = [Record("ACGT", "a", 2, {"note": "1,5"}), Record("TTAA", "b", 3, {"note": ""})]
    for name, text in (
        ("a.csv", "name;sequence;note\na;ACGT;1,5\nb;TTAA;\n"),
        ("b.csv", "name\tsequence\tnote\r\na\tACGT\t1,5\r\nb\tTTAA\t\r\n"),
        ("c.csv", 'name,sequence,note\ra,ACGT,"1,5"\rb,TTAA,\r'),
    ):
        (tmp_path / name).write_bytes(text.encode())
        assert read_sequences(tmp_path / name, DNA) == found


def test_line_breaks_within_quotes_are_kept(tmp_path):
    records = [
        Record("ACGT", "a", 2, {"note": 'line "1"\nline2'}),
        Record("TTAA", "b", 4, {"note": "\u2028"}),
    ]
    write_sequences(tmp_path / "a.csv", records)
    assert read_sequences(tmp_path / "a.csv", DNA) == records
    with pytest.raises(ParameterError, match=r"line 4 \(b\): letter 'T'"):
        read_sequences(tmp_path / "a.csv", Alphabet("few", "ACG"))


@pytest.mark.parametrize("rows", [2, 30_000])
def test_a_quote_that_is_never_closed_swallows_nothing(tmp_path, rows):
    text = 'name,sequence,note\na,ACGT,\nb,ACGT,"5 prime end\n' + "c,ACGT,\n" * rows
    with pytest.raises(ParameterError, match="line 3: the row that begins here is no CSV") as error:
        read_sequences(write(tmp_path, "a.csv", text), DNA)
    assert "Close each quote" in str(error.value)


@pytest.mark.parametrize("name", ["a.fasta", "a.csv", "a.tsv", "a.txt", "a.fa.gz", "a.csv.gz", "a.txt.gz"])
def test_what_is_written_is_read(tmp_path, name):
    records = [Record("ACGT" * 40, "one"), Record("TTAA", "two")]
    write_sequences(tmp_path / name, records)
    back = read_sequences(tmp_path / name, DNA)
    assert [r.sequence for r in back] == [r.sequence for r in records]
    if "txt" not in name:
        assert [r.name for r in back] == ["one", "two"]
    if name.endswith(".gz"):
        assert gzip.decompress((tmp_path / name).read_bytes())


def test_fields_and_bare_sequences_are_written(tmp_path):
    write_sequences(tmp_path / "a.csv", [Record("ACGT", fields={"value": "1"})])
    assert (tmp_path / "a.csv").read_text() == "sequence,value\nACGT,1\n"
    write_sequences(tmp_path / "a.fa", ["ACGT", "TT"], width=3)
    assert (tmp_path / "a.fa").read_text() == ">1\nACG\nT\n>2\nTT\n"
    with pytest.raises(ParameterError, match="same fields"):
        write_sequences(tmp_path / "a.csv", [Record("ACGT", fields={"value": "1"}), Record("ACGT")])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "ACGT\nACXT\n", "1 entry is not what is wanted of DNA. line 2: letter 'X' at position 3"),
        ("a.txt", "ACGT\n\nAC-T\n", "line 3: gap '-' at position 3. Remove the gaps"),
        ("a.txt", "ACgT\n", "line 1: upper and lower case are mixed, from position 3"),
        ("a.txt", "ACGT\nACG\n", "line 2: 3 letters, not 4"),
        ("a.fa", ">one\nACGT\n>two\nACNT\n", r"line 3 \(two\): letter 'N' at position 3 stands for several"),
        ("a.fa", ">one\n>two\nACGT\n", r"line 1 \(one\): it is empty"),
        ("a.fa", "ACGT\n", "line 1: a sequence before the first header"),
        ("a.csv", "name,sequence\na,ACGT\nb,ATGU\n", r"line 3 \(b\): it has both U \(position 4\) and T"),
        ("a.csv", "name,sequence\na,ACGT\nb\n", "line 3: 1 cells, but the header has 2"),
        ("a.csv", "note,sequence,note\na,ACGT,b\n", "line 1: the column 'note' is there 2 times. Give each"),
        ("a.csv", 'sequence,note\nACGT,"a"b\n', "line 2: the row .* is no CSV: ',' expected after '\"'"),
        ("a.csv", "name,value\na,1\n", "no column `sequence`; it has name, value"),
        ("a.txt", "", "holds no sequence"),
        ("a.txt", "\n# nothing\n", "holds no sequence"),
        ("a.csv", "", "holds no sequence"),
        ("a.csv", "sequence\n", "holds no sequence"),
        ("a.fa", "", "holds no sequence"),
        ("a.txt", "\n".join(["ACX"] * 9), "9 entries .* line 5: .*; and 4 more"),
    ],
)
def test_what_is_wrong_is_told_by_line(tmp_path, name, text, message):
    with pytest.raises(ParameterError, match=message) as error:
        read_sequences(write(tmp_path, name, text), DNA, length=4)
    assert name in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ParameterError, match="There is no file"):
        read_sequences(tmp_path / "nothing.fa", DNA)
    with pytest.raises(ParameterError, match="cannot be read as text"):
        read_sequences(tmp_path, DNA)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParameterError, match="UTF-8"):
        read_sequences(tmp_path / "a.txt", DNA)
    (tmp_path / "a.fa.gz").write_bytes(b"not compressed")
    with pytest.raises(ParameterError, match="cannot be read"):
        read_sequences(tmp_path / "a.fa.gz", DNA)
    whole = gzip.compress(b">one\nACGT\n")
    for damaged in (whole[:10] + b"\xff" * 20, whole[:-6]):
        (tmp_path / "a.fa.gz").write_bytes(damaged)
        with pytest.raises(ParameterError, match="cannot be read"):
            read_sequences(tmp_path / "a.fa.gz", DNA)
    with pytest.raises(ParameterError, match="no column 'seq2'"):
        read_sequences(write(tmp_path, "a.csv", "sequence\nA\n"), DNA, column="seq2")


@pytest.mark.parametrize("name", ["a.txt", "a.fa", "a.csv"])
def test_a_hundred_thousand_lines(tmp_path, name):
    letters = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), (100_000, 50))
    sequences = [row.tobytes().decode() for row in letters]
    write_sequences(tmp_path / name, sequences)
    start = time.process_time()
    records = read_sequences(tmp_path / name, DNA, length=50)
    assert time.process_time() - start < 5  # 0.3 to 0.5 s of one core
    assert [record.sequence for record in records] == sequences


def test_the_stop_of_a_protein_is_dropped(tmp_path):
    assert read_sequences(write(tmp_path, "a.faa", ">p\nMKV*\n"), PROTEIN)[0].sequence == "MKV"
