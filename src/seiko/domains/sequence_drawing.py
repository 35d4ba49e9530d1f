"""Sequences as pictures: one sequence, an alignment, a logo; each a self-contained SVG fragment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from itertools import groupby

import numpy as np

from seiko.domains.sequence_alphabet import Alphabet
from seiko.domains.sequence_metrics import position_weights
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


def _svg(width: float, height: float, body: str, label: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
        f"viewBox='0 0 {width:.2f} {height:.2f}' role='img' aria-label='{escape(label, quote=True)}'>"
        f"{body}</svg>"
    )


def _text(x: float, y: float, text: str, colour: str, *, size: float = 13, extra: str = "") -> str:
    look = f"font-size='{size:g}' {FONT} fill='{colour}'{extra}"
    return f"<text x='{x:.1f}' y='{y:.1f}' {look}>{escape(text)}</text>"


def _number(number: int, x: float, y: float, size: float) -> str:
    return _text(x, y, str(number), FAINT, size=size, extra=" text-anchor='middle'")


def _letters(text: str, x: float, y: float, table: dict[str, str], parent: str | None) -> str:
    """Coloured letters, one a cell; the parent's faint, others on a ground of their colour."""
    grounds, runs = [], []
    for k, letter in enumerate(text):
        same = parent is not None and parent[k : k + 1] == letter
        colour = FAINT if same else table.get(letter, "#5f6b73")
        if parent is not None and not same:
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
    xs = " ".join(f"{x + (k + 0.5) * CELL:g}" for k in range(len(text)))
    line = f"<text x='{xs}' y='{y:g}' font-size='13' {FONT} text-anchor='middle'>{''.join(spans)}</text>"
    return "".join(grounds) + line


def _palette(texts: Sequence[str]) -> dict[str, str]:
    letters = "".join(sorted(set("".join(texts))))
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
        body.append(_text(margin - 6, y, str(start + 1), FAINT, size=10, extra=" text-anchor='end'"))
        stop = start + width
        piece = None if parent is None else parent[start:stop]
        body.append(_letters(sequence[start:stop], margin, y, table, piece))
    columns = min(width, max(len(sequence), 1))
    return _svg(margin + columns * CELL + 4, LINE * len(rows) + 4, "".join(body), sequence)


