"""What the molecule domain offers to the command line: SMILES, one a line, and SD files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seiko.domains.molecule_formats import MoleculeRecord, sd_entries, write_molecules
from seiko.tables.base import Cell, fault
from seiko.tables.designs import DesignEntry, DesignFormat, text_lines
from seiko.tables.sheets import KNOWN, READ_COLUMNS


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


def write_sdf(path: Path, entries: Sequence[DesignEntry[str]]) -> None:
    """One record a molecule, drawn in two dimensions, under its name."""
    write_molecules(path, [MoleculeRecord(entry.design, entry.name) for entry in entries])


def read_sdf(path: Path) -> Iterator[DesignEntry[str]]:
    """Structures with their names; their data fields are cells of a table, as far as it has such columns.

    Raises:
        TableError: If a structure cannot be read, or the file is no text.
    """
    lines = dict(text_lines(path))  # blank ones are left out, and mean something here
    text = "".join(f"{lines.get(number, '')}\n" for number in range(1, max(lines, default=0) + 1))
    for record, reason in sd_entries(text):
        if reason:
            raise fault(str(path), record.line, f"{reason[0].upper()}{reason[1:]}.")
        given = {name.strip().lower(): cell for name, cell in record.properties.items()}
        cells: Mapping[str, Cell] = {
            name: cell for name, cell in given.items() if name in READ_COLUMNS or name not in KNOWN
        }
        yield DesignEntry(record.line, record.smiles, record.name, cells)


FORMATS: Mapping[str, DesignFormat[str]] = {
    "smi": DesignFormat((".smi", ".smiles"), write_smiles, read_smiles),
    "sdf": DesignFormat((".sdf", ".sd"), write_sdf, read_sdf),
}
