"""Train `zinc-tokens`: drug-size molecules, written from left to right as fragments of SMILES.

    python recipes/zinc_tokens.py train --data DATA --work runs/zinc-tokens
    python recipes/zinc_tokens.py export --data DATA --work runs/zinc-tokens

DATA is the folder with ``zinc250k/zinc250k.smi.gz`` (SEIKO_DATA by default). `train` can be stopped and
started again; it goes on from its checkpoint. `export` writes the averaged weights in half precision and the
model card, with the quality of 10,000 samples, into the package; of a run that is not finished too.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem

from cards import PACKAGE, stage_parser, write_card
from molecule_cards import compare, percentages, property_table, shares
from seiko.chain import sample
from seiko.chains import LeftToRight
from seiko.checkpoints import load_weights, tensors_to_bytes, write_atomically
from seiko.domains.molecule_grammar import bond_orders
from seiko.domains.molecule_properties import molecule_property
from seiko.domains.molecule_tokens import ATOM, SmilesTokens, kekulized, learn_tokens
from seiko.pretraining import Pretraining, averaged_weights, pretrain
from seiko.zoo.molecule_tokens import build

NETWORK = {"width": 448, "num_layers": 2, "embedding": 256}
SETTINGS = Pretraining(
    num_iterations=18_000,
    batch_size=128,
    learning_rate=2e-3,
    warmup=200,
    weight_decay=0.01,
    ema_decay=0.999,
    checkpoint_every=200,
)
NUM_TOKENS, LEARNED_FROM = 300, 60_000
HELD_OUT, NUM_SAMPLES = 2000, 10_000
FEWER_STEPS = (24, 18)
TEMPERATURE = 0.95
"""Logits are divided by it at the end: fewer of the rare tokens after which a ring is forgotten."""
PROPERTIES = ("qed", "logp", "sa", "weight")


class Molecules:
    """ZINC250k in the canonical spelling, its tokens and its rows; kept in the work folder."""

    def __init__(self, data: Path, work: Path) -> None:
        self.file, self.work = data / "zinc250k" / "zinc250k.smi.gz", work
        work.mkdir(parents=True, exist_ok=True)

    @cached_property
    def smiles(self) -> list[str]:
        """In an order of its own: the first `HELD_OUT` are held out."""
        cache = self.work / "canonical.txt"
        if not cache.exists():
            found = {canonical(text) for text in gzip.decompress(self.file.read_bytes()).decode().split()}
            shuffled = np.random.default_rng(0).permutation(sorted(found)).tolist()
            write_atomically(cache, "\n".join(shuffled).encode())
        return cache.read_text().split()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Tokens learned from a part of the data, positions for the longest molecule, and all bond orders."""
        cache = self.work / "tokens.json"
        if not cache.exists():
            spelled = [kekulized(text) for text in self.smiles]
            tokens = learn_tokens(spelled[HELD_OUT : HELD_OUT + LEARNED_FROM], NUM_TOKENS)
            loose = SmilesTokens(tokens, 1000)
            longest = max(len(loose.split(text)) for text in spelled)
            facts = {"tokens": tokens, "length": longest + 1, "valences": bond_orders(spelled)}
            write_atomically(cache, json.dumps(facts).encode())
        return dict(json.loads(cache.read_text()))

    @cached_property
    def codec(self) -> SmilesTokens:
        return SmilesTokens(tuple(self.facts["tokens"]), self.facts["length"], kekule=True)

    def rows(self, smiles: Sequence[str]) -> torch.Tensor:
        """Kinds of molecules; those with symbols that hardly ever occur are left out."""
        return self.codec.encode(smiles, skip=True)

    @cached_property
    def training_rows(self) -> torch.Tensor:
        return self.rows(self.smiles[HELD_OUT:])

    @cached_property
    def card(self) -> dict[str, Any]:
        """What `build` needs."""
        return {
            "name": "zinc-tokens",
            "family": "molecule tokens",
            "tokens": list(self.codec.tokens),
            "length": self.codec.length,
            "kekule": True,
            "valences": self.facts["valences"],
            "default_steps": self.codec.length,
            "elements": ["C", "N", "O", "F", "P", "S", "Cl", "Br", "I"],
            "max_atoms": 50,
            "charges": "any",
            "network": NETWORK,
        }

    def chain(self) -> LeftToRight:
        with torch.random.fork_rng():
            torch.manual_seed(SETTINGS.seed)
            return build(self.card, self.codec.length)[0]


