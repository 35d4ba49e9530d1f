"""Sequences as pictures: one sequence, an alignment; each a self-contained SVG fragment."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from seiko.errors import ParameterError

NUCLEOTIDES = {"A": "#109648", "C": "#255c99", "G": "#d98c00", "T": "#d62839", "U": "#d62839"}
GROUPS = {  # amino acids by chemistry
    "AVLIMFWP": "#35506b", "GSTYCNQ": "#109648", "KRH": "#255c99", "DE": "#d62839",
}  # fmt: skip
RESIDUES = {letter: colour for letters, colour in GROUPS.items() for letter in letters}
OTHER = ("#109648", "#255c99", "#d98c00", "#d62839", "#7d4fa0", "#2a9d9d", "#8c5a2b", "#5f6b73")
FAINT = "#9aa3ab"
CELL, LINE = 9.0, 18.0
FONT = "font-family='ui-monospace,Menlo,Consolas,monospace'"


def colours(letters: str) -> dict[str, str]:
    """A colour for each letter: the usual ones of bases, chemistry for amino acids, else a palette."""
    if set(letters) <= set(NUCLEOTIDES):
        return {letter: NUCLEOTIDES[letter] for letter in letters}
    if set(letters) <= set(RESIDUES):
        return {letter: RESIDUES[letter] for letter in letters}
    return {letter: OTHER[k % len(OTHER)] for k, letter in enumerate(letters)}


def svg(width: float, height: float, body: str, label: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
        f"viewBox='0 0 {width:.2f} {height:.2f}' role='img' aria-label='{escape(label, quote=True)}'>"
        f"{body}</svg>"
    )


def text(x: float, y: float, shown: str, colour: str, *, size: float = 13, extra: str = "") -> str:
    look = f"font-size='{size:g}' {FONT} fill='{colour}'{extra}"
    return f"<text x='{x:.1f}' y='{y:.1f}' {look}>{escape(shown)}</text>"


def number(value: int, x: float, y: float, size: float) -> str:
    return text(x, y, str(value), FAINT, size=size, extra=" text-anchor='middle'")


def _letters(
    shown: str, x: float, y: float, table: dict[str, str], parent: str | None, *, marks: bool = True
) -> str:
    """Coloured letters, one a cell; the parent's faint, others on a ground of their colour."""
    grounds, runs = [], []
    for k, letter in enumerate(shown):
        same = parent is not None and parent[k : k + 1] == letter
        colour = FAINT if same else table.get(letter, "#5f6b73")
        if marks and parent is not None and not same:
            grounds.append(
                f"<rect x='{x + k * CELL:.1f}' y='{y - 12:.1f}' width='{CELL:g}' height='15' "
                f"fill='{colour}' fill-opacity='.18'/>"
            )
        runs.append((colour, letter))
    spans = (
        f"<tspan fill='{colour}'>{escape(''.join(letter for _, letter in run))}</tspan>"
        for colour, run in groupby(runs, key=lambda pair: pair[0])
    )
    # One x a letter: the grid holds whatever font is there.
    xs = " ".join(f"{x + (k + 0.5) * CELL:g}" for k in range(len(shown)))
    line = f"<text x='{xs}' y='{y:g}' font-size='13' {FONT} text-anchor='middle'>{''.join(spans)}</text>"
    return "".join(grounds) + line


def _palette(texts: Sequence[str]) -> dict[str, str]:
    letters = "".join(sorted(set("".join(texts)) - {"-"}))
    return colours(letters) if letters else {}


def draw_sequence(sequence: str, *, parent: str | None = None, width: int = 60) -> str:
    """A sequence in coloured letters, `width` on a line, with the number of each line's first position.

    With a parent of the same length the letters they share are faint, so that mutations stand out.

    Example:
        >>> draw_sequence("ACGT").startswith("<svg")
        True
    """
    parent = parent if parent is not None and len(parent) == len(sequence) else None
    table, margin = _palette([sequence, parent or ""]), 8 + 7 * len(str(max(len(sequence), 1)))
    body, rows = [], range(0, max(len(sequence), 1), width)
    for row, start in enumerate(rows):
        y = LINE * row + 14
        body.append(text(margin - 6, y, str(start + 1), FAINT, size=10, extra=" text-anchor='end'"))
        stop = start + width
        piece = None if parent is None else parent[start:stop]
        body.append(_letters(sequence[start:stop], margin, y, table, piece))
    columns = min(width, max(len(sequence), 1))
    return svg(margin + columns * CELL + 4, LINE * len(rows) + 4, "".join(body), sequence)


