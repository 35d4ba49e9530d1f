"""The process that docks: reads one JSON object a line, answers one a line. Run by `seiko.oracles.docking`.

The first line is the configuration; the answer ``{"ready": true}`` says that the receptor's maps are
computed, once for each seed. Each further line is one molecule and one seed. The end of the input ends it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from seiko.domains.molecule_identity import MoleculeRules
from seiko.errors import MissingDependencyError
from seiko.oracles.ligands import LigandLimits, UndockableError, prepare_ligand


def vina() -> Any:
    """The class of AutoDock Vina's Python bindings; MissingDependencyError where it cannot be imported."""
    try:
        from vina import Vina
    except ImportError as error:
        raise MissingDependencyError(
            f"Docking needs the package vina, which cannot be imported ({error}).",
            hint="Install seiko with the extra `docking`: pip install 'seiko[docking]'.",
        ) from error
    return Vina


def engines(
    pdbqt: str, center: Sequence[float], size: Sequence[float], seeds: Sequence[int]
) -> dict[int, Any]:
    """One Vina for each seed, on one core, with the receptor's maps computed."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "receptor.pdbqt"
        path.write_text(pdbqt)
        for seed in seeds:
            engine = vina()(sf_name="vina", cpu=1, seed=seed, verbosity=0)
            engine.set_receptor(str(path))
            engine.compute_vina_maps(center=list(center), box_size=list(size))
            made[seed] = engine
    return made


def said(error: Exception) -> str:
    """What an error says, on one line; of Vina's own only what comes before its list of signatures."""
    text = str(error).partition("Additional information")[0]
    return f"{type(error).__name__}: {' '.join(text.split())[:300]}"


def dock(
    engine: Any, smiles: str, seed: int, fidelity: Mapping[str, int], limits: LigandLimits
) -> dict[str, Any]:
    """The answer for one molecule and one seed: energy in kcal/mol and pose, or the fault and its kind.

    What is infeasible is "refused" where no other seed can change it.
    """
    started = time.perf_counter()
    try:
        engine.set_ligand_from_string(prepare_ligand(smiles, seed=seed, limits=limits))
        engine.dock(n_poses=1, **fidelity)
        energy = float(engine.energies(n_poses=1)[0][0])
        answer: dict[str, Any] = {"energy": energy, "pose": engine.poses(n_poses=1)}
    except UndockableError as error:
        answer = {"infeasible": error.message, "refused": bool(limits.why_not(smiles))}
    except Exception as error:  # whatever Vina or RDKit raises is this molecule's failure, not the worker's
        answer = {"failed": said(error)}
    return answer | {"seconds": time.perf_counter() - started}


def serve(source: TextIO, sink: TextIO) -> None:
    """Answer all lines of `source`."""

    def answer(content: Mapping[str, Any]) -> None:
        sink.write(json.dumps(content) + "\n")
        sink.flush()

    config = json.loads(source.readline())
    limits = LigandLimits(MoleculeRules(**config["rules"]), config["max_torsions"])
    try:
        made = engines(config["pdbqt"], config["center"], config["size"], config["seeds"])
    except Exception as error:
        answer({"error": said(error)})
        return
    answer({"ready": True})
    for line in source:
        job = json.loads(line)
        answer(dock(made[job["seed"]], job["smiles"], job["seed"], config["fidelity"], limits))


def main() -> None:
    """Serve on the standard streams; what libraries print goes to the standard error instead."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, own)


if __name__ == "__main__":
    main()