def draw_alignment(
    sequences: Sequence[str],
    *,
    names: Sequence[str] = (),
    parent: str | None = None,
    only_changes: bool = False,
    most: int = 50,
) -> str:
    """Sequences of one length below each other, with the parent above where there is one.

    Args:
        sequences: The rows.
        names: One a row; numbers if empty.
        parent: Rows show ``.`` where they agree with it.
        only_changes: Show only the columns in which some row differs from the parent.
        most: Rows drawn at most.

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
    table = _palette([*rows, parent or ""])
    margin = 12 + 7.2 * max(map(len, [*labels, "parent" if parent else ""]))
    body = [_ruler(columns, margin)]
    y = LINE + 14.0
    if parent is not None:
        body += [
            _text(4, y, "parent", FAINT, size=12),
            _letters(_pick(parent, columns), margin, y, table, None),
        ]
        y += LINE
    for label, row in zip(labels, rows, strict=True):
        shown = _pick(row, columns)
        above = None if parent is None else _pick(parent, columns)
        if above is not None:
            shown = "".join("." if a == b else a for a, b in zip(shown, above, strict=True))
            above = "".join("." if a == "." else b for a, b in zip(shown, above, strict=True))
        body += [_text(4, y, label, FAINT, size=12), _letters(shown, margin, y, table, above)]
        y += LINE
    label = f"alignment of {len(rows)} sequences"
    return _svg(margin + len(columns) * CELL + 4, y - LINE + 8, "".join(body), label)


def _pick(text: str, columns: Sequence[int]) -> str:
    return "".join(text[k] for k in columns)


def _ruler(columns: Sequence[int], margin: float) -> str:
    """Numbers of the first column, of every tenth, and of each after a gap that has room."""
    parts, free = [], -1.0
    for place, column in enumerate(columns):
        jumps = place == 0 or column != columns[place - 1] + 1
        x = margin + place * CELL
        if (jumps or (column + 1) % 10 == 0) and x >= free:
            parts.append(_number(column + 1, x + CELL / 2, 11, 9))
            free = x + 6.5 * len(str(column + 1)) + 4
    return "".join(parts)


def information_bits(sequences: Sequence[str], alphabet: Alphabet) -> np.ndarray:
    """Height of each letter in a logo, in bits, [length, letters].

    ``f (log2 K - H - e)`` with the frequencies f of a position, their entropy H, and Schneider's correction
    for small samples ``e = (K - 1) / (2 n ln 2)`` (Schneider & Stephens, Nucleic Acids Res. 18:6097, 1990).

    Raises:
        ParameterError: If there is no sequence, or lengths differ.
    """
    weights = position_weights(sequences, alphabet, pseudocount=0.0)
    kinds = len(alphabet.letters)
    entropy = -(weights * np.log2(np.where(weights > 0, weights, 1.0))).sum(1)
    correction = (kinds - 1) / (2 * np.log(2) * len(sequences))
    return weights * np.maximum(np.log2(kinds) - entropy - correction, 0.0)[:, None]


def draw_logo(
    sequences: Sequence[str], alphabet: Alphabet, *, height: int = 110, column: float = 15.0
) -> str:
    """A sequence logo: at each position the letters, the commonest on top, as high as their information.

    Args:
        sequences: At least one, all of one length.
        alphabet: Their letters.
        height: Of the scale from 0 to log2 of the number of letters, in pixels.
        column: Width of a position, in pixels.

    Raises:
        ParameterError: If there is no sequence, or lengths differ.
    """
    bits, table = information_bits(sequences, alphabet), colours(alphabet.letters)
    scale, margin, top = height / np.log2(len(alphabet.letters)), 34.0, 6.0
    body = [_axis(len(alphabet.letters), height, margin, top)]
    for position, heights in enumerate(bits):
        y, x = top + height, margin + position * column
        for kind in np.argsort(heights):
            if heights[kind] * scale > 0.3:
                letter = alphabet.letters[kind]
                body.append(_glyph_at(letter, x, y, 0.94 * column, heights[kind] * scale, table[letter]))
                y -= heights[kind] * scale
        if position == 0 or (position + 1) % 5 == 0:
            middle = x + column / 2
            body.append(_number(position + 1, middle, top + height + 13, 10))
    label = f"sequence logo of {len(sequences)} sequences"
    return _svg(margin + len(bits) * column + 4, top + height + 18, "".join(body), label)


def _axis(kinds: int, height: int, margin: float, top: float) -> str:
    most = np.log2(kinds)
    parts = [
        f"<path d='M{margin - 3:.1f} {top} V{top + height}' stroke='{FAINT}' fill='none'/>",
        f"<text transform='translate(10 {top + height / 2:.1f}) rotate(-90)' font-size='11' fill='{FAINT}' "
        "text-anchor='middle' font-family='sans-serif'>bits</text>",
    ]
    for bit in range(int(most) + 1):
        y = top + height * (1 - bit / most) + 4
        parts.append(_text(margin - 6, y, str(bit), FAINT, size=10, extra=" text-anchor='end'"))
    return "".join(parts)


def _glyph_at(letter: str, x: float, base: float, width: float, height: float, colour: str) -> str:
    move = f"matrix({width:.3f} 0 0 {height:.3f} {x:.2f} {base - height:.2f})"
    return f"<path transform='{move}' fill='{colour}' d='{_glyph(letter)}'/>"


@lru_cache(maxsize=256)
def _glyph(letter: str) -> str:
    """A letter's outline stretched over the unit square, y downwards: no font is needed to show it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    outline = TextPath((0, 0), letter, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    low, high = outline.vertices.min(0), outline.vertices.max(0)
    names = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
    parts = []
    for points, code in outline.iter_segments():
        unit = (points.reshape(-1, 2) - low) / np.maximum(high - low, 1e-9)
        spots = " ".join(f"{u:.3f} {1 - v:.3f}" for u, v in unit)
        parts.append("Z" if code == Path.CLOSEPOLY else names[code] + spots)
    return "".join(parts)
