"""Brings a database's tables up to date."""

import asyncio
from pathlib import Path
from time import monotonic

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import DBAPIError

from core.ports.records import TransientFailure
from gateway.storage.errors import translated
from gateway.storage.postgresql import postgresql_engine
from gateway.storage.sqlite import sqlite_engine

# Any number, the same in every version: who migrates holds the advisory lock of this name.
_LOCK = 7_361_092_741
#: How long another node's migration is waited for on SQLite.
_DEADLINE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


async def migrate(url: str) -> None:
    """Make or change the tables as this version needs them; safe to run on several nodes at once.

    Everything happens in one transaction, so that a migration that is cut off has not happened.
    """
    if url == "memory://":
        return
    deadline = monotonic() + _DEADLINE_SECONDS
    while True:
        try:
            await _migrate(make_url(url))
        except DBAPIError as error:
            # SQLite has no queue for its lock, and does not wait for it at all while the journal's mode changes.
            if not isinstance(translated(error), TransientFailure) or monotonic() > deadline:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _migrate(parsed: URL) -> None:
    on_sqlite = parsed.drivername == "sqlite"
    engine = sqlite_engine(parsed, writes=True) if on_sqlite else postgresql_engine(parsed, connections=1)
    try:
        async with engine.begin() as connection:
            if not on_sqlite:
                # Held until the commit. lock_timeout does not fit: another node's migration may take its time.
                await connection.execute(text("SET LOCAL lock_timeout = 0"))
                await connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def is_current(url: str) -> bool:
    """Whether the tables are those of this version; changes nothing."""
    if url == "memory://":
        return True
    parsed = make_url(url)
    engine = (
        sqlite_engine(parsed, writes=False) if parsed.drivername == "sqlite" else postgresql_engine(parsed)
    )
    try:
        async with engine.connect() as connection:
            revision = await connection.run_sync(
                lambda plain: MigrationContext.configure(plain).get_current_revision()
            )
    finally:
        await engine.dispose()
    return revision == ScriptDirectory.from_config(_config()).get_current_head()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
