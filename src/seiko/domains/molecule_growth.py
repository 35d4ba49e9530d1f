"""Molecules grown from a given scaffold by a chain that writes SMILES from left to right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seiko.domains.base import Domain
from seiko.domains.molecule_filters import smarts
from seiko.domains.molecule_identity import parsed, rdkit_module, unmapped
from seiko.domains.molecule_tokens import SmilesTokens
from seiko.errors import ParameterError
from seiko.typing import Condition

SPELLINGS = 200
"""Random spellings of a scaffold that are looked through for those that end at its open atom."""


def beginnings(scaffold: str, *, kekule: bool = False, seed: int = 0) -> list[str]:
    """Spellings of a scaffold after which whatever is written next is bound to its open atom, shortest first.

    Args:
        scaffold: A SMILES with one ``*`` where it is to be grown; ``[*:1]`` and ``[1*]`` are the same.
        kekule: Without aromatic atoms, as `SmilesTokens` with `kekule` writes.
        seed: Of the random spellings that are tried.

    Raises:
        ParameterError: If RDKit cannot read it, or it has not exactly one open place, at the end of one
            single bond.

    Example:
        >>> beginnings("*c1ccccc1")[0], beginnings("CC(=O)N*")[0]
        ('c1ccccc1', 'CC(=O)N')
    """
    mol = _opened(scaffold)
    open_atoms = [] if mol is None else _open_atoms(mol)
    if len(open_atoms) != 1 or open_atoms[0].GetDegree() != 1 or mol.GetNumAtoms() < 2:
        raise ParameterError(
            f"A scaffold is a SMILES with one `*`, bound to one atom, where it is grown; got {scaffold!r}.",
            hint='Write "*c1ccccc1" for anything bound to a benzene ring.',
        )
    if open_atoms[0].GetBonds()[0].GetBondType() != rdkit_module().BondType.SINGLE:
        raise ParameterError(f"The bond to `*` must be a single one; got {scaffold!r}.")
    if kekule:
        rdkit_module().Kekulize(mol, clearAromaticFlags=True)
    spelled = rdkit_module().MolToRandomSmilesVect(mol, SPELLINGS, randomSeed=1 + seed, kekuleSmiles=kekule)
    ending = {text[:-1] for text in spelled if text.endswith("*")}
    return sorted(ending, key=lambda text: (len(text), text))


def growing_domain(
    domain: Domain[str], codec: SmilesTokens, scaffold: str, *, spellings: int = 4, seed: int = 0
) -> Domain[str]:
    """The same domain for molecules that keep a scaffold: samples begin with it, and others are invalid.

    Args:
        domain: Of the chain.
        codec: Of the chain's rows.
        scaffold: A SMILES with one ``*`` where it is to be grown.
        spellings: How many of the shortest `beginnings` are taken, in tokens; each sample has one of them.
        seed: Of `beginnings`.

    Raises:
        ParameterError: As `beginnings`, or if no spelling can be written in the codec's tokens.
    """
    known = [text for text in beginnings(scaffold, kekule=codec.kekule, seed=seed) if codec.split(text)]
    if not known:
        raise ParameterError(f"{scaffold!r} has symbols that the chain does not write.")
    shortest = sorted(known, key=lambda text: len(codec.split(text)))[:spellings]
    allowed = torch.cat([codec.beginning(text) for text in shortest])
    kept = scaffold_filter(scaffold)

    def why_invalid(design: str) -> str:
        return domain.why_invalid(design) or kept(design)

    return replace(
        domain,
        condition=_drawn(allowed),
        is_valid=lambda design: not why_invalid(design),
        why_invalid=why_invalid,
    )


def _drawn(allowed: Tensor) -> Callable[[int, torch.Generator | None], Condition]:
    def condition(batch_size: int, generator: torch.Generator | None = None) -> Condition:
        return allowed[torch.randint(len(allowed), (batch_size,), generator=generator)]

    return condition


def scaffold_filter(scaffold: str) -> Callable[[str], str]:
    """Why a readable SMILES does not hold the scaffold, grown or not, "" where it does.

    A scaffold with stereo marks is held only with them, and with something grown or as it is. A mark asks for
    nothing where the design has no stereocentre, for instance where it grew what stands on the other side.
    """
    chem = rdkit_module()
    mol = _opened(scaffold)
    core = chem.DeleteSubstructs(mol, smarts("[#0]"))
    pattern, marked, ungrown = chem.MolToSmiles(core), _places(mol, given=True), _ungrown(mol)
    query = _any_atom_grown(mol)
    matching = chem.SubstructMatchParameters()
    matching.useChirality = matching.specifiedStereoQueryMatchesUnspecified = True
    matching.uniquify = False

    def keeps_marks(found: Any) -> bool:
        undecided = _places(found, given=False)
        return any(
            undecided.isdisjoint(frozenset(match[i] for i in place) for place in marked)
            for match in found.GetSubstructMatches(query, matching)
        )

    def why_not(design: str) -> str:
        found = parsed(design)
        if not found.HasSubstructMatch(core):
            return f"the scaffold {pattern} is absent"
        if not marked or chem.MolToSmiles(found) == ungrown or keeps_marks(found):
            return ""
        return f"the scaffold {chem.MolToSmiles(mol)} is there, but not with its stereo marks"

    return why_not


def _opened(scaffold: str) -> Any:
    """The RDKit molecule of a scaffold with plain dummy atoms, or None where RDKit cannot read it."""
    mol = parsed(unmapped(scaffold))
    for atom in [] if mol is None else _open_atoms(mol):
        atom.SetIsotope(0)
    return mol


def _open_atoms(mol: Any) -> list[Any]:
    return [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]


def _ungrown(mol: Any) -> str:
    """Canonical SMILES of a scaffold with a hydrogen in its open place."""
    closed = rdkit_module().Mol(mol)
    for atom in _open_atoms(closed):
        atom.SetAtomicNum(1)
    every = rdkit_module().RemoveHsParameters()
    every.removeDefiningBondStereo = True
    return str(rdkit_module().CanonSmiles(rdkit_module().MolToSmiles(rdkit_module().RemoveHs(closed, every))))


def _any_atom_grown(mol: Any) -> Any:
    """A query of a scaffold: any atom in its open place, by any bond."""
    chem = rdkit_module()
    query = chem.RWMol(mol)
    for atom in _open_atoms(query):
        query.ReplaceBond(atom.GetBonds()[0].GetIdx(), chem.BondFromSmarts("~"))
        query.ReplaceAtom(atom.GetIdx(), chem.AtomFromSmarts("*"))
    return query


def _places(mol: Any, *, given: bool) -> set[frozenset[int]]:
    """The atoms of each stereocentre and each end pair of a stereo bond whose form is given, or is not."""
    chem = rdkit_module()
    places = set()
    for info in chem.FindPotentialStereo(mol):
        if (info.specified == chem.StereoSpecified.Specified) == given:
            bond = mol.GetBondWithIdx(info.centeredOn) if info.type == chem.StereoType.Bond_Double else None
            ends = [info.centeredOn] if bond is None else [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]
            places.add(frozenset(ends))
    return places
