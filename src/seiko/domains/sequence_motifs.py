"""Motifs that must not occur: restriction sites, or any of your own."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from seiko.domains.sequence_alphabet import DNA, Alphabet
from seiko.domains.sequence_metrics import motif_pattern
from seiko.errors import ParameterError

ENZYMES: Mapping[str, str] = {
    "AatII": "GACGTC", "AgeI": "ACCGGT", "ApaI": "GGGCCC", "AscI": "GGCGCGCC", "AvrII": "CCTAGG",
    "BamHI": "GGATCC", "BbsI": "GAAGAC", "BglII": "AGATCT", "BsaI": "GGTCTC", "BsmBI": "CGTCTC",
    "BspQI": "GCTCTTC", "ClaI": "ATCGAT", "DpnI": "GATC", "EcoRI": "GAATTC", "EcoRV": "GATATC",
    "HincII": "GTYRAC", "HindIII": "AAGCTT", "KpnI": "GGTACC", "MfeI": "CAATTG", "MluI": "ACGCGT",
    "NcoI": "CCATGG", "NdeI": "CATATG", "NheI": "GCTAGC", "NotI": "GCGGCCGC", "PacI": "TTAATTAA",
    "PmeI": "GTTTAAAC", "PstI": "CTGCAG", "PvuII": "CAGCTG", "SacI": "GAGCTC", "SalI": "GTCGAC",
    "SapI": "GCTCTTC", "SfiI": "GGCCNNNNNGGCC", "SmaI": "CCCGGG", "SpeI": "ACTAGT", "SphI": "GCATGC",
    "SwaI": "ATTTAAAT", "XbaI": "TCTAGA", "XhoI": "CTCGAG", "XmaI": "CCCGGG",
}  # fmt: skip
"""Recognition sites of restriction enzymes, from 5' to 3'."""


@dataclass(frozen=True)
class ForbiddenMotifs:
    """None of some motifs anywhere.

    Args:
        motifs: See `Alphabet.motif`: letters, IUPAC codes, brackets.
        alphabet: Their alphabet.
        both_strands: Forbid their reverse complements too.
        names: For messages, one a motif; the motifs themselves if empty.

    Raises:
        ParameterError: If a motif cannot be read, or names do not match.

    Example:
        >>> ForbiddenMotifs(("GANTC",)).why_not("AAGATTCA")
        'GANTC at position 3 (GATTC)'
    """

    motifs: tuple[str, ...]
    alphabet: Alphabet = field(default=DNA, repr=False)
    both_strands: bool = True
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.motifs, str):
            raise ParameterError(f"`motifs` must be a sequence of motifs; got the text {self.motifs!r}.")
        object.__setattr__(self, "motifs", tuple(self.motifs))
        names = tuple(self.names) or self.motifs
        if not self.motifs or len(names) != len(self.motifs):
            raise ParameterError(f"Give at least one motif and as many names; got {self.motifs}, {names}.")
        assert len(self._patterns) >= len(self.motifs)  # motifs that cannot be read are refused here

    @cached_property
    def _patterns(self) -> list[tuple[str, tuple[frozenset[str], ...], re.Pattern[str]]]:
        """Label, allowed letters and expression of each motif, and of its other strand."""
        letters, complements = self.alphabet.letters, self.alphabet.complements
        other = dict(zip(letters, complements, strict=True)) if self.both_strands and complements else {}
        return [
            (label, sets, motif_pattern(sets))
            for name, motif in zip(self.names or self.motifs, self.motifs, strict=True)
            for label, sets in self._strands(name, self.alphabet.motif(motif), other)
        ]

    @cached_property
    def _masks(self) -> list[tuple[dict[str, int], int]]:
        return [_shift_and(sets) for _, sets, _ in self._patterns]

    @staticmethod
    def _strands(
        name: str, sets: tuple[frozenset[str], ...], complements: Mapping[str, str]
    ) -> list[tuple[str, tuple[frozenset[str], ...]]]:
        found = [(name, sets)]
        if complements:
            other = tuple(frozenset(complements[letter] for letter in s) for s in reversed(sets))
            if other != sets:
                found.append((f"{name} on the other strand", other))
        return found

    def why_not(self, sequence: str) -> str:
        for label, sets, pattern in self._patterns:
            found = pattern.search(sequence)
            if found:
                at = found.start()
                return f"{label} at position {at + 1} ({sequence[at : at + len(sets)]})"
        return ""

    def start(self) -> Hashable:
        return (0,) * len(self._masks)

    def step(self, memory: Hashable, letter: str, position: int, length: int) -> Hashable | None:
        assert isinstance(memory, tuple)
        # Shift-And (Baeza-Yates & Gonnet 1992): bit j says that the first j + 1 letters of the motif match.
        after = []
        for bits, (masks, last) in zip(memory, self._masks, strict=True):
            bits = ((bits << 1) | 1) & masks.get(letter, 0)
            if bits & last:
                return None
            after.append(bits)
        return tuple(after)


def _shift_and(sets: tuple[frozenset[str], ...]) -> tuple[dict[str, int], int]:
    masks: dict[str, int] = {}
    for j, allowed in enumerate(sets):
        for letter in allowed:
            masks[letter] = masks.get(letter, 0) | (1 << j)
    return masks, 1 << (len(sets) - 1)


def no_restriction_sites(*enzymes: str, alphabet: Alphabet = DNA) -> ForbiddenMotifs:
    """No recognition site of some restriction enzymes, on either strand.

    Args:
        enzymes: Names among `ENZYMES`.
        alphabet: Of the designs: DNA, or RNA that is made from it.

    Raises:
        ParameterError: If an enzyme is unknown, or the alphabet is not of bases.

    Example:
        >>> no_restriction_sites("EcoRI", "BsaI").why_not("AAGAGACCTT")
        'BsaI site on the other strand at position 3 (GAGACC)'
    """
    unknown = [name for name in enzymes if name not in ENZYMES]
    if unknown or not enzymes:
        raise ParameterError(
            f"{', '.join(unknown) or 'None'}: name enzymes among {', '.join(ENZYMES)}.",
            hint="Give another enzyme's site to ForbiddenMotifs.",
        )
    if not alphabet.is_nucleic:
        raise ParameterError(f"Restriction enzymes cut DNA; got {alphabet.name}.", hint="Use DNA or RNA.")
    sites = tuple(ENZYMES[name] for name in enzymes)
    return ForbiddenMotifs(sites, alphabet, names=tuple(f"{name} site" for name in enzymes))
