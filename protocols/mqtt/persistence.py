"""Sessions that outlast their connections: saved when they change, and resumed."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from core.kernel.caller import Caller
from core.kernel.errors import Unavailable
from core.kernel.ids import TenantId
from core.live.durable_sessions import DurableSessions
from core.models.durable_sessions import DurableSession

log = logging.getLogger(__name__)

#: Gives what is saved of a session: its cursor, and the state that the door needs beside it.
State = Callable[[], tuple[str | None, dict[str, Any]]]
#: Resumes a session from its state and cursor; says whether that was possible.
Resume = Callable[[dict[str, Any], str | None], Awaitable[bool]]


class PersistentSession:
    """The session of one connection, as far as it outlasts it. ``expiry`` counts from the end of the connection."""

    def __init__(
        self,
        sessions: DurableSessions,
        caller: Caller,
        client_id: str,
        holder: str,
        expiry: timedelta,
        state: State,
    ) -> None:
        self.id = sessions.id_of(caller, client_id)
        self.caller = caller
        self.holder = holder
        #: How long the session outlasts its connection; zero: it ends with it.
        self.expiry = expiry
        #: Whether there is a durable session, and this connection holds it.
        self.held = False
        #: Called when another connection holds the session now.
        self.on_lost: Callable[[], None] | None = None
        self._sessions = sessions
        self._client_id = client_id
        self._state = state
        #: What is saved; None where that is not known.
        self._saved: tuple[str | None, dict[str, Any]] | None = None
        self._saved_until: datetime | None = None
        self._saving = asyncio.Lock()
        self._is_new = False

    async def begin(self, *, clean_start: bool, resume: Resume) -> bool:
        """Resume the durable session, unless the client wants a clean start; says whether it was resumed.

        Raises:
            RateLimited: the caller has too many durable sessions, and all are in use.
            Unavailable: the database is away.
        """
        self.held = bool(self.expiry) or not clean_start
        found = None if clean_start else await self._take()
        self.held = bool(self.expiry) or found is not None
        if found is not None and await resume(found.state, found.cursor):
            return True
        self._is_new = True
        if self.expiry:
            await self._sessions.begin(self.record())
        else:
            await self._sessions.forget(self.caller, self._client_id)
            self.held = False
        return False

    async def _take(self) -> DurableSession | None:
        return await self._sessions.take(self.caller, self._client_id, self.holder, self.expiry)

    @property
    def needs_saving(self) -> bool:
        """Whether the session has changed since it was saved, or its record has to be renewed before it expires."""
        return self._state() != self._saved or self._sessions.needs_renewal(self._saved_until, self.expiry)

    def record(self, *, last: bool = False) -> DurableSession:
        """The session as it is now; from now on this counts as saved. ``last``: the connection has ended."""
        self._saved = cursor, state = self._state()
        record = self._sessions.record(self.caller, self._client_id, self.holder, self.expiry, idle=last)
        self._saved_until = record.expires_at
        return record.model_copy(update={"cursor": cursor, "state": state})

    def saving_failed(self) -> None:
        """What ``record`` gave was not saved."""
        self._saved = None

    async def save(self) -> None:
        """Save the session before the client is told what has changed.

        While the database is away the client is not refused: the session is saved later.
        """
        if self.held:
            await self._save(last=False)

    async def _save(self, *, last: bool) -> None:
        async with self._saving:
            try:
                lost = await self._sessions.save(self.caller.tenant, [self.record(last=last)])
            except Unavailable:
                self.saving_failed()
                log.warning("a session could not be saved")
                return
        if lost:
            self.lose()

    async def is_held_elsewhere(self) -> bool:
        """Whether another connection has resumed the session since."""
        try:
            holder = await self._sessions.holder(self.caller, self._client_id)
        except Unavailable:
            return False
        return holder not in (None, self.holder)

    def lose(self) -> None:
        """Another connection holds the session now."""
        self.held = False
        if self.on_lost is not None:
            self.on_lost()

    async def abandon(self) -> None:
        """The client has gone before it was accepted: a new session never was, an earlier one is as before."""
        if not self.held:
            return
        end = self._sessions.forget if self._is_new else self._sessions.let_go
        try:
            await end(self.caller, self._client_id, self.holder)
        except Unavailable:
            log.warning("a session could not be let go; it counts as in use until it expires")

    async def end(self) -> None:
        """The connection has ended: leave the session to the next one."""
        self.on_lost = None
        if not self.held:
            return
        if self.expiry:
            await self._save(last=True)
            return
        try:
            await self._sessions.forget(self.caller, self._client_id, self.holder)
        except Unavailable:
            log.warning("a session could not be removed; it will expire")


class SessionKeeper:
    """Saves what the persistent sessions of this node have received, every few seconds, many at once."""

    def __init__(self, sessions: DurableSessions) -> None:
        self._sessions = sessions
        self._kept: set[PersistentSession] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, session: PersistentSession) -> None:
        """Look after a session, if it is held."""
        if session.held:
            self._kept.add(session)

    def remove(self, session: PersistentSession) -> None:
        """Look after it no longer."""
        self._kept.discard(session)

    async def save_changes(self) -> None:
        """Save the sessions that have changed, and find those that another node holds now."""
        by_tenant: dict[TenantId, list[PersistentSession]] = defaultdict(list)
        for session in self._kept:
            by_tenant[session.caller.tenant].append(session)
        for tenant, sessions in by_tenant.items():
            changed = {session for session in sessions if session.needs_saving}
            holders = {session.id: session.holder for session in sessions if session not in changed}
            lost = await self._sessions.lost(tenant, holders)
            if changed:
                lost |= await self._save(tenant, changed)
            for session in sessions:
                if session.id in lost and session in self._kept:
                    session.lose()

    async def _save(self, tenant: TenantId, changed: set[PersistentSession]) -> set[str]:
        try:
            return await self._sessions.save(tenant, [session.record() for session in changed])
        except Unavailable:
            for session in changed:
                session.saving_failed()
            raise
