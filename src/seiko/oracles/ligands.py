"""Ligands for docking: from a SMILES to a 3-D structure in PDBQT, and back from a pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seiko.domains.molecule_identity import MoleculeRules, parsed, rdkit_module
from seiko.errors import MissingDependencyError, SeikoError

VINA_ELEMENTS = ("C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I")
"""Heavy atoms that AutoDock Vina has parameters for."""

EMBEDDING_TRIES = 30


class UndockableError(SeikoError):
    """A molecule cannot be docked, whatever is tried: its reason is a property of the molecule."""


@dataclass(frozen=True)
class LigandLimits:
    """Which molecules are docked at all.

    Args:
        rules: Elements, size and form; a salt is not stripped but refused, for it is another design.
        max_torsions: Most rotatable bonds; Vina's search does not converge far beyond 20.
    """

    rules: MoleculeRules = MoleculeRules(VINA_ELEMENTS, max_atoms=80, max_length=300)
    max_torsions: int = 24

    def why_not(self, smiles: str) -> str:
        """The reason why a SMILES is not docked, whatever the seed; "" where it is tried."""
        return self.rules.why_not(smiles) or self.why_too_flexible(_rotatable(smiles))

    def why_too_flexible(self, torsions: int) -> str:
        """The reason why so many rotatable bonds are too many, "" where they are not."""
        if torsions <= self.max_torsions:
            return ""
        return f"{torsions} rotatable bonds, at most {self.max_torsions} are docked"


def meeko() -> Any:
    """The package meeko; MissingDependencyError where it cannot be imported."""
    try:
        import meeko as module
    except ImportError as error:
        raise MissingDependencyError(
            f"Docking needs the package meeko, which cannot be imported ({error}).",
            hint="Install seiko with the extra `docking`: pip install 'seiko[docking]'.",
        ) from error
    return module


def embed(smiles: str, *, seed: int, limits: LigandLimits | None = None) -> Any:
    """An RDKit molecule with hydrogens and one 3-D conformer.

    ETKDG (Riniker and Landrum, J. Chem. Inf. Model. 55:2562, 2015) with a fixed seed, then at most 500 steps
    of MMFF94s, or of UFF where that has no parameters. A stereocentre without a mark takes one form or the
    other, by the seed.

    Raises:
        UndockableError: If the molecule breaks the rules, or no structure is found.
    """
    canonical, reason = (limits or LigandLimits()).rules.read(smiles)
    if reason:
        raise UndockableError(reason)
    force_fields = rdkit_module("rdkit.Chem.rdForceFieldHelpers")
    geometry = rdkit_module("rdkit.Chem.rdDistGeom")
    with rdkit_module("rdkit.rdBase").BlockLogs():
        mol = rdkit_module().AddHs(rdkit_module().MolFromSmiles(canonical))
        settings = geometry.ETKDGv3()
        settings.randomSeed, settings.maxIterations = seed, EMBEDDING_TRIES
        if geometry.EmbedMolecule(mol, settings) < 0:
            settings.useRandomCoords = True
            if geometry.EmbedMolecule(mol, settings) < 0:
                raise UndockableError("no 3-D structure with this stereochemistry was found")
        if force_fields.MMFFHasAllMoleculeParams(mol):
            force_fields.MMFFOptimizeMolecule(mol, mmffVariant="MMFF94s", maxIters=500)
        elif force_fields.UFFHasAllMoleculeParams(mol):
            force_fields.UFFOptimizeMolecule(mol, maxIters=500)
    return mol


def prepare_ligand(smiles: str, *, seed: int = 1, limits: LigandLimits | None = None) -> str:
    """A molecule as PDBQT: torsions free, rings rigid in the embedded form, polar hydrogens kept.

    Raises:
        UndockableError: If it breaks the limits, no structure is found, or meeko cannot type an atom.
        MissingDependencyError: If meeko is not installed.
    """
    limits = limits or LigandLimits()
    if reason := limits.why_not(smiles):  # before embedding, which a long chain makes very slow
        raise UndockableError(reason)
    mol = embed(smiles, seed=seed, limits=limits)
    try:
        setups = meeko().MoleculePreparation(rigid_macrocycles=True).prepare(mol)
        pdbqt, is_ok, reason = meeko().PDBQTWriterLegacy.write_string(setups[0])
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise UndockableError(f"meeko cannot prepare it: {error}") from error
    if not is_ok:
        raise UndockableError(f"meeko cannot prepare it: {reason.strip()}")
    torsions = sum(line.startswith("BRANCH") for line in pdbqt.splitlines())
    if reason := limits.why_too_flexible(torsions):
        raise UndockableError(reason)
    return str(pdbqt)


def _rotatable(smiles: str) -> int:
    mol = parsed(smiles)
    return 0 if mol is None else rdkit_module("rdkit.Chem.rdMolDescriptors").CalcNumRotatableBonds(mol)


def pose_molecule(pose: str) -> Any:
    """An RDKit molecule, with hydrogens, in the pose of a PDBQT text that docking gave."""
    molecule = meeko().PDBQTMolecule(pose, skip_typing=True)
    return meeko().RDKitMolCreate.from_pdbqt_mol(molecule)[0]
