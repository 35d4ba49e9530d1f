"""Chains that write SMILES, fragment by fragment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seiko.chains import LeftToRight
from seiko.domains.base import Domain
from seiko.domains.molecule import smiles_domain
from seiko.domains.molecule_identity import MoleculeRules
from seiko.domains.molecule_tokens import SmilesTokens
from seiko.networks import RecurrentSequence


def token_rules(card: Mapping[str, Any]) -> MoleculeRules:
    """What may be a design: what the training data hold."""
    return MoleculeRules(tuple(card["elements"]), max_atoms=card["max_atoms"], charges=card["charges"])


def codec_of(card: Mapping[str, Any]) -> SmilesTokens:
    """The codec of a card."""
    return SmilesTokens(tuple(card["tokens"]), card["length"])


def build(card: Mapping[str, Any], num_steps: int) -> tuple[LeftToRight, Domain[str]]:
    """The chain of a card, without its weights, and its domain.

    Fewer steps than the card's length are for molecules of fewer tokens: longer ones are cut off and invalid.
    """
    codec = codec_of(card)
    network = RecurrentSequence(codec.kinds, **card["network"])
    return LeftToRight(network, num_steps), smiles_domain(codec.decode, rules=token_rules(card))
