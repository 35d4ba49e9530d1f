"""Train the two predictors of GFP brightness on disjoint parts of the variants of Sarkisyan et al. (2016).

    SEIKO_DATA=folder python recipes/gfp_predictor.py train --work runs/gfp
    SEIKO_DATA=folder python recipes/gfp_predictor.py export --work runs/gfp

`train` can be stopped and started again. `export` measures both on held-out variants and writes weights and
cards into the package. Variants with a stop codon are left out. The rest is shuffled once: 10 % are held out
from both, 60 % train the main predictor and 30 % the control.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn

from cards import PACKAGE, stage_parser, write_card
from seiko import data
from seiko.checkpoints import load_weights, tensors_to_bytes
from seiko.oracles.base import PROTEIN
from seiko.oracles.gfp_brightness import LENGTH, NONE, WILD_TYPE, BrightnessNetwork
from seiko.oracles.predictors import Ensemble, predict
from seiko.pretraining import Pretraining, averaged_weights, pretrain

NETWORKS: dict[str, dict[str, Any]] = {
    "main": {"channels": 16, "rank": 4, "width": 32},
    "control": {"channels": 1, "rank": 4, "width": 0},
}
MEMBERS = {"main": 3, "control": 2}
SHARES = {"held_out": (0.0, 0.1), "main": (0.1, 0.7), "control": (0.7, 1.0)}
ITERATIONS = {"main": 2000, "control": 1500}
MOST_MUTATIONS = 15
BRIGHT = 3.0
"""log10 brightness between the dark and the bright plateau."""


class Fit(nn.Module):
    """Squared error of a network, in the form that `pretrain` takes."""

    def __init__(self, network: BrightnessNetwork) -> None:
        super().__init__()
        self.network = network

    def loss(self, rows: dict[str, Tensor], condition: None = None, generator: Any = None) -> Tensor:
        return (self.network.from_substitutions(rows["substitutions"]) - rows["brightness"]) ** 2


def read_variants() -> dict[str, Tensor]:
    """The variants without a stop codon: letters [n, 237], substitutions [n, 15], brightness, mutations."""
    text = gzip.decompress(data.read("gfp")).decode()
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["has_stop"] == "0"]
    changes = np.full((len(rows), MOST_MUTATIONS), NONE)
    wild = np.array([PROTEIN.index(letter) for letter in WILD_TYPE], dtype=np.uint8)
    letters = np.tile(wild, (len(rows), 1))
    for number, row in enumerate(rows):
        for index, change in enumerate(() if row["variant"] == "WT" else row["variant"].split(",")):
            place, residue = int(change[1:-1]), PROTEIN.index(change[-1])
            assert WILD_TYPE[place] == change[0]
            letters[number, place] = residue
            changes[number, index] = place * len(PROTEIN) + residue
    return {
        "letters": torch.from_numpy(letters),
        "substitutions": torch.from_numpy(changes),
        "brightness": torch.tensor([float(row["log10_brightness"]) for row in rows]),
        "mutations": torch.tensor([int(row["n_mut"]) for row in rows]),
    }


def part(variants: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    number = len(variants["brightness"])
    order = torch.randperm(number, generator=torch.Generator().manual_seed(0))
    start, end = (round(share * number) for share in SHARES[name])
    return {key: leaf[order[start:end]] for key, leaf in variants.items()}


def settings(predictor: str, member: int) -> Pretraining:
    return Pretraining(
        num_iterations=ITERATIONS[predictor],
        batch_size=512,
        learning_rate=4e-3,
        warmup=100,
        weight_decay=1e-2,
        ema_decay=0.99,
        checkpoint_every=500,
        seed=member,
    )


def member_network(predictor: str, member: int) -> BrightnessNetwork:
    torch.manual_seed(100 * member + len(predictor))
    return BrightnessNetwork(**NETWORKS[predictor])


def train(work: Path) -> None:
    variants = read_variants()
    for predictor, members in MEMBERS.items():
        rows = part(variants, predictor)
        for member in range(members):
            checkpoint = work / f"{predictor}-{member}.safetensors"
            fit = Fit(member_network(predictor, member))
            report = pretrain(fit, rows, settings(predictor, member), checkpoint=checkpoint)
            print(predictor, member, {k: round(v, 4) for k, v in report.items()}, flush=True)


def trained(predictor: str, work: Path) -> Ensemble:
    networks: list[nn.Module] = []
    for member in range(MEMBERS[predictor]):
        averages, _ = averaged_weights(work / f"{predictor}-{member}.safetensors")
        network = member_network(predictor, member)
        load_weights(network, averages)
        networks.append(network.half().float())  # as it will be read again
    return Ensemble(networks).eval()


def quality(predicted: np.ndarray, rows: dict[str, Tensor]) -> dict[str, Any]:
    """Of predictions for held-out variants."""
    measured, count = rows["brightness"].numpy(), rows["mutations"].numpy()
    bright = measured > BRIGHT

    def rank(chosen: np.ndarray) -> float:
        return round(float(spearmanr(predicted[chosen], measured[chosen]).statistic), 4)

    return {
        "variants": len(measured),
        "spearman": rank(np.ones(len(measured), dtype=bool)),
        "pearson": round(float(pearsonr(predicted, measured).statistic), 4),
        "root_mean_squared_error": round(float(np.sqrt(((predicted - measured) ** 2).mean())), 4),
        "spearman_of_at_most_2_mutations": rank(count <= 2),
        "spearman_of_5_and_more_mutations": rank(count >= 5),
        "spearman_of_bright": rank(bright),
        "bright_called_bright": round(float((predicted[bright] > BRIGHT).mean()), 4),
        "dark_called_dark": round(float((predicted[~bright] <= BRIGHT).mean()), 4),
    }


def export(work: Path) -> None:
    variants = read_variants()
    held_out = part(variants, "held_out")
    wild = torch.tensor([[PROTEIN.index(letter) for letter in WILD_TYPE]])
    ensembles = {name: trained(name, work) for name in MEMBERS}
    predictions = {name: predict(e, held_out["letters"]).numpy() for name, e in ensembles.items()}
    agreement = float(spearmanr(predictions["main"], predictions["control"]).statistic)
    for name, ensemble in ensembles.items():
        weights = tensors_to_bytes({k: t.half() for k, t in ensemble.state_dict().items()}, {"name": name})
        card = {
            "name": f"gfp-brightness-{name}",
            "network": NETWORKS[name],
            "members": MEMBERS[name],
            "parameters": sum(p.numel() for p in ensemble.parameters()),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "data": "avGFP variants, Sarkisyan et al., Nature 533:397 (2016)",
            "data_sha256": data.DATA["gfp"].sha256,
            "variants": len(variants["brightness"]),
            "trained_on": len(part(variants, name)["brightness"]),
            "substitutions_seen": substitutions_seen(part(variants, name)["letters"]),
            "iterations": ITERATIONS[name],
            "wild_type_predicted": round(float(predict(ensemble, wild)[0]), 4),
            "held_out": quality(predictions[name], held_out),
            "spearman_with_the_other_predictor": round(agreement, 4),
            "recipe": "recipes/gfp_predictor.py",
        }
        write_card(PACKAGE / "oracles" / "weights" / card["name"], weights, card, card_text(card))
        print(json.dumps(card, indent=1))


def substitutions_seen(letters: Tensor) -> int:
    """Of the 4,503 single substitutions, those in at least one variant."""
    seen = nn.functional.one_hot(letters.long(), len(PROTEIN)).any(0)
    return int(seen.sum()) - LENGTH


def card_text(card: dict[str, Any]) -> str:
    held = card["held_out"]
    kind = "interactions between mutations" if card["network"]["width"] else "purely additive effects"
    lines = [
        f"# {card['name']}",
        "",
        f"log10 brightness of a GFP of 237 residues: {card['members']} networks with {kind} and a saturating "
        f"readout. {card['parameters']:,} parameters, licence Apache-2.0.",
        "",
        f"- Data: {card['data']}, {card['variants']:,} variants without a stop codon, sha256 "
        f"`{card['data_sha256']}`. Trained on {card['trained_on']:,} of them; the other's are others.",
        f"- Training: `{card['recipe']}`, {card['iterations']} iterations of 512 variants a network.",
        f"- Weights: sha256 `{card['weights_sha256']}`, stored in half precision.",
        f"- Wild type: predicted {card['wild_type_predicted']}, measured 3.719.",
        f"- Rank correlation of the two predictors on held-out variants: "
        f"{card['spearman_with_the_other_predictor']}.",
        f"- {card['substitutions_seen']:,} of the 4,503 single substitutions were in the training variants. "
        "What it says about others is a guess from the position and the residue.",
        "",
        f"{held['variants']:,} variants held out from both predictors:",
        "",
        "| measure | value |",
        "|---|---|",
        *(f"| {key.replace('_', ' ')} | {value} |" for key, value in held.items() if key != "variants"),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = stage_parser(__doc__, "runs/gfp").parse_args()
    {"train": train, "export": export}[arguments.stage](arguments.work)


if __name__ == "__main__":
    main()
