"""What the sequence domain offers to the command line: FASTA, with readings in the headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seiko.domains.sequence_fasta import fasta_text, split_fasta
from seiko.domains.sequence_files import FASTA
from seiko.errors import TableError
from seiko.tables.base import Cell, fault
from seiko.tables.designs import DesignEntry, DesignFormat, text_lines
from seiko.tables.sheets import FILLED_COLUMNS


def write_fasta(path: Path, entries: Sequence[DesignEntry[str]]) -> None:
    """A header ``>name`` and the letters, 60 a line."""
    with path.open("w", encoding="utf-8") as stream:
        for number, entry in enumerate(entries, 1):
            stream.write(fasta_text(entry.name or str(number), entry.design))


def read_fasta(path: Path) -> Iterator[DesignEntry[str]]:
    """One sequence a header; words like ``value=0.5`` in a header are what was told of it.

    Raises:
        TableError: If there are letters before the first header, a header without letters, or no text.
    """

    def refuse(number: int) -> TableError:
        return fault(str(path), number, "Letters stand before the first header, a line like '>name'.")

    for row, header, parts in split_fasta(text_lines(path), refuse):
        yield _entry(path, row, header, parts)


def _entry(path: Path, row: int, header: str, parts: Sequence[str]) -> DesignEntry[str]:
    if not parts:
        raise fault(str(path), row, "The header has no letters below it.")
    name, *words = header.split() or [""]
    pairs = (word.partition("=") for word in words)
    cells: Mapping[str, Cell] = {key: value for key, _, value in pairs if key in FILLED_COLUMNS and value}
    return DesignEntry(row, "".join(part.strip() for part in parts), name, cells)


FORMATS: Mapping[str, DesignFormat[str]] = {"fasta": DesignFormat(FASTA, write_fasta, read_fasta)}
