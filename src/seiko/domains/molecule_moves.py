"""Random changes of molecules for genetic algorithms: one SMILES in or two, one SMILES or None out.

Moves on the molecular graph in the spirit of Jensen, Chem. Sci. 10:3567 (2019). Every result is sanitised,
connected, without stereochemistry, and within the given number of atoms and elements; with ``charges=True``
charged atoms of the parents are kept, otherwise every result is neutral.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seiko.domains.molecule_identity import rdkit_module
from seiko.errors import ParameterError

TRIES = 10
"""How often an operator tries again, with new random choices, before it returns None."""

Move = Callable[[Any, np.random.Generator, Sequence[str]], bool]
"""Changes an RDKit RWMol in place; False when the molecule has no place for it."""


def mutate_molecule(
    design: str,
    rng: np.random.Generator,
    *,
    num_atoms: int = 9,
    elements: Sequence[str] = ("C", "N", "O", "F"),
    charges: bool = False,
) -> str | None:
    """One random move of `MOVES`, on a random place.

    Args:
        design: A SMILES.
        rng: Source of randomness.
        num_atoms: The most heavy atoms of the result.
        elements: Allowed elements of the result.
        charges: Whether the result may have charged atoms.

    Returns:
        Canonical SMILES of another molecule, or None where none of a few tries was one.

    Raises:
        ParameterError: If RDKit cannot read the design.

    Example:
        >>> mutate_molecule("C", np.random.default_rng(0), num_atoms=1, elements=("C", "O"))
        'O'
    """
    parent = _editable(design)
    for _ in range(TRIES):
        mol = _copy(parent)
        if MOVES[rng.integers(len(MOVES))](mol, rng, elements):
            child = _finished(mol, num_atoms, elements, charges)
            if child not in (None, _finished(_copy(parent), num_atoms, elements, charges)):
                return child
    return None


def crossover_molecule(
    a: str,
    b: str,
    rng: np.random.Generator,
    *,
    num_atoms: int | None = 9,
    elements: Sequence[str] = ("C", "N", "O", "F"),
    charges: bool = False,
) -> str | None:
    """A part of `a` joined to a part of `b`, both cut at one bond outside rings or at two bonds of a ring.

    Args:
        a: A SMILES.
        b: Another.
        rng: Source of randomness.
        num_atoms: The most heavy atoms of the result; None for no limit.
        elements: Allowed elements of the result.
        charges: Whether the result may have charged atoms.

    Returns:
        Canonical SMILES of the joined molecule, or None where none of a few tries was one, or a parent has
        several fragments.

    Raises:
        ParameterError: If RDKit cannot read one of the two.

    Example:
        >>> crossover_molecule("CC", "OO", np.random.default_rng(0))
        'CO'
    """
    first, second = _editable(a), _editable(b)
    if any(len(rdkit_module().GetMolFrags(parent)) > 1 for parent in (first, second)):
        return None
    for _ in range(TRIES):
        cut = (_bond_outside_rings, _two_bonds_of_a_ring)[rng.integers(2)]
        left, right = _part(first, cut, rng), _part(second, cut, rng)
        if left and right:
            child = _finished(_joined(left, right, rng), num_atoms, elements, charges)
            if child is not None:
                return child
    return None


def _editable(design: str) -> Any:
    """The Kekulé graph of a SMILES, with all hydrogens implicit and no stereochemistry."""
    chem = rdkit_module()
    with rdkit_module("rdkit.rdBase").BlockLogs():
        mol = chem.MolFromSmiles(design)
    if mol is None or not mol.GetNumAtoms():
        raise ParameterError(f"RDKit cannot read the SMILES {design!r}, or it has no atom.")
    chem.RemoveStereochemistry(mol)
    chem.Kekulize(mol, clearAromaticFlags=True)
    for atom in mol.GetAtoms():
        atom.SetNumExplicitHs(0)
        atom.SetNoImplicit(False)
    return mol


def _copy(mol: Any) -> Any:
    return rdkit_module().RWMol(mol)


def _finished(mol: Any, num_atoms: int | None, elements: Sequence[str], charges: bool) -> str | None:
    """Canonical SMILES of an edited graph, or None when it is no molecule or not allowed."""
    chem = rdkit_module()
    atoms = list(mol.GetAtoms())
    if not atoms or (num_atoms is not None and len(atoms) > num_atoms):
        return None
    if any(atom.GetSymbol() not in elements for atom in atoms):
        return None
    with rdkit_module("rdkit.rdBase").BlockLogs():
        if chem.SanitizeMol(mol, catchErrors=True) != chem.SanitizeFlags.SANITIZE_NONE:
            return None
    if any((a.GetFormalCharge() and not charges) or a.GetNumRadicalElectrons() for a in mol.GetAtoms()):
        return None
    return None if len(chem.GetMolFrags(mol)) > 1 else chem.MolToSmiles(mol)


def _pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _order(rng: np.random.Generator) -> Any:
    """Single twice as often as double, double twice as often as triple."""
    kinds = rdkit_module().BondType
    return (kinds.SINGLE, kinds.DOUBLE, kinds.TRIPLE)[rng.choice(3, p=[4 / 7, 2 / 7, 1 / 7])]


def append_atom(mol: Any, rng: np.random.Generator, elements: Sequence[str]) -> bool:
    """Bind a new atom to a random one."""
    anchor = int(rng.integers(mol.GetNumAtoms()))
    mol.AddBond(anchor, mol.AddAtom(rdkit_module().Atom(_pick(rng, elements))), _order(rng))
    return True


def insert_atom(mol: Any, rng: np.random.Generator, elements: Sequence[str]) -> bool:
    """Put a new atom into a random bond, with single bonds to both ends."""
    if not mol.GetNumBonds():
        return False
    bond = mol.GetBondWithIdx(int(rng.integers(mol.GetNumBonds())))
    ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    mol.RemoveBond(*ends)
    new = mol.AddAtom(rdkit_module().Atom(_pick(rng, elements)))
    for end in ends:
        mol.AddBond(end, new, rdkit_module().BondType.SINGLE)
    return True


def delete_atom(mol: Any, rng: np.random.Generator, elements: Sequence[str]) -> bool:
    """Remove a random atom; where it had two neighbours not bound to one another, bind them."""
    if mol.GetNumAtoms() < 2:
        return False
    atom = mol.GetAtomWithIdx(int(rng.integers(mol.GetNumAtoms())))
    ends = [other.GetIdx() for other in atom.GetNeighbors()]
    if len(ends) == 2 and mol.GetBondBetweenAtoms(*ends) is None:
        mol.AddBond(*ends, rdkit_module().BondType.SINGLE)
    mol.RemoveAtom(atom.GetIdx())
    return True


def change_element(mol: Any, rng: np.random.Generator, elements: Sequence[str]) -> bool:
    """Give a random atom another element."""
    atom = mol.GetAtomWithIdx(int(rng.integers(mol.GetNumAtoms())))
    others = [e for e in elements if e != atom.GetSymbol()]
    if not others:
        return False
    mol.ReplaceAtom(atom.GetIdx(), rdkit_module().Atom(_pick(rng, others)))
    return True


def change_bond(mol: Any, rng: np.random.Generator, elements: Sequence[str]) -> bool:
    """Give a random bond another order."""
    if not mol.GetNumBonds():
        return False
    bond = mol.GetBondWithIdx(int(rng.integers(mol.GetNumBonds())))
    kinds = rdkit_module().BondType
    others = [k for k in (kinds.SINGLE, kinds.DOUBLE, kinds.TRIPLE) if k != bond.GetBondType()]
    bond.SetBondType(_pick(rng, others))
    return True


def close_ring(mol: Any, rng: np.random.Generator, elements: Sequence[str]) -> bool:
    """Bind two random atoms that are not bound yet by a single bond."""
    count = mol.GetNumAtoms()
    free = [
        (i, j) for i in range(count) for j in range(i) if mol.GetBondBetweenAtoms(i, j) is None
    ]  # fmt: skip
    if not free:
        return False
    mol.AddBond(*_pick(rng, free), rdkit_module().BondType.SINGLE)
    return True


def open_ring(mol: Any, rng: np.random.Generator, elements: Sequence[str]) -> bool:
    """Remove a random bond of a ring."""
    rdkit_module().FastFindRings(mol)
    bonds = [bond for bond in mol.GetBonds() if bond.IsInRing()]
    if not bonds:
        return False
    bond = _pick(rng, bonds)
    mol.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    return True


MOVES: tuple[Move, ...] = (
    append_atom, insert_atom, delete_atom, change_element, change_bond, close_ring, open_ring,
)  # fmt: skip
"""What `mutate_molecule` chooses from, all alike."""


@dataclass(frozen=True)
class _Part:
    """One side of a cut: a graph, the atoms of the part in it, and its cut ends with the orders they lost."""

    mol: Any
    atoms: tuple[int, ...]
    ends: tuple[tuple[int, Any], ...]


def _bond_outside_rings(mol: Any, rng: np.random.Generator) -> list[tuple[int, int]]:
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds() if not b.IsInRing()]
    return [_pick(rng, bonds)] if bonds else []


def _two_bonds_of_a_ring(mol: Any, rng: np.random.Generator) -> list[tuple[int, int]]:
    info = mol.GetRingInfo()
    if not info.NumRings():
        return []
    bonds = [mol.GetBondWithIdx(i) for i in rng.permutation(_pick(rng, info.BondRings()))[:2].tolist()]
    return [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]


def _part(mol: Any, cut: Callable[..., list[tuple[int, int]]], rng: np.random.Generator) -> _Part | None:
    """One random side of a molecule cut in two; None where the cut does not give two sides."""
    bonds = cut(mol, rng)
    orders = [mol.GetBondBetweenAtoms(*bond).GetBondType() for bond in bonds]
    rest = _copy(mol)
    for bond in bonds:
        rest.RemoveBond(*bond)
    sides = rdkit_module().GetMolFrags(rest)
    if len(sides) != 2:
        return None
    side = _pick(rng, sides)
    ends = tuple((i if i in side else j, order) for (i, j), order in zip(bonds, orders, strict=True))
    return _Part(rest, side, ends)


def _plain(atom: Any) -> Any:
    """A new atom of the same element and charge."""
    new = rdkit_module().Atom(atom.GetSymbol())
    new.SetFormalCharge(atom.GetFormalCharge())
    return new


def _joined(left: _Part, right: _Part, rng: np.random.Generator) -> Any:
    """The two parts bound end to end, in random order, by the bonds that the left one lost."""
    mol = rdkit_module().RWMol()
    place: dict[tuple[int, int], int] = {}
    for which, part in enumerate((left, right)):
        for i in part.atoms:
            place[which, i] = mol.AddAtom(_plain(part.mol.GetAtomWithIdx(i)))
        for bond in part.mol.GetBonds():
            i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            if i in part.atoms:
                mol.AddBond(place[which, i], place[which, j], bond.GetBondType())
    for (i, order), k in zip(left.ends, rng.permutation(len(right.ends)).tolist(), strict=True):
        start, end = place[0, i], place[1, right.ends[k][0]]
        if mol.GetBondBetweenAtoms(start, end) is None:
            mol.AddBond(start, end, order)
    return mol
