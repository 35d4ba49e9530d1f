"""Chains over biological sequences: those of the package, and uniform ones for any alphabet and length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seiko.chains import DiffusionChain, Masked, Uniform
from seiko.chains.base import Process
from seiko.domains.base import Domain
from seiko.domains.sequence import sequence_domain
from seiko.domains.sequence_alphabet import DNA, PROTEIN, RNA, Alphabet
from seiko.domains.sequence_constraints import Constraint
from seiko.domains.sequence_space import SequenceSpace
from seiko.errors import ParameterError
from seiko.networks import MarkovPosterior, SequenceConvolution, SequenceMLP, SequenceTransformer

ALPHABETS: Mapping[str, Alphabet] = {"DNA": DNA, "RNA": RNA, "protein": PROTEIN}
NETWORKS = {"mlp": SequenceMLP, "convolution": SequenceConvolution, "transformer": SequenceTransformer}
SMALL: Mapping[str, Any] = {"kind": "mlp", "width": 128}
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
    built = _zero_headed(space, process, network or SMALL, seed)
    steps = num_steps or min(space.length, 16)
    return DiffusionChain(built, sequence_process(space, process, steps))


def markov_sequences(
    space: SequenceSpace,
    initial: Tensor,
    transitions: Tensor,
    *,
    num_steps: int | None = None,
    network: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> DiffusionChain:
    """A masked chain whose law is a Markov law, without training: where it is known what may follow what.

    With one position a step the law is exact (`MarkovPosterior`). Positions that are revealed in one step do
    not see each other, so fewer steps are faster and let some forbidden pairs through.

    Args:
        space: Alphabet and one length.
        initial: Probabilities of the first letter, [letters].
        transitions: From row to column, [letters, letters].
        num_steps: Steps; the length by default.
        network: Of the residual, as in a card; ``{"kind": "mlp", "width": 128}`` by default.
        seed: Of the layers before the last.

    Raises:
        ParameterError: If lengths vary, or the probabilities do not fit.
    """
    if space.is_variable or len(initial) != space.kinds or transitions.shape != (space.kinds, space.kinds):
        raise ParameterError(
            f"A Markov law of {space} needs one length, {space.kinds} first probabilities and a square table "
            f"of them; got {list(initial.shape)} and {list(transitions.shape)}."
        )
    residual = _zero_headed(space, "masked", network or SMALL, seed)
    law = MarkovPosterior(initial, transitions, residual)
    return DiffusionChain(law, sequence_process(space, "masked", num_steps or space.length))


def _zero_headed(
    space: SequenceSpace, process: ProcessName, settings: Mapping[str, Any], seed: int
) -> nn.Module:
    """A network that gives 0 until it is trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = sequence_network(space, process, settings)
    last = [module for module in built.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return built


def space_of(card: Mapping[str, Any]) -> SequenceSpace:
    """The space of a card."""
    return SequenceSpace(ALPHABETS[card["alphabet"]], card["length"], card.get("min_length"))


def build(card: Mapping[str, Any], num_steps: int) -> tuple[DiffusionChain, Domain[str]]:
    """The chain of a card, without its weights, and its domain."""
    space = space_of(card)
    network = sequence_network(space, card["process"], card["network"])
    chain = DiffusionChain(network, sequence_process(space, card["process"], num_steps))
    return chain, domain_of(card, network)


def domain_of(
    card: Mapping[str, Any], network: nn.Module, constraints: Sequence[Constraint] = ()
) -> Domain[str]:
    """The domain of a card, under constraints.

    A card says whether learned features help, and how features are compared where that is not the default.
    """
    return sequence_domain(
        space_of(card),
        constraints=constraints,
        parent=card.get("parent"),
        both_strands=card["both_strands"],
        network=network if card.get("learned_features") else None,
        feature_kind=card.get("feature_kind"),
    )
