"""What the sequence domain offers to the command line: FASTA, with readings in the headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seiko.domains.sequence_fasta import fasta_text, split_fasta
from seiko.domains.sequence_files import FASTA
from seiko.errors import TableError
from seiko.tables.base import Cell, fault, shown
from seiko.tables.designs import DesignEntry, DesignFormat, text_lines
from seiko.tables.sheets import READ_COLUMNS, misspelt

_COLUMN = re.compile(r"(?:^|\s)([^\s=]+)\s*=")
_NOTE = re.compile(r"(?:^|\s)note\s*=", flags=re.IGNORECASE)


def write_fasta(path: Path, entries: Sequence[DesignEntry[str]]) -> None:
    """A header ``>name`` and the letters, 60 a line."""
    with path.open("w", encoding="utf-8") as stream:
        for number, entry in enumerate(entries, 1):
            stream.write(fasta_text(entry.name or str(number), entry.design))


def read_fasta(path: Path) -> Iterator[DesignEntry[str]]:
    """One sequence a header; words like ``value=0.5`` in a header are what was told of it.

    Raises:
        TableError: If there are letters before the first header, a header without letters, or no text; if a
            header has a column twice, or one that is almost ours.
    """

    def refuse(number: int) -> TableError:
        return fault(str(path), number, "Letters stand before the first header, a line like '>name'.")

    for row, header, parts in split_fasta(text_lines(path), refuse):
        yield _entry(path, row, header, parts)


def _entry(path: Path, row: int, header: str, parts: Sequence[str]) -> DesignEntry[str]:
    if not parts:
        raise fault(str(path), row, "The header has no letters below it.")
    name, words = [*header.split(maxsplit=1), "", ""][:2]
    try:
        cells = _told(words)
    except ValueError as error:
        raise fault(str(path), row, str(error)) from None
    return DesignEntry(row, "".join(part.strip() for part in parts), name, cells)


def _told(words: str) -> dict[str, Cell]:
    """What ``column=cell`` in a header says, each up to the next, the note to its end; or a ValueError."""
    before, *note = _NOTE.split(words, maxsplit=1)
    _, *found = _COLUMN.split(before)
    names = [name.lower() for name in found[::2]]
    for name in names:
        if near := misspelt(name, [*names, *(["note"] if note else [])], READ_COLUMNS):
            raise ValueError(f"The header has {shown(name)}; did you mean `{near}`?")
        if name in READ_COLUMNS and names.count(name) > 1:
            raise ValueError(f"The header has `{name}` {names.count(name)} times; it may say it once.")
    pairs = zip(names, found[1::2], strict=True)
    cells: dict[str, Cell] = {name: text.strip() for name, text in pairs if name in READ_COLUMNS}
    for text in note:
        inside = [name for name in map(str.lower, _COLUMN.findall(text)) if name in READ_COLUMNS]
        if inside:
            raise ValueError(f"The note runs to the end of the header, but holds `{inside[0]}`; put it last.")
        cells["note"] = text.strip()
    return cells


FORMATS: Mapping[str, DesignFormat[str]] = {"fasta": DesignFormat(FASTA, write_fasta, read_fasta)}
