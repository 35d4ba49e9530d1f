"""Sequence logos: letters as high as the information they carry, as a self-contained SVG fragment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from seiko.domains.sequence_alphabet import Alphabet
from seiko.domains.sequence_drawing import FAINT, colours, number, svg, text
from seiko.domains.sequence_metrics import position_weights
from seiko.errors import ParameterError

MARGIN, TOP = 34.0, 6.0


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
    sequences: Sequence[str],
    alphabet: Alphabet,
    *,
    height: int = 110,
    column: float = 15.0,
    positions: Sequence[int] | None = None,
    parent: str | None = None,
    width: int = 60,
    note: str = "",
) -> str:
    """A sequence logo: at each position the letters, the commonest on top, as high as their information.

    Args:
        sequences: At least one, all of one length.
        alphabet: Their letters.
        height: Of the scale from 0 to log2 of the number of letters, in pixels.
        column: Width of a position, in pixels.
        positions: Which to show, from 0; all if None. Chosen ones are all numbered.
        parent: Of the same length; its letters are faint, so that mutations stand out.
        width: Positions on a line.
        note: A line below.

    Raises:
        ParameterError: If there is no sequence, or lengths differ.
    """
    bits = information_bits(sequences, alphabet)
    if parent is not None and len(parent) != len(bits):
        raise ParameterError(f"The parent has {len(parent)} letters, the sequences {len(bits)}.")
    shown = list(range(len(bits)) if positions is None else positions)
    rows = [shown[k : k + width] for k in range(0, len(shown), width)]
    deep = 18.0 if positions is None else 16.0 + 6.5 * len(f"{parent and 'A'}{len(bits)}")
    step = TOP + height + deep
    scale = height / np.log2(len(alphabet.letters))
    body = [_glyphs(alphabet)]
    for row, places in enumerate(rows):
        base = row * step + TOP + height
        body.append(_axis(len(alphabet.letters), height, MARGIN, base - height))
        for k, position in enumerate(places):
            x = MARGIN + k * column
            body.append(
                _stack(bits[position] * scale, alphabet, x, base, column, parent and parent[position])
            )
            if positions is not None:
                label = f"{parent[position] if parent else ''}{position + 1}"
                body.append(_upright(label, x + column / 2 + 3.5, base + 5))
            elif position == 0 or (position + 1) % 5 == 0:
                body.append(number(position + 1, x + column / 2, base + 13, 10))
    if note:
        body.append(text(4, len(rows) * step + 12, note, FAINT, size=11, extra=" font-style='italic'"))
    wide = MARGIN + max(map(len, rows), default=0) * column + 4
    label = f"sequence logo of {len(sequences)} sequences"
    return svg(max(wide, 8 + 6.7 * len(note)), len(rows) * step + (18 if note else 0), "".join(body), label)


def _stack(
    heights: np.ndarray, alphabet: Alphabet, x: float, y: float, column: float, parent: str | None
) -> str:
    """The letters of one position, the highest on top."""
    table, parts = colours(alphabet.letters), []
    for kind in np.argsort(heights):
        if heights[kind] > 0.3:
            letter = alphabet.letters[kind]
            colour = FAINT if letter == parent else table[letter]
            parts.append(_glyph_at(letter, x, y, 0.94 * column, heights[kind], colour))
            y -= heights[kind]
    return "".join(parts)


def _upright(label: str, x: float, y: float) -> str:
    return (
        f"<text transform='translate({x:.1f} {y:.1f}) rotate(-90)' font-size='10' fill='{FAINT}' "
        f"text-anchor='end' font-family='sans-serif'>{label}</text>"
    )


def _axis(kinds: int, height: int, margin: float, top: float) -> str:
    most = np.log2(kinds)
    parts = [
        f"<path d='M{margin - 3:.1f} {top} V{top + height}' stroke='{FAINT}' fill='none'/>",
        f"<text transform='translate(10 {top + height / 2:.1f}) rotate(-90)' font-size='11' fill='{FAINT}' "
        "text-anchor='middle' font-family='sans-serif'>bits</text>",
    ]
    for bit in range(int(most) + 1):
        y = top + height * (1 - bit / most) + 4
        parts.append(text(margin - 6, y, str(bit), FAINT, size=10, extra=" text-anchor='end'"))
    return "".join(parts)


def _glyph_at(letter: str, x: float, base: float, width: float, height: float, colour: str) -> str:
    move = f"matrix({width:.3f} 0 0 {height:.3f} {x:.2f} {base - height:.2f})"
    return f"<use href='#glyph-{ord(letter)}' transform='{move}' fill='{colour}'/>"


def _glyphs(alphabet: Alphabet) -> str:
    """Each letter's outline once; two drawings on one page define the same names alike."""
    paths = (f"<path id='glyph-{ord(letter)}' d='{_glyph(letter)}'/>" for letter in alphabet.letters)
    return f"<defs>{''.join(paths)}</defs>"


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
