"""Drawings of molecules: self-contained SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seiko.domains.molecule_filters import smarts
from seiko.domains.molecule_identity import rdkit_module, readable
from seiko.errors import ParameterError


def draw_molecule(design: str, *, width: int = 220, height: int = 160, highlight: str | None = None) -> str:
    """The structural formula as a self-contained ``<svg>`` fragment on a transparent ground.

    Args:
        design: A SMILES.
        width, height: In pixels.
        highlight: SMARTS of a substructure to mark, such as a kept scaffold; nothing is marked where it is
            absent.

    Raises:
        ParameterError: If RDKit cannot read the SMILES or the SMARTS.
    """
    mol = readable(design)
    drawing = _canvas(width, height)
    atoms = list(mol.GetSubstructMatch(smarts(highlight))) if highlight else []
    rdkit_module("rdkit.Chem.Draw.rdMolDraw2D").PrepareAndDrawMolecule(drawing, mol, highlightAtoms=atoms)
    return _finished(drawing)


def draw_molecules(
    designs: Sequence[str], legends: Sequence[str] | None = None, *, columns: int = 5, size: int = 180
) -> str:
    """Several structural formulas in rows, each over its legend, as one self-contained ``<svg>`` fragment.

    Args:
        designs: SMILES.
        legends: One a design.
        columns: Formulas in a row.
        size: Width of each, in pixels.

    Raises:
        ParameterError: If there is no design, another number of legends, or RDKit cannot read a SMILES.
    """
    if not designs or (legends is not None and len(legends) != len(designs)) or columns < 1:
        raise ParameterError(
            f"A drawing needs designs and one legend each; got {len(designs)} and "
            f"{None if legends is None else len(legends)}, in {columns} columns."
        )
    molecules = [readable(design) for design in designs]
    columns = min(columns, len(designs))
    rows = -(-len(designs) // columns)
    height = size * 4 // 5
    drawing = _canvas(columns * size, rows * height, size, height)
    for mol in molecules:
        rdkit_module("rdkit.Chem.rdDepictor").Compute2DCoords(mol)
    drawing.DrawMolecules(molecules, legends=list(legends or [""] * len(designs)))
    return _finished(drawing)


def _canvas(*sizes: int) -> Any:
    drawing = rdkit_module("rdkit.Chem.Draw.rdMolDraw2D").MolDraw2DSVG(*sizes)
    drawing.drawOptions().clearBackground = False
    return drawing


def _finished(drawing: Any) -> str:
    drawing.FinishDrawing()
    return str(drawing.GetDrawingText().partition("?>")[2].strip())
