"""Excel workbooks, through openpyxl: the first sheet, text as text, formulas refused."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice, zip_longest
from typing import Any, BinaryIO

from seiko.errors import MissingDependencyError, SeikoError, TableError
from seiko.tables.base import Cell, Formula, Options, Row, column_names, fault, is_blank, shown

MOST_ROWS = 1_048_576
MOST_BYTES = 2**30
MOST_COLUMNS = 1000


def openpyxl_module() -> Any:
    """openpyxl, or an error that says how to install it."""
    try:
        return import_module("openpyxl")
    except ImportError as error:
        raise MissingDependencyError(
            "Excel tables need the package openpyxl, which is not installed.",
            hint="Install seiko with the extra `excel`, or use CSV.",
        ) from error


def read_excel(stream: BinaryIO, source: str, options: Options) -> Iterator[Row]:
    """Rows of the first sheet.

    Raises:
        TableError: If the file is no workbook, or unpacks to more than `MOST_BYTES`.
        MissingDependencyError: If openpyxl is not installed.
    """
    openpyxl = openpyxl_module()
    _check_archive(stream, source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features that openpyxl does not keep, which we do not read
            book = openpyxl.load_workbook(stream, read_only=True, data_only=False, keep_links=False)
            yield from _rows(book, source)
    except (SeikoError, GeneratorExit):
        raise
    except Exception as error:  # openpyxl meets damaged files with whatever its parsers raise
        raise fault(
            source, 0, f"This workbook is damaged: {type(error).__name__}: {shown(str(error), 120)}."
        ) from None


def _check_archive(stream: BinaryIO, source: str) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise fault(source, 0, f"This is no Excel workbook (.xlsx): {shown(str(error), 80)}.") from None
    if size > MOST_BYTES:
        raise fault(source, 0, f"The workbook unpacks to {size} bytes; at most {MOST_BYTES} are read.")
    stream.seek(0)


def _rows(book: Any, source: str) -> Iterator[Row]:
    if not book.worksheets:
        raise fault(source, 0, "The workbook has no sheet of cells.")
    rows = book.worksheets[0].iter_rows()
    header = next(rows, None)
    if header is None:
        raise fault(source, 1, "The first sheet is empty: its first row must name the columns.")
    columns = column_names([_cell(cell) for cell in islice(header, MOST_COLUMNS)], source)
    for number, row in enumerate(rows, start=2):
        cells = [_cell(cell) for cell in islice(row, MOST_COLUMNS)]
        if any(not is_blank(cell) for cell in cells):
            yield Row(number, _named(cells, columns, number, source))


def _named(cells: Sequence[Cell], columns: Sequence[str], number: int, source: str) -> Mapping[str, Cell]:
    pairs = list(zip_longest(columns, cells))
    stray = [cell for name, cell in pairs if not name and not is_blank(cell)]
    if stray:
        raise fault(source, number, f"The cell {shown(stray[0])} stands below a column without a name.")
    return {name: cell for name, cell in pairs if name}


def _cell(cell: Any) -> Cell:
    value = cell.value
    if getattr(cell, "data_type", "") == "f":
        return Formula(value if isinstance(value, str) else "=…")
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def write_excel(stream: BinaryIO, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    """Rows as the one sheet of a workbook, the header frozen; text never becomes a formula.

    Raises:
        TableError: If there are more rows than a sheet holds, or a text has characters that Excel refuses.
        MissingDependencyError: If openpyxl is not installed.
    """
    book = openpyxl_module().Workbook(write_only=True)
    try:
        _fill(book, columns, rows)
    except BaseException:
        with suppress(Exception):
            book.save(io.BytesIO())  # lets openpyxl close what it had begun
        raise
    book.save(stream)


def _fill(book: Any, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    sheet = book.create_sheet("trials")
    sheet.freeze_panes = "A2"
    make = import_module("openpyxl.cell").WriteOnlyCell
    sheet.append([_written(make, sheet, name, 1) for name in columns])
    for number, row in enumerate(rows, start=2):
        if number > MOST_ROWS:
            raise TableError(
                f"A sheet of Excel holds {MOST_ROWS} rows at most.", hint="Write CSV or JSON lines instead."
            )
        sheet.append([_written(make, sheet, row.get(name), number) for name in columns])


def _written(make: Any, sheet: Any, value: Cell, number: int) -> Any:
    if not isinstance(value, str):
        return value
    if len(value) > 32_767:
        raise TableError(
            f"Row {number} holds a text of {len(value)} characters; a cell of Excel holds 32,767.",
            hint="Write CSV or JSON lines instead.",
        )
    try:
        cell = make(sheet, value)
    except Exception as error:  # openpyxl's own kind, for control characters
        raise TableError(
            f"Row {number} holds {shown(value)}, which Excel cannot: {type(error).__name__}.",
            hint="Write CSV or JSON lines instead.",
        ) from None
    cell.data_type = "s"
    cell.quotePrefix = value.startswith(("=", "+", "-", "@"))
    return cell
