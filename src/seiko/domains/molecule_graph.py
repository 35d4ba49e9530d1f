"""Molecules as graphs with a fixed number of atom slots: the codec between states and SMILES."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, overload

import torch
from torch import Tensor

from seiko.domains.molecule_identity import INVALID, MoleculeRules, rdkit_module
from seiko.errors import ParameterError, ShapeError
from seiko.typing import Condition, State

MAX_VALENCE: Mapping[str, int] = {
    "B": 3, "C": 4, "N": 3, "O": 2, "F": 1, "Si": 4, "P": 5, "S": 6, "Cl": 1, "Br": 1, "I": 1,
}  # fmt: skip
"""Highest valence of each neutral element that a graph may hold."""

NUM_BOND_KINDS = 5
"""None, single, double, triple, mask."""


@dataclass(frozen=True)
class MoleculeGraph:
    """Codec between SMILES and graphs with ``num_atoms`` atom slots, all hydrogens implicit.

    A state is ``{"atoms": [B, N, A], "bonds": [B, N(N-1)/2, 5]}``, rows of the simplex. Atom kinds are
    0 none (an empty slot), 1 ... the elements in order, and last the mask; bond kinds are 0 none, 1 single,
    2 double, 3 triple, 4 mask. Row p of the bonds is the pair in column p of ``torch.triu_indices(N, N, 1)``.

    Args:
        num_atoms: Number of atom slots N, the most heavy atoms a molecule may have.
        elements: Symbols of the heavy atoms, in order of their kinds.

    Raises:
        ParameterError: If there is no slot, or an element is unknown or given twice.

    Example:
        >>> graph = MoleculeGraph(num_atoms=3)
        >>> kinds = graph.encode(["OC=C", "C"])
        >>> kinds["atoms"].tolist(), kinds["bonds"].tolist()
        ([[1, 1, 3], [1, 0, 0]], [[2, 0, 1], [0, 0, 0]])
        >>> graph.decode(graph.one_hot(kinds))
        ['C=CO', 'C']
    """

    num_atoms: int = 9
    elements: tuple[str, ...] = ("C", "N", "O", "F")

    def __post_init__(self) -> None:
        if self.num_atoms < 1:
            raise ParameterError(f"`num_atoms` must be at least 1; got {self.num_atoms}.")
        object.__setattr__(self, "elements", tuple(self.elements))
        unknown = [e for e in self.elements if e not in MAX_VALENCE]
        if unknown or not self.elements or len(set(self.elements)) < len(self.elements):
            raise ParameterError(
                f"`elements` must be different symbols among {', '.join(MAX_VALENCE)}; got {self.elements}."
            )

    @property
    def rules(self) -> MoleculeRules:
        """What fits, as rules of molecules: no stereochemistry, no charges."""
        limits: dict[str, Any] = {"max_atoms": self.num_atoms, "max_length": None}
        return MoleculeRules(self.elements, stereo="drop", charges="none", **limits)

    @property
    def num_pairs(self) -> int:
        """Number of pairs of slots, N(N-1)/2."""
        return self.num_atoms * (self.num_atoms - 1) // 2

    @property
    def num_atom_kinds(self) -> int:
        """None, the elements, mask."""
        return len(self.elements) + 2

    @overload
    def encode(self, smiles: Sequence[str], *, skip: Literal[False] = False) -> dict[str, Tensor]: ...

    @overload
    def encode(self, smiles: Sequence[str], *, skip: Literal[True]) -> tuple[dict[str, Tensor], Tensor]: ...

    def encode(self, smiles: Sequence[str], *, skip: bool = False) -> Any:
        """Molecules as kind indices, atoms in the order of the canonical SMILES, empty slots last.

        Stereochemistry is dropped and aromatic rings take their Kekulé form, so every spelling of one
        molecule gives the same indices.

        Args:
            smiles: n molecules.
            skip: Leave out molecules that do not fit, and return also the rows that were kept.

        Returns:
            ``{"atoms": uint8 [n, N], "bonds": uint8 [n, N(N-1)/2]}``; with `skip` a pair of it and the int64
            positions [kept] in `smiles` of its rows.

        Raises:
            ParameterError: If a molecule does not fit and `skip` is off; names row, SMILES and reason.
        """
        rows, kept = [], []
        for row, text in enumerate(smiles):
            canonical, reason = read_molecule(text, self)
            if not reason:
                rows.append(_kinds_of(canonical, self))
                kept.append(row)
            elif not skip:
                raise ParameterError(
                    f"Row {row}, {text!r}, does not fit into {self}: {reason}.",
                    hint="Leave it out, or pass skip=True to keep only the molecules that fit.",
                )
        flat = torch.tensor(rows, dtype=torch.uint8).reshape(len(rows), self.num_atoms + self.num_pairs)
        kinds = {"atoms": flat[:, : self.num_atoms], "bonds": flat[:, self.num_atoms :]}
        return (kinds, torch.tensor(kept, dtype=torch.int64)) if skip else kinds

    def one_hot(self, kinds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Kind indices, as from `encode`, as a float32 state at the corners of the simplex."""
        sizes = {"atoms": self.num_atom_kinds, "bonds": NUM_BOND_KINDS}
        one_hot = torch.nn.functional.one_hot
        return {leaf: one_hot(kinds[leaf].long(), size).float() for leaf, size in sizes.items()}

    def decode(self, state: State, condition: Condition = None) -> list[str]:
        """Canonical SMILES of the most likely graph of each of B rows, or ``"invalid: "`` and the reason.

        The reasons are: still masked, empty, bond to an empty slot, valence of an element, disconnected.

        Raises:
            ShapeError: If the state has other leaves or other shapes.
        """
        atoms, bonds = self._most_likely(state)
        codes = self._faults(atoms, bonds)
        rows = torch.cat((atoms, bonds), dim=1).to(torch.uint8).cpu().numpy()
        faults = ["", "still masked", "empty", "bond to an empty slot", "disconnected"]
        faults += [f"valence of {element}" for element in self.elements]
        return [
            INVALID + faults[code] if code else _smiles_of(row.tobytes(), self)
            for code, row in zip(codes.tolist(), rows, strict=True)
        ]

    def _most_likely(self, state: State) -> tuple[Tensor, Tensor]:
        want = {"atoms": (self.num_atoms, self.num_atom_kinds), "bonds": (self.num_pairs, NUM_BOND_KINDS)}
        if not isinstance(state, Mapping):
            raise ShapeError(f"A state of {self} must be a dict of two leaves; got a {type(state).__name__}.")
        got = {leaf: tuple(value.shape[1:]) for leaf, value in state.items()}
        if got != want:
            raise ShapeError(f"A row of a state of {self} must have the shapes {want}; got {got}.")
        return state["atoms"].argmax(-1), state["bonds"].argmax(-1)

    def _faults(self, atoms: Tensor, bonds: Tensor) -> Tensor:
        """Code of every row's first fault, [B]: 0 none, 1-4 as in `decode`, 4 + k valence of element k."""
        n, (i, j) = self.num_atoms, torch.triu_indices(self.num_atoms, self.num_atoms, 1, device=atoms.device)
        orders = bonds.new_zeros(len(bonds), n, n)
        orders[:, i, j] = orders[:, j, i] = bonds
        present = atoms > 0
        highest = [0, *(MAX_VALENCE[e] for e in self.elements), 0]
        too_high = orders.sum(-1) > atoms.new_tensor(highest)[atoms]  # [B, N]
        culprit = atoms.gather(1, too_high.int().argmax(1, keepdim=True))[:, 0]  # [B]
        codes = torch.where(too_high.any(1), 4 + culprit, torch.where(_connected(orders, present), 0, 4))
        to_empty = ((bonds > 0) & ~(present[:, i] & present[:, j])).any(1)
        masked = (atoms == self.num_atom_kinds - 1).any(1) | (bonds == NUM_BOND_KINDS - 1).any(1)
        for code, faulty in ((3, to_empty), (2, ~present.any(1)), (1, masked)):
            codes = codes.masked_fill(faulty, code)
        return codes


