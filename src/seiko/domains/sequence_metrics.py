"""How varied, how new and how rich in motifs a set of sequences is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from seiko.domains.sequence_alphabet import Alphabet
from seiko.errors import ParameterError


def _evenly(designs: Sequence[str], most: int) -> list[str]:
    """All designs, or `most` evenly spaced ones."""
    count = min(len(designs), most)
    return [designs[k * len(designs) // count] for k in range(count)]


def hamming_distances(designs: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Number of positions at which two sequences differ, int64 [n, m]; all have one length.

    Raises:
        ParameterError: If lengths differ.

    Example:
        >>> hamming_distances(["ACGT"], ["ACGT", "AGGA"]).tolist()
        [[0, 2]]
    """
    lengths = {len(design) for design in (*designs, *others)}
    if len(lengths) > 1:
        raise ParameterError(
            f"Hamming distances need sequences of one length; got lengths {sorted(lengths)[:5]}.",
            hint="Use `edit_distance`.",
        )
    a, b = _letters(designs), _letters(others)
    return np.array([(b != row).sum(1) for row in a], dtype=np.int64).reshape(len(a), len(b))


def _letters(designs: Sequence[str]) -> np.ndarray:
    width = len(designs[0]) if designs else 0
    return np.frombuffer("".join(designs).encode("latin-1"), np.uint8).reshape(len(designs), width)


def edit_distance(a: str, b: str) -> int:
    """Fewest substitutions, insertions and deletions from `a` to `b` (Levenshtein).

    By Myers' bit-parallel algorithm (J. ACM 46:395, 1999), with one long integer in place of words.

    Example:
        >>> edit_distance("GATTACA", "GCATGCT")
        4
    """
    if not a:
        return len(b)
    mask, top = (1 << len(a)) - 1, 1 << (len(a) - 1)
    places: dict[str, int] = {}
    for k, letter in enumerate(a):
        places[letter] = places.get(letter, 0) | (1 << k)
    up, down, distance = mask, 0, len(a)  # vertical steps of +1 and -1 in the table's column
    for letter in b:
        equal = places.get(letter, 0)
        either = equal | down
        diagonal = (((equal & up) + up) ^ up) | equal
        right, left = down | ~(diagonal | up), up & diagonal
        distance += bool(right & top) - bool(left & top)
        right, left = (right << 1) | 1, left << 1
        up, down = (left | ~(either | right)) & mask, right & either & mask
    return distance


def hamming_diversity(designs: Sequence[str], *, most: int = 1000) -> float:
    """Mean share of differing positions over pairs, in [0, 1]; 0 for fewer than two designs.

    Of more than `most` designs, evenly spaced ones are taken.

    Example:
        >>> hamming_diversity(["AA", "AC", "CC"])
        0.6666666666666666
    """
    chosen = _evenly(designs, most) if len(designs) > 1 else []
    if len(chosen) < 2:
        return 0.0
    total = hamming_distances(chosen, chosen).sum() / (len(chosen) * (len(chosen) - 1))
    return float(total / len(chosen[0]))


def edit_diversity(designs: Sequence[str], *, most: int = 100) -> float:
    """Mean edit distance over pairs, each over the longer length, in [0, 1]; 0 for fewer than two designs.

    Of more than `most` designs, evenly spaced ones are taken.
    """
    chosen = _evenly(designs, most) if len(designs) > 1 else []
    pairs = [(a, b) for k, a in enumerate(chosen) for b in chosen[:k]]
    shares = [edit_distance(a, b) / max(len(a), len(b), 1) for a, b in pairs]
    return sum(shares) / len(shares) if shares else 0.0


def novelty(designs: Sequence[str], known: frozenset[str]) -> float:
    """Share of the designs that are not among the known ones; 0 for none."""
    return sum(design not in known for design in designs) / len(designs) if designs else 0.0


def motif_pattern(motif: Sequence[frozenset[str]]) -> re.Pattern[str]:
    """A regular expression for a motif as `Alphabet.motif` gives it: the letters allowed at each position."""
    return re.compile("".join(f"[{''.join(map(re.escape, sorted(allowed)))}]" for allowed in motif))


def motif_share(designs: Sequence[str], alphabet: Alphabet, motif: str) -> float:
    """Share of the designs that hold a motif at least once; 0 for none."""
    pattern = motif_pattern(alphabet.motif(motif))
    return sum(pattern.search(design) is not None for design in designs) / max(len(designs), 1)


def motif_enrichment(
    designs: Sequence[str], reference: Sequence[str], alphabet: Alphabet, motif: str
) -> float:
    """How much more often designs hold a motif than reference sequences do, in powers of two.

    ``log2 of (a + 1/2) / (n + 1) over (b + 1/2) / (m + 1)``, where a of n designs and b of m reference
    sequences hold it; the halves keep it finite.

    Example:
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> round(motif_enrichment(["AAT"] * 9, ["CCG"] * 9, DNA, "AAT"), 2)
        4.25
    """
    a = motif_share(designs, alphabet, motif) * len(designs)
    b = motif_share(reference, alphabet, motif) * len(reference)
    return math.log2((a + 0.5) / (len(designs) + 1)) - math.log2((b + 0.5) / (len(reference) + 1))


def position_weights(sequences: Sequence[str], alphabet: Alphabet, *, pseudocount: float = 0.5) -> np.ndarray:
    """Frequency of each letter at each position, [length, letters], with `pseudocount` added to each count.

    Raises:
        ParameterError: If there is no sequence, or lengths differ.
    """
    if not sequences or len(set(map(len, sequences))) > 1:
        raise ParameterError("Position weights need at least one sequence, and all of one length.")
    codes = np.frombuffer(alphabet.letters.encode(), np.uint8)
    counts = (_letters(sequences)[..., None] == codes).sum(0) + pseudocount
    return counts / counts.sum(1, keepdims=True)


def word_frequencies(sequences: Sequence[str], alphabet: Alphabet, k: int) -> np.ndarray:
    """Frequency of each word of k letters over all positions of all sequences, [letters^k]."""
    base = len(alphabet.letters)
    table = np.zeros(256, np.int64)
    table[np.frombuffer(alphabet.letters.encode(), np.uint8)] = np.arange(base)
    counts = np.zeros(base**k, np.int64)
    for sequence in sequences:
        kinds = table[np.frombuffer(sequence.encode(), np.uint8)]
        places = max(len(kinds) - k + 1, 0)
        words = sum(
            (kinds[j : j + places] * base ** (k - 1 - j) for j in range(k)), np.zeros(places, np.int64)
        )
        counts += np.bincount(words, minlength=base**k)
    return counts / max(counts.sum(), 1)
