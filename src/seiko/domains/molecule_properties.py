"""Numbers of one molecule that chemists set ranges for; functions of an RDKit molecule."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from seiko.domains.molecule_identity import rdkit_module
from seiko.errors import MissingDependencyError, ParameterError


@cache
def sascorer() -> ModuleType:
    """RDKit's contributed module of the synthetic accessibility score.

    Raises:
        MissingDependencyError: If RDKit was installed without its contributed modules.
    """
    config = rdkit_module("rdkit.RDConfig")
    path = Path(config.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("_seiko_sascorer", path)
    if spec is None or spec.loader is None or not path.exists():
        raise MissingDependencyError(
            f"The synthetic accessibility score needs RDKit's contributed module {path}, which is missing.",
            hint="Install RDKit from PyPI (pip install rdkit), which includes it.",
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _descriptor(name: str) -> Callable[[Any], float]:
    return lambda mol: float(getattr(rdkit_module("rdkit.Chem.rdMolDescriptors"), name)(mol))


def _largest_ring(mol: Any) -> float:
    return float(max((len(ring) for ring in mol.GetRingInfo().AtomRings()), default=0))


PROPERTIES: Mapping[str, Callable[[Any], float]] = MappingProxyType(
    {
        "logp": lambda mol: rdkit_module("rdkit.Chem.rdMolDescriptors").CalcCrippenDescriptors(mol)[0],
        "qed": lambda mol: float(rdkit_module("rdkit.Chem.QED").qed(mol)),
        "sa": lambda mol: float(sascorer().calculateScore(mol)),
        "weight": _descriptor("_CalcMolWt"),
        "tpsa": _descriptor("CalcTPSA"),
        "donors": _descriptor("CalcNumHBD"),
        "acceptors": _descriptor("CalcNumHBA"),
        "rotatable": _descriptor("CalcNumRotatableBonds"),
        "rings": _descriptor("CalcNumRings"),
        "aromatic_rings": _descriptor("CalcNumAromaticRings"),
        "largest_ring": _largest_ring,
        "heavy_atoms": lambda mol: float(mol.GetNumHeavyAtoms()),
        "fraction_sp3": _descriptor("CalcFractionCSP3"),
        "charge": lambda mol: float(rdkit_module().GetFormalCharge(mol)),
        "stereocentres": lambda mol: float(
            rdkit_module("rdkit.Chem.rdMolDescriptors").CalcNumAtomStereoCenters(mol)
        ),
    }
)
"""Properties by name. logP by Crippen's contributions; SA from 1 (easy) to 10; weight in g/mol with natural
isotopes; TPSA in square Angstrom; donors and acceptors of hydrogen bonds as RDKit counts them."""


def molecule_property(name: str) -> Callable[[Any], float]:
    """The property of a name.

    Raises:
        ParameterError: If there is none.
    """
    if name not in PROPERTIES:
        raise ParameterError(f"There is no property {name!r}.", hint=f"There are {', '.join(PROPERTIES)}.")
    return PROPERTIES[name]
