"""What a running operation may use: its caller, its transaction, and the events it announces."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from core.kernel.caller import Caller
from core.kernel.errors import NotFound, PreconditionFailed
from core.kernel.events import Audience, Draft, Event, EventKind
from core.kernel.ids import SHARED_TENANT, TenantId
from core.kernel.model import Numbered, Resource
from core.ports.records import Equal, Query, Transaction
from core.store.parts import StoreParts

R = TypeVar("R", bound=Resource)
N = TypeVar("N", bound=Numbered)
L = TypeVar("L", bound="LateDrafts")

#: Makes drafts once the log is held, when counts can no longer be overtaken.
LateDrafts = Callable[[Transaction], Awaitable[Sequence[Draft]]]


#: Writes the result of an operation down, in the transaction that it comes from.
Keep = Callable[[Transaction, object, datetime], Awaitable[None]]


class Context:
    """One run of one operation.

    ``prepared`` is what the operation's ``prepare`` gave. ``if_match`` and ``if_none_match`` hold the entity tags that
    the caller made a condition, or None. ``replays``: the request is answered with an earlier one's result. ``keep``
    writes the result down for such replays, in each transaction of the operation.
    """

    def __init__(
        self,
        store: StoreParts,
        caller: Caller,
        *,
        writes: bool,
        request_id: str | None = None,
        if_match: frozenset[str] | None = None,
        if_none_match: frozenset[str] | None = None,
    ) -> None:
        self.store = store
        self.caller = caller
        self.request_id = request_id
        self.if_match = if_match
        self.if_none_match = if_none_match
        self.prepared: object = None
        self.replays = False
        self.keep: Keep | None = None
        self.revoked: list[tuple[str, ...]] = []
        self.afterwards: list[Callable[[], Awaitable[None]]] = []
        self._writes = writes
        self._drafts: list[Draft] = []
        self._late: dict[str, LateDrafts] = {}
        self._scope: AbstractAsyncContextManager[Transaction] | None = None
        self._tx: Transaction | None = None

    @cached_property
    def now(self) -> datetime:
        """The time of this run; most reads never ask."""
        return self.store.clock()

    @property
    def writes(self) -> bool:
        """Whether the operation may change something, so that what it reads is locked."""
        return self._writes

    @property
    def tenant(self) -> TenantId:
        """The tenant that everything happens in."""
        return self.caller.tenant

    def address_of(self, place: str) -> str:
        """Where something is served that a resource names.

        A browser that follows it sends no header, so that a private tenant is in the address.
        """
        tenant = "" if self.tenant == SHARED_TENANT else f"?tenant={self.tenant}"
        return f"{self.store.public_url}/v1/{place}{tenant}"

    async def tx(self) -> Transaction:
        """The transaction; a reading operation opens it when it first asks."""
        if self._tx is None:
            scope = self.store.storage.read(self.tenant)
            self._tx = await scope.__aenter__()
            self._scope = scope
        return self._tx

    def within(self, tx: Transaction) -> "Context":
        """A context for the same request that writes in a transaction which somebody else begins and ends."""
        ctx = Context(
            self.store,
            self.caller,
            writes=True,
            request_id=self.request_id,
            if_match=self.if_match,
            if_none_match=self.if_none_match,
        )
        ctx.prepared, ctx.keep, ctx._tx = self.prepared, self.keep, tx
        return ctx

    @property
    def is_open(self) -> bool:
        """Whether there is a reading transaction to end; most reads never ask for one."""
        return self._scope is not None

    async def close(self) -> None:
        """End the reading transaction, if one was opened."""
        scope, self._scope, self._tx = self._scope, None, None
        if scope is not None:
            await scope.__aexit__(None, None, None)

    async def get(self, kind: type[R], record_id: str) -> R:
        """One resource: locked when the operation writes, through the cache when it only reads.

        Raises:
            NotFound: there is none in this tenant.
        """
        if self._writes:
            found = await (await self.tx()).get(kind, record_id, lock=True)
        else:
            found = self.store.cache.get(self.tenant, kind, record_id)
            if found is None:
                found = await self.store.cache.read(
                    self.tenant, kind, record_id, lambda: self._load(kind, record_id)
                )
        if found is None:
            raise NotFound(f"There is no {kind.__name__.lower()} '{record_id[:64]}'.")
        return found

    async def by_number(self, kind: type[N], number: int) -> N | None:
        """One resource by its number, or None; locked or through the cache, as with ``get``."""
        if not self._writes:
            cached = self.store.cache.by_number(self.tenant, kind, number)
            if cached is not None:
                return cached
        tx = await self.tx()
        found = await tx.find(Query(kind, (Equal("number", number),), limit=1))
        if not found:
            return None
        if self._writes:
            return await tx.get(kind, found[0].id, lock=True)
        return await self.store.cache.read(
            self.tenant, kind, found[0].id, lambda: self._load(kind, found[0].id)
        )

    async def _load(self, kind: type[R], record_id: str) -> R | None:
        return await (await self.tx()).get(kind, record_id)

    def check_match(self, resource: Resource) -> None:
        """Compare a locked resource with the caller's conditions (RFC 9110, sections 13.1.1 and 13.1.2).

        Call it once the caller is known to have the right to see the resource.

        Raises:
            PreconditionFailed: it is not the one that the caller saw, or one that they do not want to change.
        """
        if self.if_match is not None and "*" not in self.if_match and resource.etag not in self.if_match:
            raise PreconditionFailed("The resource has changed since you read it.")
        if self.if_none_match is not None and not self.if_none_match.isdisjoint(("*", resource.etag)):
            raise PreconditionFailed("The resource is one that your condition excludes.")

    def emit(self, kind: EventKind, data: BaseModel, audience: Audience, **keys: str) -> None:
        """Announce an event; it is appended to the log in this transaction. ``keys`` fill the topic templates."""
        self._drafts.append(Draft(kind, data, audience, keys))

    def emit_late(self, name: str, make: L) -> L:
        """Announce events that are made once the log is held; gives the one maker for a name, which may be there."""
        kept: Any = self._late.setdefault(name, make)
        return cast(L, kept)

    def revoke(self, *subjects: str) -> None:
        """End the rights of subjects once this transaction has committed."""
        if subjects:
            self.revoked.append(subjects)

    def after_commit(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something outside the database once this transaction has committed; it may be lost in a crash."""
        self.afterwards.append(work)

    async def append(self) -> list[Event]:
        """Write the announced events to the log, at the end of the transaction; gives them with their places."""
        if not self._drafts and not self._late:
            return []
        tx = await self.tx()
        sequence = await tx.hold_log()
        for make in self._late.values():
            self._drafts.extend(await make(tx))
        events = [
            draft.to_event(self.tenant, self.now, self.request_id).at(self.store.epoch, sequence + place)
            for place, draft in enumerate(self._drafts, start=1)
        ]
        await tx.append(events)
        return events
