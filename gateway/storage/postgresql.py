"""PostgreSQL: many nodes, many writers."""

from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import URL, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.storage.sql import SqlStorage

_MAX_CONNECTIONS = 20
# Seconds.
_CONNECT_TIMEOUT_SECONDS = 5.0
_POOL_TIMEOUT_SECONDS = 5.0
_COMMAND_TIMEOUT_SECONDS = 10.0
# Given up before the command's own time-out, so that the transaction can be run again. In milliseconds, as text.
_SERVER_SETTINGS = {
    "application_name": "petstore",
    "jit": "off",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "60000",
}


def postgresql_engine(url: URL, *, connections: int = _MAX_CONNECTIONS) -> AsyncEngine:
    """A pool of connections. ``sslmode`` in the URL is understood as libpq does."""
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg", query=query),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        connect_args={
            "timeout": _CONNECT_TIMEOUT_SECONDS,
            "command_timeout": _COMMAND_TIMEOUT_SECONDS,
            "server_settings": _SERVER_SETTINGS,
            "prepared_statement_cache_size": 500,
        },
        # An error's text is logged, and parameters are people's names, addresses and hashes.
        hide_parameters=True,
        json_serializer=lambda value: to_json(value).decode(),
        json_deserializer=from_json,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _check(connection: Any, _record: object, _proxy: object) -> None:
        # Costs nothing, unlike a ping: asyncio has already noticed when the server closed an idle connection.
        if connection.driver_connection.is_closed():
            raise DisconnectionError("closed while idle")

    return engine


def open_postgresql(url: URL) -> SqlStorage:
    """Storage in a database whose tables are up to date."""
    engine = postgresql_engine(url)
    single = engine.execution_options(isolation_level="AUTOCOMMIT")
    return SqlStorage(
        single=single,
        instant=single,
        readers=engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
        writers=engine.execution_options(isolation_level="READ COMMITTED"),
    )
