"""All that a method may ask about one kind of thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from seiko.tables.designs import DesignFormat
from seiko.typing import Condition, State

Design = TypeVar("Design")
Mutate = Callable[[Design, np.random.Generator], Design | None]
"""``(design, rng) -> design``, or None where it found no change."""

Crossover = Callable[[Design, Design, np.random.Generator], Design | None]
"""``(design, design, rng) -> design``, or None where the two cannot be crossed."""

FeatureKind = Literal["counts", "counts+properties", "embedding", "additive", "variants", "learned"]


def no_condition(batch_size: int, generator: torch.Generator | None = None) -> None:
    """The condition of an unconditional chain: none."""


@dataclass(frozen=True)
class Domain(Generic[Design]):
    """One kind of design: how states become designs, and what designs are to a method.

    Attributes:
        name: For reports.
        decode: ``(state, condition) -> designs``, one a row: quantise, argmax, graph to molecule.
        features: ``designs -> [n, feature]``, what surrogates are fitted on. Called on valid designs only.
        is_valid: Whether a design may be asked for at all; cheap, and never a query.
        always_valid: Whether everything decoded is valid; then nothing is decoded just to ask.
        key: Canonical identity, for duplicates.
        to_bytes: The design as bytes, for the store; other spellings of it may become one.
        from_bytes: Its inverse, but for the spelling.
        media_type: Of those bytes.
        render: A design as an SVG or HTML fragment.
        soft_features: ``(state, condition) -> [batch, feature]`` with gradients, equal to
            ``features(decode(state))`` at the corners of the simplex; None where there is no such function.
        encode: ``designs -> clean states`` that decode to them, for valid designs; None where there is no
            such function.
        crossover: ``(one, other, generator of NumPy) -> a design of parts of both``, None where it found
            none; itself None where there is no such function.
        mutate: ``(design, generator of NumPy) -> another design near by``, None where it found none; itself
            None where there is no such function.
        condition: ``(batch_size, generator) -> condition`` for sampling.
        metrics: Named functions of a list of designs, for reports.
        why_invalid: The reason a design is not valid, in words; empty when it is valid.
        feature_kind: Whether features are counts (compared by Tanimoto similarity), counts followed by the
            properties of a molecule (these compared by distance), an embedding (compared by distance),
            additive (each says something by itself, like letters and words of a sequence), those of variants
            of one parent or of one natural family (compared by distance too), or those of sequences with
            what a pre-trained network learned of them (likewise).
        formats: Files of the field's own kind, by name, that designs can be written to and read from.
        figures: Pictures of many designs at once, for reports: title to a function from designs, the best
            first, to an SVG fragment; "" where these designs give none.
    """

    name: str
    decode: Callable[[State, Condition], Sequence[Design]]
    features: Callable[[Sequence[Design]], Tensor]
    is_valid: Callable[[Design], bool]
    key: Callable[[Design], str]
    to_bytes: Callable[[Design], bytes]
    from_bytes: Callable[[bytes], Design]
    render: Callable[[Design], str]
    media_type: str = "text/plain"
    always_valid: bool = False
    soft_features: Callable[[State, Condition], Tensor] | None = None
    encode: Callable[[Sequence[Design]], State] | None = None
    crossover: Crossover[Design] | None = None
    mutate: Mutate[Design] | None = None
    condition: Callable[[int, torch.Generator | None], Condition] = no_condition
    metrics: Mapping[str, Callable[[Sequence[Design]], float]] = field(default_factory=dict)
    why_invalid: Callable[[Design], str] = lambda design: ""
    feature_kind: FeatureKind = "embedding"
    formats: Mapping[str, DesignFormat[Any]] = field(default_factory=dict)
    figures: Mapping[str, Callable[[Sequence[Design]], str]] = field(default_factory=dict)
