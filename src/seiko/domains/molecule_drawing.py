"""Drawings of molecules: self-contained SVG."""

from __future__ import annotations

from seiko.domains.molecule_identity import rdkit_module, readable


def draw_molecule(design: str, *, width: int = 220, height: int = 160) -> str:
    """The structural formula as a self-contained ``<svg>`` fragment on a transparent ground."""
    draw = rdkit_module("rdkit.Chem.Draw.rdMolDraw2D")
    drawing = draw.MolDraw2DSVG(width, height)
    drawing.drawOptions().clearBackground = False
    draw.PrepareAndDrawMolecule(drawing, readable(design))
    drawing.FinishDrawing()
    return drawing.GetDrawingText().partition("?>")[2].strip()
