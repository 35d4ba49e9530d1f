"""Pre-trained chains by name, each with its domain; weights are checked by hash before they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from seiko.chains import DiffusionChain, Joint, Masked
from seiko.checkpoints import load_weights, tensors_from_bytes
from seiko.domains.base import Domain
from seiko.errors import ParameterError, WeightsError
from seiko.zoo.pipelines import diffusers_chain, load_pipeline

__all__ = ["diffusers_chain", "graph_process", "load", "load_pipeline", "names", "read_card"]


def names() -> list[str]:
    """What `load` knows.

    Example:
        >>> names()
        ['qm9-graph']
    """
    return sorted(_BUILDERS)


def load(name: str, *, num_steps: int | None = None) -> tuple[DiffusionChain, Domain[Any]]:
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
    if name not in _BUILDERS:
        raise ParameterError(f"There is no pre-trained chain {name!r}; there are {names()}.")
    folder = files(__package__) / name
    card = read_card(name)
    chain, domain = _BUILDERS[name](card, num_steps or card["default_steps"])
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


def graph_process(num_atoms: int, atom_kinds: int, num_steps: int) -> Joint:
    """Masked diffusion of a molecular graph: atoms and bonds in random order, spread over the steps."""
    pairs = num_atoms * (num_atoms - 1) // 2
    return Joint({"atoms": Masked(num_atoms, atom_kinds, num_steps), "bonds": Masked(pairs, 4, num_steps)})


def _molecular_graph(card: Mapping[str, Any], num_steps: int) -> tuple[DiffusionChain, Domain[Any]]:
    from seiko.domains.molecule import MoleculeGraph, molecule_domain
    from seiko.networks.molecular_graph import MolecularGraphNetwork

    graph = MoleculeGraph(card["num_atoms"], tuple(card["elements"]))
    network = MolecularGraphNetwork(graph.num_atoms, graph.num_atom_kinds, **card["network"])
    process = graph_process(graph.num_atoms, graph.num_atom_kinds - 1, num_steps)
    return DiffusionChain(network, process), molecule_domain(graph)


_BUILDERS: Mapping[str, Callable[[Mapping[str, Any], int], tuple[DiffusionChain, Domain[Any]]]] = {
    "qm9-graph": _molecular_graph,
}
