"""The event log, read and trimmed; it is appended to by a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from core.kernel.events import Event
from core.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events read from the log in one snapshot: ``floor`` is the sequence before the oldest kept event."""

    events: list[Event]
    floor: int
    head: int


class Trimmed(NamedTuple):
    """What a trim did, in events over all tenants.

    ``events`` have left the log; ``held`` would have, but a consumer still needs them; ``unread`` of those that
    left no consumer will ever see, since it did not read them in time.
    """

    events: int = 0
    held: int = 0
    unread: int = 0


class EventLog(Protocol):
    """The events of every tenant, in the order of their commits."""

    async def epoch(self) -> int:
        """The epoch of the log: a 32 bit number that changes when history is replaced by a backup's."""

    async def read_log(self, tenant: TenantId, after: int, limit: int) -> LogPage:
        """Events with sequences above ``after``, in order, with the log's bounds in the same snapshot."""

    async def heads(self, tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        """The last sequence of each tenant's log; 0 where nothing has happened."""

    async def newest_time(self) -> datetime | None:
        """The time of the newest event of all tenants; None where nothing is kept."""

    async def trim_log(
        self,
        before: datetime | None,
        keep: int | None,
        *,
        share: float = 1.0,
        held_by: Sequence[str] = (),
        held_since: datetime | None = None,
    ) -> Trimmed:
        """Forget events older than a time, and all but the newest ``keep`` of each tenant.

        Of what a tenant keeps at most this share, and one event, leave for their age.
        What one of the consumers ``held_by`` has yet to read stays, unless it is older than ``held_since``.
        """
