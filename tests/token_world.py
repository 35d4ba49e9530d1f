"""A small chain that writes molecules, in the place of the zoo's; nothing in it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from seiko import zoo
from seiko.chains import LeftToRight
from seiko.zoo.molecule_tokens import build

DRUG_LIKE = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "Clc1ccc(Br)cc1",
    "C[C@@H](N)C(=O)O",
    "C[NH+]1CCC(O)CC1",
    "F/C=C/c1ccc2[nH]ccc2c1",
    "O=S(=O)(NCC#N)c1cccs1",
)

CARD: Mapping[str, Any] = {
    "name": "zinc-tokens",
    "family": "molecule tokens",
    "tokens": ["C", "N", "O", "c", "n", "(", ")", "1", "2", "=", "S", "CC", "CO", "c1ccccc1"],
    "length": 48,
    "default_steps": 48,
    "elements": ["C", "N", "O", "S"],
    "max_atoms": 60,
    "charges": "any",
    "network": {"width": 8, "num_layers": 1, "embedding": 4},
}


def small_chain(card: Mapping[str, Any] = CARD, num_steps: int = 48) -> LeftToRight:
    """It writes chains of carbons and heteroatoms, which are always valid, and ends after a few."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chain, _ = build(card, num_steps)
    plain = {"C": 3.0, "N": 1.5, "O": 1.5, "CC": 2.0, "CO": 1.5}
    with torch.no_grad():
        chain.network.head.bias.fill_(-12.0)
        chain.network.head.bias[0] = 1.5
        for kind, token in enumerate(card["tokens"], 1):
            if token in plain:
                chain.network.head.bias[kind] = plain[token]
    return chain


def install(monkeypatch: Any) -> None:
    """Let the zoo give this chain for zinc-tokens."""
    load, read_card = zoo.load, zoo.read_card

    def small(name: str, *, num_steps: int | None = None) -> Any:
        if name != CARD["name"]:
            return load(name, num_steps=num_steps)
        return small_chain(num_steps=num_steps or 48), build(CARD, num_steps or 48)[1]

    monkeypatch.setattr(zoo, "load", small)
    monkeypatch.setattr(zoo, "read_card", lambda name: CARD if name == CARD["name"] else read_card(name))