def draw_alignment(
    sequences: Sequence[str],
    *,
    names: Sequence[str] = (),
    parent: str | None = None,
    parent_name: str = "parent",
    only_changes: bool = False,
    most: int = 50,
    width: int = 90,
    marks: bool = True,
    note: str = "",
) -> str:
    """Sequences of one length below each other, with the parent above where there is one.

    Args:
        sequences: The rows; they may have gaps, ``-``.
        names: One a row; numbers if empty.
        parent: Rows show ``.`` where they agree with it; positions are counted along it, without its gaps.
        parent_name: What it is called.
        only_changes: Show only the columns in which some row differs from the parent.
        most: Rows drawn at most.
        width: Columns on a line; more are wrapped.
        marks: Whether what differs stands on a ground of its colour.
        note: A line below.

    Raises:
        ParameterError: If there is nothing to draw, lengths differ, names do not match, or there is no
            parent to find changes from.
    """
    if not sequences or len({len(s) for s in (*sequences, *([parent] if parent else []))}) > 1:
        raise ParameterError("An alignment needs at least one sequence, and all of one length.")
    if names and len(names) != len(sequences):
        raise ParameterError(f"{len(sequences)} sequences need as many names; got {len(names)}.")
    if only_changes and parent is None:
        raise ParameterError("`only_changes` needs a `parent`.")
    rows = list(sequences[:most])
    labels = list(names[:most]) or [str(k) for k in range(1, len(rows) + 1)]
    columns = list(range(len(rows[0])))
    if only_changes and parent is not None:
        columns = [k for k in columns if any(row[k] != parent[k] for row in rows)]
    margin = 12 + 7.2 * max(map(len, [*labels, parent_name if parent else ""]))
    pieces = [columns[k : k + width] for k in range(0, len(columns), width)] or [[]]
    step = LINE * (len(rows) + (parent is not None) + 1) + 10
    body = [
        _piece(rows, labels, parent, parent_name, piece, margin, step * k, marks)
        for k, piece in enumerate(pieces)
    ]
    if note:
        body.append(text(4, step * len(pieces) + 8, note, FAINT, size=11, extra=" font-style='italic'"))
    wide = max(margin + max(map(len, pieces)) * CELL + 4, 8 + 6.7 * len(note))
    label = f"alignment of {len(rows)} sequences"
    return svg(wide, step * len(pieces) + (14 if note else -4), "".join(body), label)


def _piece(
    rows: Sequence[str],
    labels: Sequence[str],
    parent: str | None,
    parent_name: str,
    columns: Sequence[int],
    margin: float,
    top: float,
    marks: bool,
) -> str:
    """Some columns of all rows, with their numbers above."""
    table, y = _palette([*rows, parent or ""]), top + LINE + 14
    body = [_ruler(columns, _numbers(parent or rows[0]), margin, top)]
    above = None if parent is None else _pick(parent, columns)
    if above is not None:
        body += [text(4, y, parent_name, FAINT, size=12), _letters(above, margin, y, table, None)]
        y += LINE
    for label, row in zip(labels, rows, strict=True):
        shown, same = _pick(row, columns), above
        if above is not None:
            shown = "".join("." if a == b else a for a, b in zip(shown, above, strict=True))
            same = "".join("." if a == "." else b for a, b in zip(shown, above, strict=True))
        body += [text(4, y, label, FAINT, size=12), _letters(shown, margin, y, table, same, marks=marks)]
        y += LINE
    return "".join(body)


def _pick(sequence: str, columns: Sequence[int]) -> str:
    return "".join(sequence[k] for k in columns)


def _numbers(sequence: str) -> list[int]:
    """Position of each column along a sequence, from 1; 0 at its gaps."""
    places, count = [], 0
    for letter in sequence:
        count += letter != "-"
        places.append(count if letter != "-" else 0)
    return places


def _ruler(columns: Sequence[int], numbers: Sequence[int], margin: float, top: float) -> str:
    """Numbers of the first column, of every tenth, and of each after a gap that has room."""
    parts, free = [], -1.0
    for place, column in enumerate(columns):
        jumps = place == 0 or column != columns[place - 1] + 1
        x, value = margin + place * CELL, numbers[column]
        if value and (jumps or value % 10 == 0) and x >= free:
            parts.append(number(value, x + CELL / 2, top + 11, 9))
            free = x + 6.5 * len(str(value)) + 4
    return "".join(parts)
