"""Features of molecules for surrogates: Morgan counts, properties, and counts over the whole molecule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from seiko.domains.molecule_identity import rdkit_module, readable
from seiko.domains.molecule_properties import molecule_property

NUM_WHOLE = 22
"""Whole-molecule counts among the features, besides one for each element."""

PROPERTY_UNITS: Mapping[str, float] = MappingProxyType(
    {
        "logp": 1.4,
        "tpsa": 25.0,
        "weight": 80.0,
        "rings": 1.0,
        "aromatic_rings": 1.0,
        "donors": 1.0,
        "acceptors": 1.5,
        "rotatable": 1.5,
        "heavy_atoms": 4.0,
        "fraction_sp3": 0.2,
    }
)
"""Properties among the features, and their units: about their spread over drug-like molecules."""


def molecule_features(
    designs: Sequence[str], *, elements: Sequence[str], size: int = 512, radius: int = 1
) -> Tensor:
    """Folded counts of Morgan environments, then counts over the whole molecule.

    The environments, up to `radius` bonds from an atom, are those of Rogers and Hahn, J. Chem. Inf. Model.
    50:742 (2010). All are counts on one scale: subtract a mean, but do not divide by standard deviations,
    which would let rare environments rule.

    Returns:
        float32 [n, size + len(elements) + NUM_WHOLE].
    """
    generator = morgan(radius=radius, fpSize=size, countSimulation=False)
    rows = torch.zeros(len(designs), size + NUM_WHOLE + len(elements))
    for row, design in zip(rows, designs, strict=True):
        mol = readable(design)
        row[:size] = _environments(generator, mol)
        row[size:] = torch.tensor(_whole_counts(mol, elements))
    return rows


def morgan_counts(designs: Sequence[str], *, size: int = 2048, radius: int = 3) -> Tensor:
    """The folded counts of Morgan environments alone.

    Returns:
        float32 [n, size].

    Example:
        >>> morgan_counts(["CCO", "OCC"], size=64).sum(1)
        tensor([6., 6.])
    """
    generator = morgan(radius=radius, fpSize=size, countSimulation=False)
    rows = [_environments(generator, readable(design)) for design in designs]
    return torch.stack(rows) if rows else torch.zeros(0, size)


def counts_and_properties(designs: Sequence[str], *, size: int = 2048, radius: int = 3) -> Tensor:
    """`morgan_counts`, then the properties of `PROPERTY_UNITS` in these units.

    For a kernel that compares the first by Tanimoto similarity and the others by distance: rewards that set
    ranges for logP or polar surface are plain functions of these, and far from plain ones of environments.

    Returns:
        float32 [n, size + len(PROPERTY_UNITS)].

    Example:
        >>> counts_and_properties(["CCO"], size=64)[:, 64:67]  # logP, polar surface, weight
        tensor([[-0.0010,  0.8092,  0.5759]])
    """
    properties = torch.tensor(list(map(_properties, designs))).reshape(-1, len(PROPERTY_UNITS))
    return torch.cat([morgan_counts(designs, size=size, radius=radius), properties], 1)


@lru_cache(maxsize=1 << 16)
def _properties(design: str) -> tuple[float, ...]:
    mol = readable(design)
    return tuple(molecule_property(name)(mol) / unit for name, unit in PROPERTY_UNITS.items())


def _environments(generator: Any, mol: Any) -> Tensor:
    return torch.from_numpy(generator.GetCountFingerprintAsNumPy(mol).astype("float32"))


def morgan(**options: Any) -> Any:
    """RDKit's generator of Morgan fingerprints."""
    return rdkit_module("rdkit.Chem.rdFingerprintGenerator").GetMorganGenerator(**options)


def _whole_counts(mol: Any, elements: Sequence[str]) -> list[int]:
    """Counts of each element, then `NUM_WHOLE` that environments of a small radius do not see."""
    more, rings = rdkit_module("rdkit.Chem.rdMolDescriptors"), mol.GetRingInfo()
    atoms = [(atom.GetSymbol(), atom.GetDegree(), atom.GetTotalNumHs()) for atom in mol.GetAtoms()]
    symbols, degrees, _ = map(Counter, zip(*atoms, strict=True))
    orders = Counter(bond.GetBondTypeAsDouble() for bond in mol.GetBonds())
    sizes = Counter(map(len, rings.AtomRings()))
    memberships = Counter(map(rings.NumAtomRings, range(len(atoms))))
    centres = rdkit_module().FindMolChiralCenters(mol, includeUnassigned=True, useLegacyImplementation=False)
    return [
        *(symbols[element] for element in elements),
        *(orders[order] for order in (2.0, 3.0, 1.5)),
        *(sizes[size] for size in range(3, 10)),
        *(len(atoms) - sum(memberships[m] for m in range(most + 1)) for most in range(3)),
        *(degrees[degree] for degree in (3, 4)),
        len(atoms),
        rings.NumRings(),
        len(centres),
        sum(hydrogens for symbol, _, hydrogens in atoms if symbol in "NO"),
        more.CalcNumSpiroAtoms(mol),
        more.CalcNumBridgeheadAtoms(mol),
        more.CalcNumRotatableBonds(mol),
    ]
