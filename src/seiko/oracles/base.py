"""What all rewards of sequences share: checked letters, and readings that a campaign takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seiko.errors import ParameterError
from seiko.records import Observation

DNA, RNA, PROTEIN = "ACGT", "ACGU", "ACDEFGHIKLMNPQRSTVWY"
_NAMES = {DNA: "DNA", RNA: "RNA", PROTEIN: "protein"}
_GAPS = "-._ "


class SequenceOracle(ABC):
    """A reward of sequences; larger is better.

    An oracle is called in three ways: ``oracle(design)`` is one number, so it is a reward function;
    ``oracle.values(designs)`` is an array, fastest; ``oracle.evaluate(designs)`` gives one
    :class:`~seiko.Observation` a design, so an oracle is the feedback of a campaign. In the last one a design
    that cannot be read is a failed reading with its reason, and the others are still measured.

    Attributes:
        alphabet: The letters of a design, upper case.
        length: Letters of a design; None where any length will do.
        noise_std: Standard deviation of one reading, in reward units; None for an exact reward.
    """

    alphabet: str
    length: int | None
    noise_std: float | None = None

    @abstractmethod
    def values(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """Rewards [n] of the designs, without noise; -inf where a design is infeasible.

        Raises:
            ParameterError: If a design has another length or a letter outside the alphabet.
        """

    def readings(self, designs: Sequence[str]) -> NDArray[np.float64]:
        """What one measurement of every design gives: `values`, unless the oracle has noise."""
        return self.values(designs)

    def why_infeasible(self, design: str) -> str:
        """The reason why a design has no reward, in words; empty where it has one."""
        return ""

    def __call__(self, design: str) -> float:
        """Reward of one design, without noise."""
        return float(self.values([design])[0])

    def evaluate(self, designs: Sequence[str]) -> list[Observation]:
        """One reading a design, in their order."""
        problems = [what_is_wrong(design, self.alphabet, self.length) for design in designs]
        readable = [d for d, (message, _) in zip(designs, problems, strict=True) if not message]
        readings = iter(self.readings(readable)) if readable else iter(())
        return [
            Observation.failed(f"{message} {hint}".strip())
            if message
            else self._observation(design, float(next(readings)))
            for design, (message, hint) in zip(designs, problems, strict=True)
        ]

    def _observation(self, design: str, reading: float) -> Observation:
        reason = self.why_infeasible(design)
        return Observation.infeasible(reason) if reason else Observation(reading, noise_std=self.noise_std)


def letter_indices(designs: Sequence[str], alphabet: str, length: int) -> NDArray[np.uint8]:
    """Positions in `alphabet` of the letters of designs that all have `length` letters, [n, length].

    Raises:
        ParameterError: Naming the first design that is not such a sequence, and what would mend it.

    Example:
        >>> letter_indices(["ACGT", "TTTT"], "ACGT", 4).tolist()
        [[0, 1, 2, 3], [3, 3, 3, 3]]
    """
    check_designs(designs, alphabet, length)
    table = np.zeros(256, dtype=np.uint8)
    table[np.frombuffer(alphabet.encode(), dtype=np.uint8)] = np.arange(len(alphabet))
    return table[np.frombuffer("".join(designs).encode(), dtype=np.uint8)].reshape(len(designs), length)


def check_designs(designs: Sequence[str], alphabet: str, length: int | None = None) -> None:
    """Refuse designs that are not sequences over `alphabet`, or not of `length`.

    Raises:
        ParameterError: Naming the first such design, and what would mend it.

    Example:
        >>> check_designs(["ACGU"], "ACGT")
        Traceback (most recent call last):
        ...
        seiko.errors.ParameterError: Design 1 ('ACGU') has the letter 'U' at position 4; DNA has only ACGT. \
Write T for U: design.replace("U", "T").
    """
    refuse_one_string(designs)
    for number, design in enumerate(designs, 1):
        message, hint = what_is_wrong(design, alphabet, length)
        if message:
            raise ParameterError(f"Design {number} ({_shown(design)}) {message}", hint=hint)


def refuse_one_string(designs: Sequence[str]) -> None:
    """Refuse one design where a list of designs is needed: its letters would be read as designs.

    Raises:
        ParameterError: If `designs` is a string.
    """
    if isinstance(designs, str):
        raise ParameterError(
            f"A list of designs is needed; got one string, {_shown(designs)}.", hint="Write [design]."
        )


def what_is_wrong(design: object, alphabet: str, length: int | None = None) -> tuple[str, str]:
    """Why something is no design over `alphabet`, and what to do; two empty strings where it is one."""
    if not isinstance(design, str):
        return f"is a {type(design).__name__}, not a string.", "Give the letters of the sequence."
    if not design:
        return "is empty.", "Leave it out; a design has at least one letter."
    strange = design.translate(dict.fromkeys(map(ord, alphabet)))
    if strange:
        letter, name = strange[0], _NAMES.get(alphabet, "this oracle's alphabet")
        where = design.index(letter) + 1
        message = f"has the letter {letter!r} at position {where}; {name} has only {alphabet}."
        return message, _advice(letter, alphabet)
    if length is not None and len(design) != length:
        return f"has {len(design)} letters; this oracle takes {length}.", _length_advice(len(design), length)
    return "", ""


def _advice(letter: str, alphabet: str) -> str:
    if letter in "Uu" and "T" in alphabet and "U" not in alphabet and alphabet != PROTEIN:
        return 'Write T for U: design.replace("U", "T").'
    if letter in "Tt" and "U" in alphabet and "T" not in alphabet:
        return 'Write U for T: design.replace("T", "U").'
    if letter in _GAPS:
        return "Remove gaps: an oracle scores sequences, not rows of an alignment."
    if letter == "*" and alphabet == PROTEIN:
        return "A stop codon ends the protein: leave such designs out, or tell them as infeasible."
    if letter.upper() in alphabet:
        return "Write it in upper case: design.upper()."
    return "Replace ambiguous or unknown letters, or leave the design out."


def _length_advice(given: int, wanted: int) -> str:
    return f"{'Trim' if given > wanted else 'Extend'} it by {abs(given - wanted)}."


def _shown(design: object, most: int = 24) -> str:
    text = repr(design)
    return text if len(text) <= most + 4 else f"{text[:most]}...'"
