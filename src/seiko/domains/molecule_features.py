"""Features of molecules for surrogates: Morgan counts and counts over the whole molecule."""

from __future__ import annotations

from collections import Counter
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
        row[:size] = _environments(generator, mol)
        row[size:] = torch.tensor(_whole_counts(mol, elements))
    return rows


def morgan_counts(designs: Sequence[str], *, size: int = 2048, radius: int = 3) -> Tensor:
    """The folded counts of Morgan environments alone.

    For large molecules: what a Gaussian process learns of counts over the whole molecule it carries far
    beyond the molecules it was told of.

    Returns:
        float32 [n, size].

    Example:
        >>> morgan_counts(["CCO", "OCC"], size=64).sum(1)
        tensor([6., 6.])
    """
    generator = morgan(radius=radius, fpSize=size, countSimulation=False)
    rows = [_environments(generator, readable(design)) for design in designs]
    return torch.stack(rows) if rows else torch.zeros(0, size)


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
