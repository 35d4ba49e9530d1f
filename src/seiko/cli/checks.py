"""The checks of ``seiko doctor``, each with what it found and what to do."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seiko.cli.opening import Place, config_of_journal, function_at, materials, method, place_of
from seiko.config import Config
from seiko.errors import ConfigError, SeikoError

if TYPE_CHECKING:
    from seiko.campaign import Journal
    from seiko.campaign.checks import Finding

REBUILD = "Rebuild them from the journal: seiko doctor DIR --mend."
LITTLE_SPACE = 2**30
NO_SPACE = 100 * 2**20
LEFTOVERS = ("*.part", ".*.part")


@dataclass(frozen=True)
class Check:
    """What one check found."""

    subject: str
    state: Literal["ok", "warning", "error", "mended"]
    what: str
    hint: str = ""


def check_campaign(given: str, *, mend: bool = False) -> list[Check]:
    """Every check of a campaign, in order; a check that fails does not keep the others from being done."""
    try:
        place = place_of(given)
    except SeikoError as error:
        return [_failed("campaign file", error), *_of_space(Path(given))]
    from seiko.campaign import Journal

    found = [_of_file(place)]
    journal: Journal | None = None
    try:
        if Journal.exists(place.location):
            journal = Journal.open(place.location)
        elif place.config is None:
            return [Check("campaign", "error", f"There is no campaign in {given}.", f"seiko init {given}")]
    except SeikoError as error:
        found.append(_failed("database", error))
    config = place.config
    if journal is not None:
        found += _of_store(journal, mend)
        config = _settings(journal, place, found)
        found += _of_trials(journal, given)
    if config is not None:
        found += _of_parts(config, place.folder)
    if "://" not in place.location:
        found += [*_of_leftovers(Path(place.location), mend), *_of_space(Path(place.location))]
    return found


def _failed(subject: str, error: SeikoError) -> Check:
    return Check(subject, "error", error.message, error.hint or "")


def _of_file(place: Place) -> Check:
    if place.config is None:
        return Check(
            "campaign file", "warning", "There is none; what the campaign was made with is used.",
            f"Write one: seiko init {place.given}",
        )  # fmt: skip
    return Check("campaign file", "ok", "Every setting is allowed.")


def _settings(journal: Journal, place: Place, found: list[Check]) -> Config | None:
    try:
        config = config_of_journal(journal, place)
    except ConfigError as error:
        if place.config is None and "made from Python" in error.message:
            found.append(Check("settings", "ok", "The campaign was made from Python."))
        else:
            found.append(_failed("settings", error))
        return None
    found.append(Check("settings", "ok", "The campaign file fits the campaign."))
    return config


def _of_store(journal: Journal, mend: bool) -> Iterator[Check]:
    findings = _findings(journal)
    if findings and mend:
        mended = _rebuilt(journal)
        left = _findings(journal) if mended else findings
        for finding in findings:
            if finding not in left:
                yield Check("database", "mended", finding.what, "The tables were rebuilt from the journal.")
        findings = left
    for finding in findings:
        yield Check("database", finding.severity, finding.what, finding.hint)
    if not findings:
        yield Check("database", "ok", "Journal, checksums, tables and artifacts agree.")


def _findings(journal: Journal) -> list[Finding]:
    from seiko.campaign.checks import Finding

    try:
        return list(journal.check(deep=True))
    except SeikoError as error:
        return [Finding("error", error.message, error.hint or "")]
    except Exception as error:  # tables that somebody else wrote into hold anything
        return [Finding("error", f"The tables are damaged: {type(error).__name__}: {error}.", REBUILD)]


def _rebuilt(journal: Journal) -> bool:
    try:
        journal.rebuild()
    except Exception:  # what is wrong stays in the list of findings
        return False
    return True


def _of_trials(journal: Journal, given: str) -> Iterator[Check]:
    try:
        status = journal.status()
    except SeikoError as error:
        yield _failed("trials", error)
        return
    except Exception as error:  # as in `_findings`
        what = f"The tables are damaged: {type(error).__name__}: {error}."
        yield Check("trials", "error", what, REBUILD)
        return
    if status.num_stale:
        yield Check(
            "trials", "warning", f"{status.num_stale} trials wait for longer than their time.",
            f"Tell them, or: seiko retry {given}; seiko abandon {given} TRIAL... --reason ...",
        )  # fmt: skip
    elif status.num_pending:
        yield Check("trials", "ok", f"{status.num_pending} trials are awaited.")
    measured = status.num_complete + status.num_infeasible + status.num_failed
    if status.num_failed >= 5 and status.num_failed * 2 > measured:
        yield Check(
            "readings", "warning", f"{status.num_failed} of {measured} readings failed.",
            f"Mend the assay, then: seiko retry {given}",
        )  # fmt: skip


def _of_parts(config: Config, folder: Path) -> Iterator[Check]:
    """The chain with the hash of its weights, the method with its arguments, the oracle."""
    parts: list[tuple[str, Callable[[], str]]] = [
        ("chain, method", lambda: _check_method(config, folder)),
        ("oracle", lambda: _check_oracle(config, folder)),
    ]
    for subject, look in parts:
        try:
            yield Check(subject, "ok", look())
        except SeikoError as error:
            yield _failed(subject, error)


def _check_method(config: Config, folder: Path) -> str:
    chain, domain = materials(config, folder)
    method(config, chain, domain, folder)
    weights = "" if ":" in config.chain else ", its weights have the sha256 of its card"
    return f"{config.chain} loads{weights}; {config.method} takes its arguments."


def _check_oracle(config: Config, folder: Path) -> str:
    if config.python is not None:
        function_at("oracle.python", config.python, folder)
        return f"{config.python} can be imported."
    if config.command is None:
        return "None: readings are told."
    return f"{program_of(config.command[0], folder)} can be run."


def program_of(name: str, folder: Path) -> str:
    """The program that a command names: in the campaign's folder, or on the search path.

    Raises:
        ConfigError: If there is none, or it may not be run.
    """
    local = folder / name
    if local.is_file():
        if not os.access(local, os.X_OK):
            raise ConfigError(f"The oracle's program {local} may not be run.", hint=f"chmod +x {local}")
        return str(local)
    found = shutil.which(name)
    if found is None:
        raise ConfigError(
            f"The oracle's program {name!r} was not found, neither in {folder} nor on the search path.",
            hint="Mend `oracle.command` in the campaign file.",
        )
    return found


def _of_leftovers(folder: Path, mend: bool) -> Iterator[Check]:
    if not folder.is_dir():
        return
    paths = {path for pattern in LEFTOVERS for path in folder.rglob(pattern)}
    left = sorted(path for path in paths if _is_leftover(path))
    if not left:
        return
    words = f"{len(left)} files were begun and never finished, such as {left[0]}."
    if not mend:
        yield Check("leftovers", "warning", words, f"seiko doctor {folder} --mend removes them.")
        return
    for path in left:
        path.unlink(missing_ok=True)
    yield Check("leftovers", "mended", words, "They were removed.")


def _is_leftover(path: Path) -> bool:
    """Whether a part of a file is old enough that nothing writes it any more."""
    try:
        return path.is_file() and not path.is_symlink() and time.time() - path.stat().st_mtime > 3600
    except OSError:
        return False


def _of_space(folder: Path) -> Iterator[Check]:
    there = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), Path.cwd())
    free = shutil.disk_usage(there).free
    words = f"{free / 2**30:.1f} GiB are free at {there}."
    if not os.access(there, os.W_OK):
        yield Check("disk", "error", f"The folder {there} cannot be written.", "Give yourself the right to.")
    elif free < NO_SPACE:
        yield Check("disk", "error", words, "Make room before the next ask.")
    elif free < LITTLE_SPACE:
        yield Check("disk", "warning", words, "Make room soon.")
    else:
        yield Check("disk", "ok", words)
