"""What a sequence must keep to be made or to work, as biologists state it. Positions count from 1."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from seiko.domains.sequence_alphabet import mutations
from seiko.domains.sequence_metrics import edit_distance
from seiko.errors import ParameterError

STOP_CODONS = frozenset({"TAA", "TAG", "TGA"})


class Constraint(Protocol):
    """What designs must keep.

    `why_not` judges a whole sequence. `start` and `step` read it letter by letter, with a small memory, so
    that a search can tell whether anything keeps all constraints at once: ``step`` gives the memory after a
    letter at a position (from 0) of a sequence of `length` letters, or None where the constraint is, or must
    become, broken.
    """

    def why_not(self, sequence: str) -> str: ...
    def start(self) -> Hashable: ...
    def step(self, memory: Hashable, letter: str, position: int, length: int) -> Hashable | None: ...


@dataclass(frozen=True)
class NoStopCodon:
    """No TAA, TAG or TGA in one reading frame of DNA or RNA.

    Args:
        frame: Position of the first codon's first letter: 1, 2 or 3.
        final_allowed: Let the last whole codon be a stop.

    Example:
        >>> NoStopCodon().why_not("ATGTAGGCC")
        'stop codon TAG at position 4'
    """

    frame: int = 1
    final_allowed: bool = False

    def __post_init__(self) -> None:
        if self.frame not in (1, 2, 3):
            raise ParameterError(f"`frame` must be 1, 2 or 3; got {self.frame!r}.")

    def why_not(self, sequence: str) -> str:
        text = sequence.replace("U", "T")
        starts = range(self.frame - 1, len(text) - 2 - 3 * self.final_allowed, 3)
        found = next((k for k in starts if text[k : k + 3] in STOP_CODONS), None)
        return "" if found is None else f"stop codon {sequence[found : found + 3]} at position {found + 1}"

    def start(self) -> Hashable:
        return ""

    def step(self, memory: Hashable, letter: str, position: int, length: int) -> Hashable | None:
        codon = f"{memory}{letter}".replace("U", "T")
        ends = position >= self.frame + 1 and (position - self.frame - 1) % 3 == 0
        is_final = position + 3 >= length
        if ends and codon[-3:] in STOP_CODONS and not (self.final_allowed and is_final):
            return None
        return codon[-2:]


@dataclass(frozen=True)
class GCContent:
    """A share of G and C within bounds, over the whole sequence or in every window.

    Args:
        low, high: Bounds, in [0, 1], both allowed themselves.
        window: Letters of a window; the whole sequence if None. A sequence shorter than it is one window.

    Example:
        >>> GCContent(0.4, 0.6, window=4).why_not("ACGTGGCC")
        'GC 75 % at positions 2-5, outside of 40-60 %'
    """

    low: float
    high: float
    window: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1 or (self.window is not None and self.window < 1):
            raise ParameterError(
                f"Bounds must be in order, 0 <= low <= high <= 1, and a window at least 1; got {self.low}, "
                f"{self.high} and {self.window}.",
                hint="Give shares, not per cent.",
            )

    def _is_out(self, count: int, size: int) -> bool:
        return not self.low * size - 1e-9 <= count <= self.high * size + 1e-9

    def why_not(self, sequence: str) -> str:
        size = min(self.window or len(sequence), len(sequence))
        strong = [letter in "GC" for letter in sequence]
        count = sum(strong[:size])
        for start in range(len(sequence) - size + 1):
            if start:
                count += strong[start + size - 1] - strong[start - 1]
            if self._is_out(count, size):
                share = f"GC {100 * count / max(size, 1):.0f} %"
                where = f" at positions {start + 1}-{start + size}" if size < len(sequence) else ""
                return f"{share}{where}, outside of {100 * self.low:g}-{100 * self.high:g} %"
        return ""

    def start(self) -> Hashable:
        return 0 if self.window is None else ()

    def step(self, memory: Hashable, letter: str, position: int, length: int) -> Hashable | None:
        strong = letter in "GC"
        if self.window is None:
            assert isinstance(memory, int)
            count, left = memory + strong, length - position - 1
            low, high = self.low * length - 1e-9, self.high * length + 1e-9
            return count if count <= high and count + left >= low else None
        assert isinstance(memory, tuple)
        size = min(self.window, length)
        recent = (*memory, strong)[-size:]
        if len(recent) == size and self._is_out(sum(recent), size):
            return None
        return recent


@dataclass(frozen=True)
class MaxHomopolymer:
    """No letter more than so many times in a row.

    Example:
        >>> MaxHomopolymer(3).why_not("CAAAAC")
        'A repeated 4 times from position 2 on, at most 3'
    """

    longest: int

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise ParameterError(f"`longest` must be at least 1; got {self.longest!r}.")

    def why_not(self, sequence: str) -> str:
        start = 0
        for position in range(1, len(sequence) + 1):
            if position == len(sequence) or sequence[position] != sequence[start]:
                if position - start > self.longest:
                    run = f"{sequence[start]} repeated {position - start} times from position {start + 1} on"
                    return f"{run}, at most {self.longest}"
                start = position
        return ""

    def start(self) -> Hashable:
        return ("", 0)

    def step(self, memory: Hashable, letter: str, position: int, length: int) -> Hashable | None:
        assert isinstance(memory, tuple)
        run = memory[1] + 1 if letter == memory[0] else 1
        return (letter, run) if run <= self.longest else None


@dataclass(frozen=True)
class FixedPositions:
    """Given letters at given positions.

    Args:
        letters: Position, from 1, to the letter that must stand there, or to several that may.

    Example:
        >>> FixedPositions({1: "M", 3: "ST"}).why_not("MKV")
        'V at position 3, where S or T must stand'
    """

    letters: Mapping[int, str] = field(hash=False)

    def __post_init__(self) -> None:
        wrong = [p for p, allowed in self.letters.items() if p < 1 or not allowed]
        if wrong or not self.letters:
            raise ParameterError(
                f"`letters` must give letters for positions from 1 on; got {dict(self.letters)}."
            )

    def why_not(self, sequence: str) -> str:
        for position, allowed in sorted(self.letters.items()):
            if position > len(sequence):
                return f"no position {position}, where {' or '.join(allowed)} must stand"
            if (letter := sequence[position - 1]) not in allowed:
                return f"{letter} at position {position}, where {' or '.join(allowed)} must stand"
        return ""

    def start(self) -> Hashable:
        return 0

    def step(self, memory: Hashable, letter: str, position: int, length: int) -> Hashable | None:
        fits = letter in self.letters.get(position + 1, letter) and max(self.letters) <= length
        return 0 if fits else None


@dataclass(frozen=True)
class MaxMutations:
    """At most so many substitutions from a parent; insertions and deletions too where `indels` is on.

    Args:
        parent: What designs must stay near.
        most: How many changes at most.
        indels: Count edits (Levenshtein); otherwise designs must be as long as the parent.
        parent_is_design: Whether the parent must keep the other constraints; turn it off to look for
            sequences near one that breaks them.

    Example:
        >>> MaxMutations("MKVL", 1).why_not("MRIL")
        '2 mutations from the parent (K2R, V3I), at most 1'
    """

    parent: str
    most: int
    indels: bool = False
    parent_is_design: bool = True

    def __post_init__(self) -> None:
        if self.most < 0 or not self.parent:
            raise ParameterError(f"A parent and `most` >= 0 are needed; got {self.parent!r}, {self.most!r}.")

    def why_not(self, sequence: str) -> str:
        if self.indels:
            count = edit_distance(self.parent, sequence)
            return "" if count <= self.most else f"{count} edits from the parent, at most {self.most}"
        if len(sequence) != len(self.parent):
            return f"{len(sequence)} letters, where the parent has {len(self.parent)}"
        if sum(map(str.__ne__, sequence, self.parent)) <= self.most:
            return ""
        found = mutations(self.parent, sequence)
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        return f"{len(found)} mutations from the parent ({shown}), at most {self.most}"

    def start(self) -> Hashable:
        return tuple(range(len(self.parent) + 1)) if self.indels else 0

    def step(self, memory: Hashable, letter: str, position: int, length: int) -> Hashable | None:
        if not self.indels:
            assert isinstance(memory, int)
            if length != len(self.parent):
                return None
            count = memory + (letter != self.parent[position])
            return count if count <= self.most else None
        assert isinstance(memory, tuple)
        row = [memory[0] + 1]  # the next row of the table of edit distances, cut off above `most`
        for j, other in enumerate(self.parent):
            row.append(min(memory[j] + (letter != other), memory[j + 1] + 1, row[j] + 1))
        if min(row) > self.most or (position + 1 == length and row[-1] > self.most):
            return None
        return tuple(min(value, self.most + 1) for value in row)
