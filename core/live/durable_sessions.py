"""Keeps the sessions of live clients that are not connected: in the database, so that any node can resume them."""

import hashlib
import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from core.kernel.caller import Caller
from core.kernel.errors import RateLimited
from core.kernel.ids import TenantId
from core.models.durable_sessions import DurableSession
from core.ports.records import Between, Equal, OneOf, Query, Transaction
from core.store.store import Store
from core.store.transactions import transact

log = logging.getLogger(__name__)

#: How long a session outlasts its connection at most: that of a known caller, and that of a visitor.
MAX_EXPIRY = timedelta(days=7)
MAX_EXPIRY_OF_VISITORS = timedelta(hours=1)
#: While a session is in use its record lasts this much longer than the session asked for, since it is rarely written.
SLACK = timedelta(hours=1)


class DurableSessions:
    """Sessions by caller and name. Each has one holder: the connection that took it last; the one before learns of it.

    ``expiry`` is how long a session outlasts its connection.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def id_of(caller: Caller, name: str) -> str:
        """The id of a caller's session of that name."""
        return hashlib.sha256(f"{caller.owner}\0{name}".encode()).hexdigest()

    def max_expiry(self, caller: Caller) -> timedelta:
        """How long a session of this caller may outlast its connection."""
        return MAX_EXPIRY_OF_VISITORS if caller.is_visitor else MAX_EXPIRY

    async def take(self, caller: Caller, name: str, holder: str, expiry: timedelta) -> DurableSession | None:
        """Take the session of that name as its holder; None when there is none.

        Raises:
            Unavailable: the database is away, or too many write at once.
        """
        now = self._store.clock()

        async def work(tx: Transaction) -> DurableSession | None:
            found = await tx.get(DurableSession, self.id_of(caller, name), lock=True)
            if found is None or found.expires_at <= now:
                return None
            taken = {"holder": holder, "idle_since": None, "expires_at": now + expiry + SLACK}
            await tx.update(found.model_copy(update=taken))
            return found

        return await transact(self._store.storage, caller.tenant, work)

    async def begin(self, session: DurableSession) -> None:
        """Keep a new session, as ``record`` gives it with its first state, in place of any earlier one of its name.

        Where the caller has too many, the one that has been idle for the longest time gives way.

        Raises:
            RateLimited: the caller has too many, and all are in use.
            Unavailable: the database is away, or too many write at once.
        """
        bound = self._store.limits.connections_per_caller
        now = self._store.clock()
        own = Equal("owner", session.owner)

        async def work(tx: Transaction) -> DurableSession | None:
            await tx.delete(DurableSession, session.id)
            await tx.delete_all(DurableSession, (own, Between("expires_at", high=now)))
            oldest = None
            if await tx.count(Query(DurableSession, (own,))) >= bound:
                (oldest,) = await tx.find(Query(DurableSession, (own,), order="idle_since", limit=1))
                if oldest.idle_since is None:
                    raise RateLimited(
                        1, f"At most {bound} sessions are kept for a caller, and all are in use."
                    )
                await tx.delete(DurableSession, oldest.id)
            await tx.insert(session)
            return oldest

        gone = await transact(self._store.storage, TenantId(session.tenant_id), work)
        if gone is not None:
            log.warning(
                "%s has %d durable sessions: the one that has been idle since %s gives way to a new one",
                session.owner, bound, gone.idle_since,
            )  # fmt: skip

    async def save(self, tenant: TenantId, sessions: Collection[DurableSession]) -> set[str]:
        """Save sessions; gives the ids of those that have another holder now, or are gone.

        Raises:
            Unavailable: the database is away, or too many write at once; nothing was saved.
        """

        async def work(tx: Transaction) -> set[str]:
            lost = set()
            for session in sorted(sessions, key=lambda session: session.id):
                found = await tx.get(DurableSession, session.id, lock=True)
                if found is None or found.holder != session.holder:
                    lost.add(session.id)
                else:
                    await tx.update(session)
            return lost

        return await transact(self._store.storage, tenant, work)

    async def lost(self, tenant: TenantId, holders: dict[str, str]) -> set[str]:
        """Which of these sessions, by id with their supposed holders, have another holder now, or are gone."""
        async with self._store.storage.read(tenant) as tx:
            found = await tx.find(Query(DurableSession, (OneOf("id", tuple(holders)),)))
        still = {session.id for session in found if session.holder == holders[session.id]}
        return set(holders) - still

    async def holder(self, caller: Caller, name: str) -> str | None:
        """The holder of the session of that name; None when there is no session.

        Raises:
            Unavailable: the database is away.
        """
        async with self._store.storage.read(caller.tenant) as tx:
            found = await tx.get(DurableSession, self.id_of(caller, name))
        return None if found is None else found.holder

    def needs_renewal(self, expires_at: datetime | None, expiry: timedelta) -> bool:
        """Whether the record of a session in use has to be saved again before it expires."""
        return expires_at is not None and expires_at - self._store.clock() < expiry + SLACK / 2

    async def let_go(self, caller: Caller, name: str, holder: str) -> None:
        """A holder ends before it has come to use the session: it is idle again, and as it was.

        Raises:
            Unavailable: the database is away.
        """
        session_id, now = self.id_of(caller, name), self._store.clock()

        async def work(tx: Transaction) -> None:
            found = await tx.get(DurableSession, session_id, lock=True)
            if found is not None and found.holder == holder:
                await tx.update(found.model_copy(update={"idle_since": now}))

        await transact(self._store.storage, caller.tenant, work)

    async def forget(self, caller: Caller, name: str, holder: str | None = None) -> None:
        """End a session; with a holder, only if that one still holds it.

        Raises:
            Unavailable: the database is away.
        """
        session_id = self.id_of(caller, name)
        async with self._store.storage.read(caller.tenant) as tx:
            if await tx.get(DurableSession, session_id) is None:
                return

        async def work(tx: Transaction) -> None:
            found = await tx.get(DurableSession, session_id, lock=True)
            if found is not None and holder in (None, found.holder):
                await tx.delete(DurableSession, found.id)

        await transact(self._store.storage, caller.tenant, work)

    def record(
        self, caller: Caller, name: str, holder: str, expiry: timedelta, *, idle: bool = False
    ) -> DurableSession:
        """The record of a session, without cursor and state. ``idle``: its connection has ended."""
        now = self._store.clock()
        return DurableSession(
            id=self.id_of(caller, name),
            tenant_id=caller.tenant,
            owner=caller.owner,
            holder=holder,
            idle_since=now if idle else None,
            expires_at=now + expiry + (timedelta() if idle else SLACK),
        )
