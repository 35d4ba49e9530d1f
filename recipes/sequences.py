"""Train the chains over biological sequences.

    python recipes/sequences.py train utr5-natural --data DATA --work runs/sequences
    python recipes/sequences.py export utr5-natural --data DATA --work runs/sequences

DATA is the folder with one folder a data set (SEIKO_DATA by default). `train` can be stopped and started
again. `export` writes the averaged weights in half precision and the model card, with the measured quality,
into the package. Without a name, all chains in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seiko.chains import DiffusionChain
from seiko.checkpoints import load_weights
from seiko.domains.sequence_space import SequenceSpace
from seiko.pretraining import Pretraining, averaged_weights, pretrain
from seiko.zoo.sequences import ALPHABETS, sequence_network, sequence_process
from sequence_cards import export
from sequence_data import DATA, Data


@dataclass(frozen=True)
class Recipe:
    """One chain: its data, network, process, training, and what its card and domain say."""

    data: str
    alphabet: str
    length: int
    network: dict[str, Any]
    settings: Pretraining
    process: str = "masked"
    default_steps: int = 16
    steps: tuple[int, ...] = (50, 16, 8)
    both_strands: bool = False
    learned_features: bool = False
    feature_kind: str | None = None
    num_samples: int = 10_000

    @property
    def space(self) -> SequenceSpace:
        return SequenceSpace(ALPHABETS[self.alphabet], self.length)

    def chain(self, num_steps: int) -> DiffusionChain:
        with torch.random.fork_rng():
            torch.manual_seed(self.settings.seed)
            network = sequence_network(self.space, self.process, self.network)  # type: ignore[arg-type]
        return DiffusionChain(network, sequence_process(self.space, self.process, num_steps))  # type: ignore[arg-type]

    @property
    def training_chain(self) -> DiffusionChain:
        """With as many steps as there are numbers of masked positions, or many levels of mutation."""
        return self.chain(self.length if self.process == "masked" else max(self.steps))


def _settings(iterations: int, rate: float, decay: float, batch: int = 256) -> Pretraining:
    return Pretraining(
        num_iterations=iterations,
        batch_size=batch,
        learning_rate=rate,
        warmup=200,
        weight_decay=decay,
        ema_decay=0.998,
        checkpoint_every=250,
    )


TFBIND8: dict[str, Any] = {
    "data": "tfbind8-low",
    "alphabet": "DNA",
    "length": 8,
    "both_strands": True,
}
GFP: dict[str, Any] = {
    "data": "gfp-variants",
    "alphabet": "protein",
    "length": 237,
    "num_samples": 2000,
}
RECIPES = {
    "tfbind8-low": Recipe(
        **TFBIND8,
        network={"kind": "mlp", "width": 192, "num_layers": 2},
        settings=_settings(4000, 3e-3, 0.02),
        default_steps=8,
        steps=(8, 4, 2),
    ),
    "tfbind8-low-mutation": Recipe(
        **TFBIND8,
        network={"kind": "mlp", "width": 192, "num_layers": 2},
        settings=_settings(4000, 3e-3, 0.02),
        process="mutation",
        default_steps=16,
        steps=(32, 16, 8),
    ),
    "utr5-natural": Recipe(
        data="utr5-natural",
        alphabet="DNA",
        length=50,
        network={"kind": "convolution", "width": 32, "num_layers": 4, "kernel": 7},
        settings=_settings(800, 3e-3, 0.1, 64),
        feature_kind="variants",
        num_samples=2000,
        steps=(16, 8),
    ),
    "promoters-ecoli": Recipe(
        data="promoters-ecoli",
        alphabet="DNA",
        length=50,
        network={"kind": "mlp", "width": 96, "num_layers": 2},
        settings=_settings(8000, 1.5e-3, 0.1),
        learned_features=True,
    ),
    "gfp-variants": Recipe(
        **GFP,
        network={"kind": "mlp", "width": 128, "num_layers": 2},
        settings=_settings(2500, 1.5e-3, 0.02, 128),
        steps=(32, 16, 8),
        learned_features=True,
    ),
}


@torch.no_grad()
def start_at_frequencies(network: torch.nn.Module, rows: torch.Tensor) -> None:
    """Let an untrained `SequenceMLP` predict the frequencies at each position: almost always the parent's."""
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.bias.copy_((rows.mean(0) + 1e-5).log().flatten())
    last.weight.mul_(0.1)


def train(name: str, recipe: Recipe, data: Data, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    started = time.time()

    def log(iteration: int, loss: float) -> None:
        line = {"iteration": iteration, "loss": loss, "seconds": round(time.time() - started, 1)}
        with (work / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(name, line, flush=True)

    chain, kinds = recipe.training_chain, recipe.space.encode(data.train)
    if "parent" in data.facts:
        start_at_frequencies(chain.network, recipe.space.one_hot(kinds))
    pretrain(
        chain,
        kinds,
        recipe.settings,
        prepare=recipe.space.one_hot,  # type: ignore[arg-type]
        checkpoint=work / f"{name}.safetensors",
        on_checkpoint=log,
    )


def averaged(name: str, recipe: Recipe, work: Path) -> tuple[DiffusionChain, dict[str, torch.Tensor]]:
    """The trained chain, its weights rounded to half precision, and these weights."""
    found, _ = averaged_weights(work / f"{name}.safetensors")
    half = {n: t.to(torch.float16) for n, t in found.items()}
    chain = recipe.training_chain
    load_weights(chain.network, half)
    return chain, half


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=["train", "export"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--data", type=Path, default=os.environ.get("SEIKO_DATA"))
    parser.add_argument("--work", type=Path, default=Path("runs/sequences"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of the data with --data, or set SEIKO_DATA")
    for name in arguments.names or RECIPES:
        recipe = RECIPES[name]
        data = DATA[recipe.data](arguments.data)
        if arguments.stage == "train":
            train(name, recipe, data, arguments.work)
        else:
            export(name, recipe, data, *averaged(name, recipe, arguments.work), arguments.work)


if __name__ == "__main__":
    main()
