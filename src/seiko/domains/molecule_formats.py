"""Molecules from and to files: SMILES lists (.smi) and SD files (.sdf), plain or gzipped."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seiko.checkpoints import write_atomically
from seiko.domains.molecule_identity import MoleculeRules, rdkit_module, readable
from seiko.domains.text_files import read_text
from seiko.errors import ParameterError

FORMATS = (".smi", ".smiles", ".txt", ".sdf", ".sd")


@dataclass(frozen=True)
class MoleculeRecord:
    """One molecule of a file.

    Attributes:
        smiles: Canonical SMILES.
        name: Its name in the file, "" if it has none.
        properties: Its data fields, of an SD file.
        line: The line it starts at, from 1.
    """

    smiles: str
    name: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True)
class Problem:
    """A record that was left out.

    Attributes:
        number: Of the record, from 1.
        line: The line it starts at, from 1.
        text: Its SMILES or name, as given.
        reason: Why it was left out.
    """

    number: int
    line: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line} (record {self.number}, {self.text[:60]!r}): {self.reason}"


def read_molecules(
    path: str | Path, *, rules: MoleculeRules | None = None, skip: bool = False
) -> tuple[list[MoleculeRecord], list[Problem]]:
    """The molecules of a .smi or .sdf file, and what was left out.

    A line of a .smi file is a SMILES and, after white space, a name; empty lines, and lines that start with
    "#", are passed over. Of an SD file structures, names and data fields are read; stereochemistry is taken
    from 3-D coordinates where there are any, otherwise from wedged bonds.

    Args:
        path: Ends in one of `FORMATS`, or that and ".gz".
        rules: Which molecules are taken.
        skip: Leave out what cannot be read or breaks the rules, instead of an error.

    Raises:
        ParameterError: If there is no such file, it is no text, or a record is bad and `skip` is off; names
            line, record and reason.
    """
    path = Path(path)
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix not in FORMATS:
        raise ParameterError(f"A file of molecules ends in {', '.join(FORMATS)} (or .gz); got {path.name!r}.")
    text = read_text(path)
    entries = sd_entries(text) if suffix in (".sdf", ".sd") else _smiles_entries(text)
    records, problems = [], []
    for number, (found, fault) in enumerate(entries, 1):
        smiles, reason = ("", fault) if fault else (rules or MoleculeRules()).read(found.smiles)
        if reason:
            problem = Problem(number, found.line, found.name or found.smiles, reason)
            if not skip:
                raise ParameterError(f"{path.name}, {problem}.", hint="Mend it, or pass skip=True.")
            problems.append(problem)
        else:
            records.append(MoleculeRecord(smiles, found.name, found.properties, found.line))
    return records, problems


def _smiles_entries(text: str) -> Iterator[tuple[MoleculeRecord, str]]:
    for line, content in enumerate(text.splitlines(), 1):
        parts = content.split(maxsplit=1)
        if parts and not parts[0].startswith("#"):
            yield MoleculeRecord(parts[0], parts[1].strip() if parts[1:] else "", line=line), ""


def sd_entries(text: str) -> Iterator[tuple[MoleculeRecord, str]]:
    """The records of an SD file's text, each with the reason why it cannot be read, if it cannot."""
    line, lines = 1, text.splitlines(keepends=True)
    block: list[str] = []
    for number, content in enumerate(lines, 1):
        block.append(content)
        if content.startswith("$$$$") or number == len(lines):
            if "".join(block).strip():
                yield _sd_entry("".join(block), line)
            block, line = [], number + 1


def _sd_entry(block: str, line: int) -> tuple[MoleculeRecord, str]:
    name = block.partition("\n")[0].strip()
    supplier = rdkit_module().SDMolSupplier()
    with rdkit_module("rdkit.rdBase").BlockLogs():
        supplier.SetData(block, removeHs=True)
        mol = next(iter(supplier), None)
    found = MoleculeRecord("", name, line=line)
    if "M  END" not in block:
        return found, "the structure is cut off: it has no line 'M  END'"
    if mol is None:
        return found, "RDKit cannot read the structure"
    if not mol.GetNumAtoms():
        return found, "empty"
    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        rdkit_module().AssignStereochemistryFrom3D(mol)
    return MoleculeRecord(rdkit_module().MolToSmiles(mol), name, _fields(mol), line), ""


