"""Train the predictor of E. coli promoter strength on the sigma-70 library of La Fleur et al. (2022).

    SEIKO_DATA=folder python recipes/promoter_predictor.py train --work runs/promoters
    SEIKO_DATA=folder python recipes/promoter_predictor.py export --work runs/promoters

`train` can be stopped and started again. The label of a promoter is the mean of log10 rates over its three
replicates; 10 % of the promoters, drawn at random, are held out. `export` measures the predictor on them
beside the correlation of the replicates, which is its ceiling, and writes weights and card into the package.
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
from seiko.oracles.predictors import Ensemble, predict
from seiko.oracles.promoter_strength import REPLICATE_STD, TRANSCRIBED, PromoterNetwork, padded_letters
from seiko.pretraining import Pretraining, averaged_weights, pretrain

NAME = "promoter-strength"
NETWORK = {"channels": 6, "hidden": 48, "context": 16}
MEMBERS = 1
HELD_OUT = 0.1
ITERATIONS = {"known": 4000, "all": 500}
SPACERS = (15, 16, 17, 18, 19)
LONGEST = 79
"""Longer constructs, 0.2 % of the library, are left out: every placement costs time."""


class Fit(nn.Module):
    """Squared error of a network, in the form that `pretrain` takes.

    With placements "known", the two elements are where the library's authors put them, which is cheap; with
    "all", the network has to find them.
    """

    def __init__(self, network: PromoterNetwork, placements: str) -> None:
        super().__init__()
        self.network, self.placements = network, placements

    def loss(self, rows: dict[str, Tensor], condition: None = None, generator: Any = None) -> Tensor:
        if self.placements == "known":
            predicted = self.network.at(rows["letters"], rows["start"], rows["spacer"])
        else:
            predicted = self.network(rows["letters"])
        return (predicted - rows["rate"]) ** 2


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(gzip.decompress(data.read(name)).decode())))


def read_library() -> tuple[list[dict[str, str]], np.ndarray]:
    """The library's rows in a fixed random order, and log10 rates of three replicates [n, 3]."""
    rows = [row for row in table("ecoli-promoters-mpra") if len(row["sequence"]) <= LONGEST]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    return rows, np.log10([[float(row[f"tx{r}"]) for r in (1, 2, 3)] for row in rows])


def member_network(member: int) -> PromoterNetwork:
    torch.manual_seed(member)
    return PromoterNetwork(**NETWORK)


def train(work: Path) -> None:
    rows, rates = read_library()
    first = round(HELD_OUT * len(rows))
    usual = [i for i in range(first, len(rows)) if len(rows[i]["spacer"]) in SPACERS]
    known = {
        "letters": padded_letters([rows[i]["sequence"] for i in usual]),
        "start": torch.tensor([len(rows[i]["UP"]) for i in usual]),
        "spacer": torch.tensor([SPACERS.index(len(rows[i]["spacer"])) for i in usual]),
        "rate": torch.tensor(rates[usual].mean(1), dtype=torch.float32),
    }
    for member in range(MEMBERS):
        network = member_network(member)
        for placements, iterations in ITERATIONS.items():
            report = pretrain(
                Fit(network, placements),
                known,
                settings(iterations, member, learning_rate=6e-3 if placements == "known" else 3e-3),
                checkpoint=work / f"{placements}-{member}.safetensors",
                on_checkpoint=lambda i, loss: print(i, round(loss, 4), flush=True),
            )
            print(member, placements, {k: round(v, 4) for k, v in report.items()}, flush=True)


