"""Receptors for docking: rigid proteins in PDBQT, each with the box that is searched."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from seiko.data import folder_of, read_file
from seiko.errors import ParameterError

MIN_ATOMS = 10
"""Fewer receptor atoms inside its box than this, and the box misses the receptor."""

PUBLISHED: Mapping[str, str] = MappingProxyType(
    {
        "parp1": "e092b58ce5d0a7c39746b9745041868f7b252b2178a595a5f103aee56f377cb9",
        "fa7": "06fe7b4c34ee3981a11cc95a8f3170345f2877cbf2bb56f4bfb54e0331beeba3",
        "5ht1b": "54212512617a67b0368fc7844da00821b5c77104d6213d2e7a29a6a6c0968cf1",
        "braf": "674fea8507f056916bd1f16b93416f50a4298d10ef045a6a43309c21d813244f",
        "jak2": "7c01df0ccfc603ed49753a4d567ee95a29a7f3c360eeab4a4b689aebf7864ec7",
    }
)
"""The five receptors of the benchmark of Yang et al. (FREED, NeurIPS 2021) and Lee et al. (MOOD, ICML 2023),
as in the repository of MOOD, and the sha256 of their gzipped PDBQT files."""


@dataclass(frozen=True)
class Receptor:
    """A rigid receptor and the box, parallel to the axes, in which poses are searched.

    Args:
        name: For reports.
        pdbqt: Its atoms, as text in PDBQT.
        center: Of the box, in Angstrom.
        size: Of the box along x, y and z, in Angstrom.

    Raises:
        ParameterError: If the text holds no atoms or a broken one, or the box is not finite, has no volume,
            is larger than 60 Angstrom, or holds fewer than `MIN_ATOMS` of the atoms.
    """

    name: str
    pdbqt: str
    center: tuple[float, float, float]
    size: tuple[float, float, float]

    def __post_init__(self) -> None:
        for field in ("center", "size"):
            object.__setattr__(self, field, self._triple(field))
        if not all(0 < side <= 60 for side in self.size):
            raise ParameterError(
                f"Receptor {self.name}: sides of a box must be above 0, at most 60 Angstrom; got {self.size}."
            )
        inside = sum(map(self._is_inside, self.atoms))
        if inside < MIN_ATOMS:
            low, high = (tuple(f(axis) for axis in zip(*self.atoms, strict=True)) for f in (min, max))
            raise ParameterError(
                f"The box of receptor {self.name} misses it: {inside} of {len(self.atoms)} atoms are inside "
                f"(centre {self.center}, size {self.size}); the atoms reach from {low} to {high}.",
                hint="Give centre and size in Angstrom, in the coordinates of the receptor's file.",
            )

    def _triple(self, field: str) -> tuple[float, ...]:
        try:
            values = tuple(float(v) for v in getattr(self, field))
        except (TypeError, ValueError):
            values = ()
        if len(values) != 3 or not all(map(math.isfinite, values)):
            raise ParameterError(
                f"Receptor {self.name}: `{field}` must be three finite numbers; got {getattr(self, field)!r}."
            )
        return values

    @cached_property
    def atoms(self) -> list[tuple[float, float, float]]:
        """Coordinates of the atoms, in Angstrom."""
        found = []
        for number, line in enumerate(self.pdbqt.splitlines(), 1):
            if line.startswith(("ATOM", "HETATM")):
                found.append(self._coordinates(number, line))
        if not found:
            raise ParameterError(
                f"The file of receptor {self.name} holds no atoms ({len(self.pdbqt)} characters).",
                hint="Give a receptor prepared as PDBQT, for instance by mk_prepare_receptor.py of meeko.",
            )
        return found

    def _coordinates(self, number: int, line: str) -> tuple[float, float, float]:
        try:
            x, y, z = (float(line[start : start + 8]) for start in (30, 38, 46))
            kind = line[77:].split()[0]
            if not (kind.isalnum() and all(map(math.isfinite, (x, y, z)))):
                raise ValueError
        except (ValueError, IndexError):
            raise ParameterError(
                f"Line {number} of receptor {self.name} is no atom of PDBQT: {line!r}.",
                hint="Is the file cut off, or a PDB file without charges and types?",
            ) from None
        return x, y, z

    def _is_inside(self, atom: tuple[float, float, float]) -> bool:
        gaps = zip(atom, self.center, self.size, strict=True)
        return all(abs(position - middle) <= side / 2 for position, middle, side in gaps)


def read_pdbqt(path: str | Path, sha256: str | None = None) -> str:
    """Text of a PDBQT file, gzipped or not.

    Raises:
        ParameterError: If it is missing, or no text.
    """
    content = read_file(path, sha256)
    try:
        return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ParameterError(f"{path} is not a whole PDBQT file: {error}.") from error


def load_receptor(name: str, folder: str | Path | None = None) -> Receptor:
    """One of the five `PUBLISHED` receptors with its box.

    Args:
        name: parp1, fa7, 5ht1b, braf or jak2.
        folder: Holds ``NAME.pdbqt.gz`` and ``boxes.json``; ``$SEIKO_DATA/docking`` if None.

    Raises:
        ParameterError: If there is no such receptor, or its box cannot be read.
        DataError: If a file is missing or damaged.
    """
    if name not in PUBLISHED:
        raise ParameterError(
            f"There is no receptor {name!r}; there are {', '.join(PUBLISHED)}.",
            hint="Make your own: Receptor(name, read_pdbqt(path), center=..., size=...).",
        )
    place = folder_of("docking", folder)
    pdbqt = read_pdbqt(place / f"{name}.pdbqt.gz", PUBLISHED[name])
    try:
        box = json.loads(read_file(place / "boxes.json"))[name]
        center, size = box["center"], box["size"]
    except (ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{place / 'boxes.json'} has no box of {name}: {error!r}.") from error
    return Receptor(name, pdbqt, center, size)
