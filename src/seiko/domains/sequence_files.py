"""Sequences in and out of files: FASTA, CSV or TSV, and plain text, each perhaps compressed by gzip."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seiko.domains.sequence_alphabet import Alphabet
from seiko.domains.sequence_fasta import WIDTH, fasta_text, split_fasta
from seiko.domains.text_files import read_text
from seiko.errors import ParameterError
from seiko.tables.text import separator_in

FASTA = (".fasta", ".fa", ".fna", ".ffn", ".faa", ".fas")
TABLES: Mapping[str, str] = {".csv": ",", ".tsv": "\t"}
SHOWN = 5
"""How many faults an error lists."""


@dataclass(frozen=True, slots=True)
class Record:
    """One sequence of a file.

    Attributes:
        sequence: Its letters.
        name: From the header of FASTA or the column ``name``; may be empty.
        line: Where it began in the file, from 1; 0 where it was not read.
        fields: Other columns of a table.
    """

    sequence: str
    name: str = ""
    line: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)


def read_sequences(
    path: str | Path,
    alphabet: Alphabet,
    *,
    length: int | None = None,
    column: str | None = None,
) -> list[Record]:
    """All sequences of a file.

    The format follows the name: FASTA for .fasta, .fa, .fna, .ffn, .faa and .fas, tables with a header for
    .csv (separated by commas, semicolons or tabs, whichever the header has most of) and .tsv, else plain text
    with one sequence a line, where empty lines and lines that begin with ``#`` are passed over. A further .gz
    is unpacked.

    Args:
        path: The file.
        alphabet: Of the sequences; see `Alphabet.read`.
        length: How many letters each must have, if they must be alike.
        column: Of a table; ``sequence`` or ``seq`` by default, or its only column.

    Raises:
        ParameterError: If the file is missing or empty, or holds anything else than such sequences; the
            first faults are listed by line.
    """
    path = Path(path)
    records, faults = [], []
    if not path.exists():
        raise ParameterError(f"There is no file {path}.", hint="Check the path.")
    for record in _entries(path, read_text(path), column):
        sequence, reason, hint = alphabet.parse(record.sequence)
        if not reason and length is not None and len(sequence) != length:
            reason, hint = f"{len(sequence)} letters, not {length}", "Cut or leave out what is too long."
        if reason:
            faults.append((record, reason, hint))
        else:
            records.append(Record(sequence, record.name, record.line, record.fields))
    if faults:
        raise ParameterError(_listed(path, alphabet, faults), hint=faults[0][2])
    if not records:
        raise ParameterError(f"{path} holds no sequence.", hint="Is it the right file, and was it saved?")
    return records


def _entries(path: Path, text: str, column: str | None) -> Iterator[Record]:
    suffix = Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()
    if suffix in TABLES:
        header = text.lstrip("\r\n").partition("\n")[0]
        separator = separator_in(header) if suffix == ".csv" else TABLES[suffix]
        return _table(path, _rows(path, text, separator), column)
    lines = text.splitlines()
    is_fasta = suffix in FASTA or next((line for line in lines if line.strip()), "").startswith(">")
    return _fasta(path, lines) if is_fasta else _plain(lines)


def _plain(lines: list[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield Record(line, line=number)


def _fasta(path: Path, lines: list[str]) -> Iterator[Record]:
    def refuse(number: int) -> ParameterError:
        return ParameterError(
            f"{path}, line {number}: a sequence before the first header.",
            hint="Each sequence of FASTA follows a line like >name.",
        )

    for line, header, parts in split_fasta(enumerate(lines, 1), refuse):
        yield Record("".join(parts), header.strip(), line)


def _rows(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line on which it begins."""
    rows, begin = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), 1
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield begin, row
            begin = rows.line_num + 1
    except csv.Error as error:
        raise ParameterError(
            f"{path}, line {begin}: the row that begins here is no CSV: {error}.",
            hint='Close each quote at the end of its cell, and write "" for one within quoted text.',
        ) from error


def _table(path: Path, rows: Iterator[tuple[int, list[str]]], column: str | None) -> Iterator[Record]:
    line, titles = next(rows, (0, []))
    if not titles:
        return
    header = [title.strip() for title in titles]
    repeated = next((title for title in header if header.count(title) > 1), None)
    if repeated is not None:
        raise ParameterError(
            f"{path}, line {line}: the column {repeated!r} is there {header.count(repeated)} times.",
            hint="Give each column a name of its own.",
        )
    chosen = _column(path, header, column)
    position = header.index(chosen)
    for line, row in rows:
        if len(row) != len(header):
            raise ParameterError(
                f"{path}, line {line}: {len(row)} cells, but the header has {len(header)}.",
                hint="Is the separator right, and is text with separators quoted?",
            )
        fields = dict(zip(header, row, strict=True))
        del fields[chosen]
        yield Record(row[position], fields.pop("name", ""), line, fields)


def _column(path: Path, header: list[str], column: str | None) -> str:
    if column is None:
        named = [title for title in header if title.lower() in ("sequence", "seq")]
        column = named[0] if named else header[0] if len(header) == 1 else None
    if column is None or column not in header:
        wanted = "`sequence`" if column is None else f"{column!r}"
        raise ParameterError(
            f"{path} has no column {wanted}; it has {', '.join(header)}.", hint="Name one with `column`."
        )
    return column


def _listed(path: Path, alphabet: Alphabet, faults: Sequence[tuple[Record, str, str]]) -> str:
    shown = [
        f"line {record.line}{f' ({record.name})' if record.name else ''}: {reason}"
        for record, reason, _ in faults[:SHOWN]
    ]
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    entries = f"{len(faults)} {'entry is' if len(faults) == 1 else 'entries are'}"
    return f"{path}: {entries} not what is wanted of {alphabet.name}. " + "; ".join(shown) + more + "."


def write_sequences(path: str | Path, records: Iterable[Record | str], *, width: int = WIDTH) -> None:
    """Write sequences in the format that the file's name says; see `read_sequences`.

    Args:
        path: The file; one that is there is replaced.
        records: Records or bare sequences. FASTA names those without a name 1, 2 and so on; plain text
            keeps sequences only.
        width: Letters on a line of FASTA.

    Raises:
        ParameterError: If the records of a table have different fields.
    """
    path = Path(path)
    rows = [record if isinstance(record, Record) else Record(record) for record in records]
    suffix = Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()
    if suffix in TABLES:
        text = _table_text(rows, TABLES[suffix])
    elif suffix in FASTA:
        text = "".join(
            fasta_text(row.name or str(number), row.sequence, width) for number, row in enumerate(rows, 1)
        )
    else:
        text = "".join(f"{row.sequence}\n" for row in rows)
    content = text.encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _table_text(records: Sequence[Record], separator: str) -> str:
    titles = list(records[0].fields) if records else []
    if any(list(record.fields) != titles for record in records):
        raise ParameterError("All records of a table must have the same fields.", hint="Fill in empty ones.")
    named = any(record.name for record in records)
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerow([*(["name"] if named else []), "sequence", *titles])
    for record in records:
        writer.writerow([*([record.name] if named else []), record.sequence, *record.fields.values()])
    return buffer.getvalue()
