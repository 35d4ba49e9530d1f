"""Train `icons-32` and `fashion-28`: small diffusions of pixels, each a ``UNet2DModel`` of diffusers.

    python recipes/icons.py train icons-32 --data DATA --work runs/icons-32
    python recipes/icons.py export icons-32 --data DATA --work runs/icons-32

DATA holds `noto_emoji/noto_emoji_32.npz` and `dcss_tiles/dcss_tiles_32.npz` (icons-32), or
`fashion_mnist/fashion_mnist_20k.npz` (fashion-28). `train` can be stopped and started again; it goes on from
its checkpoint. `export` writes the averaged weights in half precision, the model card and a grid of samples
into the package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from cards import PACKAGE, write_card
from seiko.chain import sample
from seiko.chains import DiffusionChain
from seiko.checkpoints import load_weights, tensors_to_bytes, write_atomically
from seiko.domains.image import pixel_diversity
from seiko.domains.image_format import ImageFormat, contact_sheet, to_png
from seiko.oracles.image_properties import colourfulness, contrast, jpeg_size
from seiko.pretraining import Pretraining, averaged_weights, pretrain
from seiko.typing import State
from seiko.zoo.pixels import build as build_pixels

SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "clip_sample": True,
    "timestep_spacing": "trailing",
}
CARDS: dict[str, dict[str, Any]] = {
    "icons-32": {
        "image": {"width": 32, "height": 32, "mode": "RGB"},
        "patch": 2,
        "unet": {
            "block_out_channels": (64, 96, 128),
            "layers_per_block": 1,
            "norm_num_groups": 8,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        },
        "scheduler": SCHEDULER,
        "default_steps": 25,
        "data": "Noto colour emoji at 32 x 32 (Apache-2.0), without skin-tone variants and letters; monsters "
        "and items of Dungeon Crawl Stone Soup (CC0); on white",
    },
    "fashion-28": {
        "image": {"width": 28, "height": 28, "mode": "L"},
        "patch": 2,
        "unet": {
            "block_out_channels": (48, 96),
            "layers_per_block": 1,
            "norm_num_groups": 8,
            "num_class_embeds": 11,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        },
        "scheduler": SCHEDULER,
        "guidance_scale": 2.0,
        "class_names": (
            "t-shirt", "trouser", "pullover", "dress", "coat",
            "sandal", "shirt", "sneaker", "bag", "ankle boot",
        ),
        "default_steps": 20,
        "data": "Fashion-MNIST, 20,000 training images (MIT)",
    },
}  # fmt: skip
SETTINGS = {
    "icons-32": Pretraining(
        num_iterations=9000, batch_size=64, learning_rate=1e-3, ema_decay=0.999, checkpoint_every=100
    ),
    "fashion-28": Pretraining(
        num_iterations=2500, batch_size=64, learning_rate=1.5e-3, ema_decay=0.998, checkpoint_every=100
    ),
}
NO_LABEL, DROP_LABEL = 10, 0.15
NUM_SAMPLES = 500


class TrainedWithLabels(nn.Module):
    """A chain whose rows of data carry labels; some are hidden, so that guidance has its other branch."""

    def __init__(self, chain: DiffusionChain) -> None:
        super().__init__()
        self.network, self.process = chain.network, chain.process
        self.chain = [chain]  # its parameters are those of `network`

    def loss(
        self, data: State, condition: State | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        device = data["label"].device
        hidden = torch.rand(len(data["label"]), generator=generator, device=device) < DROP_LABEL
        labels = torch.where(hidden, NO_LABEL, data["label"])
        return self.chain[0].loss(data["state"], labels, generator)


def read_icons(folder: Path) -> dict[str, Tensor]:
    """All pictures on white, and each mirrored: uint8 [n, 3, 32, 32]."""
    with np.load(folder / "noto_emoji" / "noto_emoji_32.npz") as file:
        emoji = file["rgba"][~(file["skin_tone_variant"] | file["regional_indicator_letter"])]
    with np.load(folder / "dcss_tiles" / "dcss_tiles_32.npz") as file:
        tiles = file["rgba"][np.isin(file["group"], ("mon", "item"))]
    rgba = np.concatenate([emoji, tiles]).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    rgb = (rgba[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    pictures = torch.from_numpy(rgb).permute(0, 3, 1, 2)
    return {"picture": torch.cat([pictures, pictures.flip(-1)])}


def read_fashion(folder: Path) -> dict[str, Tensor]:
    """uint8 [n, 1, 28, 28] and labels [n]."""
    with np.load(folder / "fashion_mnist" / "fashion_mnist_20k.npz") as file:
        pictures = torch.from_numpy(file["train_images"])[:, None]
        return {"picture": pictures, "label": torch.from_numpy(file["train_labels"]).long()}


READERS = {"icons-32": read_icons, "fashion-28": read_fashion}


def prepared(rows: State) -> Any:
    """Pixels in [-1, 1] folded into states, with their labels if there are any."""
    states = pixel_unshuffle(rows["picture"].float() / 127.5 - 1, 2)
    return {"state": states, "label": rows["label"]} if "label" in rows else states


def training_chain(name: str) -> DiffusionChain:
    """The chain under which the network is trained: every time step, no guidance."""
    chain, _ = build_pixels(CARDS[name] | {"guidance_scale": 1.0}, 1000)
    return chain.to(memory_format=torch.channels_last)


def train(name: str, data: Path, work: Path, device: str = "cpu") -> None:
    work.mkdir(parents=True, exist_ok=True)
    chain, started = training_chain(name).to(device), time.time()

    def log(iteration: int, loss: float) -> None:
        line = {"iteration": iteration, "loss": loss, "seconds": round(time.time() - started, 1)}
        line["cpu_seconds"] = round(time.process_time(), 1)
        with (work / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    rows = READERS[name](data)
    pretrain(
        TrainedWithLabels(chain) if "label" in rows else chain,
        rows,
        SETTINGS[name],
        prepare=prepared,
        checkpoint=work / "checkpoint.safetensors",
        progress=True,
        on_checkpoint=log,
    )


def described(images: list[Any]) -> dict[str, float]:
    """Means of what the card compares."""
    measures = {"colourfulness": colourfulness, "contrast": contrast, "JPEG size / kB": jpeg_size}
    return {name: round(float(np.mean([m(i) for i in images])), 3) for name, m in measures.items()}


def nearest(levels: Tensor, data: Tensor) -> float:
    """Mean distance (root mean square of pixels) of each picture to the nearest of the data."""
    return float(torch.cdist(levels.flatten(1), data.flatten(1)).amin(1).mean() / levels[0].numel() ** 0.5)


def export(name: str, data: Path, work: Path) -> None:
    card = dict(CARDS[name])
    chain, domain = build_pixels(card, card["default_steps"])
    tensors, iteration = averaged_weights(work / "checkpoint.safetensors")
    weights = tensors_to_bytes({n: t.half() for n, t in tensors.items()}, {"name": name})
    load_weights(chain.network, {n: t.half() for n, t in tensors.items()})
    generator = torch.Generator().manual_seed(1)
    condition, start = domain.condition(NUM_SAMPLES, generator), time.process_time()
    states = sample(chain, NUM_SAMPLES, condition=condition, batch_size=100, generator=generator)
    seconds = time.process_time() - start
    images = list(domain.decode(states, condition))
    rows = READERS[name](data)["picture"]
    some = rows[torch.randperm(len(rows), generator=generator)[:NUM_SAMPLES]]
    form = ImageFormat(**card["image"])
    truth = form.to_images(some.float() / 127.5 - 1)
    log = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    card |= {
        "name": name,
        "family": "pixels",
        "parameters": sum(p.numel() for p in chain.parameters()),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "images": len(rows),
        "training": asdict(SETTINGS[name]),
        "training_iterations": iteration,
        "training_loss": round(log[-1]["loss"], 4),
        "samples": described(images),
        "of_the_data": described(truth),
        "pixel_diversity": [round(pixel_diversity(i, form), 3) for i in (images, truth)],
        "nearest_in_data": round(nearest(form.to_levels(images), rows.float() / 255), 4),
        "cpu_milliseconds_a_sample": round(1000 * seconds / NUM_SAMPLES, 1),
        "recipe": "recipes/icons.py",
    }
    folder = PACKAGE / "zoo" / name
    write_atomically(folder / "samples.png", to_png(contact_sheet(images[:96])))
    write_card(folder, weights, card, card_text(card))


def card_text(card: dict[str, Any]) -> str:
    samples, data = card["pixel_diversity"]
    lines = [
        f"# {card['name']}",
        "",
        f"A diffusion of pixels, {card['image']['width']} x {card['image']['height']}: "
        f"{card['parameters']:,} parameters in half precision, licence Apache-2.0.",
        "",
        "![Samples](samples.png)",
        "",
        f"- Data: {card['data']}; {card['images']:,} pictures, mirrored ones included.",
        f"- Training: `{card['recipe']}`, {card['training_iterations']:,} iterations of "
        f"{card['training']['batch_size']}, seed {card['training']['seed']}; last loss "
        f"{card['training_loss']}.",
        f"- Weights: sha256 `{card['weights_sha256']}`.",
        f"- Sampling: {card['default_steps']} steps, {card['cpu_milliseconds_a_sample']} ms a sample on one "
        "CPU core.",
        f"- Samples are {card['nearest_in_data']} from the nearest picture of the data (root mean square of "
        "pixels, 0 to 1): a number near 0 would mean copies.",
        "",
        f"Of {NUM_SAMPLES} samples (seed 1) beside {NUM_SAMPLES} pictures of the data:",
        "",
        "| | samples | data |",
        "|---|---|---|",
        f"| diversity of pixels | {samples} | {data} |",
    ]
    lines += [
        f"| {what} | {value} | {card['of_the_data'][what]} |" for what, value in card["samples"].items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=["train", "export"])
    parser.add_argument("name", choices=sorted(CARDS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--device", default="cpu", help="Where to train, such as cuda.")
    arguments = parser.parse_args()
    where = arguments.name, arguments.data, arguments.work
    if arguments.stage == "train":
        train(*where, arguments.device)
    else:
        export(*where)


if __name__ == "__main__":
    main()
