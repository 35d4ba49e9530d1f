"""Numbers as people type them into tables: read strictly, never guessed."""

from __future__ import annotations

import math
import re
from typing import Literal

from seiko.tables.base import Cell, Formula, shown

LARGEST = 1e30
"""Larger readings are taken for typing errors; they would also overflow the surrogates' arithmetic."""

LAST_ID = 2**53
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,6})?")
_WITH_COMMA = re.compile(r"[+-]?[0-9]{0,400},[0-9]{1,400}([eE][+-]?[0-9]{1,6})?")
_NO_NUMBER = {"nan", "na", "n/a", "n.a.", "none", "null", "inf", "infinity", "-", "--", "?"}


class NumberFault(ValueError):
    """Why a cell is no number that may be used; the text goes after the column's name."""


def number_of(cell: Cell, *, decimal: Literal["point", "comma"] = "point") -> float:
    """The finite number in a cell.

    Raises:
        NumberFault: If it is none, is not finite, or is beyond `LARGEST`.

    Example:
        >>> number_of("-1.5e3"), number_of("0,25", decimal="comma")
        (-1500.0, 0.25)
        >>> number_of("0,25")
        Traceback (most recent call last):
        ...
        seiko.tables.numbers.NumberFault: is '0,25', with a decimal comma; write 0.25, or ...
    """
    if isinstance(cell, Formula):
        raise NumberFault(f"is the formula {shown(cell)}; paste its value instead")
    if isinstance(cell, bool) or cell is None:
        raise NumberFault(f"is {cell}, which is no number")
    number = _typed(cell) if not isinstance(cell, str) else _typed_in(cell.strip(), decimal)
    if math.isnan(number):
        raise NumberFault(f"is {shown(cell)}; {_INSTEAD}")
    if abs(number) > LARGEST:
        raise NumberFault(f"is {shown(cell)}; readings must lie within ±{LARGEST:g}, so use another unit")
    return number


_INSTEAD = "leave it empty if there is no reading yet, or write failed or infeasible into `status`"


def _typed(cell: int | float) -> float:
    try:
        return float(cell)
    except OverflowError:
        return math.inf


def _typed_in(text: str, decimal: str) -> float:
    if decimal == "comma" and "." in text:
        raise NumberFault(f"is {shown(text)}, with a point in a file that was read with decimal commas")
    plain = text.replace(",", ".", 1) if decimal == "comma" else text
    if _NUMBER.fullmatch(plain):
        return float(plain)
    if text.lower().lstrip("+-") in _NO_NUMBER or text in _NO_NUMBER:
        raise NumberFault(f"is {shown(text)}; {_INSTEAD}")
    if decimal == "point" and _WITH_COMMA.fullmatch(text):
        wanted = text.replace(",", ".")
        raise NumberFault(
            f"is {shown(text)}, with a decimal comma; write {wanted}, or read the file with decimal commas "
            "(--decimal comma)"
        )
    raise NumberFault(f"is {shown(text)}, which is no number")


def whole_of(cell: Cell, *, least: int = 0) -> int:
    """The whole number in a cell; ``3.0`` counts as 3, since spreadsheets write it so.

    Raises:
        NumberFault: If it is none, or below `least`.

    Example:
        >>> whole_of("17"), whole_of(3.0)
        (17, 3)
    """
    try:
        number = number_of(cell)
    except NumberFault:
        number = math.nan
    if not number.is_integer() or not least <= number <= LAST_ID:
        raise NumberFault(f"is {shown(cell)}; it must be a whole number from {least} up")
    return int(number)
