"""All the connected clients of a node."""

import asyncio
import random
from collections import Counter

from core.kernel.caller import Caller, Credentials
from core.kernel.errors import Close, CloseReason, RateLimited, Unavailable
from core.live.chat_queue import Offers
from core.live.session import Session
from core.store.store import Store


class Sessions:
    """The connected clients of this node: bounded per caller, ended together at a drain."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._open: set[Session] = set()
        self._per_caller: Counter[tuple[str, str]] = Counter()
        self._in_chats: Counter[tuple[str, str]] = Counter()
        self.offers = Offers()
        store.revocations.watchers.append(self._on_revoked)
        store.hub.observers.add(self.offers)

    def open(
        self, credentials: Credentials, caller: Caller, *, admitted: bool = True, login_required: bool = False
    ) -> Session:
        """Let a client in whom the store knows as ``caller``.

        Not ``admitted``, he gave no credentials yet and may do so with his first command. ``login_required``: he
        must, and soon.

        Raises:
            Unavailable: this node is shutting down.
            RateLimited: too many connections of this caller.
        """
        if self.store.draining:
            raise Unavailable("This node is shutting down.")
        self._enter(caller)
        session = Session(self, credentials, caller, admitted=admitted, login_required=login_required)
        self._open.add(session)
        return session

    def move(self, held: Caller, caller: Caller) -> None:
        """Count a session that belonged to one caller for another.

        Raises:
            RateLimited: he has as many as he may.
        """
        if held.identity != caller.identity:
            self._enter(caller)
            self._exit(held)

    def leave(self, session: Session) -> None:
        """Forget a client that has gone."""
        if session in self._open:
            self._open.remove(session)
            self._exit(session.caller)

    def close_all(self, close: Close, *, spread: float = 0.0) -> None:
        """End every session, as at a drain: each at a moment of its own within ``spread`` seconds from now.

        Clients that all came back to another node at the same moment would be a flood there.
        """
        loop = asyncio.get_running_loop()
        for session in list(self._open):
            if spread:
                loop.call_later(random.uniform(0, spread), session.close, close)  # noqa: S311 - no secret
            else:
                session.close(close)

    def __len__(self) -> int:
        return len(self._open)

    def of(self, caller: Caller) -> int:
        """How many connections a caller has on this node."""
        return self._per_caller[caller.identity]

    def arrive(self, chat_id: str, user_id: str) -> bool:
        """Note that a session of a user has joined a chat; says whether it is his first there."""
        self._in_chats[(chat_id, user_id)] += 1
        return self._in_chats[(chat_id, user_id)] == 1

    def depart(self, chat_id: str, user_id: str) -> bool:
        """Note that a session of a user has left a chat; says whether it was his last there."""
        self._in_chats[(chat_id, user_id)] -= 1
        last = not self._in_chats[(chat_id, user_id)]
        if last:
            del self._in_chats[(chat_id, user_id)]
        return last

    def _enter(self, caller: Caller) -> None:
        if self._per_caller[caller.identity] >= self.store.limits.connections_per_caller:
            raise RateLimited(1, "Too many connections at once.")
        self._per_caller[caller.identity] += 1

    def _exit(self, caller: Caller) -> None:
        self._per_caller[caller.identity] -= 1
        if not self._per_caller[caller.identity]:
            del self._per_caller[caller.identity]

    def _on_revoked(self, subjects: frozenset[str]) -> None:
        for session in list(self._open):
            if not subjects.isdisjoint(session.caller.subjects):
                session.close(Close(CloseReason.REVOKED, "The login was revoked."))
