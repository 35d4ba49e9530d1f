"""Molecules as graphs with a fixed number of atom slots: the codec of states and SMILES, and the domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, Literal, overload

import torch
from torch import Tensor

from seiko.domains.base import Domain
from seiko.domains.molecule_files import FORMATS
from seiko.errors import MissingDependencyError, ParameterError, ShapeError
from seiko.typing import Condition, State

MAX_VALENCE: Mapping[str, int] = {
    "B": 3, "C": 4, "N": 3, "O": 2, "F": 1, "Si": 4, "P": 5, "S": 6, "Cl": 1, "Br": 1, "I": 1,
}  # fmt: skip
"""Highest valence of each neutral element that a graph may hold."""

NUM_BOND_KINDS = 5
"""None, single, double, triple, mask."""

NUM_WHOLE = 22
"""Whole-molecule counts among the features, besides one for each element."""

INVALID = "invalid: "
"""An undecodable state becomes this prefix and the reason."""


def rdkit_module(name: str = "rdkit.Chem") -> Any:
    """A module of RDKit, imported when it is first needed; MissingDependencyError where it cannot be."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"Molecules need the package rdkit, but {name} cannot be imported.",
            hint="Install seiko with the extra `molecules`: pip install 'seiko[molecules]'.",
        ) from error


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
    chem = rdkit_module()
    if smiles.startswith(INVALID):
        return "", smiles.removeprefix(INVALID)
    with rdkit_module("rdkit.rdBase").BlockLogs():
        mol = chem.MolFromSmiles(smiles)
    reason = "RDKit cannot read it" if mol is None else _misfit(mol, graph)
    if reason:
        return "", reason
    chem.RemoveStereochemistry(mol)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    canonical = chem.MolToSmiles(mol)
    if "[" in canonical and _smiles_of(bytes(_kinds_of(canonical, graph)), graph) != canonical:
        return "", "its number of hydrogens is not the usual one"
    return canonical, ""


def _misfit(mol: Any, graph: MoleculeGraph) -> str:
    """Why an RDKit molecule is outside the design space, "" when it is inside."""
    if not mol.GetNumAtoms():
        return "empty"
    if mol.GetNumAtoms() > graph.num_atoms:
        return f"{mol.GetNumAtoms()} heavy atoms, at most {graph.num_atoms} fit"
    for atom in mol.GetAtoms():
        symbol = atom.GetSymbol()
        if symbol not in graph.elements:
            return f"element {symbol} is not among {', '.join(graph.elements)}"
        oddities = (atom.GetFormalCharge(), atom.GetNumRadicalElectrons(), atom.GetIsotope())
        for name, oddity in zip(("charge", "radical", "isotope"), oddities, strict=True):
            if oddity:
                return f"{name} on {symbol}"
    kinds = rdkit_module().BondType
    allowed = (kinds.SINGLE, kinds.DOUBLE, kinds.TRIPLE, kinds.AROMATIC)
    if any(bond.GetBondType() not in allowed for bond in mol.GetBonds()):
        return "a bond that is not single, double or triple"
    return "disconnected" if len(rdkit_module().GetMolFrags(mol)) > 1 else ""


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


def molecule_domain(
    graph: MoleculeGraph,
    *,
    fingerprint_size: int = 512,
    radius: int = 1,
    filters: Mapping[str, Callable[[Any], bool]] | None = None,
) -> Domain[str]:
    """Molecules of one graph codec as designs: canonical SMILES without stereochemistry.

    A valid design fits the graph, so every method is held to the chain's design space. The metrics are
    ``diversity``, that of the valid ones, and ``distinct``, distinct designs over all.

    Args:
        graph: The codec.
        fingerprint_size, radius: Of `molecule_features`.
        filters: Named checks of an RDKit molecule; a design that fails one is invalid: "filter" and the name.

    Example:
        >>> domain = molecule_domain(MoleculeGraph(), filters={"size": lambda mol: mol.GetNumAtoms() > 1})
        >>> domain.key("OCC"), domain.is_valid("CCO"), domain.why_invalid("C"), domain.why_invalid("C.C")
        ('CCO', True, 'filter size', 'disconnected')
    """
    checks = dict(filters or {})

    @lru_cache(maxsize=1 << 16)
    def why_invalid(design: str) -> str:
        canonical, reason = read_molecule(design, graph)
        if reason or not checks:
            return reason
        mol = _readable(canonical)
        return next((f"filter {name}" for name, check in checks.items() if not check(mol)), "")

    def key(design: str) -> str:
        return read_molecule(design, graph)[0] or design

    return Domain(
        name="molecule",
        decode=graph.decode,
        features=partial(molecule_features, elements=graph.elements, size=fingerprint_size, radius=radius),
        is_valid=lambda design: not why_invalid(design),
        why_invalid=why_invalid,
        key=key,
        to_bytes=str.encode,
        from_bytes=bytes.decode,
        render=draw_molecule,
        media_type="chemical/x-daylight-smiles",
        formats=FORMATS,
        feature_kind="counts",
        metrics={
            "diversity": lambda designs: tanimoto_diversity([d for d in designs if not why_invalid(d)]),
            "distinct": lambda designs: len(set(map(key, designs))) / max(len(designs), 1),
        },
    )


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
    generator = _morgan(radius=radius, fpSize=size, countSimulation=False)
    rows = torch.zeros(len(designs), size + NUM_WHOLE + len(elements))
    for row, design in zip(rows, designs, strict=True):
        mol = _readable(design)
        row[:size] = torch.from_numpy(generator.GetCountFingerprintAsNumPy(mol).astype("float32"))
        row[size:] = torch.tensor(_whole_counts(mol, elements))
    return rows


def _morgan(**options: Any) -> Any:
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


def _readable(design: str) -> Any:
    mol = rdkit_module().MolFromSmiles(design)
    if mol is None:
        raise ParameterError(f"RDKit cannot read the SMILES {design!r}.", hint="Ask `domain.is_valid` first.")
    return mol


def tanimoto_diversity(designs: Sequence[str], *, most: int = 500) -> float:
    """Mean Tanimoto distance over pairs of designs, by Morgan fingerprints of radius 2 and 2,048 bits.

    In [0, 1]; 0 for fewer than two designs. Of more than `most` designs, evenly spaced ones are taken.

    Example:
        >>> tanimoto_diversity(["CCO", "CCO"]), tanimoto_diversity(["C", "O"])
        (0.0, 1.0)
    """
    count = min(len(designs), most)
    if count < 2:
        return 0.0
    alike_to = rdkit_module("rdkit.DataStructs").BulkTanimotoSimilarity
    generator = _morgan(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(_readable(designs[k * len(designs) // count])) for k in range(count)]
    alike = sum(sum(alike_to(bits[k], bits[:k])) for k in range(1, count))
    return 1.0 - alike / (count * (count - 1) / 2)


def draw_molecule(design: str, *, width: int = 220, height: int = 160) -> str:
    """The structural formula as a self-contained ``<svg>`` fragment on a transparent ground."""
    draw = rdkit_module("rdkit.Chem.Draw.rdMolDraw2D")
    drawing = draw.MolDraw2DSVG(width, height)
    drawing.drawOptions().clearBackground = False
    draw.PrepareAndDrawMolecule(drawing, _readable(design))
    drawing.FinishDrawing()
    return drawing.GetDrawingText().partition("?>")[2].strip()
