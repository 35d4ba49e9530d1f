"""The SQLite side of a store: its tables, its engine, and its errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from seiko.errors import CampaignError

SCHEMA_VERSION = 1
WAIT_SECONDS = 30.0

metadata = MetaData()
meta_table = Table(
    "seiko_campaign",
    metadata,
    Column("schema_version", Integer, primary_key=True),
)
events_table = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("round", Integer),
    Column("created_utc", String(40), nullable=False),
    Column("payload", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    sqlite_autoincrement=True,
)
blobs_table = Table(
    "blobs",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
# Whatever the locks of a file system are worth, one round is never asked twice.
Index("one_ask_a_round", events_table.c.round, unique=True, sqlite_where=events_table.c.kind == "asked")


def connect(database: Path) -> Engine:
    """An engine on one file; every commit is on the disk when it returns, and a writer waits its turn."""
    engine = create_engine(
        URL.create("sqlite", database=str(database)),
        poolclass=NullPool,
        connect_args={"timeout": WAIT_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver starts no transaction of its own
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def check_file(database: Path) -> None:
    """Refuse what cannot be a campaign's database before SQLite sees it.

    Raises:
        CampaignError: If the file is missing, unreadable, or not SQLite.
    """
    if not database.is_file():
        raise CampaignError(
            f"There is no campaign at {database.parent}: {database.name} is not there.",
            hint="Make one with Campaign.create, or give the folder of an existing one.",
        )
    try:
        with database.open("rb") as file:
            header = file.read(16)
    except OSError as error:
        raise CampaignError(f"{database} cannot be read: {error.strerror}.") from error
    if header != b"SQLite format 3\0":
        raise CampaignError(
            f"{database} is not a campaign database, or its beginning is damaged.",
            hint="Restore the file from a copy.",
        )


@contextmanager
def explained(database: Path) -> Iterator[None]:
    """Turn the database's errors into ours, naming the file."""
    try:
        yield
    except IntegrityError as error:
        raise CampaignError(
            f"{database} was asked for the same round by two runs at once; this one wrote nothing.",
            hint="Ask again.",
        ) from error
    except SQLAlchemyError as error:
        raise _as_campaign_error(error, database) from error


def _as_campaign_error(error: SQLAlchemyError, database: Path) -> CampaignError:
    cause = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    if "locked" in cause:
        return CampaignError(
            f"{database} was locked by another process for {WAIT_SECONDS:.0f} seconds; nothing was written.",
            hint="Try again when it is done.",
        )
    if "no such table" in cause or "no such column" in cause:
        return CampaignError(
            f"{database} is not a campaign database ({cause}).", hint="Give the folder of a campaign."
        )
    if "malformed" in cause or "not a database" in cause:
        return CampaignError(f"{database} is damaged ({cause}).", hint="Restore the file from a copy.")
    return CampaignError(
        f"{database} could not be read or written ({cause}).", hint="Check the disk and who owns the folder."
    )
