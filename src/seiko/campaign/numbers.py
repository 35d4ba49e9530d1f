"""Numbers as callers give them: of Python, of NumPy, of torch, or not numbers at all."""

from __future__ import annotations

import operator
from typing import Any

from seiko.errors import ParameterError


def as_number(value: Any) -> float | None:
    """`value` as a float where it is one real number (infinite or NaN included), else None.

    A scalar of NumPy or a tensor without dimensions is a number; a bool, a string or an array is not.

    Example:
        >>> as_number(3), as_number("3"), as_number(True)
        (3.0, None, None)
    """
    if isinstance(value, (bool, str, bytes)) or "bool" in str(getattr(value, "dtype", "")):
        return None
    if getattr(value, "ndim", 0) != 0:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def whole(name: str, value: Any, *, least: int | None = None) -> int:
    """`value` as an int.

    Raises:
        ParameterError: If it is no whole number, or below `least`.

    Example:
        >>> whole("budget", 0, least=1)
        Traceback (most recent call last):
        ...
        seiko.errors.ParameterError: `budget` must be a whole number >= 1; got 0.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        allowed = "a whole number" if least is None else f"a whole number >= {least}"
        raise ParameterError(f"`{name}` must be {allowed}; got {value!r}.")
    return number