def canonical(smiles: str) -> str:
    return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)))


def train(molecules: Molecules, device: str = "cpu") -> None:
    started = time.process_time()
    chain, work = molecules.chain().to(device), molecules.work
    held_out = molecules.rows(molecules.smiles[:HELD_OUT]).to(device)

    def log(iteration: int, loss: float) -> None:
        line = {"iteration": iteration, "loss": loss, "cpu_seconds": round(time.process_time() - started, 1)}
        if iteration % (5 * SETTINGS.checkpoint_every) == 0:
            line |= peek(chain, held_out, molecules)
        with (work / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)

    checkpoint = work / "checkpoint.safetensors"
    pretrain(chain, molecules.training_rows, SETTINGS, checkpoint=checkpoint, on_checkpoint=log)


@torch.no_grad()
def bound(chain: LeftToRight, rows: torch.Tensor) -> float:
    """Mean negative log-likelihood in nats."""
    return float(torch.cat([chain.loss(part) for part in rows.split(500)]).mean())


def peek(chain: LeftToRight, rows: torch.Tensor, molecules: Molecules) -> dict[str, float]:
    """The held-out loss, and the validity of a few samples, of the weights as they are."""
    generator = torch.Generator(rows.device).manual_seed(0)
    designs = molecules.codec.decode(sample(chain, 500, generator=generator))
    valid = sum(not design.startswith("invalid") for design in designs)
    return {"held_out_nats": round(bound(chain, rows), 3), "valid": valid / len(designs)}


def describe(smiles: Sequence[str]) -> dict[str, np.ndarray]:
    molecules = [Chem.MolFromSmiles(text) for text in smiles]
    return {name: np.array([molecule_property(name)(mol) for mol in molecules]) for name in PROPERTIES}


def quality(card: dict[str, Any], chain: LeftToRight, num_steps: int, known: set[str]) -> dict[str, Any]:
    """Validity, uniqueness and novelty of samples, and how fast they come."""
    shorter, domain = LeftToRight(chain.network, num_steps, chain.grammar), build(card, num_steps)[1]
    start = time.process_time()
    states = sample(shorter, NUM_SAMPLES, generator=torch.Generator().manual_seed(1), batch_size=500)
    seconds = time.process_time() - start
    numbers, valid = shares(domain.decode(states, None), domain, known)
    written = (states != 0).sum(1).clamp_max(num_steps - 1) + 1
    return {
        "num_steps": num_steps,
        "samples": NUM_SAMPLES,
        **numbers,
        "samples_per_cpu_second": round(NUM_SAMPLES / seconds, 1),
        "tokens_per_molecule": round(float(written.double().mean()), 2),
        "symbols_per_molecule": round(float(np.mean([len(ATOM.findall(text)) for text in valid])), 2),
        "designs": valid,
    }


