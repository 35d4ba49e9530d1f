"""Chains over biological sequences: those of the package, and uniform ones for any alphabet and length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from seiko.chains import DiffusionChain, Masked, Uniform
from seiko.chains.base import Process
from seiko.domains.base import Domain
from seiko.domains.sequence import sequence_domain
from seiko.domains.sequence_alphabet import DNA, PROTEIN, RNA, Alphabet
from seiko.domains.sequence_space import SequenceSpace
from seiko.errors import ParameterError
from seiko.networks import SequenceConvolution, SequenceMLP, SequenceTransformer

ALPHABETS: Mapping[str, Alphabet] = {"DNA": DNA, "RNA": RNA, "protein": PROTEIN}
NETWORKS = {"mlp": SequenceMLP, "convolution": SequenceConvolution, "transformer": SequenceTransformer}
ProcessName = Literal["masked", "mutation"]


def sequence_process(space: SequenceSpace, name: ProcessName, num_steps: int) -> Process:
    """The process of a sequence chain: masked, or uniform mutation, which can revise what stands."""
    if name == "masked":
        return Masked(space.length, space.kinds, num_steps)
    if name == "mutation":
        return Uniform(space.length, space.kinds, num_steps)
    raise ParameterError(f'`process` must be "masked" or "mutation"; got {name!r}.')


def sequence_network(space: SequenceSpace, process: ProcessName, settings: Mapping[str, Any]) -> nn.Module:
    """A network as a card describes it: its kind, and its sizes."""
    options = dict(settings)
    kind = NETWORKS[options.pop("kind")]
    return kind(space.length, space.kinds + (process == "masked"), outputs=space.kinds, **options)


def uniform_sequences(
    space: SequenceSpace,
    *,
    process: ProcessName = "masked",
    num_steps: int | None = None,
    network: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> DiffusionChain:
    """A chain whose law is uniform over all rows of kinds of a space, to start from without data.

    Every sequence of a fixed length is equally likely; where lengths vary every *row of kinds* is, so short
    sequences are likelier than long ones. The last layer is zero and can be trained like any other.

    Args:
        space: Alphabet and lengths.
        process: "masked", or "mutation" for one that can revise positions.
        num_steps: Steps; at most 16 and at most the length by default.
        network: As in a card, ``{"kind": "mlp", "width": 128}`` by default.
        seed: Of the layers before the last.

    Example:
        >>> from seiko.chain import sample
        >>> space = SequenceSpace(RNA, 14)
        >>> state = sample(uniform_sequences(space), 2, generator=torch.Generator().manual_seed(0))
        >>> [len(design) for design in space.decode(state)]
        [14, 14]
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = sequence_network(space, process, network or {"kind": "mlp", "width": 128})
    last = [module for module in built.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    steps = num_steps or min(space.length, 16)
    return DiffusionChain(built, sequence_process(space, process, steps))


def space_of(card: Mapping[str, Any]) -> SequenceSpace:
    """The space of a card."""
    return SequenceSpace(ALPHABETS[card["alphabet"]], card["length"], card.get("min_length"))


def build(card: Mapping[str, Any], num_steps: int) -> tuple[DiffusionChain, Domain[str]]:
    """The chain of a card, without its weights, and its domain."""
    space = space_of(card)
    network = sequence_network(space, card["process"], card["network"])
    domain = sequence_domain(space, parent=card.get("parent"), both_strands=card["both_strands"])
    return DiffusionChain(network, sequence_process(space, card["process"], num_steps)), domain
