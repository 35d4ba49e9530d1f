"""What one molecule is: reading SMILES, canonical identity, and the reason why a string is not a design."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

from seiko.errors import MissingDependencyError, ParameterError

INVALID = "invalid: "
"""An undecodable state becomes this prefix and the reason."""

ORGANIC = ("B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I")
"""Elements of drug-like molecules."""

UNREADABLE = "RDKit cannot read it"


def rdkit_module(name: str = "rdkit.Chem") -> Any:
    """A module of RDKit, imported when it is first needed; MissingDependencyError where it cannot be."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"Molecules need the package rdkit, but {name} cannot be imported.",
            hint="Install seiko with the extra `molecules`: pip install 'seiko[molecules]'.",
        ) from error


def parsed(smiles: str, *, sanitize: bool = True) -> Any:
    """The RDKit molecule of a SMILES, or None where RDKit cannot read it; nothing is printed.

    RDKit takes what follows a blank for a name: such a text is not a SMILES here.
    """
    if len(smiles.split()) > 1:
        return None
    with rdkit_module("rdkit.rdBase").BlockLogs():
        return rdkit_module().MolFromSmiles(smiles, sanitize=sanitize)


def unmapped(smiles: str) -> str:
    """A SMILES without atom-map numbers: they say nothing of the molecule, but make equal atoms differ.

    Example:
        >>> unmapped("[CH3:1]C([*:2])=O")
        '[CH3]C([*])=O'
    """
    return re.sub(r":\d+\]", "]", smiles)


def readable(design: str) -> Any:
    """The RDKit molecule of a SMILES that must be readable.

    Raises:
        ParameterError: If RDKit cannot read it, or it has no atom.
    """
    mol = parsed(design) if isinstance(design, str) else None
    if mol is None or not mol.GetNumAtoms():
        raise ParameterError(f"RDKit cannot read the SMILES {design!r}.", hint="Ask `domain.is_valid` first.")
    return mol


