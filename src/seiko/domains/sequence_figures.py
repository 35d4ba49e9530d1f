"""Figures of many sequences, for reports: a logo, and what sets each of the first ones apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from seiko.domains.sequence_alignment import align_to
from seiko.domains.sequence_alphabet import Alphabet
from seiko.domains.sequence_drawing import draw_alignment
from seiko.domains.sequence_logo import draw_logo
from seiko.domains.sequence_metrics import edit_distance, position_weights
from seiko.domains.sequence_space import SequenceSpace

ROWS = 20
"""Sequences of an alignment at most."""
LONG = 120
"""Longer sequences are shown by the positions that vary."""
VARYING = 60
"""So many of them at most."""

Read = Callable[[Sequence[str]], list[str]]
Figures = Mapping[str, Callable[[Sequence[str]], str]]


def sequence_figures(
    space: SequenceSpace, parent: str | None = None, *, both_strands: bool = False
) -> Figures:
    """Title to a function from designs, the best first, to an SVG fragment; "" where there is none to draw.

    With one length: a logo of all designs, and the first `ROWS` with what differs from the parent, or from
    the commonest letters. Of more than `LONG` positions only those that vary are shown. Where lengths vary
    there is no logo, since no position means the same in all designs; the first designs are aligned to
    the parent, or to the best one. Of both strands that one is shown that is nearer to the first design.
    """
    read = partial(_read, space, parent, both_strands)
    if space.is_variable:
        title = "Alignment to the parent" if parent else "Alignment to the first"
        return {title: partial(_aligned, read, parent)}
    title = "Differences from the parent" if parent else "Differences from the commonest letters"
    return {
        "Sequence logo": partial(_logo, read, space, parent),
        title: partial(_differences, read, space, parent),
    }


def _read(space: SequenceSpace, parent: str | None, both_strands: bool, designs: Sequence[str]) -> list[str]:
    found = (space.parse(design) for design in designs)
    sequences = [sequence for sequence, reason in found if not reason]
    if not both_strands or not sequences:
        return sequences
    first = parent or sequences[0]
    pairs = ((sequence, space.alphabet.reverse_complement(sequence)) for sequence in sequences)
    return [min(pair, key=partial(edit_distance, first)) for pair in pairs]


def consensus(sequences: Sequence[str], alphabet: Alphabet) -> str:
    """The commonest letter at each position; of equally common ones the first of the alphabet."""
    kinds = position_weights(sequences, alphabet, pseudocount=0.0).argmax(1)
    return "".join(alphabet.letters[kind] for kind in kinds)


def varying(sequences: Sequence[str], reference: str, most: int) -> list[int]:
    """Positions where sequences differ from the reference, from 0: of more than `most`, where most do."""
    letters = np.array([list(sequence) for sequence in sequences])
    counts = (letters != np.array(list(reference))).sum(0)
    order = np.argsort(-counts, kind="stable")[:most]
    return sorted(int(k) for k in order if counts[k])


def _logo(read: Read, space: SequenceSpace, parent: str | None, designs: Sequence[str]) -> str:
    sequences = read(designs)
    if not sequences:
        return ""
    if space.length <= LONG:
        return draw_logo(sequences, space.alphabet, parent=parent)
    reference = parent or consensus(sequences, space.alphabet)
    chosen = varying(sequences, reference, space.length)
    shown = varying(sequences, reference, VARYING)
    of = "the parent" if parent else "the commonest letter"
    note = f"{len(shown)} of {space.length} positions: " + (
        f"those where the most differ from {of}; {len(chosen)} vary"
        if len(shown) < len(chosen)
        else f"all others are {'those of the parent' if parent else 'the same'} in all {len(sequences)}"
    )
    return draw_logo(sequences, space.alphabet, positions=shown, parent=reference, note=note)


def _differences(read: Read, space: SequenceSpace, parent: str | None, designs: Sequence[str]) -> str:
    sequences = read(designs)
    if not sequences:
        return ""
    name = "parent" if parent else "commonest"
    reference = parent or consensus(sequences, space.alphabet)
    is_long = space.length > LONG
    note = f"Only the columns in which a row differs; . as in the row {name}" if is_long else ""
    return draw_alignment(
        sequences[:ROWS],
        parent=reference,
        parent_name=name,
        only_changes=is_long,
        marks=parent is not None,  # without a parent most letters may differ
        note=note,
    )


def _aligned(read: Read, parent: str | None, designs: Sequence[str]) -> str:
    sequences = read(designs)[:ROWS]
    if not sequences:
        return ""
    rows = sequences if parent else sequences[1:]
    centre, aligned = align_to(parent or sequences[0], rows)
    if not aligned:
        return draw_alignment([centre])
    names = [str(k) for k in range(1 if parent else 2, len(aligned) + (1 if parent else 2))]
    return draw_alignment(aligned, parent=centre, parent_name="parent" if parent else "1", names=names)
