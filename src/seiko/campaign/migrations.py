"""Forward steps from every schema version that was ever released, each within one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select, text, update

from seiko.campaign.projection import Projection, chunks
from seiko.campaign.tables import PROJECTIONS, SCHEMA_VERSION, meta_table

if TYPE_CHECKING:
    from seiko.campaign.store import Transaction


def migrate(transaction: Transaction) -> None:
    """Bring a campaign up to this version, step by step; does nothing if another process did meanwhile."""
    while (version := transaction.connection.execute(select(meta_table.c.schema_version)).scalar_one()) < (
        SCHEMA_VERSION
    ):
        STEPS[version](transaction)
        transaction.connection.execute(update(meta_table).values(schema_version=version + 1))


def rebuild(transaction: Transaction) -> None:
    """Write the tables of trials, readings and rounds anew from the journal.

    Raises:
        CampaignError: If an event is damaged or missing; then nothing is changed.
    """
    transaction.tables.clear()
    replay(transaction, transaction.tables)


def replay(transaction: Transaction, tables: Projection) -> None:
    """Apply the whole journal to some tables."""
    for events in chunks(transaction.events(), 5000):
        tables.apply(events)


def _from_1(transaction: Transaction) -> None:
    """Version 1 had events and blobs alone."""
    connection = transaction.connection
    connection.execute(text("ALTER TABLE seiko_campaign ADD COLUMN settings TEXT"))
    for table in PROJECTIONS:
        table.create(connection)
    rebuild(transaction)


STEPS: Mapping[int, Callable[[Transaction], None]] = {1: _from_1}
