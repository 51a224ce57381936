"""What the databases' errors mean to the store."""

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.kernel.errors import StorageDown
from core.ports.records import TransientFailure

# https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization failure, deadlock, lock not available
_LOST_RACE = {"40001", "40P01", "55P03"}
# Classes: connection exception, invalid authorization, no such database, insufficient resources, operator
# intervention, system error
_AWAY = {"08", "28", "3D", "53", "57", "58"}
# https://www.sqlite.org/rescode.html, primary codes
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

#: What talking to a database raises when it is away or in trouble; OSError takes in refused connections and time-outs.
ERRORS = (DBAPIError, PoolTimeout, OSError)


def translated(error: Exception) -> Exception:
    """The store's name for a database's error, or the error itself when it is a defect of ours."""
    if not isinstance(error, DBAPIError):
        return StorageDown(str(error) or type(error).__name__)
    state = _sqlstate(error)
    if state in _LOST_RACE:
        return TransientFailure(str(error.orig))
    if error.connection_invalidated or (state is not None and state[:2] in _AWAY):
        return StorageDown(str(error.orig))
    primary = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if primary in _BUSY:
        return TransientFailure(str(error.orig))
    if primary in _BROKEN:
        return StorageDown(str(error.orig))
    return error


def violated(error: IntegrityError) -> tuple[str | None, list[str]]:
    """The violated constraint: its name from PostgreSQL, its columns from SQLite."""
    name = getattr(error.orig.__cause__, "constraint_name", None) if error.orig else None
    # For example: "UNIQUE constraint failed: pets.tenant_id, pets.number"
    _, _, listed = str(error.orig).partition("UNIQUE constraint failed: ")
    return name, [column.partition(".")[2] for column in listed.split(", ")]


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
