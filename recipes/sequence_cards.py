"""What the cards of the sequence chains say: likelihood of held-out sequences, quality of samples."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cards import PACKAGE, write_card
from seiko.chain import sample
from seiko.chains import DiffusionChain
from seiko.checkpoints import tensors_to_bytes
from seiko.domains.sequence_metrics import (
    hamming_distances,
    hamming_diversity,
    position_weights,
    word_frequencies,
)
from seiko.zoo.sequences import sequence_process
from sequence_data import Data


@torch.no_grad()
def bound(chain: DiffusionChain, rows: Tensor, repeats: int = 20) -> float:
    """Negative evidence bound with one reveal a step, or over the training steps, in nats a position."""
    generator = torch.Generator().manual_seed(0)
    losses = [chain.loss(part, generator=generator).sum() for _ in range(repeats) for part in rows.split(512)]
    return float(torch.stack(losses).sum()) / (repeats * rows.shape[0] * rows.shape[1])


def baseline(recipe: Any, data: Data) -> float:
    """Cross-entropy of held-out sequences under the others' position-weight matrix, in nats a position."""
    weights = np.log(position_weights(data.train, recipe.space.alphabet))
    kinds = recipe.space.encode(data.held_out).numpy()
    return float(-weights[np.arange(recipe.length), kinds].mean())


def from_weights(recipe: Any, data: Data, count: int) -> list[str]:
    """Samples of the position-weight matrix."""
    weights, rng = position_weights(data.train, recipe.space.alphabet), np.random.default_rng(0)
    draws = (rng.random((count, recipe.length, 1)) > weights.cumsum(1)).sum(2).clip(max=weights.shape[1] - 1)
    return recipe.space.decode(recipe.space.one_hot(torch.from_numpy(draws)))


def agreement(designs: Sequence[str], recipe: Any, data: Data) -> dict[str, Any]:
    """How alike samples and data are, and what is new among the samples."""
    alphabet, known = recipe.space.alphabet, [*data.train, *data.held_out]
    k = 3 if len(alphabet.letters) <= 4 else 2
    ours, theirs = position_weights(designs, alphabet), position_weights(known, alphabet)
    words = np.corrcoef(word_frequencies(designs, alphabet, k), word_frequencies(known, alphabet, k))
    row: dict[str, Any] = {
        "position_frequency_rms": round(float(np.sqrt(((ours - theirs) ** 2).mean())), 4),
        f"correlation_of_{k}_letter_words": round(float(words[0, 1]), 4),
        "unique": round(len(set(designs)) / len(designs), 4),
        "novel": round(1 - len(set(designs) & set(known)) / len(set(designs)), 4),
        "diversity": round(hamming_diversity(designs), 4),
        "diversity_of_data": round(hamming_diversity(known), 4),
    }
    if recipe.data == "tfbind8-low":
        low = set(known)
        row["in_the_lower_half"] = round(sum(design in low for design in designs) / len(designs), 4)
    if "parent" in data.facts:
        row["mutations"] = _mutations(designs, data.facts["parent"])
    return row


def _mutations(designs: Sequence[str], parent: str) -> dict[str, Any]:
    counts = hamming_distances(designs, [parent])[:, 0]
    shares = np.bincount(counts.clip(max=16), minlength=17) / len(counts)
    quantiles = np.quantile(counts, [0.05, 0.5, 0.95]).tolist()
    return {
        "mean": round(float(counts.mean()), 3),
        "std": round(float(counts.std()), 3),
        "quantiles_5_50_95": quantiles,
        "share_of_0_to_15_and_more": [round(float(share), 4) for share in shares],
    }


def quality(chain: DiffusionChain, num_steps: int, recipe: Any, data: Data) -> dict[str, Any]:
    """Samples with so many steps."""
    sampler = chain.with_process(sequence_process(recipe.space, recipe.process, num_steps))
    start = time.process_time()
    state = sample(sampler, recipe.num_samples, batch_size=500, generator=torch.Generator().manual_seed(1))
    seconds = time.process_time() - start
    designs = recipe.space.decode(state)
    rate = round(recipe.num_samples / seconds)
    return {"num_steps": num_steps, "samples_per_second": rate} | agreement(designs, recipe, data)


