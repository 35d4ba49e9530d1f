"""Tables in and out: CSV, TSV, JSON lines and Excel. Streaming; needs neither pandas nor torch."""

from __future__ import annotations

from seiko.tables.base import Cell, Formula, Options, Problems, Row
from seiko.tables.files import FORMATS, format_of, read_table, write_table
from seiko.tables.sheets import BATCH_COLUMNS, Reading, Sheet, read_sheet

__all__ = [
    "BATCH_COLUMNS",
    "FORMATS",
    "Cell",
    "Formula",
    "Options",
    "Problems",
    "Reading",
    "Row",
    "Sheet",
    "format_of",
    "read_sheet",
    "read_table",
    "write_table",
]
