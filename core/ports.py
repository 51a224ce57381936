"""What the store needs from outside, as interfaces; the implementations live in the gateway."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel

from core.events import Event
from core.ids import TenantId


class Record(Protocol):
    """What storage keeps: a frozen pydantic model with an id, within a tenant."""

    @property
    def id(self) -> str:
        """UUID, or another text that is unique within tenant and kind."""

    @property
    def tenant_id(self) -> str:
        """The tenant that owns it."""


R = TypeVar("R", bound=Record)


class Taken(Exception):
    """A unique member of a record is already another record's. ``field`` is its name in snake_case."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


@dataclass(frozen=True, slots=True)
class Equal:
    """The field is equal to the value; None asks for a missing one. ``medical_info.vaccinated`` looks inside."""

    field: str
    value: object


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field is one of the values; no values match nothing."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The field lies between two bounds, both included; None leaves a side open."""

    field: str
    low: object | None = None
    high: object | None = None


@dataclass(frozen=True, slots=True)
class Contains:
    """One of the text fields contains the text, without regard to case; ``%`` and ``_`` are ordinary."""

    fields: tuple[str, ...]
    text: str


Condition = Equal | OneOf | Between | Contains


@dataclass(frozen=True, slots=True)
class Query(Generic[R]):
    """Which records of a kind: all conditions hold.

    Ordered by ``order`` (a field name, with a leading ``-`` downwards), ties by id upwards. Text orders by code
    point; a missing value comes last upwards.
    """

    kind: type[R]
    where: tuple[Condition, ...] = ()
    order: str = "id"
    limit: int | None = None
    offset: int = 0


class Transaction(Protocol):
    """One unit of work within one tenant. What it changes is seen by others at its commit or never."""

    async def get(self, kind: type[R], record_id: str, *, lock: bool = False) -> R | None:
        """One record, or None. ``lock``: nobody else changes it before this transaction ends."""

    async def find(self, query: Query[R]) -> list[R]:
        """The records that a query selects."""

    async def count(self, query: Query[R]) -> int:
        """How many records the conditions select; order, limit and offset do not matter."""

    async def tally(
        self, kind: type[R], fields: tuple[str, ...], where: tuple[Condition, ...] = ()
    ) -> dict[tuple[object, ...], int]:
        """How many records there are for each combination of values of the fields."""

    async def insert(self, record: Record) -> None:
        """Add a record.

        Raises:
            Taken: a unique member is already another record's. The transaction can then only be rolled back.
        """

    async def update(self, record: Record) -> None:
        """Replace a record that this transaction has locked.

        Raises:
            Taken: as for insert.
            TransientFailure: it is there no more. Whoever begins anew finds that out where he looks for it.
        """

    async def delete(self, kind: type[R], record_id: str) -> None:
        """Remove a record; one that is not there is no fault."""

    async def delete_all(self, kind: type[R], where: tuple[Condition, ...] = ()) -> int:
        """Remove all records of a kind that the conditions select; says how many."""

    async def next_number(self, series: str) -> int:
        """The next of a gap-free series of numbers, from 1. Take it after the rows are locked."""

    async def raise_number(self, series: str, number: int) -> None:
        """Make the series go on behind ``number`` when it is not there yet."""

    async def hold_log(self) -> int:
        """Take the tenant's log for this transaction, last of all locks; gives the sequence of its last event."""

    async def append(self, events: Sequence[Event]) -> None:
        """Append events whose sequences follow ``hold_log``'s without a gap."""


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


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do what one process does at a time. ``fence`` rises with every change of the holder."""

    name: str
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Lag:
    """A tenant whose log goes on behind a consumer's position, which is the sequence that it has dealt with last."""

    tenant: TenantId
    position: int
    head: int


@dataclass(frozen=True, slots=True)
class Revocation:
    """The end of a right before its time: of ``session:<id>``, ``user:<id>``, ``key:<id>`` or ``device:<id>``."""

    subject: str
    revoked_at: datetime


