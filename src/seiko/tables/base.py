"""What all formats share: rows with numbers, cells, and errors that name the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from seiko.errors import TableError

Cell = str | int | float | bool | None
"""One cell; None and blank text are empty."""

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

MOST_SHOWN = 20


class Formula(str):
    """A cell that a spreadsheet would calculate instead of showing; never taken as a reading."""


@dataclass(frozen=True)
class Options:
    """How to read a table where the file itself does not say.

    Args:
        encoding: Of the text; None for UTF-8, or UTF-16 where the file begins with its mark.
        decimal: What stands before the decimals of a number.
    """

    encoding: str | None = None
    decimal: Literal["point", "comma"] = "point"


@dataclass(frozen=True)
class Row:
    """One row below the header.

    Attributes:
        number: As a spreadsheet counts, the header is 1; for JSON lines the line.
        cells: By column; columns are in lower case, with ``_`` for blanks.
        key: Identity of the row's design, where its domain has read it; None in a table.
    """

    number: int
    cells: Mapping[str, Cell]
    key: str | None = None


@dataclass
class Problems:
    """Collects what is wrong in a table, row by row, so that all of it is said at once.

    Example:
        >>> problems = Problems("filled.csv")
        >>> problems.add(4, "`value` is 'n/a', which is no number.")
        >>> problems.raise_if_any()
        Traceback (most recent call last):
        ...
        seiko.errors.TableError: filled.csv has 1 error and nothing of it was taken.
          row 4: `value` is 'n/a', which is no number.
    """

    source: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, what: str) -> None:
        self.found.append((row, what))

    def raise_if_any(self) -> None:
        """Raise TableError with every problem, in order of rows."""
        if not self.found:
            return
        found = sorted(self.found)
        lines = [f"  {_place(row)}{what}" for row, what in found[:MOST_SHOWN]]
        if len(found) > MOST_SHOWN:
            lines.append(f"  and {len(found) - MOST_SHOWN} more")
        count = f"{len(found)} error{'s' if len(found) > 1 else ''}"
        raise TableError(
            "\n".join([f"{self.source} has {count} and nothing of it was taken.", *lines]), problems=found
        )


def _place(row: int) -> str:
    return f"row {row}: " if row else ""


def fault(source: str, row: int, what: str) -> TableError:
    """The error of one row, where reading cannot go on after it."""
    problems = Problems(source)
    problems.add(row, what)
    try:
        problems.raise_if_any()
    except TableError as error:
        return error
    raise AssertionError("unreachable")


def is_blank(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def column_names(header: Sequence[Cell], source: str, row: int = 1) -> list[str]:
    """The header's names in lower case, with ``_`` for blanks; "" for a column without a name.

    Raises:
        TableError: If two columns have the same name, or none has one.

    Example:
        >>> column_names(["Trial ID", "value", None], "a.csv")
        ['trial_id', 'value', '']
    """
    names = ["" if is_blank(cell) else "_".join(str(cell).lower().split()) for cell in header]
    named = [name for name in names if name]
    if not named:
        raise fault(source, row, "There is no header: the first row must name the columns.")
    for name in dict.fromkeys(named):
        if named.count(name) > 1:
            raise fault(source, row, f"The column {shown(name)} is there {named.count(name)} times.")
    return names


def shown(cell: object, most: int = 60) -> str:
    """A cell for a message: quoted, without control characters, cut where it is long."""
    text = repr(str(cell) if isinstance(cell, str) else cell)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def guard(text: str) -> str:
    """`text` with an apostrophe before it where a spreadsheet would take it for a formula.

    Example:
        >>> guard("=1+1"), guard("CCO"), unguard(guard("=1+1"))
        ("'=1+1", 'CCO', '=1+1')
    """
    return f"'{text}" if text.lstrip(" ").startswith((*DANGEROUS, "'")) else text


def unguard(text: str) -> str:
    """The inverse of `guard`."""
    rest = text[1:]
    guarded = text.startswith("'") and rest.lstrip(" ").startswith((*DANGEROUS, "'"))
    return rest if guarded else text
