"""Text of tables: numbers for readers, and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NONE = "–"


@dataclass(frozen=True)
class TextTable:
    """A table of text: the first column names the row; `strong` are rows and columns to emphasise."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[tuple[int, int]] = frozenset()


def number(value: float | None, digits: int = 3) -> str:
    """A number for readers, with a real minus sign; a dash where there is none.

    Example:
        >>> number(0.98765), number(-2.0), number(None), number(1234.5)
        ('0.988', '−2.000', '–', '1234.5')
    """
    if value is None:
        return NONE
    places = digits if abs(value) < 100 else 1
    return f"{value:.{places}f}".replace("-", "−")


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def p_text(p_value: float) -> str:
    """A p-value for readers.

    Example:
        >>> p_text(0.25), p_text(0.00001)
        ('0.250', '< 0.001')
    """
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def as_markdown(table: TextTable) -> str:
    """One table as Markdown; what is strong there is bold."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    rows = [
        [f"**{cell}**" if (r, c) in table.strong else cell for c, cell in enumerate(row)]
        for r, row in enumerate(table.rows)
    ]
    return "\n".join([line(table.header), f"|{'---|' * len(table.header)}", *map(line, rows)])
