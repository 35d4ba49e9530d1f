"""Pre-trained chains by name, each with its domain; weights are checked by hash before they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from seiko.chains import DiffusionChain, LeftToRight
from seiko.checkpoints import load_weights, tensors_from_bytes
from seiko.domains.base import Domain
from seiko.errors import ParameterError, WeightsError
from seiko.zoo.pipelines import diffusers_chain, load_pipeline

__all__ = ["diffusers_chain", "graph_process", "load", "load_pipeline", "names", "read_card"]

FAMILIES: Mapping[str, str] = {
    "molecular graph": "seiko.zoo.molecules",
    "molecule tokens": "seiko.zoo.molecule_tokens",
    "pixels": "seiko.zoo.pixels",
    "sequence": "seiko.zoo.sequences",
}
"""The module of each family: ``build(card, num_steps)`` gives a chain, without its weights, and its domain.

A chain is a folder here with ``card.json``, which names its family, and ``weights.safetensors``.
"""


def names() -> list[str]:
    """What `load` knows.

    Example:
        >>> "qm9-graph" in names()
        True
    """
    folders = files(__package__).iterdir()
    return sorted(folder.name for folder in folders if (folder / "card.json").is_file())


def load(name: str, *, num_steps: int | None = None) -> tuple[DiffusionChain | LeftToRight, Domain[Any]]:
    """A pre-trained chain and its domain.

    Args:
        name: One of `names`.
        num_steps: Sampling steps, instead of the card's default; fewer are faster and less valid.

    Raises:
        ParameterError: If the name is unknown.
        WeightsError: If the weights are missing or not those of the card.

    Example:
        >>> chain, domain = load("qm9-graph")
        >>> domain.name
        'molecule'
    """
    if name not in names():
        raise ParameterError(f"There is no pre-trained chain {name!r}; there are {names()}.")
    folder = files(__package__) / name
    card = read_card(name)
    build = import_module(FAMILIES[card["family"]]).build
    chain, domain = build(card, num_steps or card["default_steps"])
    content = _read(folder / "weights.safetensors")
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["weights_sha256"]:
        raise WeightsError(
            f"The weights of {name} have sha256 {digest}, not {card['weights_sha256']} as their card says.",
            hint="Install the package again.",
        )
    tensors, _ = tensors_from_bytes(content, source=f"The weight file of {name}")
    load_weights(chain.network, tensors, source=f"The weight file of {name}")
    return chain, domain


def read_card(name: str) -> dict[str, Any]:
    """The model card's data: architecture, training, hashes, measured quality."""
    return json.loads(_read(files(__package__) / name / "card.json"))


def _read(path: Traversable) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The package has no file {path}.", hint="Install the package again.") from error