class Storage(Protocol):
    """The tables and the event log."""

    def read(self, tenant: TenantId) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that only reads."""

    def write(self, tenant: TenantId) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block, or rolls back when it raises."""

    async def locate(self, kind: type[R], field: str, value: object) -> R | None:
        """Find a credential's record by a globally unique field, in whatever tenant it lies."""

    async def epoch(self) -> int:
        """The epoch of the log: a 32 bit number that changes when history is replaced by a backup's."""

    async def read_log(self, tenant: TenantId, after: int, limit: int) -> LogPage:
        """Events with sequences above ``after``, in order, with the log's bounds in the same snapshot."""

    async def heads(self, tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        """The last sequence of each tenant's log; 0 where nothing has happened."""

    async def trim_log(
        self,
        before: datetime | None,
        keep: int | None,
        *,
        held_by: Sequence[str] = (),
        held_since: datetime | None = None,
    ) -> Trimmed:
        """Forget events older than a time, and all but the newest ``keep`` of each tenant.

        What one of the consumers ``held_by`` has yet to read stays, unless it is older than ``held_since``.
        """

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take a lease, or prolong one's own, by the database's clock; None while somebody else holds it."""

    async def drop_lease(self, lease: Lease) -> None:
        """Let a lease go, so that somebody else need not wait for its end; one that is lost is no fault."""

    async def enrol(self, consumer: str) -> None:
        """Make a consumer known. A new one begins, in the same transaction, at the present end of every log.

        Logs that begin later it gets from their beginning. One that is known keeps its positions.
        """

    async def lagging(self, consumer: str, behind: str, limit: int) -> list[Lag]:
        """Tenants whose logs have more for a consumer, by their ids from above ``behind``."""

    async def advance(self, lease: Lease, consumer: str, tenant: TenantId, sequence: int) -> bool:
        """Move a consumer's position forward, if the lease still is its holder's; says whether it is."""

    async def survey(self, query: Query[R]) -> list[R]:
        """The records that a query selects, in all tenants: for chores, never for callers."""

    async def revoke(self, subjects: Sequence[str], at: datetime, until: datetime) -> None:
        """Note revocations, kept until the last token they concern has expired."""

    async def revocations(self, since: datetime) -> list[Revocation]:
        """Revocations noted at or after a time."""

    async def sweep(self, now: datetime) -> None:
        """Remove what has expired: idempotency records, sessions, revocations."""

    async def ping(self) -> None:
        """Answer when the storage is there; raise when it is not."""

    async def close(self) -> None:
        """Free what is held; nothing can be asked afterwards."""


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
        """Spend ``cost`` of the key's budget of ``limit`` per ``window`` seconds; a cost of 0 only looks."""


class PasswordHasher(Protocol):
    """Slow, salted hashes."""

    async def hash(self, password: str) -> str:
        """Hash a password."""

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Check a password; without a hash it takes as long and is False, so that names cannot be probed."""


class TokenSigner(Protocol):
    """Signs and checks access tokens and other secrets of the store."""

    def sign(self, claims: dict[str, object]) -> str:
        """A signed token (JWT, RFC 7519) with the claims."""

    def verify(self, token: str, now: datetime) -> dict[str, object] | None:
        """The claims of a token with a good signature that has not expired; else None."""

    def digest(self, data: bytes) -> bytes:
        """A keyed hash (HMAC-SHA-256) of the data."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The bytes of an image and its media type."""

    content: bytes = field(repr=False)
    media_type: str


class ImageStore(Protocol):
    """Keeps images by tenant and name."""

    async def put(self, tenant: TenantId, name: str, content: bytes) -> None:
        """Keep an image, durably."""

    async def get(self, tenant: TenantId, name: str) -> bytes | None:
        """The bytes of an image, or None."""

    async def delete(self, tenant: TenantId, name: str) -> None:
        """Remove an image; one that is not there is no fault."""

    async def delete_all(self, tenant: TenantId) -> None:
        """Remove every image of a tenant."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a payment processor said: no failure reason means that the money moved."""

    failure_reason: str | None = None


class PaymentProcessor(Protocol):
    """Moves money."""

    async def charge(self, reference: str, amount: Decimal, currency: str, source: BaseModel) -> Charge:
        """Try to take the amount from the source; the same ``reference`` is one charge, however often it is sent."""


#: Runs an argument-less coroutine function; used where the store lets background work be owned by somebody.
Spawn = Callable[[Callable[[], Awaitable[None]]], None]


class TransientFailure(Exception):
    """The transaction lost against another one and was rolled back; running it again may succeed."""


class StorageDown(Exception):
    """The database cannot be reached, or did not answer in time."""
