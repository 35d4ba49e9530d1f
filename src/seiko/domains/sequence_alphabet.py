"""Letters of biological sequences: alphabets, reading, complements, translation, ambiguity codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from seiko.errors import ParameterError

UNKNOWN = "?"
"""Stands in a design for a position whose state is still masked."""

GAPS = "-.~"


@dataclass(frozen=True)
class Alphabet:
    """The letters of one kind of sequence.

    Args:
        name: For reports.
        letters: At least two different characters of ASCII, in the order of their kinds.
        complements: The complement of each letter, in the same order; empty where there is none.
        synonym: A pair: a letter that is read as another, as the U of RNA is read as the T of DNA.
        terminator: A character dropped from the end of a text, as the ``*`` that closes a protein.
        ambiguity: Codes that stand for several letters in motifs.

    Raises:
        ParameterError: If letters repeat, are not printable ASCII, or are kept for another use.

    Example:
        >>> DNA.read("acgu"), DNA.reverse_complement("AACG")
        ('ACGT', 'CGTT')
        >>> Alphabet("polar or not", "HP").read("hphp")
        'HPHP'
    """

    name: str
    letters: str
    complements: str = ""
    synonym: tuple[str, str] | None = None
    terminator: str = ""
    ambiguity: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        reserved = set(self.letters) & set(UNKNOWN + ">,;\"'#[]^")
        printable = self.letters.isascii() and self.letters.isprintable() and " " not in self.letters
        if len(self.letters) < 2 or len(set(self.letters)) < len(self.letters) or not printable or reserved:
            raise ParameterError(
                f"An alphabet needs at least two different printable characters of ASCII, none of them a "
                f"space or one of ?>,;\"'#[]^; got {self.letters!r}."
            )
        if self.complements and sorted(self.complements) != sorted(self.letters):
            raise ParameterError(
                f"`complements` must hold each of {self.letters} once; got {self.complements!r}."
            )

    @property
    def folds_case(self) -> bool:
        """Whether texts in lower case are read too: all letters are capitals."""
        return self.letters == self.letters.upper()

    @property
    def is_nucleic(self) -> bool:
        """Whether these are bases: they have complements, or are some of A, C, G, T and U."""
        return bool(self.complements) or set(self.letters) <= set("ACGTU")

    def read(self, text: str) -> str:
        """A text as a sequence of this alphabet: white space dropped, case and U or T put right.

        Raises:
            ParameterError: Saying what is wrong, where, and what would help. Positions count from 1.
        """
        sequence, reason, hint = self.parse(text)
        if reason:
            raise ParameterError(f"This is not a sequence of {self.name}: {reason}.", hint=hint)
        return sequence

    def parse(self, text: str) -> tuple[str, str, str]:
        """A sequence and two empty strings, or what could not be read, why, and what would help.

        Example:
            >>> DNA.parse("ACGX")[1]
            "letter 'X' at position 4 is not among ACGT"
        """
        text = "".join(text.split())
        if not set(text) <= set(self.letters) or not text:
            text, reason, hint = self._normalised(text)
            if reason:
                return text, reason, hint
        return text, "", ""

    def _normalised(self, text: str) -> tuple[str, str, str]:
        if self.folds_case and text != text.upper():
            if text != text.lower():
                return text, _mixed_case(text), "Write all letters in one case, if lower case means nothing."
            text = text.upper()
        if self.terminator and text.endswith(self.terminator):
            text = text[: -len(self.terminator)]
        if not text:
            return text, "it is empty", "Leave the entry out."
        if self.synonym and self.synonym[0] in text:
            other, ours = self.synonym
            if ours in text:
                reason = f"it has both {other} (position {text.index(other) + 1}) and {ours} "
                reason += f"(position {text.index(ours) + 1})"
                return text, reason, f"Write {ours} for each {other}, if both are the same base."
            text = text.replace(other, ours)
        for position, letter in enumerate(text, 1):
            if letter not in self.letters:
                return text, *self._fault(letter, position)
        return text, "", ""

    def _fault(self, letter: str, position: int) -> tuple[str, str]:
        where = f"at position {position}"
        if letter == UNKNOWN:
            return f"position {position} is still masked", "Sample the chain to its end."
        if letter in GAPS:
            return (
                f"gap {letter!r} {where}",
                "Remove the gaps: designs are sequences, not rows of alignments.",
            )
        if letter in dict(self.ambiguity):
            meaning = dict(self.ambiguity)[letter]
            return f"letter {letter!r} {where} stands for several ({', '.join(meaning)})", "Choose one."
        if self.terminator and letter == self.terminator:
            return f"stop {letter!r} {where}, before the end", "Cut the sequence there, or leave it out."
        hint = "Is this the right alphabet?" if letter.isalpha() else "Remove everything that is no letter."
        return f"letter {letter!r} {where} is not among {self.letters}", hint

    def reverse_complement(self, sequence: str) -> str:
        """The other strand, read from its own start.

        Raises:
            ParameterError: If the alphabet has no complements.
        """
        if not self.complements:
            raise ParameterError(f"{self.name} has no complements.", hint="Use DNA or RNA.")
        return sequence.translate(str.maketrans(self.letters, self.complements))[::-1]

    def motif(self, text: str) -> tuple[frozenset[str], ...]:
        """The letters that each position of a motif allows.

        A motif is written in letters, ambiguity codes (N or R of nucleotides, X of proteins), and brackets:
        ``N[^P][ST]`` is N, then all but P, then S or T.

        Raises:
            ParameterError: If the motif is empty, has another character, or allows no letter somewhere.

        Example:
            >>> [len(allowed) for allowed in PROTEIN.motif("N[^P][ST]")]
            [1, 19, 2]
        """
        text = text.upper() if self.folds_case else text
        parts = re.findall(r"\[\^?[^\[\]]+\]|[^\[\]]", text)
        if not parts or "".join(parts) != text:
            raise ParameterError(
                f"A motif of {self.name} must be letters, ambiguity codes or brackets; got {text!r}.",
                hint="For instance GAATTC, GANTC or N[^P][ST].",
            )
        return tuple(self._allowed(part, text) for part in parts)

    def _allowed(self, part: str, motif: str) -> frozenset[str]:
        if part.startswith("["):
            inside = part[1:-1].removeprefix("^")
            letters = frozenset().union(*(self._allowed(letter, motif) for letter in inside))
            if not part.startswith("[^"):
                return letters
            if not (others := frozenset(self.letters) - letters):
                raise ParameterError(
                    f"The motif {motif} has {part}, which leaves no letter of {self.name} ({self.letters})."
                )
            return others
        if self.synonym and part == self.synonym[0]:
            part = self.synonym[1]
        if part in self.letters:
            return frozenset(part)
        codes = dict(self.ambiguity)
        if part not in codes:
            raise ParameterError(
                f"The motif {motif} has {part!r}, which is neither a letter of {self.name} ({self.letters}) "
                f"nor an ambiguity code ({''.join(codes) or 'there are none'})."
            )
        return frozenset(codes[part])


def _mixed_case(text: str) -> str:
    upper = text[0].isupper()
    change = next(k for k, letter in enumerate(text, 1) if letter.isalpha() and letter.isupper() != upper)
    return f"upper and lower case are mixed, from position {change} on"


def _nucleotide_codes(t: str) -> tuple[tuple[str, str], ...]:
    """The codes of IUPAC (Cornish-Bowden, Nucleic Acids Res. 13:3021, 1985)."""
    codes = "R:AG Y:CT S:CG W:AT K:GT M:AC B:CGT D:AGT H:ACT V:ACG N:ACGT"
    pairs = (code.split(":") for code in codes.replace("T", t).split())
    return tuple((code, letters) for code, letters in pairs)


DNA = Alphabet("DNA", "ACGT", "TGCA", synonym=("U", "T"), ambiguity=_nucleotide_codes("T"))
RNA = Alphabet("RNA", "ACGU", "UGCA", synonym=("T", "U"), ambiguity=_nucleotide_codes("U"))
PROTEIN = Alphabet(
    "protein",
    "ACDEFGHIKLMNPQRSTVWY",
    terminator="*",
    ambiguity=(("B", "DN"), ("Z", "EQ"), ("J", "IL"), ("X", "ACDEFGHIKLMNPQRSTVWY")),
)

_AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
STANDARD_CODE: Mapping[str, str] = {
    "".join(codon): letter for codon, letter in zip(product("TCAG", repeat=3), _AMINO_ACIDS, strict=True)
}
"""The standard genetic code; ``*`` is a stop."""


def translate(sequence: str, *, frame: int = 1) -> str:
    """The amino acids of a DNA or RNA sequence by the standard code, ``*`` for a stop.

    Args:
        sequence: Letters ACGT or ACGU; one or two letters left over at the end are ignored.
        frame: Position of the first codon's first letter: 1, 2 or 3.

    Raises:
        ParameterError: If `frame` or a letter is another.

    Example:
        >>> translate("AUGGCCUAA")
        'MA*'
    """
    if frame not in (1, 2, 3):
        raise ParameterError(f"`frame` must be 1, 2 or 3; got {frame!r}.")
    text = DNA.read(sequence)
    return "".join(STANDARD_CODE[text[k : k + 3]] for k in range(frame - 1, len(text) - 2, 3))


def mutations(parent: str, sequence: str, *, first: int = 1) -> list[str]:
    """Substitutions from a parent of the same length, as ``A108D``.

    Args:
        parent: What is compared with.
        sequence: As long as the parent.
        first: The number of the parent's first position.

    Raises:
        ParameterError: If the lengths differ.

    Example:
        >>> mutations("MKV", "MRV")
        ['K2R']
    """
    if len(parent) != len(sequence):
        raise ParameterError(f"The parent has {len(parent)} letters and the sequence {len(sequence)}.")
    pairs = enumerate(zip(parent, sequence, strict=True), first)
    return [f"{old}{position}{new}" for position, (old, new) in pairs if old != new]
