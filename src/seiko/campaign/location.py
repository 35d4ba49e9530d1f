"""Where a campaign is: a folder, or a name within a PostgreSQL database."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from seiko.errors import CampaignError, ParameterError

DATABASE_NAME = "campaign.sqlite"
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
_SERVERS = ("postgresql", "postgres", "postgresql+psycopg")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,47}")
_HINT = "A campaign is a folder, or postgresql://user@host/database#name."


@dataclass(frozen=True)
class Location:
    """A folder, or the URL of a database and the name of a campaign within it; exactly one of the two.

    Example:
        >>> str(Location.of("runs/first")), str(Location.of("postgresql://ann:secret@lab/plates#first"))
        ('runs/first', 'postgresql://ann:***@lab/plates#first')
    """

    folder: Path | None = None
    url: str = ""
    name: str = ""

    @classmethod
    def of(cls, given: str | os.PathLike[str] | Location, *, name: str | None = None) -> Location:
        """Read a location as people write it; `name` stands in for the part after ``#``.

        Raises:
            ParameterError: If it is a URL of another kind, or its name is missing or not allowed.
        """
        if isinstance(given, Location):
            return given
        text = os.fspath(given)
        scheme = _SCHEME.match(text)
        if scheme is None:
            return cls(folder=Path(text))
        if scheme[1].lower() not in _SERVERS:
            raise ParameterError(f"A campaign cannot be at a {scheme[1]!r} URL.", hint=_HINT)
        url, _, fragment = text.partition("#")
        chosen = fragment or name or ""
        if not _NAME.fullmatch(chosen):
            raise ParameterError(
                f"A campaign in a database needs a name of at most 48 letters, digits, '_', '.' or '-'; "
                f"got {chosen!r}.",
                hint=_HINT,
            )
        return cls(url=url, name=chosen)

    @property
    def database(self) -> Path:
        """The SQLite file of a folder."""
        assert self.folder is not None
        return self.folder / DATABASE_NAME

    @property
    def schema(self) -> str:
        """The schema that holds a campaign's tables within its database."""
        return f"seiko_{self.name}"

    @property
    def default_name(self) -> str:
        """What a campaign is called unless its owner says."""
        return self.name or Path(str(self.folder)).resolve().name

    def __str__(self) -> str:
        if self.folder is not None:
            return str(self.folder)
        return re.sub(r"(://[^:/@]+):[^@/]*@", r"\1:***@", self.url) + f"#{self.name}"

    @property
    def what(self) -> str:
        """The database in an error's words: the file, or the server's address."""
        return str(self.database if self.folder is not None else self)


def made(folder: Path) -> Path:
    """The folder, made if it is not there.

    Raises:
        CampaignError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CampaignError(
            f"The campaign folder {folder} cannot be made: {error.strerror}.", hint="Choose another path."
        ) from error
    return folder
