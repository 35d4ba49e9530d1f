"""Sheets that people fill in: rows checked and grouped by trial or by design, all errors said at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from seiko.records import TrialState
from seiko.tables.base import Options, Problems, Row, shown
from seiko.tables.entries import FINAL, Entry, EntryFault, EntryParser

FILLED_COLUMNS = ("value", "noise_std", "replicate", "status", "note")
"""What a person fills in."""

BATCH_COLUMNS = ("trial_id", "round", "design", "predicted_mean", "predicted_std", *FILLED_COLUMNS)
"""The columns of a batch, in order."""

READ_COLUMNS = (*FILLED_COLUMNS, "sem", "cost")
"""What is read of a trial or a design."""

KNOWN = (*BATCH_COLUMNS, "sem", "cost", "key", "state")


@dataclass(frozen=True)
class Reading:
    """Everything a sheet says about one trial, or one design: one row, or several replicates."""

    entries: tuple[Entry, ...]

    @property
    def row(self) -> int:
        """The first of its rows."""
        return self.entries[0].row

    @property
    def trial_id(self) -> int | None:
        return self.entries[0].trial_id

    @property
    def design(self) -> str | None:
        return self.entries[0].design


@dataclass
class Sheet:
    """A checked sheet.

    Attributes:
        readings: What it says, in order of first row.
        unmeasured: Number of rows without value and status: not yet measured.
        ignored_columns: Columns that are none of ours.
    """

    readings: list[Reading] = field(default_factory=list)
    unmeasured: int = 0
    ignored_columns: list[str] = field(default_factory=list)


def read_sheet(
    rows: Iterable[Row],
    source: str,
    *,
    about: Literal["trials", "designs"] = "trials",
    options: Options | None = None,
    check: Callable[[Entry], str | None] = lambda entry: None,
    identity: Callable[[Entry], object] | None = None,
) -> Sheet:
    """Check every row of a filled sheet; nothing is taken if one is wrong.

    A row without value and status is not yet measured. Several rows of one trial are replicates and must be
    numbered; otherwise they are duplicates and an error.

    Args:
        rows: From `read_table`.
        source: The file's name, for messages.
        about: "trials" for a batch that comes back, whose rows have a `trial_id`; "designs" for readings from
            elsewhere, whose rows have a `design`.
        options: For the decimal sign.
        check: Says what else is wrong with an entry: the trial is unknown, the design was edited.
        identity: What entries of one trial or design have in common; its id or its text by default.

    Raises:
        TableError: With every row that is wrong.

    Example:
        >>> rows = [Row(2, {"trial_id": 0, "value": "0.5"}), Row(3, {"trial_id": 1, "value": ""})]
        >>> sheet = read_sheet(rows, "filled.csv")
        >>> sheet.readings[0].entries[0].value, sheet.unmeasured
        (0.5, 1)
    """
    sheet, problems = Sheet(), Problems(source)
    parse = EntryParser(about, (options or Options()).decimal)
    entries: list[Entry] = []
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(row.cells))
        if about == "designs" and "design" not in row.cells:
            problems.add(row.number, "There is no `design`.")
            continue
        found = _entry(parse, row, problems)
        if found is None:
            continue
        fault = check(found)
        if fault is not None:
            problems.add(row.number, fault)
        elif found.state in FINAL:
            entries.append(found)
        else:
            sheet.unmeasured += 1
    _check_columns(columns, about, problems)
    sheet.readings = _grouped(entries, identity or _default_identity, problems)
    problems.raise_if_any()
    sheet.ignored_columns = [name for name in columns if name not in KNOWN]
    return sheet


def _default_identity(entry: Entry) -> object:
    return entry.design if entry.trial_id is None else entry.trial_id


def _check_columns(columns: Mapping[str, None], about: str, problems: Problems) -> None:
    needed = "trial_id" if about == "trials" else "design"
    if columns and needed not in columns:
        problems.found[:] = [(row, what) for row, what in problems.found if f"`{needed}`" not in what]
        listed = ", ".join(shown(name) for name in list(columns)[:12])
        problems.add(1, f"There is no column `{needed}`; the columns are {listed}.")
    elif columns and not {"value", "status"} & set(columns):
        problems.add(1, "There is neither a column `value` nor a column `status`, so it says nothing.")
    for name in columns:
        if near := misspelt(name, columns):
            problems.add(1, f"There is a column {shown(name)}; did you mean `{near}`?")


def misspelt(name: str, there: Collection[str], known: Sequence[str] = KNOWN) -> str | None:
    """The column that a name is almost; ignoring it could lose readings.

    Args:
        name: In lower case.
        there: The names beside it, which it does not stand for.
        known: Columns of ours.

    Example:
        >>> misspelt("valeu", ["trial_id", "valeu"]), misspelt("values", ["value", "values"])
        ('value', None)
    """
    left = [column for column in known if column not in there]
    near = difflib.get_close_matches(name, left, n=1, cutoff=0.75)
    return near[0] if near and name not in known else None


def _entry(parse: EntryParser, row: Row, problems: Problems) -> Entry | None:
    try:
        return parse(row)
    except EntryFault as fault:
        problems.add(row.number, str(fault))
        return None


def _grouped(
    entries: Sequence[Entry], identity: Callable[[Entry], object], problems: Problems
) -> list[Reading]:
    groups: dict[object, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(identity(entry), []).append(entry)
    for group in groups.values():
        _check_group(group, problems)
    return [Reading(tuple(group)) for group in groups.values()]


def _check_group(group: Sequence[Entry], problems: Problems) -> None:
    """Several rows about one thing must be numbered replicates of one measurement."""
    if len(group) == 1:
        return
    first: dict[int | str | None, int] = {}
    name = f"trial {group[0].trial_id}" if group[0].trial_id is not None else "this design"
    for entry in group:
        if entry.replicate is None or entry.replicate in first:
            earlier = first.get(entry.replicate, group[0].row)
            if entry.row != earlier:
                problems.add(
                    entry.row,
                    f"{name.capitalize()} is in row {earlier} already; number the rows in `replicate` if it "
                    "was measured several times.",
                )
        first.setdefault(entry.replicate, entry.row)
    states = {entry.state for entry in group}
    if states & {TrialState.INFEASIBLE, TrialState.ABANDONED} and len(states) > 1:
        problems.add(
            group[-1].row,
            f"The replicates of {name} are {' and '.join(sorted(states))}; only complete and failed ones go "
            "together.",
        )
