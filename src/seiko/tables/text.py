"""CSV and TSV: encodings and separators are found out where the file says them, else refused in words."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import BinaryIO

from seiko.errors import TableError
from seiko.tables.base import (
    Cell,
    Formula,
    Options,
    Row,
    column_names,
    fault,
    guard,
    is_blank,
    shown,
    unguard,
)
from seiko.tables.numbers import NumberFault, number_of

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS = (",", ";", "\t")


def encoding_of(stream: BinaryIO, source: str, options: Options) -> str:
    """The text encoding: what the options say, the byte order mark, or UTF-8.

    Raises:
        TableError: If the encoding is unknown, or the file is UTF-16 without its mark, or no text at all.
    """
    start = stream.read(4096)
    stream.seek(0)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if options.encoding is not None:
        try:
            found = codecs.lookup(options.encoding)
        except (LookupError, ValueError, TypeError):
            raise TableError(
                f"There is no text encoding {shown(options.encoding)}.",
                hint="For example utf-8, utf-16, latin-1 or cp1252.",
            ) from None
        if not found._is_text_encoding:
            raise TableError(f"{shown(options.encoding)} is no encoding of text.")
        return marked or found.name
    if marked is None and b"\0" in start:
        raise fault(
            source, 1, "This is no UTF-8 text: it holds NUL bytes. If it is UTF-16, read it with utf-16-le."
        )
    return marked or "utf-8"


def read_text(
    stream: BinaryIO, source: str, options: Options, *, separator: str | None = None
) -> Iterator[Row]:
    """Rows of a CSV file; a comma, a semicolon or a tab separates, whichever the header shows.

    Raises:
        TableError: If the text cannot be decoded, a quote is never closed, or a row is too long.
    """
    encoding = encoding_of(stream, source, options)
    text = io.TextIOWrapper(stream, encoding=encoding, errors="strict", newline="")
    columns: list[str] | None = None
    number = 0
    try:
        for number, record in _records(text, separator):
            if columns is None:
                columns = column_names(record, source, number)
            elif any(not is_blank(cell) for cell in record):
                yield Row(number, _cells(record, columns, number, source))
    except csv.Error as error:
        raise fault(source, number + 1, f"This is no CSV: {error}.") from None
    except UnicodeError:
        raise _undecodable(text.detach(), encoding, source) from None
    finally:
        with suppress(ValueError):  # detached or closed already
            text.detach()
    if columns is None:
        raise fault(source, 1, "The file is empty: the first row must name the columns.")


def _records(text: io.TextIOWrapper, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    """Rows with their numbers; a first line ``sep=;``, as Excel writes it, names the separator."""
    lines = iter(text)
    first, before = next(lines, ""), 0
    if named := re.fullmatch(r"sep=([,;\t])\s*", first, flags=re.IGNORECASE):
        separator, before, first = named[1], 1, next(lines, "")
    if not first:
        return
    reader = csv.reader(chain([first], lines), delimiter=separator or separator_in(first), strict=True)
    yield from enumerate(reader, start=before + 1)


def separator_in(header: str) -> str:
    """Whichever of the separators the header has most of, outside of quotes."""
    outside = "".join(header.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def _cells(record: Sequence[str], columns: Sequence[str], number: int, source: str) -> Mapping[str, Cell]:
    if len(record) > len(columns):  # even a blank one: a decimal comma would have shifted the others
        raise fault(
            source, number,
            f"There are {len(record)} cells below {len(columns)} columns, counting empty ones. A separator "
            "within a cell, such as a decimal comma, needs quotes around the cell; a row may end in an extra "
            "separator only where the header does.",
        )  # fmt: skip
    found = dict.fromkeys(filter(None, columns)) | {
        name: _cell(text) for name, text in zip(columns, record, strict=False) if name
    }
    unnamed = [text for name, text in zip(columns, record, strict=False) if not name and not is_blank(text)]
    if unnamed:
        raise fault(source, number, f"The cell {shown(unnamed[0])} stands below a column without a name.")
    return found


def _cell(text: str) -> Cell:
    if text.lstrip(" ").startswith(("=", "+", "-", "@")) and not _is_number(text):
        return Formula(text)
    return unguard(text)


def _is_number(text: str) -> bool:
    for decimal in ("point", "comma"):
        try:
            number_of(text, decimal=decimal)
        except NumberFault:
            continue
        return True
    return False


def _undecodable(stream: BinaryIO, encoding: str, source: str) -> TableError:
    """Which line is not text in this encoding; only read again to say so."""
    stream.seek(0)
    if encoding not in ("utf-8", "utf-8-sig"):
        return fault(source, 0, f"The file is no text in the encoding {encoding}.")
    for number, line in enumerate(stream, start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            return fault(
                source, number,
                f"The byte 0x{line[error.start]:02x} is not UTF-8; the file looks like Latin-1 or "
                'Windows-1252. Save it as "CSV UTF-8", or name its encoding (--encoding latin-1).',
            )  # fmt: skip
    return fault(source, 0, "The file ends within a character.")


def write_text(
    stream: BinaryIO, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]], *, separator: str = ","
) -> None:
    """Rows as CSV in UTF-8; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="strict", newline="")
    try:
        writer = csv.writer(text, delimiter=separator, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_written(row.get(name)) for name in columns])
    finally:
        text.flush()
        text.detach()


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return guard(cell)
    return repr(cell)
