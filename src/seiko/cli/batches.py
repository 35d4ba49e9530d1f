"""Trials as tables, and tables as readings: between files and the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seiko.errors import BudgetExhausted, CampaignError, ParameterError, SeikoError, TableError
from seiko.records import Observation, Trial, TrialState
from seiko.tables import BATCH_COLUMNS, Options, Reading, Row, Sheet, read_sheet, read_table, write_table
from seiko.tables.base import Problems, fault, shown
from seiko.tables.designs import DesignEntry, DesignFormat, design_format, trial_name, trial_of
from seiko.tables.entries import Entry
from seiko.tables.files import STANDARD, check_writable, format_of
from seiko.tables.numbers import NumberFault, whole_of

if TYPE_CHECKING:
    from seiko.campaign import Campaign, Journal
    from seiko.domains.base import Domain


def design_text(row: Mapping[str, Any]) -> str:
    """A trial's design as it stands in tables: its text, or its identity where it is no text."""
    return str(row["key"] if row["design"] is None else row["design"])


def blank_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A trial as a row to fill in."""
    names = ("trial_id", "round", "predicted_mean", "predicted_std")
    return {**{name: row[name] for name in names}, "design": design_text(row)}


@dataclass(frozen=True)
class Target:
    """The file that a batch is written to."""

    path: str
    format: str | None
    replace: bool

    @property
    def is_table(self) -> bool:
        try:
            format_of(self.path, self.format)
        except ParameterError:
            return False
        return True

    def check(self) -> None:
        """Say before slow work that the file could not be written."""
        if self.is_table:
            check_writable(self.path, format=self.format, replace=self.replace)
        elif self.path == STANDARD or Path(self.path).exists():
            raise TableError(
                f"{self.path} is there already, and may hold readings.", hint="Name another file."
            )

    def check_format(self, campaign: Campaign[Any]) -> None:
        """Say so if neither we nor the domain know the file's format."""
        if not self.is_table:
            domain_format(campaign.domain, self.path, self.format)

    def write(self, campaign: Campaign[Any], trials: Sequence[Trial[Any]]) -> None:
        """Write trials as rows to fill in, or as a file of the domain's own kind."""
        if self.is_table:
            rows = map(blank_row, campaign.journal.rows([trial.id for trial in trials]))
            self._written(lambda: write_table(
                self.path, BATCH_COLUMNS, rows, format=self.format, replace=self.replace
            ), campaign)  # fmt: skip
            return
        own = domain_format(campaign.domain, self.path, self.format)
        entries = [DesignEntry(n, t.design, trial_name(t.id)) for n, t in enumerate(trials, start=1)]
        self._written(lambda: own.write(Path(self.path), entries), campaign)

    def _written(self, write: Any, campaign: Campaign[Any]) -> None:
        try:
            write()
        except (SeikoError, OSError) as error:
            raise TableError(
                f"The designs were asked and are stored, but {self.path} was not written: {error}",
                hint=f"Write it again: seiko export {campaign.journal.location} --pending --out FILE",
            ) from error


def domain_format(domain: Domain[Any], path: str, name: str | None) -> DesignFormat[Any]:
    """The domain's own format of a file.

    Raises:
        ParameterError: If neither we nor the domain know it.
    """
    own = design_format(domain.formats, path, name)
    if own is None:
        known = ", ".join(["csv, tsv, jsonl, xlsx", *domain.formats])
        raise ParameterError(
            f"Neither tables nor the domain {domain.name!r} have the format of {path}.",
            hint=f"There are {known}; name one with --format.",
        )
    return own


def is_table(path: str, format: str | None) -> bool:
    """Whether a file is a table, and not a file of a domain's own kind."""
    return Target(path, format, False).is_table


