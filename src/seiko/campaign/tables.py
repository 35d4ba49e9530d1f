"""The tables of a campaign, one set for SQLite and PostgreSQL.

``events`` and ``blobs`` are the truth; ``trials``, ``readings`` and ``rounds`` are what follows from them,
written in the same transactions and rebuilt from them at any time.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 2


class AnyText(TypeDecorator[str]):
    """Text of any characters, those included that a database refuses (NUL, half of a surrogate pair)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if not value or (value.isprintable() and "\\" not in value):
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            return json.dumps(value)[1:-1]
        return json.dumps(value, ensure_ascii=False)[1:-1]

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return read_text(value) if value else value


def read_text(stored: str) -> str:
    """The text that :class:`AnyText` stored."""
    return json.loads(f'"{stored}"', strict=False) if "\\" in stored else stored


metadata = MetaData()
meta_table = Table(
    "seiko_campaign",
    metadata,
    Column("schema_version", Integer, primary_key=True, autoincrement=False),
    Column("settings", Text),
)
events_table = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("round", Integer),
    Column("created_utc", String(40), nullable=False),
    Column("payload", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
)
blobs_table = Table(
    "blobs",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
trials_table = Table(
    "trials",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, nullable=False),
    Column("design", String(64), nullable=False),
    Column("rendering", String(64), nullable=False),
    Column("key", AnyText, nullable=False),
    Column("key_hash", BigInteger, nullable=False),
    Column("predicted_mean", Double),
    Column("predicted_std", Double),
    Column("asked_utc", String(40), nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("value", Double),
    Column("noise_std", Double),
    Column("note", AnyText, nullable=False),
    Column("num_readings", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("deadline", Double),
    Column("reserve", BigInteger, nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("told_utc", String(40)),
    Column("worker", AnyText, nullable=False),
    Column("event", Integer, nullable=False),
    Column("crc", BigInteger, nullable=False),
)
readings_table = Table(
    "readings",
    metadata,
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("replicate", String(64), primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("value", Double),
    Column("noise_std", Double),
    Column("note", AnyText, nullable=False),
    Column("cost", Double),
    Column("told_utc", String(40), nullable=False),
    Column("event", Integer, nullable=False),
    Column("crc", BigInteger, nullable=False),
)
rounds_table = Table(
    "rounds",
    metadata,
    Column("event", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer),
    Column("after", Integer, nullable=False),
    Column("asked_utc", String(40), nullable=False),
    Column("artifacts", Text, nullable=False),
    Column("report", Text),
    Column("crc", BigInteger, nullable=False),
)
# Whatever the locks of a file system are worth, one round is never asked twice.
Index("rounds_are_asked_once", rounds_table.c.round, unique=True)
Index("trials_by_key", trials_table.c.key_hash)
Index("trials_by_state", trials_table.c.state, trials_table.c.id, trials_table.c.charged)
Index("trials_by_value", trials_table.c.value, trials_table.c.id)
Index("trials_by_round", trials_table.c.round)
Index("trials_by_event", trials_table.c.event)

PROJECTIONS = (trials_table, readings_table, rounds_table)
