"""Train `qm9-graph`: masked diffusion over the molecular graphs of QM9.

    python recipes/qm9_graph.py train --data qm9_smiles.txt.gz --work runs/qm9-graph
    python recipes/qm9_graph.py export --data qm9_smiles.txt.gz --work runs/qm9-graph

`train` can be stopped and started again; it goes on from its checkpoint. `export` writes the averaged weights
and the model card, with the quality of 10,000 samples, into the package.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import QED, Crippen

from cards import PACKAGE, stage_parser, write_card
from molecule_cards import compare, percentages, property_table, shares
from seiko.chain import sample
from seiko.chains import DiffusionChain
from seiko.checkpoints import load_weights, tensors_to_bytes
from seiko.domains.base import Domain
from seiko.domains.molecule import MoleculeGraph, molecule_domain
from seiko.networks.molecular_graph import MolecularGraphNetwork
from seiko.pretraining import Pretraining, averaged_weights, pretrain
from seiko.zoo.molecules import graph_process

NETWORK = {"node_width": 128, "pair_width": 48, "num_layers": 5}
SETTINGS = Pretraining(
    num_iterations=6000,
    batch_size=384,
    learning_rate=1.5e-3,
    warmup=300,
    ema_decay=0.998,
    checkpoint_every=250,
)
HELD_OUT = 2039
ALL_STEPS, DEFAULT_STEPS, FEWER_STEPS = 45, 22, (22, 15)
NUM_SAMPLES = 10_000


def build_chain(graph: MoleculeGraph, seed: int = 0) -> DiffusionChain:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MolecularGraphNetwork(graph.num_atoms, graph.num_atom_kinds, **NETWORK)
    return DiffusionChain(network, graph_process(graph.num_atoms, graph.num_atom_kinds - 1, ALL_STEPS))


def read_smiles(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split()


def encoded(data: Path, work: Path, graph: MoleculeGraph) -> dict[str, torch.Tensor]:
    cache = work / "encoded.npz"
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


def describe(smiles: list[str]) -> dict[str, np.ndarray]:
    """The properties whose distributions the card compares."""
    molecules = [Chem.MolFromSmiles(s) for s in smiles]
    return {
        "logP": np.array([Crippen.MolLogP(m) for m in molecules]),
        "QED": np.array([QED.qed(m) for m in molecules]),
        "heavy atoms": np.array([m.GetNumHeavyAtoms() for m in molecules]),
        "rings": np.array([m.GetRingInfo().NumRings() for m in molecules]),
    }


def quality(
    chain: DiffusionChain, num_steps: int, domain: Domain[str], known: set[str], seed: int
) -> dict[str, Any]:
    """Validity, uniqueness and novelty of samples, and how their properties are distributed."""
    process = graph_process(9, 5, num_steps)
    generator = torch.Generator().manual_seed(seed)
    start = time.perf_counter()
    designs = domain.decode(sample(chain.with_process(process), NUM_SAMPLES, generator=generator), None)
    seconds = time.perf_counter() - start
    numbers, valid = shares(designs, domain, known)
    return {
        "num_steps": num_steps,
        "samples": NUM_SAMPLES,
        **numbers,
        "samples_per_second": round(NUM_SAMPLES / seconds, 1),
        "properties": describe(valid),
    }


@torch.no_grad()
def held_out_bound(chain: DiffusionChain, graph: MoleculeGraph, kinds: dict[str, torch.Tensor]) -> float:
    """Negative evidence bound of held-out molecules with one reveal a step, in nats."""
    generator = torch.Generator().manual_seed(0)
    rows = graph.one_hot({name: leaf[:HELD_OUT] for name, leaf in kinds.items()})
    return float(torch.stack([chain.loss(rows, generator=generator).mean() for _ in range(20)]).mean())


def export(data: Path, work: Path) -> None:
    graph, smiles = MoleculeGraph(), read_smiles(data)
    domain, chain = molecule_domain(graph), build_chain(graph)
    averages, iterations = averaged_weights(work / "checkpoint.safetensors")
    load_weights(chain.network, averages)
    weights = tensors_to_bytes(averages, {"name": "qm9-graph"})
    known = {domain.key(s) for s in smiles}
    rng = np.random.default_rng(0)
    reference = describe([smiles[i] for i in rng.choice(len(smiles), NUM_SAMPLES, replace=False)])
    measured = []
    for steps in (ALL_STEPS, *FEWER_STEPS):
        row = quality(chain, steps, domain, known, seed=1)
        row["properties"] = compare(row["properties"], reference)
        measured.append(row)
        print(json.dumps(row), flush=True)
    log = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    card = {
        "name": "qm9-graph",
        "family": "molecular graph",
        "num_atoms": graph.num_atoms,
        "elements": list(graph.elements),
        "network": NETWORK,
        "parameters": sum(p.numel() for p in chain.parameters()),
        "default_steps": DEFAULT_STEPS,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "data": "QM9 SMILES (Ramakrishnan et al., Sci. Data 1:140022, 2014)",
        "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest(),
        "molecules": len(smiles),
        "held_out": HELD_OUT,
        "held_out_bound_nats": round(held_out_bound(chain, graph, encoded(data, work, graph)), 3),
        "training": asdict(SETTINGS),
        "training_iterations": iterations,
        "training_minutes": round(log[-1]["seconds"] / 60, 1),
        "quality": measured,
        "recipe": "recipes/qm9_graph.py",
    }
    write_card(PACKAGE / "zoo" / "qm9-graph", weights, card, card_text(card))


def card_text(card: dict[str, Any]) -> str:
    lines = [
        "# qm9-graph",
        "",
        f"Masked diffusion over molecular graphs of at most {card['num_atoms']} heavy atoms "
        f"({', '.join(card['elements'])}): atoms and bonds are revealed in random order. "
        f"{card['parameters']:,} parameters, licence Apache-2.0.",
        "",
        f"- Data: {card['data']}, {card['molecules']:,} molecules without stereo, sha256 "
        f"`{card['data_sha256']}`; {card['held_out']:,} held out.",
        f"- Training: `{card['recipe']}`, seed {card['training']['seed']}, {card['training_iterations']} "
        f"iterations of {card['training']['batch_size']} molecules, "
        f"{card['training_minutes']} minutes on one CPU core.",
        f"- Negative evidence bound of the held-out molecules: {card['held_out_bound_nats']} nats.",
        f"- Weights: sha256 `{card['weights_sha256']}`.",
        "- Meant for trying out and testing online fine-tuning on real chemistry. Its molecules are as small "
        "as QM9's and many are not stable compounds.",
        "",
        f"Quality of {NUM_SAMPLES:,} samples (seed 1); {card['default_steps']} steps are the default:",
        "",
        "| steps | valid and connected | unique of valid | novel of unique |",
        "|---|---|---|---|",
    ]
    for row in card["quality"]:
        numbers = percentages(row, "valid", "unique_of_valid", "novel_of_unique")
        lines.append(f"| {row['num_steps']} | {numbers} |")
    lines += [
        "",
        f"Novel: not in the data. Properties of valid samples with {card['quality'][0]['num_steps']} steps "
        f"beside {NUM_SAMPLES:,} molecules of the data:",
        "",
        *property_table(card["quality"][0]["properties"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = stage_parser(__doc__, "runs/qm9-graph")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.stage == "train":
        train(arguments.data, arguments.work)
    else:
        export(arguments.data, arguments.work)


if __name__ == "__main__":
    main()
