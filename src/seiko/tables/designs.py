"""A domain's own files of designs (SMILES, FASTA, a folder of pictures): the hook that a domain offers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from seiko.errors import TableError
from seiko.tables.base import Cell, fault, shown

Design = TypeVar("Design")


@dataclass(frozen=True)
class DesignEntry(Generic[Design]):
    """One design of a file.

    Attributes:
        row: Where it stands, for messages: its line, or its place in the file from 1.
        design: The design.
        name: What the file calls it; ``trial-7`` in files that we wrote.
        cells: What else the file says of it, by column: `value`, `noise_std`, `status`, `note`.
    """

    row: int
    design: Design
    name: str = ""
    cells: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class DesignFormat(Generic[Design]):
    """How a domain's designs are written into a file, or a folder, of the field's own kind.

    A domain offers some by name in ``Domain.formats``. Any path in a folder's files must come from
    `inside`, and whatever is wrong must be a TableError that names the row.

    Attributes:
        extensions: Endings of file names, with the dot; empty for a format that is chosen by name only.
        write: ``(path, entries)``; the path is new.
        read: ``path -> entries``.
    """

    extensions: tuple[str, ...]
    write: Callable[[Path, Sequence[DesignEntry[Design]]], None]
    read: Callable[[Path], Iterable[DesignEntry[Design]]]


def design_format(
    formats: Mapping[str, DesignFormat[Any]], path: str | os.PathLike[str], name: str | None = None
) -> DesignFormat[Any] | None:
    """The format with a name, else the one of the path's ending; None if the domain has none."""
    if name is not None:
        return formats.get(name)
    ending = Path(path).suffix.lower()
    return next((entry for entry in formats.values() if ending in entry.extensions), None)


def trial_name(id_: int) -> str:
    """What a file that we write calls a trial."""
    return f"trial-{id_}"


def trial_of(name: str) -> int | None:
    """The trial that a name stands for, if it does.

    Example:
        >>> trial_of(trial_name(7)), trial_of("aspirin")
        (7, None)
    """
    found = re.fullmatch(r"trial-(0|[1-9][0-9]{0,15})", name.strip())
    return int(found[1]) if found else None


_PLAIN_NAME = re.compile(r"[\w][\w .,+=()@-]{0,199}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", flags=re.IGNORECASE)


def inside(folder: Path, name: str) -> Path:
    """The path of a plain file name in a folder.

    Raises:
        TableError: If the name leads anywhere else: it has a separator, a drive, control characters, is a
            device of Windows, or is a link.

    Example:
        >>> inside(Path("pictures"), "../../etc/passwd")
        Traceback (most recent call last):
        ...
        seiko.errors.TableError: '../../etc/passwd' is no plain file name. ...
    """
    plain = bool(_PLAIN_NAME.fullmatch(name)) and not name.endswith((".", " ")) and ".." not in name
    if not plain or _RESERVED.fullmatch(name):
        raise TableError(
            f"{shown(name)} is no plain file name.",
            hint="Use letters, digits and . _ - only, without folders.",
        )
    path = folder / name
    if path.is_symlink():
        raise TableError(f"{path} is a link, which is not followed.", hint="Put the file itself there.")
    return path


def text_lines(path: Path, most: int = 2**20) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file with their numbers from 1, without their ends; blank ones are left out.

    Raises:
        TableError: If the file cannot be read, a line is no UTF-8, or is longer than `most` bytes.
    """
    try:
        with open(path, "rb") as stream:
            number = 0
            while line := stream.readline(most + 1):
                number += 1
                if len(line) > most:
                    raise fault(str(path), number, f"The line is longer than {most} bytes.")
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
                except UnicodeDecodeError:
                    raise fault(str(path), number, "The line is no UTF-8 text.") from None
                if text.strip():
                    yield number, text
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}.") from None
