"""Chains over molecular graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seiko.chains import DiffusionChain, Joint, Masked
from seiko.domains.base import Domain
from seiko.domains.molecule import MoleculeGraph, molecule_domain
from seiko.networks.molecular_graph import MolecularGraphNetwork


def graph_process(num_atoms: int, atom_kinds: int, num_steps: int) -> Joint:
    """Masked diffusion of a molecular graph: atoms and bonds in random order, spread over the steps."""
    pairs = num_atoms * (num_atoms - 1) // 2
    return Joint({"atoms": Masked(num_atoms, atom_kinds, num_steps), "bonds": Masked(pairs, 4, num_steps)})


def build(card: Mapping[str, Any], num_steps: int) -> tuple[DiffusionChain, Domain[Any]]:
    """The chain of a card, without its weights, and its domain."""
    graph = MoleculeGraph(card["num_atoms"], tuple(card["elements"]))
    network = MolecularGraphNetwork(graph.num_atoms, graph.num_atom_kinds, **card["network"])
    process = graph_process(graph.num_atoms, graph.num_atom_kinds - 1, num_steps)
    return DiffusionChain(network, process), molecule_domain(graph)