def export(molecules: Molecules) -> None:
    chain, work, smiles = molecules.chain(), molecules.work, molecules.smiles
    averages, iterations = averaged_weights(work / "checkpoint.safetensors")
    for name in ("head.weight", "head.bias"):
        averages[name] = averages[name] / TEMPERATURE
    half = {name: tensor.half() for name, tensor in averages.items()}
    load_weights(chain.network, half)
    weights = tensors_to_bytes(half, {"name": "zinc-tokens"})
    measured = [
        quality(molecules.card, chain, steps, set(smiles)) for steps in (molecules.codec.length, *FEWER_STEPS)
    ]
    reference = describe(smiles[:NUM_SAMPLES])
    measured[0]["properties"] = compare(describe(measured[0]["designs"]), reference)
    for row in measured:
        del row["designs"]
        print(json.dumps(row), flush=True)
    log = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    sessions = [
        a["cpu_seconds"]
        for a, b in zip(log, [*log[1:], None], strict=True)
        if not b or b["cpu_seconds"] < a["cpu_seconds"]
    ]
    card = molecules.card | {
        "parameters": sum(p.numel() for p in chain.parameters()),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "data": "ZINC250k (Irwin et al. 2012; Gomez-Bombarelli et al. 2018), as in PMO (Gao et al. 2022)",
        "data_sha256": hashlib.sha256(molecules.file.read_bytes()).hexdigest(),
        "molecules": len(smiles),
        "held_out": HELD_OUT,
        "held_out_nats": round(bound(chain, molecules.rows(smiles[:HELD_OUT])), 3),
        "training": asdict(SETTINGS),
        "training_iterations": iterations,
        "temperature": TEMPERATURE,
        "training_cpu_minutes": round(sum(sessions) / 60, 1),
        "quality": measured,
        "recipe": "recipes/zinc_tokens.py",
    }
    write_card(PACKAGE / "zoo" / "zinc-tokens", weights, card, card_text(card))


def card_text(card: dict[str, Any]) -> str:
    done, wanted = card["training_iterations"], card["training"]["num_iterations"]
    best = card["quality"][0]
    lines = [
        "# zinc-tokens",
        "",
        f"Drug-size molecules written from left to right, in {len(card['tokens'])} fragments of SMILES: "
        f"masked diffusion with a fixed order of reveal. {card['parameters']:,} parameters, licence "
        "Apache-2.0.",
        "",
        f"- Data: {card['data']}: {card['molecules']:,} molecules with stereo and charges, sha256 "
        f"`{card['data_sha256']}`; {card['held_out']:,} held out.",
        f"- Training: `{card['recipe']}`, seed {card['training']['seed']}, {done:,} of {wanted:,} iterations "
        f"of {card['training']['batch_size']} molecules, {card['training_cpu_minutes']} minutes of one CPU "
        "core.",
        f"- Logits divided by {card['temperature']}, the weights of the last layer that is.",
        f"- Negative log-likelihood of the held-out molecules: {card['held_out_nats']} nats.",
        f"- A molecule of {best['symbols_per_molecule']} SMILES symbols takes {best['tokens_per_molecule']} "
        "tokens in the mean, the end included.",
        f"- Weights in half precision: sha256 `{card['weights_sha256']}`.",
        "",
        f"Quality of {NUM_SAMPLES:,} samples (seed 1). With fewer steps longer molecules are cut off:",
        "",
        "| steps | valid | unique of valid | novel of unique | samples a CPU second |",
        "|---|---|---|---|---|",
    ]
    for row in card["quality"]:
        numbers = percentages(row, "valid", "unique_of_valid", "novel_of_unique")
        lines.append(f"| {row['num_steps']} | {numbers} | {row['samples_per_cpu_second']:.0f} |")
    lines += [
        "",
        f"Valid: RDKit reads it, connected, no radicals. Novel: not in the data. Valid samples of all steps "
        f"beside {NUM_SAMPLES:,} molecules of the data:",
        "",
        *property_table(best["properties"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = stage_parser(__doc__, "runs/zinc-tokens")
    parser.add_argument("--data", type=Path, default=os.environ.get("SEIKO_DATA"))
    parser.add_argument("--device", default="cpu", help="Where to train, such as cuda.")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of the data with --data, or set SEIKO_DATA")
    molecules = Molecules(arguments.data, arguments.work)
    if arguments.stage == "train":
        train(molecules, arguments.device)
    else:
        export(molecules)


if __name__ == "__main__":
    main()
