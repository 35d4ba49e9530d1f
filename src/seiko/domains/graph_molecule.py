"""Molecules from continuous graphs: rounding, valency correction, and the domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seiko.domains.base import Domain
from seiko.domains.molecule import smiles_domain
from seiko.domains.molecule_filters import Check
from seiko.domains.molecule_graph import MAX_VALENCE
from seiko.domains.molecule_identity import INVALID, MoleculeRules, rdkit_module
from seiko.domains.molecule_metrics import MoleculeReference
from seiko.errors import ParameterError, ShapeError
from seiko.graphs import num_pairs
from seiko.typing import Condition, State

ZINC_ELEMENTS = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
"""Atom channels of graphs of ZINC250k, in their order."""

ZINC_SIZES: Mapping[int, int] = {
    6: 3, 7: 5, 8: 16, 9: 72, 10: 194, 11: 722, 12: 1184, 13: 1781, 14: 2814, 15: 4311, 16: 6300, 17: 8652,
    18: 11618, 19: 14577, 20: 17676, 21: 20447, 22: 18622, 23: 21065, 24: 23147, 25: 22830, 26: 19298,
    27: 15753, 28: 10047, 29: 7788, 30: 6121, 31: 4771, 32: 3725, 33: 2610, 34: 1742, 35: 1025, 36: 401,
    37: 136, 38: 2,
}  # fmt: skip
"""How many of the 249,455 molecules of ZINC250k have so many heavy atoms (counted with RDKit)."""

CHARGEABLE = ("N", "O")
"""With one bond more than usual these become cations, as in the published decoding."""


@dataclass(frozen=True)
class Decoded:
    """What one row's rounded graph became.

    Attributes:
        smiles: Canonical SMILES, or ``"invalid: "`` and the reason.
        corrected: Bond orders that had to be taken away for the valencies.
        dropped: Atoms left out because they were not joined to the largest fragment.
    """

    smiles: str
    corrected: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class ContinuousGraph:
    """Codec between SMILES and real-valued graphs: one channel an element, bond orders as numbers.

    A state is ``{"nodes": [B, N, F], "edges": [B, N (N - 1) / 2]}``. A slot holds the element of its largest
    channel if that is above 0.5, else nothing; an edge is rounded to order 0, 1, 2 or 3, Kekulé form.

    Args:
        num_atoms: Node slots N.
        elements: Symbols of the channels.
        correct: Whether orders are taken away from an atom with too many bonds, highest first, until it fits
            (the published correction); else such a row is invalid.
        largest_fragment: Keep only the largest of several fragments; else such a row is invalid.

    Example:
        >>> graph = ContinuousGraph(num_atoms=3, elements=("C", "O"))
        >>> graph.decode(graph.encode(["OC=C", "C"]))
        ['C=CO', 'C']
    """

    num_atoms: int = 38
    elements: tuple[str, ...] = ZINC_ELEMENTS
    correct: bool = True
    largest_fragment: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(self.elements))
        if self.num_atoms < 1:
            raise ParameterError(f"`num_atoms` must be at least 1; got {self.num_atoms}.")
        unknown = [symbol for symbol in self.elements if symbol not in MAX_VALENCE]
        if unknown or not self.elements or len(set(self.elements)) < len(self.elements):
            raise ParameterError(
                f"`elements` must be different symbols among {', '.join(MAX_VALENCE)}; got {self.elements}."
            )

    def encode(self, smiles: Sequence[str]) -> dict[str, Tensor]:
        """States of n molecules, float32; charges and stereochemistry are dropped.

        Raises:
            ParameterError: If a SMILES cannot be read or does not fit.
        """
        nodes = torch.zeros(len(smiles), self.num_atoms, len(self.elements))
        edges = torch.zeros(len(smiles), num_pairs(self.num_atoms))
        for row, text in enumerate(smiles):
            mol = self._readable(text, row)
            for slot, atom in enumerate(mol.GetAtoms()):
                nodes[row, slot, self.elements.index(atom.GetSymbol())] = 1
            for bond in mol.GetBonds():
                i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
                place = i * (2 * self.num_atoms - i - 1) // 2 + j - i - 1
                edges[row, place] = bond.GetBondTypeAsDouble()
        return {"nodes": nodes, "edges": edges}

    def present(self, smiles: Sequence[str]) -> Tensor:
        """The condition of n molecules, [n, N] bool: which slots their encoding fills."""
        return self.encode(smiles)["nodes"].any(-1)

    def _readable(self, text: str, row: int) -> Any:
        chem = rdkit_module()
        with rdkit_module("rdkit.rdBase").BlockLogs():
            mol = chem.MolFromSmiles(text)
        reason = "RDKit cannot read it" if mol is None else ""
        if mol is not None and mol.GetNumAtoms() > self.num_atoms:
            reason = f"{mol.GetNumAtoms()} heavy atoms, at most {self.num_atoms} fit"
        elif mol is not None:
            other = sorted({atom.GetSymbol() for atom in mol.GetAtoms()} - set(self.elements))
            reason = f"element {other[0]} has no channel" if other else ""
        if reason:
            raise ParameterError(f"Row {row}, {text!r}, has no continuous graph: {reason}.")
        chem.Kekulize(mol, clearAromaticFlags=True)
        return mol

    def decode(self, state: State, condition: Condition = None) -> list[str]:
        """Canonical SMILES of B rows, or ``"invalid: "`` and the reason."""
        return [row.smiles for row in self.decode_rows(state)]

    def decode_rows(self, state: State) -> list[Decoded]:
        """What each row became, and how much of that was correction.

        Raises:
            ShapeError: If the state has other leaves or other shapes.
        """
        nodes, edges = self._checked(state)
        kinds = torch.where(nodes.amax(-1) > 0.5, nodes.argmax(-1), -1).cpu().tolist()
        orders = edges.round().clamp(0, 3).long().cpu()
        return [self._decoded(atoms, row) for atoms, row in zip(kinds, orders, strict=True)]

    def _checked(self, state: State) -> tuple[Tensor, Tensor]:
        want = {"nodes": (self.num_atoms, len(self.elements)), "edges": (num_pairs(self.num_atoms),)}
        if not isinstance(state, Mapping):
            raise ShapeError(f"A state must be a dict of {sorted(want)}; got a {type(state).__name__}.")
        got = {leaf: tuple(value.shape[1:]) for leaf, value in state.items()}
        if got != want:
            raise ShapeError(f"A row of a state of {self} must have the shapes {want}; got {got}.")
        if not all(torch.isfinite(leaf).all() for leaf in state.values()):
            raise ShapeError("A state to decode holds values that are not finite.")
        return state["nodes"].detach(), state["edges"].detach()

    def _decoded(self, kinds: list[int], orders: Tensor) -> Decoded:
        chem = rdkit_module()
        slots = [slot for slot, kind in enumerate(kinds) if kind >= 0]
        if not slots:
            return Decoded(INVALID + "empty")
        bonds = _bonds(orders, kinds, self.num_atoms)
        with rdkit_module("rdkit.rdBase").BlockLogs():
            mol, culprit = _assembled([self.elements[kinds[s]] for s in slots], bonds, slots)
            corrected = 0
            if culprit is not None:
                if not self.correct:
                    return Decoded(f"{INVALID}valence of {mol.GetAtomWithIdx(culprit).GetSymbol()}")
                corrected = _correct_valences(mol)
            mol.UpdatePropertyCache(strict=False)
            return self._finished(chem.MolToSmiles(mol), corrected)

    def _finished(self, smiles: str, corrected: int) -> Decoded:
        chem = rdkit_module()
        parts = sorted(smiles.split("."), key=lambda part: (-_num_atoms(part), part))
        if len(parts) > 1 and not self.largest_fragment:
            return Decoded(f"{INVALID}disconnected ({len(parts)} fragments)", corrected)
        mol = chem.MolFromSmiles(parts[0])
        if mol is None:
            return Decoded(INVALID + "RDKit cannot read it", corrected)
        return Decoded(chem.MolToSmiles(mol), corrected, sum(map(_num_atoms, parts[1:])))


def _num_atoms(smiles: str) -> int:
    return int(rdkit_module().MolFromSmiles(smiles, sanitize=False).GetNumAtoms())


def _bonds(orders: Tensor, kinds: list[int], num_atoms: int) -> list[tuple[int, int, int]]:
    """Slots and order of the bonds between atoms, in the order of the pairs."""
    first, second = torch.triu_indices(num_atoms, num_atoms, 1)
    places = orders.nonzero()[:, 0]
    found = zip(first[places].tolist(), second[places].tolist(), orders[places].tolist(), strict=True)
    return [(i, j, order) for i, j, order in found if kinds[i] >= 0 and kinds[j] >= 0]


def _bond_types() -> tuple[Any, ...]:
    kinds = rdkit_module().BondType
    return (kinds.ZERO, kinds.SINGLE, kinds.DOUBLE, kinds.TRIPLE)


def _assembled(
    symbols: Sequence[str], bonds: Sequence[tuple[int, int, int]], slots: Sequence[int]
) -> tuple[Any, int | None]:
    """The molecule, N and O charged where one bond is too many, and an atom whose valence still fails."""
    chem, place = rdkit_module(), {slot: index for index, slot in enumerate(slots)}
    mol = chem.RWMol()
    for symbol in symbols:
        mol.AddAtom(chem.Atom(symbol))
    for i, j, order in bonds:
        mol.AddBond(place[i], place[j], _bond_types()[order])
    for atom in mol.GetAtoms():
        if atom.GetSymbol() in CHARGEABLE and _order(atom) == MAX_VALENCE[atom.GetSymbol()] + 1:
            atom.SetFormalCharge(1)
    return mol, _overloaded(mol)


def _order(atom: Any) -> int:
    return int(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds()))


def _highest(atom: Any) -> int:
    return MAX_VALENCE[atom.GetSymbol()] + atom.GetFormalCharge()


def _overloaded(mol: Any) -> int | None:
    """The first atom with more bonds than it can have."""
    return next((atom.GetIdx() for atom in mol.GetAtoms() if _order(atom) > _highest(atom)), None)


def _correct_valences(mol: Any) -> int:
    """Take orders away at overloaded atoms, of the highest bond first, until none is; how many, in all."""
    taken = 0
    while (culprit := _overloaded(mol)) is not None:
        bonds = mol.GetAtomWithIdx(culprit).GetBonds()
        bond = max(bonds, key=lambda b: (b.GetBondTypeAsDouble(), -b.GetIdx()))
        order = int(bond.GetBondTypeAsDouble()) - 1
        if order:
            bond.SetBondType(_bond_types()[order])
        else:
            mol.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        taken += 1
    return taken


def graph_molecule_domain(
    graph: ContinuousGraph,
    *,
    sizes: Mapping[int, int] = ZINC_SIZES,
    filters: Mapping[str, Check] | None = None,
    reference: MoleculeReference | None = None,
) -> Domain[str]:
    """Molecules of a continuous graph as designs: canonical SMILES.

    Args:
        graph: The codec.
        sizes: Weight of each number of heavy atoms; the condition draws from it.
        filters: Named checks of an RDKit molecule.
        reference: Set of molecules to compare with.

    Raises:
        ParameterError: If a size does not fit into the graph.

    Example:
        >>> domain = graph_molecule_domain(ContinuousGraph(4, ("C", "O")), sizes={3: 1, 4: 1})
        >>> domain.condition(2, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 4])
    """
    rules = MoleculeRules(elements=graph.elements, max_atoms=graph.num_atoms, stereo="drop")
    condition: Callable[[int, torch.Generator | None], Condition] = partial(
        draw_sizes, sizes=dict(sizes), num_atoms=graph.num_atoms
    )
    domain = smiles_domain(graph.decode, rules=rules, filters=filters, reference=reference)
    return replace(domain, condition=condition)


def draw_sizes(
    batch_size: int, generator: torch.Generator | None = None, *, sizes: Mapping[int, int], num_atoms: int
) -> Tensor:
    """Which slots are present in `batch_size` graphs whose sizes are drawn by weight, [batch, N] bool."""
    if not sizes or min(sizes) < 1 or max(sizes) > num_atoms or min(sizes.values()) < 0:
        raise ParameterError(
            f"`sizes` must give weights >= 0 of numbers of atoms from 1 to {num_atoms}; got {dict(sizes)}."
        )
    weights = torch.tensor([float(weight) for weight in sizes.values()], dtype=torch.float64)
    drawn = torch.multinomial(weights, batch_size, replacement=True, generator=generator)
    return torch.arange(num_atoms) < torch.tensor(list(sizes))[drawn][:, None]
