"""Train `qm9-graph`: masked diffusion over the molecular graphs of QM9.

    python recipes/qm9_graph.py train --data qm9_smiles.txt.gz --work runs/qm9-graph
    python recipes/qm9_graph.py export --data qm9_smiles.txt.gz --work runs/qm9-graph

`train` can be stopped and started again; it goes on from its checkpoint. `export` writes the averaged weights and
the model card, with the quality of 10,000 samples, into the package.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from pathlib import Path

import torch

from seiko.chain import sample
from seiko.chains import DiffusionChain, Joint, Masked
from seiko.domains.molecule import MoleculeGraph
from seiko.networks.molecular_graph import MolecularGraphNetwork
from seiko.pretraining import Pretraining, pretrain

NETWORK = {"node_width": 128, "pair_width": 48, "num_layers": 5}
SETTINGS = Pretraining(
    num_iterations=6000, batch_size=384, learning_rate=1.5e-3, warmup=300, ema_decay=0.998, checkpoint_every=250
)
HELD_OUT = 2039


def graph_process(graph: MoleculeGraph, num_steps: int) -> Joint:
    """Atoms and bonds revealed in random order, both spread evenly over the steps."""
    return Joint(
        {
            "atoms": Masked(graph.num_atoms, graph.num_atom_kinds - 1, num_steps),
            "bonds": Masked(graph.num_pairs, 4, num_steps),
        }
    )


def build_chain(graph: MoleculeGraph, seed: int = 0) -> DiffusionChain:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MolecularGraphNetwork(graph.num_atoms, graph.num_atom_kinds, **NETWORK)
    return DiffusionChain(network, graph_process(graph, graph.num_atoms + graph.num_pairs))


def read_smiles(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split()


def encoded(data: Path, work: Path, graph: MoleculeGraph) -> dict[str, torch.Tensor]:
    cache = work / "encoded.pt.npz"
    import numpy as np

    if not cache.exists():
        kinds = graph.encode(read_smiles(data))
        np.savez(cache, **{name: leaf.numpy() for name, leaf in kinds.items()})
    with np.load(cache) as file:
        kinds = {name: torch.from_numpy(file[name]) for name in file.files}
    order = torch.randperm(len(kinds["atoms"]), generator=torch.Generator().manual_seed(0))
    return {name: leaf[order] for name, leaf in kinds.items()}


def train(data: Path, work: Path) -> None:
    graph = MoleculeGraph()
    work.mkdir(parents=True, exist_ok=True)
    kinds = encoded(data, work, graph)
    chain = build_chain(graph)
    started = time.time()

    def log(iteration: int, loss: float) -> None:
        line = {"iteration": iteration, "loss": loss, "seconds": round(time.time() - started, 1)}
        with (work / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    pretrain(
        chain,
        {name: leaf[HELD_OUT:] for name, leaf in kinds.items()},
        SETTINGS,
        prepare=graph.one_hot,
        checkpoint=work / "checkpoint.safetensors",
        progress=True,
        on_checkpoint=log,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["train", "export"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/qm9-graph"))
    arguments = parser.parse_args()
    if arguments.stage == "train":
        train(arguments.data, arguments.work)


if __name__ == "__main__":
    main()
