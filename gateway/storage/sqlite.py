"""SQLite: one file, one writer."""

import asyncio
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.storage.sql import SqlStorage

_MAX_READERS = 4
# Seconds to wait for another process that writes to the same file.
_BUSY_TIMEOUT_SECONDS = 10.0

# FULL: WAL with NORMAL keeps what was committed when the process is killed, but may lose the last transactions when
# the machine is. The log would then hand out the same sequences once more for other events, and whoever has seen the
# lost ones would never see the new ones.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL")


def sqlite_engine(url: URL, *, writes: bool, connections: int = 1) -> AsyncEngine:
    """An engine whose transactions either write, holding the write lock from their beginning, or only read."""
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_BUSY_TIMEOUT_SECONDS,
        connect_args={"timeout": _BUSY_TIMEOUT_SECONDS},
        # An error's text is logged, and parameters are people's names, addresses and hashes.
        hide_parameters=True,
        json_serializer=lambda value: to_json(value).decode(),
        json_deserializer=from_json,
    )

    # How SQLAlchemy says to do it: sqlite3 itself would begin only before a change, so that what was read before
    # might be out of date. https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#sqlite-transactions
    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, f"query_only={not writes}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def open_sqlite(url: URL) -> SqlStorage:
    """Storage in a file whose tables are up to date."""
    readers = sqlite_engine(url, writes=False, connections=_MAX_READERS)
    writers = sqlite_engine(url, writes=True)
    return SqlStorage(single=readers, readers=readers, writers=writers, turn=asyncio.Lock())