def _fields(mol: Any) -> dict[str, str]:
    """The data fields of an RDKit molecule as text: RDKit's own reading of numbers would change them."""
    return {key: mol.GetProp(key) for key in mol.GetPropNames()}


def write_molecules(path: str | Path, molecules: Sequence[str | MoleculeRecord | Any]) -> None:
    """Write a .smi or .sdf file, whole or not at all; ".gz" after it compresses.

    In an SD file a SMILES is drawn in two dimensions, an RDKit molecule with a conformer keeps it (a docked
    pose, for instance; the first of several), and data fields are written.

    Args:
        path: Ends in one of `FORMATS`, or that and ".gz".
        molecules: SMILES, `MoleculeRecord`, or RDKit molecules (named by their property "_Name").

    Raises:
        ParameterError: If the ending is another, RDKit cannot read a SMILES, or an SD file cannot hold a name
            or a data field; nothing is written then.
    """
    path = Path(path)
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix not in FORMATS:
        raise ParameterError(f"A file of molecules ends in {', '.join(FORMATS)} (or .gz); got {path.name!r}.")
    as_text = _sd_text if suffix in (".sdf", ".sd") else _smiles_line
    content = "".join(map(as_text, molecules)).encode()
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _molecule(given: str | MoleculeRecord | Any) -> Any:
    """An RDKit molecule with the name of what was given."""
    if isinstance(given, str):
        return readable(given)
    if not isinstance(given, MoleculeRecord):
        return given
    mol = readable(given.smiles)
    mol.SetProp("_Name", given.name)
    return mol


def _name(mol: Any) -> str:
    return " ".join(mol.GetProp("_Name").split()) if mol.HasProp("_Name") else ""


def _smiles_line(given: str | MoleculeRecord | Any) -> str:
    mol = _molecule(given)
    flat = rdkit_module().RemoveHs(mol)
    return f"{rdkit_module().MolToSmiles(flat)} {_name(mol)}".strip() + "\n"


def _sd_text(given: str | MoleculeRecord | Any) -> str:
    mol = rdkit_module().Mol(_molecule(given))
    fields = given.properties if isinstance(given, MoleculeRecord) else _fields(mol)
    _check_sd(mol.GetProp("_Name") if mol.HasProp("_Name") else "", fields)
    for key, value in fields.items():
        mol.SetProp(str(key), str(value))
    if not mol.GetNumConformers():
        rdkit_module("rdkit.Chem.rdDepictor").Compute2DCoords(mol)
        rdkit_module().WedgeMolBonds(mol, mol.GetConformer())
    return str(rdkit_module().SDWriter.GetText(mol))


def _check_sd(name: str, fields: Mapping[str, Any]) -> None:
    """Refuse what would end a name, a data field or the record too early, or be left out."""
    if (name and name.splitlines() != [name]) or name.startswith("$$$$"):
        raise ParameterError(f"An SD file cannot hold the name {name!r}.", hint="Write it on one line.")
    for key, value in fields.items():
        key, text = str(key), str(value)
        if key.splitlines() != [key] or key.startswith("_"):
            raise ParameterError(
                f"An SD file cannot hold a data field of the name {key!r}.",
                hint='Name it in one line that is not empty and does not start with "_".',
            )
        ends_record = any(line.startswith("$$$$") for line in text.splitlines())
        if "\r" in text or (text and "\n\n" in f"\n{text}\n") or ends_record:
            raise ParameterError(
                f"An SD file cannot hold the data field {key!r}: {text[:60]!r}.",
                hint="Take out empty lines, carriage returns, and lines that start with $$$$.",
            )
