"""Engines for SQLite and PostgreSQL, and their errors in words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from seiko.campaign.location import Location
from seiko.errors import CampaignError, MissingDependencyError, ParameterError

WAIT_SECONDS = 30.0


def connect(location: Location, *, file: Any = None) -> Engine:
    """An engine on one campaign; every commit is on the disk when it returns, and a writer waits its turn.

    Args:
        location: Where the campaign is.
        file: Another SQLite file in place of the folder's own.

    Raises:
        MissingDependencyError: If it is in PostgreSQL, and psycopg is not installed.
    """
    if location.folder is None and file is None:
        return _server(location)
    return _sqlite(str(file or location.database.absolute()))


@lru_cache(maxsize=64)
def _sqlite(database: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=database),
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


def _server(location: Location) -> Engine:
    key = advisory_key(location, "write")
    return _server_engine(location.url).execution_options(
        schema_translate_map={None: location.schema}, seiko_lock=key
    )


@lru_cache(maxsize=16)
def _server_engine(address: str) -> Engine:
    """One pool of connections for all campaigns of a database; a forked process makes its own."""
    try:
        url = make_url(address).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError) as error:
        raise ParameterError(f"{address!r} is not the URL of a database: {error}.") from error
    try:
        engine = create_engine(
            url,
            pool_size=2,
            max_overflow=30,
            pool_pre_ping=True,
            connect_args={"application_name": "seiko", "connect_timeout": int(WAIT_SECONDS)},
        )
    except (ImportError, NoSuchModuleError) as error:
        raise MissingDependencyError(
            "A campaign in PostgreSQL needs the package psycopg.", hint="pip install 'seiko[postgres]'"
        ) from error
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout = '{int(WAIT_SECONDS * 1000)}ms'; SET LOCAL synchronous_commit = on"
        )
        if options.get("writes"):  # the next statement sees whatever was committed while this one waited
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (options["seiko_lock"],))

    return engine


def advisory_key(location: Location, purpose: str) -> int:
    """The number of a campaign's lock in its database, a signed 64-bit one."""
    digest = hashlib.sha256(f"seiko/{purpose}/{location.name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one moment and writes nothing."""
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine, *, commit: bool = True) -> Iterator[Connection]:
    """A transaction that alone may write; committed at the end of the block, undone by any error."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin() as transaction:
        yield connection
        if not commit:
            transaction.rollback()


def check_file(location: Location) -> None:
    """Refuse what cannot be a campaign's database before SQLite sees it.

    Raises:
        CampaignError: If the file is missing, unreadable, or not SQLite.
    """
    if location.folder is None:
        return
    database = location.database
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
def explained(location: Location) -> Iterator[None]:
    """Turn the database's errors into ours, naming the file or the server."""
    try:
        yield
    except IntegrityError as error:
        if "rounds_are_asked_once" not in str(error.orig) and "rounds.round" not in str(error.orig):
            raise _as_campaign_error(error, location.what) from error
        raise CampaignError(
            f"{location.what} was asked for the same round by two runs at once; this one wrote nothing.",
            hint="Ask again.",
        ) from error
    except SQLAlchemyError as error:
        raise _as_campaign_error(error, location.what) from error


def _as_campaign_error(error: SQLAlchemyError, what: str) -> CampaignError:
    cause = str(error.orig).strip() if isinstance(error, DBAPIError) else str(error)
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if "locked" in cause or state == "55P03":
        return CampaignError(
            f"{what} was locked by another process for {WAIT_SECONDS:.0f} seconds; nothing was written.",
            hint="Try again when it is done.",
        )
    if "no such table" in cause or "no such column" in cause or state in ("42P01", "42703"):
        return CampaignError(f"{what} is not a campaign database ({cause}).", hint="Give that of a campaign.")
    if "malformed" in cause or "not a database" in cause or state in ("XX001", "XX002"):
        return CampaignError(f"{what} is damaged ({cause}).", hint="Restore it from a copy.")
    if "disk is full" in cause or "disk I/O error" in cause or state == "53100":
        return CampaignError(
            f"The disk of {what} is full or fails ({cause}); nothing was written.",
            hint="Make room and try again; everything told before is safe.",
        )
    if state is None and "connection" in cause.lower():
        return CampaignError(
            f"The database of {what} cannot be reached ({cause}).",
            hint="Check the address, the user and whether the server runs; then do the same again.",
        )
    return CampaignError(
        f"{what} could not be read or written ({cause}).", hint="Check the disk and who owns it."
    )
