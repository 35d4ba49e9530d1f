"""Features of sequences, the same function for designs and, with gradients, for states."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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
        return (ours + self._strand(_other_strand(self.space, rows))) / 2

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


def _other_strand(space: SequenceSpace, rows: Tensor) -> Tensor:
    """The reverse complement of letter weights, [batch, length, letters]."""
    letters, complements = space.alphabet.letters, space.alphabet.complements
    return rows[..., [complements.index(letter) for letter in letters]].flip(1)


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

    It knows what is common in the sequences it was trained on, wherever it stands: of few readings more can
    be learned from that than from letters and words alone. A copy in double precision is taken when features
    are first asked for, so that they neither change with training nor with the rows of a batch.

    Args:
        network: With ``hidden(state, time)``, [batch, width] or [batch, tokens, width], averaged over tokens,
            and ``kinds``, a mask's included: `SequenceMLP`, `SequenceTransformer` and `SequenceConvolution`
            have them. Its weights may be loaded until features are first asked for.
        space: The sequences.
        both_strands: Take the mean of both strands' features.

    Raises:
        ParameterError: If the network has no such method or is of other kinds, or the strands of sequences
            without complements or of varying length are asked for.
    """

    def __init__(self, network: nn.Module, space: SequenceSpace, *, both_strands: bool = False) -> None:
        if not callable(getattr(network, "hidden", None)) or not hasattr(network, "kinds"):
            raise ParameterError(
                f"{type(network).__name__} has no method `hidden(state, time)` and number of `kinds` to take "
                "features from.",
                hint="Use a network of seiko.networks for sequences, or SequenceFeatures.",
            )
        if network.kinds not in (space.kinds, space.kinds + 1):
            raise ParameterError(
                f"The network is of {network.kinds} kinds; those of {space} are {space.kinds}, and a mask."
            )
        if both_strands and space.is_variable:
            raise ParameterError("Learned features of both strands need sequences of one length.")
        if both_strands:
            space.alphabet.reverse_complement("")  # refuses alphabets without complements
        self.space, self.both_strands, self._given = space, both_strands, network

    @cached_property
    def network(self) -> Any:
        """The copy."""
        return copy.deepcopy(self._given).double().requires_grad_(False)

    def __call__(self, designs: Sequence[str]) -> Tensor:
        """Features of designs, [n, width]."""
        with torch.no_grad():
            return self.soft(self.space.one_hot(self.space.encode(designs)))

    def soft(self, state: State, condition: Condition = None) -> Tensor:
        """Features of states, [batch, width], with gradients."""
        letters = self.space.letter_weights(state)
        ours = self._hidden(letters)
        if self.both_strands:
            ours = (ours + self._hidden(_other_strand(self.space, letters))) / 2
        return ours.float()

    def _hidden(self, letters: Tensor) -> Tensor:
        rows = self._canonical(letters).double()
        hidden: Tensor = self.network.hidden(rows, rows.new_zeros(len(rows)))
        return hidden.mean(1) if hidden.ndim == 3 else hidden

    def _canonical(self, letters: Tensor) -> Tensor:
        """Letters, end symbols after the end, and an empty mask: one state for each sequence."""
        parts = [letters]
        if self.space.is_variable:
            parts.append(1 - letters.sum(-1, keepdim=True))
        if self.network.kinds > self.space.kinds:
            parts.append(torch.zeros_like(letters[..., :1]))
        return torch.cat(parts, -1)


@dataclass(frozen=True)
class JoinedFeatures:
    """Several features side by side.

    Args:
        parts: For example `SequenceFeatures` and `LearnedFeatures`.

    Example:
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> space = SequenceSpace(DNA, 3)
        >>> parts = (SequenceFeatures(space), SequenceFeatures(space, one_hot=False, words=(2,)))
        >>> JoinedFeatures(parts)(["AAC", "CGT"]).shape
        torch.Size([2, 28])
    """

    parts: tuple[Features, ...]

    def __call__(self, designs: Sequence[str]) -> Tensor:
        """Features of designs, [n, sum of the widths]."""
        return torch.cat([part(designs) for part in self.parts], 1)

    def soft(self, state: State, condition: Condition = None) -> Tensor:
        """Features of states, the same width, with gradients."""
        return torch.cat([part.soft(state, condition) for part in self.parts], 1)
