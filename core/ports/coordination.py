"""What nodes share: leases, the positions of consumers, the bus, and rate limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from core.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do what one process does at a time. ``fence`` rises with every change of the holder."""

    name: str
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Lag:
    """A tenant whose log goes on behind a consumer's position, which is the last sequence that it has processed."""

    tenant: TenantId
    position: int
    head: int


class LeaseStorage(Protocol):
    """Leases by the clock of the database."""

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take a lease, or prolong one's own, by the database's clock; None while another process holds it."""

    async def drop_lease(self, lease: Lease) -> None:
        """Let a lease go, so that another process need not wait for its end; a lost one is no error."""


class ConsumerStorage(Protocol):
    """The positions of durable consumers.

    One that is enrolled reads every log; any other those that it follows: see core.ports.records.Transaction.follow.
    """

    async def enrol(self, consumer: str) -> None:
        """Let a consumer read every log. A new one begins, in the same transaction, at the present end of every log.

        Logs that begin later it gets from their beginning. One that is known keeps its positions.
        """

    async def lagging(self, consumer: str, behind: str, limit: int) -> list[Lag]:
        """Tenants whose logs have more for a consumer, by their ids from above ``behind``."""

    async def advance(self, lease: Lease, consumer: str, tenant: TenantId, sequence: int) -> bool:
        """Move a consumer's position forward, if the lease still is its holder's; says whether it is."""


#: Called for each message from the bus, in the event loop. Must not block.
OnMessage = Callable[[bytes], None]


class Bus(Protocol):
    """Carries hints between nodes. It may lose, repeat, delay and reorder: nothing depends on it but speed.

    ``alone``: there never is another node, so that nothing need be published.
    """

    alone: ClassVar[bool]

    def publish(self, message: bytes) -> None:
        """Hand a message to the other nodes, at once and without waiting; it may be lost."""

    async def start(self, on_message: OnMessage, on_gap: Callable[[], None]) -> None:
        """Begin to receive. ``on_gap`` is called whenever messages may have been missed."""

    async def stop(self) -> None:
        """End receiving and free what was held."""

    @property
    def healthy(self) -> bool:
        """Whether messages are known to come through."""


class Allowance(NamedTuple):
    """What is left of a budget: ``reset`` is in whole seconds from now."""

    allowed: bool
    limit: int
    remaining: int
    reset: int


class RateLimiter(Protocol):
    """Counts per key within windows of time."""

    async def hit(self, key: str, limit: int, window: int, cost: int = 1) -> Allowance:
        """Spend ``cost`` of the key's budget of ``limit`` per ``window`` seconds; a cost of 0 only reads."""

    async def hit_both(
        self, key: str, limit: int, outer: str, outer_limit: int, window: int, cost: int = 1
    ) -> tuple[Allowance, Allowance]:
        """Spend ``cost`` of two budgets, of both or of neither; gives both. It is asked for each request."""
