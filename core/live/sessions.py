"""All sessions of a node: opened here, and ended together at a drain."""

import asyncio
import random
from collections.abc import Iterator

from core.kernel.caller import Caller, Credentials
from core.kernel.clock import ClockWatch
from core.kernel.errors import Close, CloseReason, Unavailable
from core.live.chat_presence import ChatPresence
from core.live.chat_queue import ChatQueue
from core.live.connection_counts import ConnectionCounts
from core.live.inbound_rate import InboundRate
from core.live.session import Session
from core.store.store import Store


class Sessions:
    """The sessions of this node, and what they share: ``presence`` in chats, and the ``queue`` of waiting chats."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.presence = ChatPresence()
        self.queue = ChatQueue()
        self.connections = ConnectionCounts(store.limits)
        self._open: set[Session] = set()
        self._clock = ClockWatch(store.clock, asyncio.get_running_loop().time)
        store.revocations.watchers.append(self._on_revoked)
        store.hub.observers.add(self.queue)

    def open(
        self,
        credentials: Credentials,
        caller: Caller,
        *,
        admitted: bool = True,
        login_required: bool = False,
        rate: InboundRate | None = None,
    ) -> Session:
        """Let a client in whom the store knows as ``caller``.

        Not ``admitted``: the client gave no credentials yet and may do so with its first command. ``login_required``:
        it must, and soon. ``rate`` goes on counting for a client that has been read before.

        Raises:
            Unavailable: this node is shutting down.
            RateLimited: too many connections of this caller.
        """
        if self.store.draining:
            raise Unavailable("This node is shutting down.")
        self.connections.enter(caller)
        session = Session(
            self.store,
            self.connections,
            credentials,
            caller,
            admitted=admitted,
            login_required=login_required,
            rate=rate or InboundRate(self.store.limits),
            on_left=self._open.discard,
        )
        self._open.add(session)
        return session

    def close_all(self, close: Close, *, spread: float = 0.0) -> None:
        """End every session, as at a drain: each at a moment of its own within ``spread`` seconds from now.

        Clients that all came back to another node at the same moment would flood it.
        """
        loop = asyncio.get_running_loop()
        for session in self:
            if spread:
                loop.call_later(random.uniform(0, spread), session.close, close)  # noqa: S311 - no secret
            else:
                session.close(close)

    async def watch_clock(self) -> None:
        """See to it that logins end at their time though the clock was set; to be called every second or so."""
        if self._clock.was_set():
            for session in self:
                session.watch_expiry()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._open))

    def _on_revoked(self, subjects: frozenset[str]) -> None:
        for session in self:
            if not subjects.isdisjoint(session.caller.subjects):
                session.close(Close(CloseReason.REVOKED, "The login was revoked."))
