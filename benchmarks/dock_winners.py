"""Dock the best molecules of docking campaigns again, with all of Vina's effort, and draw them.

    python benchmarks/dock_winners.py runs.jsonl --output benchmarks/results/dock-winners.jsonl \\
        --drawing docs/images/dock_winners.svg

`runs.jsonl` is what ``seiko bench run --task dock-parp1 ...`` wrote, not compact. Of each method the best
molecules of all its seeds are docked with `FULL` effort and three seeds of the search. Each line: the
molecule, its quick reading and its full one.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from seiko.oracles.docking import FULL, Docking
from seiko.oracles.receptors import load_receptor
from seiko.results import Drawn, Result
from seiko.web.base import label

SEEDS = (1, 2, 3)


def winners(runs: list[Result], count: int) -> dict[str, list[Drawn]]:
    """The best molecules of each method over all its seeds, each once."""
    found: dict[str, dict[str, Drawn]] = defaultdict(dict)
    for run in runs:
        for drawn in run.top_designs:
            found[run.method].setdefault(drawn.design, drawn)
    return {
        method: sorted(designs.values(), key=lambda drawn: -(drawn.value or 0.0))[:count]
        for method, designs in found.items()
    }


def grid(rows: list[dict], columns: int) -> str:
    """An SVG of the molecules, a row for each method; in brackets the standard error over the seeds."""
    drawing = rdMolDraw2D.MolDraw2DSVG(columns * 260, -(-len(rows) // columns) * 220, 260, 220)
    legends = [f"{label(row['method'])}: {row['full']:.1f} ({row['full_std']:.1f})" for row in rows]
    drawing.DrawMolecules([Chem.MolFromSmiles(row["smiles"]) for row in rows], legends=legends)
    drawing.FinishDrawing()
    return str(drawing.GetDrawingText())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("--count", type=int, default=10, help="molecules of each method")
    parser.add_argument("--drawn", type=int, default=5, help="of these in the drawing")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("dock-winners.jsonl"))
    parser.add_argument("--drawing", type=Path, default=Path("dock-winners.svg"))
    settings = parser.parse_args()
    runs = [Result.from_json(line) for line in settings.runs.read_text().splitlines() if line.strip()]
    (task,) = {run.task for run in runs}
    receptor = load_receptor(task.removeprefix("dock-"))
    rows: list[dict] = []
    with Docking(receptor, fidelity=FULL, seeds=SEEDS, processes=settings.processes, timeout=600) as docking:
        for method, best in winners(runs, settings.count).items():
            docked = docking.dock([drawn.design for drawn in best])
            for drawn, result in zip(best, docked, strict=True):
                reading = result.observation()
                about = {"task": task, "method": method, "smiles": drawn.design, "quick": drawn.value}
                rows.append(about | {"full": reading.value, "full_std": reading.noise_std})
                print(json.dumps(rows[-1]), flush=True)
    settings.output.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scored = [row for row in rows if row["full"] is not None]
    shown: list[dict] = []
    for method in dict.fromkeys(row["method"] for row in scored):
        own = sorted((row for row in scored if row["method"] == method), key=lambda row: -row["full"])
        shown += own[: settings.drawn]
    settings.drawing.write_text(grid(shown, settings.drawn))


if __name__ == "__main__":
    main()
