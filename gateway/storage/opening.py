"""Storage by its URL."""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from core.ports.storage import Storage
from gateway.storage.memory import MemoryStorage
from gateway.storage.postgresql import open_postgresql
from gateway.storage.sqlite import open_sqlite

_EXPECTED = "a database URL must be sqlite:///path, postgresql://user@host/database or memory://"


def open_storage(url: str) -> Storage:
    """Open what ``sqlite:///path``, ``postgresql://user@host/database`` or ``memory://`` names; migrate it first.

    Nothing is connected before it is used.

    Raises:
        ValueError: another URL.
    """
    if url == "memory://":
        return MemoryStorage()
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(_EXPECTED) from None
    if parsed.drivername == "postgresql":
        return open_postgresql(parsed)
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return open_sqlite(parsed)
    raise ValueError(_EXPECTED)