def card_of(
    name: str, recipe: Any, data: Data, chain: DiffusionChain, weights: bytes, work: Path
) -> dict[str, Any]:
    log = [json.loads(line) for line in (work / f"{name}.jsonl").read_text().splitlines()]
    rows = recipe.space.one_hot(recipe.space.encode(data.held_out))
    return {
        "name": name,
        "family": "sequence",
        "alphabet": recipe.alphabet,
        "length": recipe.length,
        "process": recipe.process,
        "both_strands": recipe.both_strands,
        "learned_features": recipe.learned_features,
        "feature_kind": recipe.feature_kind,
        **data.facts,
        "network": recipe.network,
        "parameters": sum(p.numel() for p in chain.parameters()),
        "default_steps": recipe.default_steps,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "data": data.text,
        "data_sha256": data.sha256,
        "sequences": len(data.train),
        "held_out": len(data.held_out),
        "held_out_bound_nats_a_position": round(bound(chain, rows), 5),
        "position_weight_matrix_nats_a_position": round(baseline(recipe, data), 5),
        "samples": recipe.num_samples,
        "quality": [quality(chain, steps, recipe, data) for steps in recipe.steps],
        "quality_of_position_weight_matrix": agreement(
            from_weights(recipe, data, recipe.num_samples), recipe, data
        ),
        "quality_of_held_out": agreement(data.held_out, recipe, data),
        "training": asdict(recipe.settings),
        "training_minutes": round(sum(_seconds(log)) / 60, 1),
        "recipe": "recipes/sequences.py",
    }


def _seconds(log: Sequence[Mapping[str, Any]]) -> list[float]:
    """Seconds of every call that wrote to the log: each starts counting at zero."""
    ends = zip(log, [*log[1:], {"seconds": 0.0}], strict=True)
    return [row["seconds"] for row, after in ends if after["seconds"] < row["seconds"]]


def export(
    name: str, recipe: Any, data: Data, chain: DiffusionChain, half: Mapping[str, Tensor], work: Path
) -> None:
    """Weights and card into the package."""
    weights = tensors_to_bytes(half, {"name": name})
    card = card_of(name, recipe, data, chain, weights, work)
    write_card(PACKAGE / "zoo" / name, weights, card, text_of(card))
    print(name, len(weights), "bytes", json.dumps(card["quality"]), flush=True)


def text_of(card: Mapping[str, Any]) -> str:
    process = "Masked diffusion" if card["process"] == "masked" else "Uniform (mutation) diffusion"
    ours, theirs = card["held_out_bound_nats_a_position"], card["position_weight_matrix_nats_a_position"]
    lines = [
        f"# {card['name']}",
        "",
        f"{process} over {card['alphabet']} of {card['length']} letters. {card['parameters']:,} parameters "
        "in half precision, licence Apache-2.0.",
        "",
        f"- Data: {card['data']}; sha256 `{card['data_sha256']}`. {card['sequences']:,} sequences, and "
        f"{card['held_out']:,} held out; relatives stay on one side.",
        f"- Training: `{card['recipe']}`, seed {card['training']['seed']}, "
        f"{card['training']['num_iterations']:,} iterations of {card['training']['batch_size']} sequences, "
        f"{card['training_minutes']} minutes on one shared CPU core.",
        f"- Negative evidence bound of the held-out sequences: {ours} nats a position, against {theirs} of a "
        "position-weight matrix.",
        f"- Weights: sha256 `{card['weights_sha256']}`.",
    ]
    if "parent" in card:
        lines.append(f"- Parent: {card['parent_name']}.")
    lines += ["", *_table(card)]
    if "parent" in card:
        lines += ["", *_mutation_table(card)]
    return "\n".join(lines) + "\n"


def _table(card: Mapping[str, Any]) -> list[str]:
    rows = [
        *((f"{row['num_steps']} steps", row) for row in card["quality"]),
        ("position-weight matrix", card["quality_of_position_weight_matrix"]),
        ("held-out data", card["quality_of_held_out"]),
    ]
    kept = ("num_steps", "mutations", "diversity_of_data")
    names = [name for name in rows[0][1] if name not in kept]
    head = [name.replace("_", " ") for name in names]
    lines = [
        f"Quality of {card['samples']:,} samples (seed 1); {card['default_steps']} steps are the default. "
        "Novel: not in the data; diversity: mean share of differing positions, "
        f"{card['quality'][0]['diversity_of_data']} in the data.",
        "",
        "| | " + " | ".join(head) + " |",
        "|---|" + "---|" * len(head),
    ]
    lines += [f"| {label} | " + " | ".join(str(row.get(n, "")) for n in names) + " |" for label, row in rows]
    return lines


def _mutation_table(card: Mapping[str, Any]) -> list[str]:
    rows = [
        *((f"{row['num_steps']} steps", row["mutations"]) for row in card["quality"]),
        ("position-weight matrix", card["quality_of_position_weight_matrix"]["mutations"]),
        ("held-out data", card["quality_of_held_out"]["mutations"]),
    ]
    lines = ["Mutations from the parent:", "", "| | mean | std | 5, 50, 95 % |", "|---|---|---|---|"]
    for label, row in rows:
        quantiles = ", ".join(f"{q:g}" for q in row["quantiles_5_50_95"])
        lines.append(f"| {label} | {row['mean']} | {row['std']} | {quantiles} |")
    return lines
