"""The database, whole."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from core.ports.coordination import ConsumerStorage, LeaseStorage
from core.ports.log import EventLog
from core.ports.records import RecordStorage
from core.ports.security import RevocationStorage


class Storage(RecordStorage, EventLog, LeaseStorage, ConsumerStorage, RevocationStorage, Protocol):
    """Everything that is kept in the database."""

    async def sweep(self, now: datetime) -> Mapping[str, int]:
        """Remove what has expired: idempotency records, sessions, revocations; says how many of each table.

        In batches, each its own transaction.
        """

    async def ping(self) -> None:
        """Answer when the storage is there; raise when it is not."""

    async def close(self) -> None:
        """Free what is held; nothing can be asked afterwards."""
