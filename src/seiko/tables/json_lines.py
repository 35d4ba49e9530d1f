"""JSON lines: one object a line, numbers finite, nothing nested."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from seiko.errors import TableError
from seiko.tables.base import Cell, Options, Row, column_names, fault, shown

LONGEST_LINE = 16 * 2**20


class _Object(list[tuple[str, Any]]):
    """A JSON object with its names in order, so that a name that comes twice is seen."""


def read_json_lines(stream: BinaryIO, source: str, options: Options) -> Iterator[Row]:
    """Rows of a file of JSON lines; the number of a row is its line.

    Raises:
        TableError: If a line is no JSON object, holds NaN or an infinity, a name twice, or a list.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise fault(source, number, f"The line is longer than {LONGEST_LINE} bytes.")
        text = _decoded(line, number, source, options)
        if text.strip():
            yield Row(number, _object(text, number, source))


def _decoded(line: bytes, number: int, source: str, options: Options) -> str:
    try:
        return line.decode(options.encoding or "utf-8").removeprefix("\ufeff")
    except (LookupError, UnicodeError, TypeError, ValueError):
        raise fault(source, number, f"The line is no text in {options.encoding or 'UTF-8'}.") from None


def _object(text: str, number: int, source: str) -> Mapping[str, Cell]:
    try:
        found = json.loads(text, object_pairs_hook=_Object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise fault(source, number, f"This is no JSON: {shown(str(error), 120)}") from None
    if not isinstance(found, _Object):
        raise fault(source, number, "A line must hold one JSON object, {…}.")
    if not found:
        return {}
    names = column_names([name for name, _ in found], source, number)
    return {name: _cell(name, value, number, source) for name, (_, value) in zip(names, found, strict=True)}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number; leave the value out, or give a status.")


def _cell(name: str, value: Any, number: int, source: str) -> Cell:
    if isinstance(value, (list, dict)):
        raise fault(source, number, f"`{name}` holds a list or an object; a cell must be text or a number.")
    return value


def write_json_lines(stream: BinaryIO, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    """Rows as JSON lines; empty cells are null.

    Raises:
        TableError: If a number is not finite.
    """
    for row in rows:
        try:
            text = json.dumps({name: row.get(name) for name in columns}, allow_nan=False, ensure_ascii=False)
        except ValueError as error:
            raise TableError(f"A row cannot be written as JSON: {error}.") from None
        stream.write(text.encode("utf-8") + b"\n")
