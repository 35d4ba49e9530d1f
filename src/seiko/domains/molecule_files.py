"""Molecules in files of their own: SMILES, one a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seiko.tables.base import Cell, fault
from seiko.tables.designs import DesignEntry, DesignFormat, text_lines


def write_smiles(path: Path, entries: Sequence[DesignEntry[str]]) -> None:
    """One molecule a line: its SMILES, a tab and its name."""
    path.write_text("".join(f"{entry.design}\t{entry.name}\n" for entry in entries), encoding="utf-8")


def read_smiles(path: Path) -> Iterator[DesignEntry[str]]:
    """One molecule a line: its SMILES, then where they are known its name and its reading.

    Raises:
        TableError: If a line has more than these, or the file is no text.
    """
    for number, line in text_lines(path):
        parts = line.split("\t") if "\t" in line else line.split()
        if len(parts) > 3:
            raise fault(str(path), number, "A line has a SMILES, a name and a value at most.")
        smiles, name, value = [*(part.strip() for part in parts), "", ""][:3]
        cells: Mapping[str, Cell] = {"value": value} if value else {}
        yield DesignEntry(number, smiles, name, cells)


FORMATS: Mapping[str, DesignFormat[str]] = {
    "smi": DesignFormat((".smi", ".smiles"), write_smiles, read_smiles)
}
"""What the molecule domain offers."""
