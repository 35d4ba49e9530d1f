"""Trained predictors that come with the package: weights that are checked by hash before they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import torch
from torch import Tensor, nn

from seiko.checkpoints import load_weights, tensors_from_bytes
from seiko.errors import WeightsError


class Ensemble(nn.Module):
    """The mean of networks of one kind that were trained apart."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, letters: Tensor) -> Tensor:
        return torch.stack([member(letters) for member in self.members]).mean(0)


def read_card(name: str) -> dict[str, Any]:
    """The data of a predictor's card: architecture, training, hashes, measured quality.

    Raises:
        WeightsError: If the package has no such predictor.
    """
    return json.loads(_read(_folder(name) / "card.json"))


def load_predictor(name: str, build: Callable[..., nn.Module]) -> Ensemble:
    """The trained ensemble of a name, ready to predict.

    Args:
        name: Of the predictor's folder in the package.
        build: Makes one untrained member of the settings in the card.

    Raises:
        WeightsError: If the weights are missing or not those of the card.
    """
    card, content = read_card(name), _read(_folder(name) / "weights.safetensors")
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["weights_sha256"]:
        raise WeightsError(
            f"The weights of {name} have sha256 {digest}, not {card['weights_sha256']} as their card says.",
            hint="Install the package again.",
        )
    with torch.random.fork_rng(devices=[]):
        ensemble = Ensemble([build(**card["network"]) for _ in range(card["members"])])
    tensors, _ = tensors_from_bytes(content, source=f"The weight file of {name}")
    load_weights(ensemble, tensors, source=f"The weight file of {name}")
    return ensemble.eval().requires_grad_(False)


@torch.no_grad()
def predict(network: nn.Module, letters: Tensor, *, batch_size: int = 512) -> Tensor:
    """Predictions [n] of letter indices [n, length], in batches."""
    if not len(letters):
        return torch.empty(0)
    return torch.cat([network(rows) for rows in letters.split(batch_size)])


def _folder(name: str) -> Traversable:
    return files(__package__) / "weights" / name


def _read(path: Traversable) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The package has no file {path}.", hint="Install the package again.") from error