def _connected(orders: Tensor, present: Tensor) -> Tensor:
    """Whether all present slots hang together, [B]: reachability by repeated squaring of 1 + adjacency."""
    n = present.shape[1]
    reach = (orders > 0).float() + torch.eye(n, device=orders.device)  # [B, N, N]
    for _ in range(math.ceil(math.log2(max(n - 1, 1)))):
        reach = (reach @ reach).clamp(max=1)
    first = present.int().argmax(1)
    reached = reach[torch.arange(len(first), device=first.device), first] > 0  # [B, N]
    return (reached | ~present).all(1)


@lru_cache(maxsize=1 << 16)
def read_molecule(smiles: str, graph: MoleculeGraph) -> tuple[str, str]:
    """Canonical SMILES without stereochemistry and "", or "" and the reason why it does not fit.

    Example:
        >>> read_molecule("OC", MoleculeGraph()), read_molecule("CCl", MoleculeGraph())
        (('CO', ''), ('', 'element Cl is not among C, N, O, F'))
    """
    canonical, reason = graph.rules.read(smiles)
    if "[" in canonical and _smiles_of(bytes(_kinds_of(canonical, graph)), graph) != canonical:
        return "", "its number of hydrogens is not the usual one"
    return canonical, reason


def _kinds_of(canonical: str, graph: MoleculeGraph) -> list[int]:
    """Kind indices of a canonical SMILES: N atoms, then N(N-1)/2 bonds."""
    chem, n = rdkit_module(), graph.num_atoms
    mol = chem.MolFromSmiles(canonical)
    chem.Kekulize(mol, clearAromaticFlags=True)
    kinds = [0] * (n + graph.num_pairs)
    for slot, atom in enumerate(mol.GetAtoms()):
        kinds[slot] = 1 + graph.elements.index(atom.GetSymbol())
    for bond in mol.GetBonds():
        i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        kinds[n + i * (2 * n - i - 1) // 2 + j - i - 1] = int(bond.GetBondTypeAsDouble())
    return kinds


@lru_cache(maxsize=1 << 16)
def _smiles_of(row: bytes, graph: MoleculeGraph) -> str:
    """Canonical SMILES of one row of kind indices that passed `_faults`."""
    chem, n = rdkit_module(), graph.num_atoms
    kinds = (None, chem.BondType.SINGLE, chem.BondType.DOUBLE, chem.BondType.TRIPLE)
    mol = chem.RWMol()
    index = {slot: mol.AddAtom(chem.Atom(graph.elements[k - 1])) for slot, k in enumerate(row[:n]) if k}
    pairs = ((i, j) for i in range(n) for j in range(i + 1, n))
    for (i, j), kind in zip(pairs, row[n:], strict=True):
        if kind:
            mol.AddBond(index[i], index[j], kinds[kind])
    fault = chem.SanitizeMol(mol, catchErrors=True)
    return f"{INVALID}{fault}" if fault else chem.MolToSmiles(mol)