def settings(iterations: int, member: int, *, learning_rate: float) -> Pretraining:
    return Pretraining(
        num_iterations=iterations,
        batch_size=256,
        learning_rate=learning_rate,
        warmup=50,
        weight_decay=1e-3,
        ema_decay=0.98,
        checkpoint_every=min(500, iterations // 3),
        seed=member,
    )


def trained(work: Path) -> Ensemble:
    networks: list[nn.Module] = []
    for member in range(MEMBERS):
        averages, _ = averaged_weights(work / f"all-{member}.safetensors")
        network = member_network(member)
        load_weights(network, averages)
        networks.append(network.half().float())  # as it will be read again
    return Ensemble(networks).eval()


def correlation(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    return {
        "pearson": round(float(pearsonr(a, b).statistic), 4),
        "spearman": round(float(spearmanr(a, b).statistic), 4),
    }


def replicates(rates: np.ndarray) -> dict[str, dict[str, float]]:
    """How replicates agree: with one another, and each with the mean of the other two."""
    pairs = {
        f"{a + 1} and {b + 1}": correlation(rates[:, a], rates[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))
    }
    for one in range(3):
        others = rates[:, [other for other in range(3) if other != one]].mean(1)
        pairs[f"{one + 1} and the mean of the others"] = correlation(rates[:, one], others)
    return pairs


def quality(ensemble: Ensemble, rows: list[dict[str, str]], rates: np.ndarray) -> dict[str, Any]:
    start = round(HELD_OUT * len(rows))
    held, measured = rows[:start], rates[:start]
    predicted = predict(ensemble, padded_letters([row["sequence"] for row in held])).numpy()
    good = np.array([row["high_quality"] == "Yes" for row in held])
    seen = [{row[part] for row in rows[start:]} for part in ("h35", "h10")]
    new = np.array([row["h35"] not in seen[0] or row["h10"] not in seen[1] for row in held])
    mean = measured.mean(1)
    return {
        "promoters": len(held),
        "predictor": correlation(predicted, mean),
        "predictor_of_high_quality": correlation(predicted[good], mean[good]),
        "predictor_of_unseen_hexamers": correlation(predicted[new], mean[new]),
        "promoters_of_unseen_hexamers": int(new.sum()),
        "replicates": replicates(measured),
        "replicates_of_high_quality": replicates(measured[good]),
    }


def natural(ensemble: Ensemble) -> dict[str, Any]:
    """Natural promoters, measured another way: dRNA-seq in one replicate."""
    rows = table("ecoli-promoters-natural")
    predicted = predict(ensemble, padded_letters([row["sequence"] + TRANSCRIBED for row in rows])).numpy()
    expressed = np.log10([float(row["expression"]) for row in rows])
    quantiles = np.quantile(predicted, [0, 0.05, 0.5, 0.95, 1]).round(3).tolist()
    return {"promoters": len(rows), **correlation(predicted, expressed), "predicted_quantiles": quantiles}


def export(work: Path) -> None:
    rows, rates = read_library()
    spread = float(np.sqrt(rates.var(1, ddof=1).mean()))
    assert abs(spread - REPLICATE_STD) < 5e-4, spread
    ensemble = trained(work)
    weights = tensors_to_bytes({k: t.half() for k, t in ensemble.state_dict().items()}, {"name": NAME})
    card = {
        "name": NAME,
        "network": NETWORK,
        "members": MEMBERS,
        "parameters": sum(p.numel() for p in ensemble.parameters()),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "data": "E. coli sigma-70 promoters, La Fleur, Hossain and Salis, Nat. Commun. 13:5159 (2022)",
        "data_sha256": data.DATA["ecoli-promoters-mpra"].sha256,
        "trained_on": len(rows) - round(HELD_OUT * len(rows)),
        "iterations": ITERATIONS,
        "replicate_std": round(spread, 4),
        "held_out": quality(ensemble, rows, rates),
        "natural_promoters": natural(ensemble),
        "recipe": "recipes/promoter_predictor.py",
    }
    write_card(PACKAGE / "oracles" / "weights" / NAME, weights, card, card_text(card))
    print(json.dumps(card, indent=1))


def card_text(card: dict[str, Any]) -> str:
    held, wild = card["held_out"], card["natural_promoters"]
    lines = [
        f"# {card['name']}",
        "",
        "log10 transcription rate of E. coli sigma-70 promoters, read wherever they lie in a sequence: "
        f"{card['parameters']:,} parameters, licence Apache-2.0.",
        "",
        f"- Data: {card['data']}, sha256 `{card['data_sha256']}`; trained on {card['trained_on']:,}.",
        f"- Training: `{card['recipe']}`, {card['iterations']['known']:,} iterations of 256 promoters with "
        f"their elements given, then {card['iterations']['all']:,} with all placements.",
        f"- Weights: sha256 `{card['weights_sha256']}`, stored in half precision.",
        f"- Noise of one replicate: standard deviation {card['replicate_std']} (log10).",
        f"- {wild['promoters']:,} natural promoters of 50 letters, whose expression was measured another way "
        f"and once: Pearson {wild['pearson']}, Spearman {wild['spearman']}. It is a model of the library; a "
        "natural promoter also has regulators, and other genes behind it.",
        "",
        f"{held['promoters']:,} held-out promoters, the predictor beside the replicates, its ceiling:",
        "",
        "| with the mean of three replicates | Pearson | Spearman |",
        "|---|---|---|",
        row_of("predictor, all", held["predictor"]),
        row_of("predictor, high quality", held["predictor_of_high_quality"]),
        row_of(
            f"predictor, a hexamer never seen ({held['promoters_of_unseen_hexamers']})",
            held["predictor_of_unseen_hexamers"],
        ),
        *(row_of(f"replicate {name}", numbers) for name, numbers in held["replicates"].items()),
        *(
            row_of(f"replicate {name}, high quality", numbers)
            for name, numbers in held["replicates_of_high_quality"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def row_of(name: str, numbers: dict[str, float]) -> str:
    return f"| {name} | {numbers['pearson']} | {numbers['spearman']} |"


def main() -> None:
    arguments = stage_parser(__doc__, "runs/promoters").parse_args()
    {"train": train, "export": export}[arguments.stage](arguments.work)


if __name__ == "__main__":
    main()
