"""What the databases' errors mean to the store."""

import sqlite3

from sqlalchemy.exc import DBAPIError
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


class StatementFailed(Exception):
    """The database refused a statement, which is a defect of ours, or a violated constraint.

    ``constraint`` is the name of a violated constraint, from PostgreSQL; ``columns`` are the columns of a unique one,
    from SQLite. The text holds no value of any row, for it is logged: drivers' own texts may quote names, addresses
    and hashes (PostgreSQL's DETAIL lines).
    """

    def __init__(self, error: DBAPIError) -> None:
        cause = error.orig.__cause__ if error.orig is not None else None
        self.constraint: str | None = getattr(cause, "constraint_name", None)
        # For example: "UNIQUE constraint failed: pets.tenant_id, pets.number"
        _, _, listed = str(error.orig).partition("UNIQUE constraint failed: ")
        self.columns = [column.partition(".")[2] for column in listed.split(", ")]
        state = _sqlstate(error)
        places = (getattr(cause, name, None) for name in ("table_name", "column_name", "constraint_name"))
        words = (
            [type(cause).__name__, f"SQLSTATE {state}", *(place for place in places if place)]
            if state is not None
            else [type(error.orig).__name__, str(error.orig)]
        )
        super().__init__(": ".join(words))


def translated(error: Exception) -> Exception:
    """The store's name for a database's error; raise it ``from None``, for the error itself may quote values."""
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
    return StatementFailed(error)


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
