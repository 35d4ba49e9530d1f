"""Sequences of different lengths below each other: each aligned to one of them, the centre."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "-"


def align_to(centre: str, sequences: Sequence[str]) -> tuple[str, list[str]]:
    """Centre and sequences with gaps, all of one length: a centre-star alignment.

    Each sequence is aligned to the centre with the fewest substitutions, insertions and deletions, all of
    one cost (Gusfield, Bull. Math. Biol. 55:141, 1993). Letters that stand in one insertion column of two
    sequences were not compared with each other.

    Example:
        >>> align_to("ACGT", ["AGT", "ACCGT"])
        ('A-CGT', ['A--GT', 'ACCGT'])
    """
    pairs = [_edits(centre, sequence) for sequence in sequences]
    room = [max((len(inserted[k]) for inserted, _ in pairs), default=0) for k in range(len(centre) + 1)]
    rows = [_row(inserted, [*letters, ""], room) for inserted, letters in pairs]
    return _row([""] * len(room), [*centre, ""], room), rows


def _row(inserted: Sequence[str], letters: Sequence[str], room: Sequence[int]) -> str:
    parts = (
        text.rjust(width, GAP) + letter for text, letter, width in zip(inserted, letters, room, strict=True)
    )
    return "".join(parts)


def _edits(centre: str, sequence: str) -> tuple[list[str], list[str]]:
    """What is inserted before each letter of the centre and at its end, and what stands at each letter."""
    cost = _costs(centre, sequence)
    inserted, letters = [""] * (len(centre) + 1), [GAP] * len(centre)
    i, j = len(centre), len(sequence)
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + (centre[i - 1] != sequence[j - 1]):
            i, j = i - 1, j - 1
            letters[i] = sequence[j]
        elif i and cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
            inserted[i] = sequence[j] + inserted[i]
    return inserted, letters


def _costs(a: str, b: str) -> list[list[int]]:
    table = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row, above = [i], table[-1]
        for j, y in enumerate(b, 1):
            row.append(min(above[j - 1] + (x != y), above[j] + 1, row[-1] + 1))
        table.append(row)
    return table
