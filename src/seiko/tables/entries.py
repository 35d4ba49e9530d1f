"""One row of a filled sheet: what it says of a trial or a design, or why it cannot be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seiko.records import TrialState
from seiko.tables.base import Cell, Formula, Row, is_blank, shown, unguard
from seiko.tables.numbers import NumberFault, number_of, whole_of

FINAL = (TrialState.COMPLETE, TrialState.FAILED, TrialState.INFEASIBLE, TrialState.ABANDONED)
"""What a row may say of a trial."""

LONGEST_NOTE = 10_000


@dataclass(frozen=True)
class Entry:
    """One row of a sheet that says something.

    Attributes:
        row: Its number in the sheet.
        trial_id: The trial that it is about; None in a sheet of designs.
        design: The design as text; None where the sheet has no such column.
        state: Complete, failed, infeasible or abandoned.
        value: The reading, if and only if complete.
        noise_std: Standard deviation of its noise, where given.
        replicate: Which repetition of the measurement, where there are several: a number, or a well.
        note: Free text.
        cost: What it cost, where the budget is in cost.
        key: Identity of the design, where its domain has read it.
    """

    row: int
    trial_id: int | None
    design: str | None
    state: TrialState
    value: float | None = None
    noise_std: float | None = None
    replicate: int | str | None = None
    note: str = ""
    cost: float | None = None
    key: str | None = None


class EntryFault(ValueError):
    """What is wrong with a row."""


@dataclass(frozen=True)
class EntryParser:
    """Turns a row into an entry; an entry that is still pending is one not yet measured."""

    about: str
    decimal: Literal["point", "comma"]

    def __call__(self, row: Row) -> Entry:
        cells = row.cells
        trial_id = None
        if self.about == "trials":
            trial_id = self._whole(cells, "trial_id", 0)
            if trial_id is None:
                raise EntryFault("`trial_id` is empty; every row of a batch must say which trial it is.")
        value, noise = self._number(cells, "value"), self._noise(cells)
        return Entry(
            row=row.number,
            trial_id=trial_id,
            design=_design(cells) if "design" in cells else None,
            state=_state(cells.get("status"), value, noise),
            value=value,
            noise_std=noise,
            replicate=_replicate(cells.get("replicate")),
            note=_note(cells.get("note")),
            cost=self._cost(cells),
            key=row.key,
        )

    def _number(self, cells: Mapping[str, Cell], name: str) -> float | None:
        cell = cells.get(name)
        if is_blank(cell):
            return None
        try:
            return number_of(cell, decimal=self.decimal)
        except NumberFault as fault:
            raise EntryFault(f"`{name}` {fault}.") from None

    def _whole(self, cells: Mapping[str, Cell], name: str, least: int) -> int | None:
        if is_blank(cells.get(name)):
            return None
        try:
            return whole_of(cells[name], least=least)
        except NumberFault as fault:
            raise EntryFault(f"`{name}` {fault}.") from None

    def _cost(self, cells: Mapping[str, Cell]) -> float | None:
        cost = self._number(cells, "cost")
        if cost is not None and cost < 0:
            raise EntryFault(f"`cost` is {cost}; it is at least 0.")
        return cost

    def _noise(self, cells: Mapping[str, Cell]) -> float | None:
        given = {name: self._number(cells, name) for name in ("noise_std", "sem")}
        there = [(name, number) for name, number in given.items() if number is not None]
        if len(there) > 1:
            raise EntryFault("Both `noise_std` and `sem` are given; they mean the same, so leave one empty.")
        if there and there[0][1] < 0:
            raise EntryFault(f"`{there[0][0]}` is {there[0][1]}; a standard deviation is at least 0.")
        return there[0][1] if there else None


def _design(cells: Mapping[str, Cell]) -> str:
    cell = cells["design"]
    if isinstance(cell, Formula):
        raise EntryFault(
            f"`design` is the formula {shown(cell)}; if it is text, put an apostrophe before it, as in '=…"
        )
    if cell is None or is_blank(cell):
        raise EntryFault("`design` is empty.")
    if not isinstance(cell, str):
        raise EntryFault(f"`design` is {cell!r}, which is a number and no text; format the column as text.")
    return unguard(cell).strip()


def _replicate(cell: Cell) -> int | str | None:
    if is_blank(cell):
        return None
    try:
        return whole_of(cell)
    except NumberFault:
        text = cell.strip() if isinstance(cell, str) and not isinstance(cell, Formula) else ""
    if text[:1].isalpha() and text.isprintable() and len(text) <= 64:
        return text
    raise EntryFault(
        f"`replicate` is {shown(cell)}; it must be a whole number, or a short name such as a well's."
    )


def _note(cell: Cell) -> str:
    if isinstance(cell, Formula) and cell.lstrip().startswith("="):
        raise EntryFault(f"`note` is the formula {shown(cell)}; write text.")
    text = "" if cell is None else unguard(str(cell)).strip()
    if len(text) > LONGEST_NOTE:
        raise EntryFault(f"`note` has {len(text)} characters; at most {LONGEST_NOTE} are kept.")
    return text


def _state(cell: Cell, value: float | None, noise: float | None) -> TrialState:
    """The state that a row tells; PENDING if it tells none."""
    named = TrialState.PENDING if is_blank(cell) else _named_state(cell)
    if named in (TrialState.PENDING, TrialState.RUNNING, TrialState.STALE):
        if value is None and noise is not None:
            raise EntryFault("`noise_std` is given without a `value`.")
        if value is not None and not is_blank(cell):
            raise EntryFault(
                f"`status` is {named} but there is a `value`; leave `status` empty, or say complete."
            )
        return TrialState.PENDING if value is None else TrialState.COMPLETE
    if named is TrialState.COMPLETE and value is None:
        raise EntryFault("`status` is complete but `value` is empty.")
    if named is not TrialState.COMPLETE and (value is not None or noise is not None):
        raise EntryFault(f"`status` is {named}, which has no `value`; leave `value` and `noise_std` empty.")
    return named


def _named_state(cell: Cell) -> TrialState:
    text = str(cell).strip().lower()
    try:
        return TrialState(text)
    except ValueError:
        allowed = [str(state) for state in FINAL]
        near = difflib.get_close_matches(text, allowed, n=1)
        question = f" Did you mean {near[0]}?" if near else ""
        raise EntryFault(
            f"`status` is {shown(cell)}; it must be empty or one of {', '.join(allowed)}.{question}"
        ) from None
