"""Tables as files: the format by the file's ending or by name; a file appears whole or not at all."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from seiko.errors import ParameterError, SeikoError, TableError
from seiko.tables.base import Cell, Options, Row
from seiko.tables.excel import openpyxl_module, read_excel, write_excel
from seiko.tables.json_lines import read_json_lines, write_json_lines
from seiko.tables.text import read_text, write_text

STANDARD = "-"
"""The path that means standard input or output."""


@dataclass(frozen=True)
class TableFormat:
    """One way to write rows.

    Attributes:
        name: As in ``--format``.
        extensions: Endings of file names, with the dot.
        read: ``(stream, source, options) -> rows``.
        write: ``(stream, columns, rows)``.
    """

    name: str
    extensions: tuple[str, ...]
    read: Callable[[BinaryIO, str, Options], Iterator[Row]]
    write: Callable[[BinaryIO, Sequence[str], Iterable[Mapping[str, Cell]]], None]


FORMATS: Mapping[str, TableFormat] = {
    entry.name: entry
    for entry in (
        TableFormat("csv", (".csv", ".txt"), read_text, write_text),
        TableFormat(
            "tsv", (".tsv", ".tab"), partial(read_text, separator="\t"), partial(write_text, separator="\t")
        ),
        TableFormat("jsonl", (".jsonl", ".ndjson"), read_json_lines, write_json_lines),
        TableFormat("xlsx", (".xlsx",), read_excel, write_excel),
    )
}


def format_of(path: str | os.PathLike[str], name: str | None = None) -> TableFormat:
    """The format with a name, else the one of the path's ending; CSV for ``-``.

    Raises:
        ParameterError: If there is no such format.

    Example:
        >>> format_of("batch.xlsx").name, format_of("-", "jsonl").name
        ('xlsx', 'jsonl')
    """
    if name is not None:
        if name not in FORMATS:
            raise ParameterError(
                f"There is no table format {name!r}.", hint=f"There are {', '.join(FORMATS)}."
            )
        return FORMATS[name]
    if os.fspath(path) == STANDARD:
        return FORMATS["csv"]
    ending = Path(path).suffix.lower()
    for entry in FORMATS.values():
        if ending in entry.extensions:
            return entry
    known = ", ".join(ending for entry in FORMATS.values() for ending in entry.extensions)
    raise ParameterError(
        f"The ending {ending!r} of {os.fspath(path)} names no table format.",
        hint=f"There are {known}; or name the format with --format.",
    )


def read_table(
    path: str | os.PathLike[str], *, format: str | None = None, options: Options | None = None
) -> Iterator[Row]:
    """The rows of a table, one at a time.

    Args:
        path: The file; ``-`` for standard input.
        format: One of `FORMATS`; by the ending if None.
        options: Encoding and decimal sign.

    Raises:
        ParameterError: If the format is unknown.
        TableError: If the file cannot be read; the message names the row.
    """
    entry, source = format_of(path, format), os.fspath(path)
    with _opened(source) as stream:
        yield from entry.read(stream, _named(source), options or Options())


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    if source == STANDARD:
        yield io.BytesIO(sys.stdin.buffer.read())
        return
    try:
        stream = open(source, "rb")  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        raise TableError(f"{source!r} cannot be read: {_reason(error)}.") from None
    try:
        yield stream
    except OSError as error:
        raise TableError(f"{source!r} cannot be read: {_reason(error)}.") from None
    finally:
        stream.close()


def check_writable(path: str | os.PathLike[str], *, format: str | None = None, replace: bool = False) -> None:
    """Say before slow work that a table could not be written after it.

    Raises:
        ParameterError: If the format is unknown.
        TableError: If the file is there already and may not be replaced, or its folder cannot be written.
        MissingDependencyError: If the format needs a package that is not installed.
    """
    if format_of(path, format).name == "xlsx":
        openpyxl_module()
    if os.fspath(path) == STANDARD:
        return
    target = Path(path)
    if target.exists() and (target.is_dir() or not replace):
        kind = "a folder" if target.is_dir() else "there already, and may hold readings"
        raise TableError(f"{target} is {kind}.", hint="Name another file, or replace it with --force.")
    if not os.access(target.parent, os.W_OK):
        raise TableError(f"The folder {target.parent} is not there or cannot be written.")


def write_table(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Cell]],
    *,
    format: str | None = None,
    replace: bool = False,
) -> None:
    """Write a table; the file appears whole or not at all.

    Args:
        path: The file; ``-`` for standard output.
        columns: Its columns, in order.
        rows: Cells by column; what is left out is empty.
        format: One of `FORMATS`; by the ending if None.
        replace: Whether a file that is there may be replaced.

    Raises:
        ParameterError: If the format is unknown.
        TableError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/old.csv"
        >>> write_table(path, ["design", "value"], [{"design": "CCO", "value": 0.25}])
        >>> [row.cells for row in read_table(path)]
        [{'design': 'CCO', 'value': '0.25'}]
    """
    check_writable(path, format=format, replace=replace)
    entry = format_of(path, format)
    if os.fspath(path) == STANDARD:
        entry.write(sys.stdout.buffer, columns, rows)
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    try:
        _write_whole(target, lambda stream: entry.write(stream, columns, rows))
    except SeikoError:
        raise
    except OSError as error:
        raise TableError(f"{target} cannot be written: {_reason(error)}.") from None


def _write_whole(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write beside the target, sync, and move it there."""
    part = target.parent / f".{target.name}.{os.getpid()}.part"
    try:
        with open(part, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _named(source: str) -> str:
    return "standard input" if source == STANDARD else source


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
