"""Records within a tenant, and the transactions in which they are read and written."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from core.kernel.events import Event
from core.kernel.ids import TenantId


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


class TransientFailure(Exception):
    """The transaction lost against another one and was rolled back; running it again may succeed."""


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
class NoneOf:
    """The field, which no record lacks, is none of the values."""

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


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the conditions holds; of none, none does."""

    conditions: "tuple[Condition, ...]"


Condition = Equal | OneOf | NoneOf | Between | Contains | AnyOf


@dataclass(frozen=True, slots=True)
class Query(Generic[R]):
    """Which records of a kind: all conditions hold.

    Ordered by ``order`` (a field name, with a leading ``-`` downwards), ties by id in the same direction. Text orders
    by code point; a missing value comes last upwards. ``behind``: only those that come behind a value of that field,
    which no record lacks, and an id. ``matches``: how many meet the conditions, where that is known, at least: a few
    are best gathered and sorted, and of many the first are found soon by going through all in their order.
    """

    kind: type[R]
    where: tuple[Condition, ...] = ()
    order: str = "id"
    limit: int | None = None
    offset: int = 0
    behind: tuple[object, str] | None = None
    matches: int | None = None


class Transaction(Protocol):
    """One unit of work within one tenant. What it changes is seen by others at its commit or never."""

    async def get(self, kind: type[R], record_id: str, *, lock: bool = False) -> R | None:
        """One record, or None. ``lock``: nobody else changes it before this transaction ends."""

    async def find(self, query: Query[R], *, lock: bool = False) -> list[R]:
        """The records that a query selects. ``lock``: nobody else changes them before this transaction ends."""

    async def count(self, query: Query[R], most: int | None = None) -> int:
        """How many records the conditions select, counted up to ``most``; the rest of the query does not matter."""

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
            TransientFailure: it no longer exists. The retried transaction finds that out when it reads the record.
        """

    async def insert_many(self, records: Sequence[Record]) -> None:
        """Add records of one kind, at the cost of one. Raises as for insert."""

    async def update_many(self, records: Sequence[Record]) -> None:
        """Replace records of one kind, all of which this transaction has locked, at the cost of one.

        Raises:
            Taken: as for insert.
        """

    async def delete(self, kind: type[R], record_id: str) -> None:
        """Remove a record; one that is missing is no error."""

    async def update_all(
        self, kind: type[R], where: tuple[Condition, ...], values: Mapping[str, object]
    ) -> int:
        """Give the fields of all records that the conditions select these plain values; says how many there were."""

    async def delete_all(self, kind: type[R], where: tuple[Condition, ...] = ()) -> int:
        """Remove all records of a kind that the conditions select; says how many."""

    async def next_number(self, series: str) -> int:
        """The next of a gap-free series of numbers, from 1. Take it after the rows are locked."""

    async def add_number(self, series: str, amount: int) -> int:
        """Add to a number kept under a name, from 0, and give the sum. Whoever adds to it too waits for this commit."""

    async def add_numbers(self, amounts: Mapping[str, int]) -> dict[str, int]:
        """The same for several names. Who adds to several holds the log, so that no two wait for each other."""

    async def numbers(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers kept under these names; 0 where there is none."""

    async def raise_number(self, series: str, number: int) -> None:
        """Make the series go on behind ``number`` when it is not there yet."""

    async def hold_log(self) -> int:
        """Take the tenant's log for this transaction, last of all locks; gives the sequence of its last event."""

    async def follow(self, consumer: str) -> int:
        """The same, and let a durable consumer read the log from there on; one that reads it already goes on."""

    async def append(self, events: Sequence[Event]) -> None:
        """Append events whose sequences follow ``hold_log``'s without a gap."""

    async def trim_log(self, most: int) -> int:
        """Forget the oldest events of the log, so many at most; says how many. Its sequence goes on."""

    async def forget_log(self) -> None:
        """Remove the log as if nothing had ever happened in the tenant, and every number that it keeps.

        A log that begins later, in any tenant, begins behind it: a cursor of before leads nowhere.
        """


class RecordStorage(Protocol):
    """The tables."""

    def read(self, tenant: TenantId) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that only reads."""

    def write(self, tenant: TenantId) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block, or rolls back when it raises."""

    async def locate(self, kind: type[R], field: str, value: object) -> R | None:
        """Find a credential's record by a globally unique field, in whatever tenant it lies."""

    async def survey(self, query: Query[R]) -> list[R]:
        """The records that a query selects, in all tenants: for chores, never for callers."""
