"""The codec of sequences and states of categorical chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seiko.domains.sequence_alphabet import UNKNOWN, Alphabet
from seiko.errors import ParameterError, ShapeError
from seiko.typing import Condition, State


@dataclass(frozen=True)
class SequenceSpace:
    """Sequences of one alphabet, of a fixed length or up to it, as rows of kinds.

    Kinds are the letters in order, then an end symbol if the length varies. A shorter sequence is followed by
    end symbols only; in a state the first one ends the sequence, whatever comes after. A state is one-hot
    rows [batch, length, kinds], with one more kind, the mask, in masked chains.

    Args:
        alphabet: The letters.
        length: Letters of a sequence, or the most if `min_length` is less.
        min_length: The fewest letters, at least 1; `length` if None.

    Raises:
        ParameterError: If the lengths are out of order.

    Example:
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> space = SequenceSpace(DNA, 4, min_length=1)
        >>> kinds = space.encode(["ACGT", "gu"])
        >>> kinds.tolist()
        [[0, 1, 2, 3], [2, 3, 4, 4]]
        >>> space.decode(space.one_hot(kinds))
        ['ACGT', 'GT']
    """

    alphabet: Alphabet
    length: int
    min_length: int | None = None

    def __post_init__(self) -> None:
        least = self.length if self.min_length is None else self.min_length
        if not 1 <= least <= self.length:
            raise ParameterError(
                f"Lengths must be in order, 1 <= min_length <= length; got min_length {self.min_length} and "
                f"length {self.length}."
            )

    @property
    def shortest(self) -> int:
        """The fewest letters of a sequence."""
        return self.length if self.min_length is None else self.min_length

    @property
    def is_variable(self) -> bool:
        """Whether lengths differ, and there is an end symbol."""
        return self.shortest < self.length

    @property
    def kinds(self) -> int:
        """Letters, and the end symbol if there is one; the mask is not counted."""
        return len(self.alphabet.letters) + self.is_variable

    def parse(self, text: str) -> tuple[str, str]:
        """A sequence of this space and "", or what could be read and why it is none."""
        sequence, reason, _ = self.alphabet.parse(text) if text else ("", "it is empty", "")
        if not reason and not self.shortest <= len(sequence) <= self.length:
            wanted = f"{self.shortest} to {self.length}" if self.is_variable else f"{self.length}"
            reason = f"{len(sequence)} letters, not {wanted}"
        return sequence, reason

    def read(self, text: str) -> str:
        """A text as a sequence of this space.

        Raises:
            ParameterError: Saying what is wrong and where.
        """
        sequence, reason = self.parse(text)
        if reason:
            raise ParameterError(f"This is not a sequence of {self}: {reason}.")
        return sequence

    def __str__(self) -> str:
        size = f"{self.shortest} to {self.length}" if self.is_variable else f"{self.length}"
        return f"{self.alphabet.name} of {size} letters"

    def encode(self, sequences: Sequence[str]) -> Tensor:
        """Kinds of sequences, uint8 [n, length].

        Raises:
            ParameterError: If one does not belong here; names its place in `sequences`, from 0.
        """
        clean = []
        for row, text in enumerate(sequences):
            sequence, reason = self.parse(text)
            if reason:
                raise ParameterError(f"Sequence {row} is not one of {self}: {reason}.")
            clean.append(sequence.ljust(self.length))
        table = np.full(256, len(self.alphabet.letters), dtype=np.uint8)
        table[np.frombuffer(self.alphabet.letters.encode(), np.uint8)] = np.arange(len(self.alphabet.letters))
        letters = np.frombuffer("".join(clean).encode(), np.uint8).reshape(len(clean), self.length)
        return torch.from_numpy(table[letters])

    def one_hot(self, kinds: Tensor) -> Tensor:
        """Kinds as a state without a mask, float32 [n, length, kinds]."""
        return torch.nn.functional.one_hot(kinds.long(), self.kinds).float()

    def decode(self, state: State, condition: Condition = None) -> list[str]:
        """The most likely sequence of each row; ``?`` stands where a position is still masked.

        Raises:
            ShapeError: If the state has another shape.
        """
        kinds = self.checked(state).argmax(-1).to(torch.uint8).cpu().numpy()
        letters = self.alphabet.letters + (" " if self.is_variable else "") + UNKNOWN
        table = np.frombuffer(letters.encode(), np.uint8)
        texts = table[kinds].tobytes().decode()
        rows = (texts[k : k + self.length] for k in range(0, len(texts), self.length))
        return [row.partition(" ")[0] for row in rows]

    def checked(self, state: State) -> Tensor:
        """The state itself, if its shape is [batch, length, kinds] or with the mask one kind more."""
        wanted = (self.length, self.kinds)
        if not isinstance(state, Tensor) or state.ndim != 3 or state.shape[1] != self.length:
            got = list(state.shape) if isinstance(state, Tensor) else type(state).__name__
            raise ShapeError(f"A state of {self} must have the shape [batch, {wanted[0]}, kinds]; got {got}.")
        if state.shape[2] not in (self.kinds, self.kinds + 1):
            raise ShapeError(
                f"A state of {self} must have {self.kinds} kinds, or {self.kinds + 1} with the mask; got "
                f"{state.shape[2]}."
            )
        return state

    def letter_weights(self, state: State) -> Tensor:
        """How much each letter stands at each position, with gradients, [batch, length, letters].

        At the corners of the simplex these are the one-hot rows of the decoded sequence, zero after its end:
        a position counts as far as no earlier one, nor itself, is an end symbol.
        """
        rows = self.checked(state)[..., : self.kinds]
        if not self.is_variable:
            return rows
        before = (1 - rows[..., -1]).cumprod(1)
        reached = torch.cat([torch.ones_like(before[:, :1]), before[:, :-1]], 1)  # no end symbol before it
        return rows[..., :-1] * reached[..., None]

    def allowed(self, fixed: Mapping[int, str] | None = None) -> Tensor:
        """Kinds that each position may hold, [length, kinds] bool, to clamp a chain with.

        Args:
            fixed: Position, from 1, to the letters that may stand there, as in `FixedPositions`; where
                lengths vary, every sequence reaches to the last of them.

        Raises:
            ParameterError: If a position or letter does not belong here.

        Example:
            >>> from seiko.domains.sequence_alphabet import DNA
            >>> SequenceSpace(DNA, 3).allowed({2: "AG"}).int().tolist()
            [[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 1, 1]]
        """
        fixed = fixed or {}
        found = torch.ones(self.length, self.kinds, dtype=torch.bool)
        if self.is_variable:
            found[: max([self.shortest, *fixed]), -1] = False
        for position, letters in fixed.items():
            known = [letter for letter in letters if letter in self.alphabet.letters]
            if not 1 <= position <= self.length or not letters or len(known) < len(letters):
                raise ParameterError(
                    f"Position {position} with {letters!r} is not one of {self}.",
                    hint=f"Positions count from 1; letters are {self.alphabet.letters}.",
                )
            found[position - 1] = False
            found[position - 1, [self.alphabet.letters.index(letter) for letter in letters]] = True
        return found
