"""Features of sequences, the same function for designs and, with gradients, for states."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seiko.domains.sequence_space import SequenceSpace
from seiko.errors import ParameterError
from seiko.typing import Condition, State

MOST_WORDS = 20_000
"""How many features one block may have."""


class Features(Protocol):
    """Features of designs, ``[n, feature]``, and of states; equal at the corners of the simplex."""

    def __call__(self, designs: Sequence[str]) -> Tensor: ...
    def soft(self, state: State, condition: Condition = None) -> Tensor: ...


@dataclass(frozen=True)
class SequenceFeatures:
    """Blocks of features, each a polynomial in the weights of the letters, so with exact gradients.

    One-hot letters at their positions; pairs of letters at two positions a given distance apart; counts of
    words of k neighbouring letters anywhere, and of pairs of letters a distance apart anywhere. A model that
    is linear in one-hot letters knows no motif that moves and no two positions that need each other: words
    and pairs add these.

    Args:
        space: The sequences.
        one_hot: Letters at their positions.
        pairs: Distances of pairs at their positions.
        words: Lengths k of words counted anywhere.
        gapped: Distances of pairs counted anywhere.
        parent: One-hot letters of this sequence count as nothing, so that a design is its mutations.
        both_strands: Take the mean of both strands' features, the same for a sequence and its reverse
            complement.

    Raises:
        ParameterError: If nothing is chosen, a block does not fit, or needs a fixed length.

    Example:
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> features = SequenceFeatures(SequenceSpace(DNA, 3), words=(1,))
        >>> features(["AAC"]).tolist()
        [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 1.0, 0.0, 0.0]]
    """

    space: SequenceSpace
    one_hot: bool = True
    pairs: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    gapped: tuple[int, ...] = ()
    parent: str | None = None
    both_strands: bool = False

    def __post_init__(self) -> None:
        letters, length = len(self.space.alphabet.letters), self.space.length
        if not (self.one_hot or self.pairs or self.words or self.gapped):
            raise ParameterError("Choose some features: `one_hot`, `pairs`, `words` or `gapped`.")
        for name, values, least, most in (
            ("pairs", self.pairs, 1, length - 1),
            ("gapped", self.gapped, 1, length - 1),
            ("words", self.words, 1, length),
        ):
            if any(not least <= value <= most for value in values):
                raise ParameterError(f"`{name}` must be in {least} ... {most}; got {values}.")
        sizes = [letters**k for k in self.words] + [letters**2 * (length - d) for d in self.pairs]
        if max(sizes, default=0) > MOST_WORDS:
            raise ParameterError(
                f"A block would have {max(sizes)} features; at most {MOST_WORDS} are allowed.",
                hint="Count shorter `words`, or use `gapped` in place of `pairs`.",
            )
        if self.space.is_variable and (self.parent is not None or self._placed_on_both_strands):
            raise ParameterError(
                "Features relative to a parent, and features at positions of both strands, need sequences of "
                "one length.",
                hint="Use `words` and `gapped` alone.",
            )
        if self.parent is not None:
            object.__setattr__(self, "parent", self.space.read(self.parent))
        if self.both_strands:
            self.space.alphabet.reverse_complement("")  # refuses alphabets without complements

    @property
    def _placed_on_both_strands(self) -> bool:
        return self.both_strands and (self.one_hot or bool(self.pairs))

    def __call__(self, designs: Sequence[str]) -> Tensor:
        """Features of designs, float32 [n, feature]."""
        return self.soft(self.space.one_hot(self.space.encode(designs)))

    def soft(self, state: State, condition: Condition = None) -> Tensor:
        """Features of states, [batch, feature], with gradients."""
        rows = self.space.letter_weights(state)  # [batch, length, letters]
        ours = self._strand(rows)
        if not self.both_strands:
            return ours
        return (ours + self._strand(rows[..., self._complement].flip(1))) / 2

    @property
    def _complement(self) -> list[int]:
        alphabet = self.space.alphabet
        return [alphabet.complements.index(letter) for letter in alphabet.letters]

    def _strand(self, rows: Tensor) -> Tensor:
        blocks = []
        if self.one_hot:
            blocks.append(self._mutations(rows).flatten(1))
        blocks += [_pairs(rows, distance).flatten(1) for distance in self.pairs]
        blocks += [_words(rows, k) for k in self.words]
        blocks += [_pairs(rows, distance).sum(1) for distance in self.gapped]
        return torch.cat(blocks, 1)

    def _mutations(self, rows: Tensor) -> Tensor:
        if self.parent is None:
            return rows
        return rows * (1 - self.space.one_hot(self.space.encode([self.parent])).to(rows))


def _pairs(rows: Tensor, distance: int) -> Tensor:
    """Products of letters `distance` apart, [batch, length - distance, letters^2]."""
    return (rows[:, :-distance, :, None] * rows[:, distance:, None, :]).flatten(2)


def _words(rows: Tensor, k: int) -> Tensor:
    """Counts of the words of k letters, [batch, letters^k]."""
    count = rows.shape[1] - k + 1
    words = rows[:, :count]
    for offset in range(1, k - 1):
        words = (words[..., None] * rows[:, offset : offset + count, None]).flatten(2)
    if k == 1:
        return words.sum(1)
    # The last letter and the sum over positions in one product, which is never held for all positions.
    return (words.transpose(1, 2) @ rows[:, k - 1 :]).flatten(1)


class LearnedFeatures:
    """What a chain's own network computes of a whole sequence before its last layer.

    Args:
        network: With ``hidden(state, time)``, [batch, width] or [batch, tokens, width], averaged over tokens:
            `SequenceMLP`, `SequenceTransformer` and `SequenceConvolution` have it. A copy in double precision
            is kept, so that features neither change with training nor with the rows of a batch.
        space: The sequences.
        mask: Whether states have a mask, as those of masked chains.

    Raises:
        ParameterError: If the network has no such method.
    """

    def __init__(self, network: nn.Module, space: SequenceSpace, *, mask: bool = True) -> None:
        if not callable(getattr(network, "hidden", None)):
            raise ParameterError(
                f"{type(network).__name__} has no method `hidden(state, time)` to take features from.",
                hint="Use a network of seiko.networks for sequences, or SequenceFeatures.",
            )
        self.network: Any = copy.deepcopy(network).double().requires_grad_(False)
        self.space, self.mask = space, mask

    def __call__(self, designs: Sequence[str]) -> Tensor:
        """Features of designs, [n, width]."""
        with torch.no_grad():
            return self.soft(self.space.one_hot(self.space.encode(designs)))

    def soft(self, state: State, condition: Condition = None) -> Tensor:
        """Features of states, [batch, width], with gradients."""
        rows = self._canonical(state).double()
        hidden = self.network.hidden(rows, rows.new_zeros(len(rows)))
        return (hidden.mean(1) if hidden.ndim == 3 else hidden).float()

    def _canonical(self, state: State) -> Tensor:
        """Letters, end symbols after the end, and an empty mask: one state for each sequence."""
        letters = self.space.letter_weights(state)
        parts = [letters]
        if self.space.is_variable:
            parts.append(1 - letters.sum(-1, keepdim=True))
        if self.mask:
            parts.append(torch.zeros_like(letters[..., :1]))
        return torch.cat(parts, -1)