def rows_of_designs(domain: Domain[Any], entries: Iterable[DesignEntry[Any]], source: str) -> Iterator[Row]:
    """Entries of a domain's own file as rows of a batch: the name says which trial it is.

    Raises:
        TableError: If the domain cannot read a design.
    """
    for entry in entries:
        try:
            key = domain.key(entry.design)
        except Exception as error:  # whatever a domain raises on what is none of its designs
            what = f"The design {shown(entry.design)} cannot be read: {type(error).__name__}: {error}."
            raise fault(source, entry.row, what) from error
        design = entry.design if isinstance(entry.design, str) else key
        yield Row(entry.row, {**entry.cells, "trial_id": trial_of(entry.name), "design": design}, key)


def read_told(journal: Journal, rows: Iterable[Row], source: str, options: Options) -> Sheet:
    """A filled batch, each row checked against its trial.

    Raises:
        TableError: With every row that is wrong: unknown trials, edited designs, no numbers.
    """
    kept = list(rows)
    known = _known(journal, kept)
    count = journal.status().num_trials

    def check(entry: Entry) -> str | None:
        trial = known.get(entry.trial_id if entry.trial_id is not None else -1)
        if trial is None:
            allowed = f"trials 0 to {count - 1}" if count else "no trials yet"
            return f"There is no trial {entry.trial_id}; this campaign has {allowed}."
        if _is_edited(entry, trial):
            return (
                f"The design of trial {entry.trial_id} is {shown(design_text(trial))}, but the row says "
                f"{shown(entry.design)}; designs may not be edited, and rows not be shifted."
            )
        return None

    return read_sheet(kept, source, options=options, check=check)


def _is_edited(entry: Entry, trial: Mapping[str, Any]) -> bool:
    """Whether a row's design is another one than was asked; a key counts spellings of one design as one."""
    if entry.key is not None:
        return bool(entry.key != trial["key"])
    return entry.design not in (None, design_text(trial).strip())


def _known(journal: Journal, rows: Sequence[Row]) -> dict[int, dict[str, Any]]:
    """The trials that rows are about; ids that are none are left out."""
    count, wanted = journal.status().num_trials, set()
    for row in rows:
        with suppress(NumberFault):
            wanted.add(whole_of(row.cells.get("trial_id")))
    there = sorted(id_ for id_ in wanted if id_ < count)
    return {row["trial_id"]: row for row in journal.rows(there)} if there else {}


def observations(readings: Sequence[Reading]) -> dict[int, list[Observation]]:
    """Readings of trials as the journal takes them; abandoned ones are left out."""
    found: dict[int, list[Observation]] = {}
    for reading in readings:
        told = [observation(entry) for entry in reading.entries if entry.state is not TrialState.ABANDONED]
        if told and reading.trial_id is not None:
            found[reading.trial_id] = told
    return found


def observation(entry: Entry) -> Observation:
    """One row as a reading."""
    return Observation(
        entry.value,
        noise_std=entry.noise_std,
        state=entry.state,
        note=entry.note,
        replicate=entry.replicate,
        cost=entry.cost,
    )


def table_rows(path: str, format: str | None, options: Options) -> Iterator[Row]:
    """The rows of a table file."""
    return read_table(path, format=format, options=options)


def named_rows(error: SeikoError, sheet: Sheet, source: str) -> SeikoError:
    """An error about a trial as one about its row, where it says which trial."""
    return at_row(error, row_of(sheet, getattr(error, "trial_id", None)), source)


def row_of(sheet: Sheet, id_: int | None) -> int:
    """The first row about a trial; 0 if there is none."""
    return next((r.row for r in sheet.readings if r.trial_id == id_), 0)


def at_row(error: SeikoError, row: int, source: str) -> SeikoError:
    """An error as one of a row of a table; those of the whole campaign stay as they are."""
    if isinstance(error, (CampaignError, BudgetExhausted)):
        return error
    problems = Problems(source)
    problems.add(row, str(error))
    try:
        problems.raise_if_any()
    except TableError as table_error:
        return table_error
    return error
