"""Features of molecules for surrogates: Morgan counts and counts over the whole molecule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seiko.domains.molecule_identity import rdkit_module, readable

NUM_WHOLE = 22
"""Whole-molecule counts among the features, besides one for each element."""


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
        row[:size] = torch.from_numpy(generator.GetCountFingerprintAsNumPy(mol).astype("float32"))
        row[size:] = torch.tensor(_whole_counts(mol, elements))
    return rows


def morgan(**options: Any) -> Any:
    """RDKit's generator of Morgan fingerprints."""
    return rdkit_module("rdkit.Chem.rdFingerprintGenerator").GetMorganGenerator(**options)


def _whole_counts(mol: Any, elements: Sequence[str]) -> list[int]:
    """Counts of each element, then `NUM_WHOLE` that environments of a small radius do not see."""
    chem, more = rdkit_module(), rdkit_module("rdkit.Chem.rdMolDescriptors")
    rings = [len(ring) for ring in mol.GetRingInfo().AtomRings()]
    memberships = [mol.GetRingInfo().NumAtomRings(i) for i in range(mol.GetNumAtoms())]
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    degrees = [atom.GetDegree() for atom in mol.GetAtoms()]
    kinds = [bond.GetBondType() for bond in mol.GetBonds()]
    centres = chem.FindMolChiralCenters(mol, includeUnassigned=True, useLegacyImplementation=False)
    return [
        *map(symbols.count, elements),
        *(kinds.count(kind) for kind in (chem.BondType.DOUBLE, chem.BondType.TRIPLE, chem.BondType.AROMATIC)),
        *map(rings.count, range(3, 10)),
        *(sum(m > least for m in memberships) for least in range(3)),  # atoms in more than 0, 1, 2 rings
        *map(degrees.count, (3, 4)),
        *map(len, (symbols, rings, centres)),
        sum(atom.GetTotalNumHs() for atom in mol.GetAtoms() if atom.GetSymbol() in "NO"),
        *(f(mol) for f in (more.CalcNumSpiroAtoms, more.CalcNumBridgeheadAtoms, more.CalcNumRotatableBonds)),
    ]