@dataclass(frozen=True)
class MoleculeRules:
    """Which molecules may be designs at all, whatever the chain that proposes them.

    Args:
        elements: Symbols of allowed heavy atoms.
        max_atoms: Most heavy atoms; None for no limit.
        max_length: Most characters of a SMILES; longer ones are not even read.
        stereo: "keep" makes stereoisomers different designs, and a stereo mark where there is no stereocentre
            a fault; "drop" ignores all marks.
        charges: "none" allows no charged atom, "neutral" only molecules without net charge (a nitro group
            passes), "any" all.

    Raises:
        ParameterError: If a limit is below 1, or `stereo` or `charges` is unknown.

    Example:
        >>> rules = MoleculeRules(max_atoms=20, charges="neutral")
        >>> [rules.why_not(s) for s in ("CCO", "C(", "C=O.CN", "CC[NH3+]")]
        ['', 'RDKit cannot read it', 'disconnected (2 fragments: a salt or a mixture)', 'net charge +1']
    """

    elements: tuple[str, ...] = ORGANIC
    max_atoms: int | None = None
    max_length: int | None = 500
    stereo: Literal["keep", "drop"] = "keep"
    charges: Literal["none", "neutral", "any"] = "any"

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(self.elements))
        for name in ("max_atoms", "max_length"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ParameterError(f"`{name}` must be at least 1, or None; got {limit!r}.")
        if self.stereo not in ("keep", "drop"):
            raise ParameterError(f"`stereo` must be 'keep' or 'drop'; got {self.stereo!r}.")
        if self.charges not in ("none", "neutral", "any"):
            raise ParameterError(f"`charges` must be 'none', 'neutral' or 'any'; got {self.charges!r}.")

    def read(self, smiles: str) -> tuple[str, str]:
        """Canonical SMILES and "", or "" and the reason why it cannot be a design.

        Every spelling of one molecule gives the same canonical SMILES; atom-map numbers are ignored.
        """
        return _read(smiles, self) if isinstance(smiles, str) else ("", "it is not a string")

    def why_not(self, smiles: str) -> str:
        """The reason why a SMILES cannot be a design, "" where it can."""
        return self.read(smiles)[1]

    def key(self, smiles: str) -> str:
        """Canonical identity; what cannot be a design is its own."""
        return self.read(smiles)[0] or smiles


@lru_cache(maxsize=1 << 16)
def _read(smiles: str, rules: MoleculeRules) -> tuple[str, str]:
    if smiles.startswith(INVALID):
        return "", smiles.removeprefix(INVALID)
    if rules.max_length is not None and len(smiles) > rules.max_length:
        return "", f"{len(smiles)} characters, at most {rules.max_length} are read"
    if len(smiles.split()) > 1:
        return "", "white space inside: a design is one SMILES, without a name"
    smiles = unmapped(smiles)
    mol = parsed(smiles)
    reason = UNREADABLE if mol is None else misfit(mol, rules)
    if not reason and rules.stereo == "keep":
        reason = misplaced_stereo(smiles, mol)
    if reason:
        return "", reason
    if rules.stereo == "drop":
        rdkit_module().RemoveStereochemistry(mol)
    return rdkit_module().MolToSmiles(mol), ""


def misfit(mol: Any, rules: MoleculeRules) -> str:
    """Why an RDKit molecule breaks the rules, "" when it does not."""
    if not mol.GetNumAtoms():
        return "empty"
    if rules.max_atoms is not None and mol.GetNumAtoms() > rules.max_atoms:
        return f"{mol.GetNumAtoms()} heavy atoms, at most {rules.max_atoms} fit"
    reason = next(filter(None, (_odd_atom(atom, rules) for atom in mol.GetAtoms())), "")
    if reason:
        return reason
    kinds, charge = rdkit_module().BondType, rdkit_module().GetFormalCharge(mol)
    if charge and rules.charges == "neutral":
        return f"net charge {charge:+d}"
    allowed = (kinds.SINGLE, kinds.DOUBLE, kinds.TRIPLE, kinds.AROMATIC)
    if any(bond.GetBondType() not in allowed for bond in mol.GetBonds()):
        return "a bond that is not single, double or triple"
    fragments = len(rdkit_module().GetMolFrags(mol))
    return f"disconnected ({fragments} fragments: a salt or a mixture)" if fragments > 1 else ""


def _odd_atom(atom: Any, rules: MoleculeRules) -> str:
    symbol = atom.GetSymbol()
    if symbol not in rules.elements:
        return f"element {symbol} is not among {', '.join(rules.elements)}"
    if atom.GetFormalCharge() and rules.charges == "none":
        return f"charge on {symbol}"
    if atom.GetNumRadicalElectrons():
        return f"radical on {symbol}"
    return f"isotope on {symbol}" if atom.GetIsotope() else ""


def misplaced_stereo(smiles: str, mol: Any) -> str:
    """Which stereo mark of a SMILES says nothing, because there is no stereocentre there; "" when all do."""
    if not set(smiles) & set("@/\\"):
        return ""
    chem = rdkit_module()
    drawn = parsed(smiles, sanitize=False)
    none = chem.ChiralType.CHI_UNSPECIFIED
    marked = sum(atom.GetChiralTag() != none for atom in drawn.GetAtoms())
    if marked > sum(atom.GetChiralTag() != none for atom in mol.GetAtoms()):
        return "a stereo mark (@) on an atom that is no stereocentre"
    slanted = (chem.BondDir.ENDUPRIGHT, chem.BondDir.ENDDOWNRIGHT)
    heavy, drawn_heavy = (
        [atom.GetIdx() for atom in graph.GetAtoms() if atom.GetAtomicNum() != 1] for graph in (mol, drawn)
    )
    place = dict(zip(drawn_heavy, heavy, strict=True))  # RDKit takes hydrogens out and keeps the order
    stereo = {
        i for bond in mol.GetBonds() if bond.GetStereo() > chem.BondStereo.STEREOANY for i in _ends(bond)
    }
    for bond in drawn.GetBonds():
        if bond.GetBondDir() in slanted and stereo.isdisjoint(place.get(i) for i in _ends(bond)):
            return "stereo marks (/ or \\) that contradict each other or mark no stereo bond"
    return ""


def _ends(bond: Any) -> tuple[int, int]:
    return bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
