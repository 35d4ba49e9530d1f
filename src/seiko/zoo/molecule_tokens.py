"""Chains that write SMILES, fragment by fragment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from seiko import zoo
from seiko.chains import LeftToRight
from seiko.domains.base import Domain
from seiko.domains.molecule import smiles_domain
from seiko.domains.molecule_filters import Check
from seiko.domains.molecule_grammar import SmilesGrammar
from seiko.domains.molecule_identity import MoleculeRules
from seiko.domains.molecule_tokens import SmilesTokens, respelled
from seiko.networks import RecurrentSequence


def codec_of(card: Mapping[str, Any]) -> SmilesTokens:
    """The codec of a card."""
    return SmilesTokens(tuple(card["tokens"]), card["length"], card.get("kekule", False))


def domain_of(card: Mapping[str, Any], filters: Mapping[str, Check] | None = None) -> Domain[str]:
    """Molecules of the elements, sizes and charges that a card allows.

    Crossed ones are spelled from a random atom on, so that a chain which writes their end anew (`variations`)
    changes any part of them.
    """
    rules = MoleculeRules(tuple(card["elements"]), max_atoms=card["max_atoms"], charges=card["charges"])
    codec = codec_of(card)
    domain = smiles_domain(codec.decode, rules=rules, filters=filters, encode=codec.encode)
    assert domain.crossover is not None
    cross = domain.crossover

    def crossover(one: str, other: str, rng: np.random.Generator) -> str | None:
        child = cross(one, other, rng)
        return None if child is None else respelled(child, rng)

    return replace(domain, crossover=crossover)


def token_codec(name: str = "zinc-tokens") -> SmilesTokens:
    """The codec of a chain of the zoo: between its rows and SMILES."""
    return codec_of(zoo.read_card(name))


def token_domain(name: str = "zinc-tokens", *, filters: Mapping[str, Check] | None = None) -> Domain[str]:
    """The domain of a chain of the zoo with a chemist's filters; a design that fails one is invalid."""
    return domain_of(zoo.read_card(name), filters)


def build(card: Mapping[str, Any], num_steps: int) -> tuple[LeftToRight, Domain[str]]:
    """The chain of a card, without its weights, and its domain.

    Fewer steps than the card's length are for molecules of fewer tokens: longer ones are cut off and invalid.
    """
    network = RecurrentSequence(codec_of(card).kinds, **card["network"])
    return LeftToRight(network, num_steps, SmilesGrammar(card["tokens"], card.get("valences"))), domain_of(
        card
    )
