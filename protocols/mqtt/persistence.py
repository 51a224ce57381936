"""Sessions that outlast their connections: written down when they change, and taken up again."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from core.kernel.caller import Caller
from core.kernel.errors import Unavailable
from core.kernel.ids import TenantId
from core.live.durable_sessions import SLACK, DurableSessions
from core.models.durable_sessions import DurableSession

log = logging.getLogger(__name__)

#: What is to be written down: a cursor, and what the door needs beside it.
State = Callable[[], tuple[str | None, dict[str, Any]]]
Restore = Callable[[dict[str, Any], str | None], Awaitable[bool]]


class Kept:
    """The session of one connection. ``lasts`` is how long it is kept when the client has gone; nothing: not at all."""

    def __init__(
        self,
        sessions: DurableSessions,
        caller: Caller,
        name: str,
        holder: str,
        lasts: timedelta,
        state: State,
    ) -> None:
        self.id = sessions.id_of(caller, name)
        self.caller = caller
        self.holder = holder
        self.lasts = lasts
        self.held = False
        self.on_lost: Callable[[], None] | None = None
        self._sessions = sessions
        self._name = name
        self._state = state
        #: What is written down; None: nobody knows.
        self.written: tuple[str | None, dict[str, Any]] | None = None
        self._until: datetime | None = None
        self._turn = asyncio.Lock()

    async def begin(self, *, clean: bool, restore: Restore) -> bool:
        """Take up the session that was kept, unless the client wants a new one; says whether it was taken up.

        Raises:
            RateLimited: the caller keeps as many sessions as he may.
            Unavailable: the database is away.
        """
        found = None if clean else await self._take()
        self.held = bool(self.lasts) or found is not None
        if found is not None and await restore(found.state, found.cursor):
            return True
        if self.lasts:
            await self._sessions.begin(self.caller, self._name, self.holder, self.lasts)
        else:
            await self._sessions.forget(self.caller, self._name)
            self.held = False
        return False

    async def _take(self) -> DurableSession | None:
        return await self._sessions.take(self.caller, self._name, self.holder, self.lasts)

    @property
    def changed(self) -> bool:
        """Whether more has happened than is written down, or it has to be written anew before it expires."""
        return self._state() != self.written or self._sessions.grows_old(self._until, self.lasts)

    def record(self, *, last: bool = False) -> DurableSession:
        """The session as it is now."""
        self.written = cursor, state = self._state()
        lasts = self.lasts if last else self.lasts + SLACK
        record = self._sessions.record(self.caller, self._name, self.holder, lasts)
        self._until = record.expires_at
        return record.model_copy(update={"cursor": cursor, "state": state})

    async def save(self) -> None:
        """Write down how far the session has come, before the client is told so; that the database is away is no
        reason to refuse him, for it will be written down later."""
        if self.held:
            await self._save(last=False)

    async def _save(self, *, last: bool) -> None:
        async with self._turn:
            try:
                lost = await self._sessions.save(self.caller.tenant, [self.record(last=last)])
            except Unavailable:
                self.written = None
                log.warning("a session could not be written down")
                return
        if lost:
            self.lose()

    async def moved(self) -> bool:
        """Whether the client has come back somewhere else since."""
        try:
            holder = await self._sessions.holder(self.caller, self._name)
        except Unavailable:
            return False
        return holder not in (None, self.holder)

    def lose(self) -> None:
        """Another connection has the session now."""
        self.held = False
        if self.on_lost is not None:
            self.on_lost()

    async def end(self) -> None:
        """The connection has ended: leave the session to whoever comes next."""
        self.on_lost = None
        if not self.held:
            return
        if self.lasts:
            await self._save(last=True)
            return
        try:
            await self._sessions.forget(self.caller, self._name, self.holder)
        except Unavailable:
            log.warning("a session could not be removed; it will expire")


class Keeper:
    """Writes down what the connected sessions of this node have received, every few seconds, many at once."""

    def __init__(self, sessions: DurableSessions) -> None:
        self._sessions = sessions
        self._all: set[Kept] = set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, kept: Kept) -> None:
        """Look after a session, if it is one that is kept."""
        if kept.held:
            self._all.add(kept)

    def remove(self, kept: Kept) -> None:
        """Look after it no longer."""
        self._all.discard(kept)

    async def tend(self) -> None:
        """Write down what has changed, and find out which sessions have moved to another node."""
        by_tenant: dict[TenantId, list[Kept]] = defaultdict(list)
        for kept in self._all:
            by_tenant[kept.caller.tenant].append(kept)
        for tenant, mine in by_tenant.items():
            changed = {kept for kept in mine if kept.changed}
            lost = await self._sessions.lost(
                tenant, {kept.id: kept.holder for kept in mine if kept not in changed}
            )
            if changed:
                lost |= await self._save(tenant, changed)
            for kept in mine:
                if kept.id in lost and kept in self._all:
                    kept.lose()

    async def _save(self, tenant: TenantId, changed: set[Kept]) -> set[str]:
        try:
            return await self._sessions.save(tenant, [kept.record() for kept in changed])
        except Unavailable:
            for kept in changed:
                kept.written = None
            raise
