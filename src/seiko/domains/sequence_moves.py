"""Random changes of sequences for genetic algorithms: one sequence in or two, one or None out."""

from __future__ import annotations

import numpy as np

from seiko.domains.sequence_space import SequenceSpace


def mutate_sequence(
    design: str, rng: np.random.Generator, *, space: SequenceSpace, rate: float | None = None
) -> str | None:
    """A copy with substitutions and, where lengths vary, sometimes a letter inserted or deleted.

    Args:
        design: A sequence of the space.
        rng: Source of randomness.
        space: Alphabet and lengths.
        rate: Chance of each letter to be substituted; one letter in the mean by default. At least one
            changes.

    Returns:
        Another sequence of the space, or None where the move found none.

    Raises:
        ParameterError: If the design is not a sequence of the space.

    Example:
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> mutate_sequence("ACGT", np.random.default_rng(0), space=SequenceSpace(DNA, 4))
        'ACAG'
    """
    letters, alphabet = list(space.read(design)), space.alphabet.letters
    if space.is_variable and rng.random() < 0.5:
        return _resized(letters, rng, space)
    chosen = rng.random(len(letters)) < (1 / max(len(letters), 1) if rate is None else rate)
    if not chosen.any():
        chosen[rng.integers(len(letters))] = True
    for position in chosen.nonzero()[0]:
        others = alphabet.replace(letters[position], "")
        letters[position] = others[rng.integers(len(others))]
    return "".join(letters)


def _resized(letters: list[str], rng: np.random.Generator, space: SequenceSpace) -> str | None:
    grow = rng.random() < 0.5
    if not space.shortest <= len(letters) + (1 if grow else -1) <= space.length:
        return None
    if grow:
        letter = space.alphabet.letters[rng.integers(len(space.alphabet.letters))]
        letters.insert(int(rng.integers(len(letters) + 1)), letter)
    else:
        del letters[rng.integers(len(letters))]
    return "".join(letters)


def crossover_sequence(a: str, b: str, rng: np.random.Generator, *, space: SequenceSpace) -> str | None:
    """Each letter from one of two sequences; of two lengths, a head of one and a tail of the other.

    Returns:
        A sequence of the space, or None where it would be too short or too long.

    Raises:
        ParameterError: If one is not a sequence of the space.

    Example:
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> crossover_sequence("AAAA", "TTTT", np.random.default_rng(0), space=SequenceSpace(DNA, 4))
        'TAAA'
    """
    a, b = space.read(a), space.read(b)
    if len(a) == len(b):
        first = rng.random(len(a)) < 0.5
        return "".join(x if take else y for x, y, take in zip(a, b, first, strict=True))
    cut = rng.random()
    child = a[: round(cut * len(a))] + b[round(cut * len(b)) :]
    return child if space.shortest <= len(child) <= space.length else None
