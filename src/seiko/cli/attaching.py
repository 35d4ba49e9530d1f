"""Tables of designs with their readings: read, checked by the domain, attached."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seiko.cli.batches import at_row, domain_format, is_table, observation, table_rows
from seiko.errors import SeikoError, TableError
from seiko.tables import Options, Reading, Row, Sheet, read_sheet
from seiko.tables.base import Problems, shown
from seiko.tables.entries import Entry

if TYPE_CHECKING:
    from seiko.campaign import Campaign
    from seiko.domains.base import Domain


class _Designs:
    """The designs of a sheet's rows, read and checked by their domain."""

    def __init__(self, domain: Domain[Any], given: Mapping[int, Any] | None = None) -> None:
        self.domain = domain
        self.given = given
        self.by_row: dict[int, tuple[Any, str]] = {}

    def check(self, entry: Entry) -> str | None:
        """What is wrong with a row's design, in words."""
        try:
            design = self._design(entry)
            if not self.domain.is_valid(design):
                reason = self.domain.why_invalid(design) or "the domain gives no reason"
                return f"The design {shown(entry.design or design)} is not valid: {reason}."
            self.by_row[entry.row] = design, self.domain.key(design)
        except SeikoError as error:
            return f"The design {shown(entry.design)} cannot be read: {error}"
        except Exception as error:  # whatever a domain raises on a text that is none of its designs
            return f"The design {shown(entry.design)} cannot be read: {type(error).__name__}: {error}."
        return None

    def _design(self, entry: Entry) -> Any:
        if self.given is not None:
            return self.given[entry.row]
        return self.domain.from_bytes((entry.design or "").encode())

    def identity(self, entry: Entry) -> str:
        return self.by_row[entry.row][1]


def read_attached(
    domain: Domain[Any], file: str, format: str | None, options: Options, *, pending: bool
) -> tuple[Sheet, list[Any]]:
    """A table, or a file of the domain's own, with one design for each reading.

    Raises:
        TableError: With every row that is wrong.
    """
    if is_table(file, format):
        _check_text(domain)
        rows, designs = list(table_rows(file, format, options)), _Designs(domain)
    else:
        entries = list(domain_format(domain, file, format).read(Path(file)))
        rows = [Row(e.row, {**e.cells, "design": e.name or f"design {e.row}", **_VALUE}) for e in entries]
        rows = [Row(r.number, {**r.cells, **e.cells}) for r, e in zip(rows, entries, strict=True)]
        designs = _Designs(domain, {e.row: e.design for e in entries})
    if pending:
        rows = _without_readings(rows, file)
    sheet = read_sheet(
        rows, file, about="designs", options=options, check=designs.check, identity=designs.identity
    )
    return sheet, [designs.by_row[reading.row][0] for reading in sheet.readings]


_VALUE = {"value": None}


def _check_text(domain: Domain[Any]) -> None:
    if not domain.media_type.startswith(("text/", "chemical/")):
        own = ", ".join(domain.formats) or "none of its own"
        raise TableError(
            f"Designs of the domain {domain.name!r} ({domain.media_type}) do not fit into a table.",
            hint=f"Attach a file of the domain's own kind; there are {own}.",
        )


def _without_readings(rows: Sequence[Row], file: str) -> list[Row]:
    """Rows of designs to be measured, as if each were complete, so that they pass the checks of a sheet."""
    problems = Problems(file)
    for row in rows:
        if any(row.cells.get(name) not in (None, "") for name in ("value", "status", "noise_std", "sem")):
            problems.add(row.number, "There is a reading, but only designs were to be attached (--pending).")
    problems.raise_if_any()
    return [Row(row.number, {"design": row.cells.get("design"), "status": "failed"}) for row in rows]


def attach_sheet(
    campaign: Campaign[Any],
    sheet: Sheet,
    designs: Sequence[Any],
    source: str,
    *,
    charge: bool,
    pending: bool,
    dry_run: bool,
) -> Sequence[Any]:
    """Attach everything in a checked sheet; all of it or nothing.

    Raises:
        TableError: If the campaign refuses a row.
    """
    readings = None if pending else [_told(reading) for reading in sheet.readings]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            note = f"from {Path(source).name}"
            return campaign.attach(designs, readings, charge=charge, note=note, dry_run=dry_run)
    except SeikoError as error:
        index = getattr(error, "index", None)
        row = sheet.readings[index].row if isinstance(index, int) else 0
        raise at_row(error, row, source) from error


def _told(reading: Reading) -> Any:
    told = [observation(entry) for entry in reading.entries]
    return told[0] if len(told) == 1 else told
