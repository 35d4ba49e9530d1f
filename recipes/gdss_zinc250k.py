"""Sample GDSS with the published weights and measure the molecules: validity, QED, uniqueness, time.

    python recipes/gdss_zinc250k.py gdss_zinc250k_v2.pth --num-samples 1000 --out gdss.json

Batches are kept in a folder beside the report, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from rdkit import Chem
from rdkit.Chem import QED

from seiko.chain import rollout
from seiko.checkpoints import read_tensors, tensors_to_bytes, write_atomically
from seiko.domains.graph_molecule import ContinuousGraph
from seiko.domains.molecule_identity import INVALID
from seiko.zoo.gdss import load_gdss


def sampled(settings: argparse.Namespace) -> tuple[dict[str, torch.Tensor], float]:
    """Last states of all batches, and the seconds of processor time they took."""
    chain, domain = load_gdss(
        settings.weights, diffusion_steps=settings.diffusion_steps, solver=settings.solver, start_steps=0
    )
    if settings.snr or settings.noise_factor:
        changes = {
            name: getattr(settings, name) for name in ("snr", "noise_factor") if getattr(settings, name)
        }
        leaves = {name: dataclasses.replace(leaf, **changes) for name, leaf in chain.process.noises.items()}
        chain = chain.with_process(dataclasses.replace(chain.process, **leaves))
    folder = settings.out.with_suffix("")
    parts, seconds = [], 0.0
    for number in range(-(-settings.num_samples // settings.batch_size)):
        path = folder / f"{number}.safetensors"
        if not path.is_file():
            generator = torch.Generator().manual_seed(1000 * settings.seed + number)
            condition = domain.condition(settings.batch_size, generator)
            began = time.process_time()
            for step in rollout(chain, settings.batch_size, condition=condition, generator=generator):
                last = step.next_state
            metadata = {"seconds": time.process_time() - began}
            write_atomically(path, tensors_to_bytes(last, metadata))
            print(f"batch {number}: {metadata['seconds']:.1f} s", flush=True)
        tensors, metadata = read_tensors(path)
        parts.append(tensors)
        seconds += metadata["seconds"]
    states = {name: torch.cat([part[name] for part in parts])[: settings.num_samples] for name in parts[0]}
    return states, seconds


def measured(states: dict[str, torch.Tensor]) -> dict[str, float]:
    """Validity with correction, without it and strictly (one fragment, no correction); QED; uniqueness."""
    rows = ContinuousGraph().decode_rows(states)
    bare = ContinuousGraph(correct=False).decode(states)
    strict = ContinuousGraph(correct=False, largest_fragment=False).decode(states)
    good = [row.smiles for row in rows if not row.smiles.startswith(INVALID)]
    scores = torch.tensor([QED.qed(Chem.MolFromSmiles(smiles)) for smiles in good])

    def share(texts: list[str]) -> float:
        return sum(not text.startswith(INVALID) for text in texts) / len(rows)

    return {
        "valid": len(good) / len(rows),
        "valid_without_correction": share(bare),
        "valid_and_connected_without_correction": share(strict),
        "unique": len(set(good)) / max(len(good), 1),
        "qed_mean": float(scores.mean()),
        "qed_std": float(scores.std()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--num-samples", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=125)
    parser.add_argument("--diffusion-steps", type=int, default=300)
    parser.add_argument("--solver", default="splitting")
    parser.add_argument("--snr", type=float, default=None)
    parser.add_argument("--noise-factor", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("gdss.json"))
    settings = parser.parse_args()
    states, seconds = sampled(settings)
    given = {name: str(value) for name, value in vars(settings).items() if name not in ("weights", "out")}
    report = measured(states) | {"seconds": seconds, "settings": given}
    write_atomically(settings.out, json.dumps(report, indent=2).encode())
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
