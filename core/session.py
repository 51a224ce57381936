"""A connected client as one state machine, without a socket: every live door is an encoding of it.

A door opens a Session with the credentials it found, hands in commands, takes batches of events, and ends when
``closed`` says so. All that may be refused is refused here.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from core.access import check_filters, viewer_of
from core.authentication import authenticate
from core.caller import Caller, Credentials
from core.errors import BadRequest, Close, CloseReason, Forbidden, RateLimited, StoreError, Unavailable
from core.events import STAFF_ONLY, Draft, visible_to
from core.hub import Batch, Subscription
from core.ids import new_id
from core.models.chats import CHAT_TYPING, PRESENCE_CHANGED, Chat, ChatTyping, PresenceChanged
from core.resource import Line, Part, Text
from core.services.chats import GET_CHAT, MARK_DELIVERED, MARK_READ, OPEN_CHAT, SEND_MESSAGE
from core.validation import check_body

if TYPE_CHECKING:
    from core.operations import AnyOperation
    from core.store import Store

#: Delivery marks that wait to be written; beyond it the oldest are given up (the read mark says as much).
_MOST_MARKS = 1000


class Authenticate(Part):
    """Log in, or renew the login of this connection."""

    token: str = Field(max_length=8192, repr=False)


class Subscribe(Part):
    """Add topic filters; with a cursor, what happened since comes first."""

    topics: list[str] = Field(min_length=1)
    cursor: str | None = Field(default=None, max_length=200)


class Unsubscribe(Part):
    """Take topic filters away."""

    topics: list[str] = Field(min_length=1)


class JoinChat(Part):
    """Enter a chat; without an id a new one is opened."""

    chat_id: str | None = Field(default=None, max_length=64)
    subject: Line | None = Field(default=None, max_length=200)
    cursor: str | None = Field(default=None, max_length=200)


class InChat(Part):
    """Something about a chat that this connection has joined; the id may be left out when it is the only one."""

    chat_id: str | None = Field(default=None, max_length=64)


class SendText(InChat):
    """Say something. The same ``clientMessageId`` again has no second effect."""

    text: Text
    client_message_id: str | None = Field(default=None)


class ReadMark(InChat):
    """Mark a message, and all before it, as read."""

    message_id: str = Field(max_length=64)


class Ping(Part):
    """Ask for a sign of life."""


class Sessions:
    """The connected clients of this node: bounded per caller, ended together at a drain."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._open: set[Session] = set()
        self._per_caller: Counter[tuple[str, str]] = Counter()
        store.revocations.watchers.append(self._on_revoked)

    async def open(self, credentials: Credentials) -> "Session":
        """Let a client in.

        Raises:
            StoreError: bad credentials, or too many connections of this caller.
        """
        if self._store.draining:
            raise Unavailable("This node is shutting down.")
        admission = await self._store.admit(credentials)
        if admission.refusal is not None:
            raise admission.refusal
        session = Session(self._store, self, credentials, admission.caller)
        self.count(admission.caller, +1)
        self._open.add(session)
        return session

    def count(self, caller: Caller, change: int) -> None:
        """Count connections of a caller.

        Raises:
            RateLimited: he has as many as he may.
        """
        name = (caller.tenant, caller.key)
        if change > 0 and self._per_caller[name] >= self._store.limits.connections_per_caller:
            raise RateLimited(1, "Too many connections at once.")
        self._per_caller[name] += change
        if not self._per_caller[name]:
            del self._per_caller[name]

    def leave(self, session: "Session") -> None:
        """Forget a client that has gone."""
        if session in self._open:
            self._open.remove(session)
            self.count(session.caller, -1)

    def close_all(self, close: Close) -> None:
        """End every session, as at a drain."""
        for session in list(self._open):
            session.close(close)

    def __len__(self) -> int:
        return len(self._open)

    def _on_revoked(self, subjects: frozenset[str]) -> None:
        for session in list(self._open):
            if not subjects.isdisjoint(session.caller.subjects):
                session.close(Close(CloseReason.REVOKED, "The login was revoked."))


class Session:
    """One connected client.

    ``subscription`` holds all its topic filters as one stream, so that an event that several of them match comes
    once. It is None until the first filter. ``on_subscription`` is called when there is a new one.
    """

    def __init__(self, store: "Store", sessions: Sessions, credentials: Credentials, caller: Caller) -> None:
        self.id = new_id()
        self.caller = caller
        self.subscription: Subscription | None = None
        self.closed: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self.on_subscription: Callable[[Subscription], None] = lambda _: None
        self._store = store
        self._sessions = sessions
        self._credentials = credentials
        self._chats: dict[str, Chat] = {}
        self._marks: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_MOST_MARKS)
        self._marker: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._spent = 0
        self._second = 0
        self._watch_expiry()

    # --- life ---

    def close(self, close: Close) -> None:
        """End the session; the first reason counts. The door sees it in ``closed`` and says goodbye."""
        if not self.closed.done():
            self.closed.set_result(close)

    def leave(self) -> None:
        """Free everything: the door calls it once, when the client has gone."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._marker is not None:
            self._marker.cancel()
        if self.subscription is not None:
            self.subscription.close()
        for chat in list(self._chats.values()):
            self._announce(chat, online=False)
        self._chats.clear()
        self._sessions.leave(self)

    def _watch_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.caller.expires_at is None:
            return
        left = (self.caller.expires_at - self._store.clock()).total_seconds()
        self._expiry = asyncio.get_running_loop().call_later(
            max(0.0, left), self.close, Close(CloseReason.EXPIRED, "The token has expired.")
        )

    # --- commands ---

    async def command(self, name: str, data: object) -> dict[str, Any]:
        """Carry out one command of the live vocabulary; gives what the acknowledgement says.

        Raises:
            StoreError: it is refused; the session goes on.
        """
        self.spend()
        entry = _COMMANDS.get(name)
        if entry is None:
            raise BadRequest(f"There is no message type '{name[:64]}'.")
        model, handler = entry
        return await handler(self, check_body(model, {} if data is None else data))

    def spend(self) -> None:
        """Count an inbound message; a client that does not keep to the rate is closed."""
        limit = self._store.limits.messages_per_second
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._spent = second, 0
        self._spent += 1
        if limit and self._spent > limit:
            self.close(Close(CloseReason.TOO_MANY_MESSAGES, f"More than {limit} messages in a second."))
            raise RateLimited(1, "Too many messages.")

    async def authenticate(self, command: Authenticate) -> dict[str, Any]:
        """Take a token: a visitor becomes known, a known caller renews his time."""
        credentials = Credentials(self._credentials.address, self._credentials.tenant, command.token)
        caller = await authenticate(self._store, credentials)
        if not self.caller.is_visitor and (caller.tenant, caller.key) != (
            self.caller.tenant,
            self.caller.key,
        ):
            raise Forbidden("This connection belongs to another caller.")
        if caller.tenant != self.caller.tenant and self.subscription is not None:
            raise Forbidden("The token is of another tenant.")
        if caller.key != self.caller.key:
            self._sessions.count(caller, +1)
            self._sessions.count(self.caller, -1)
        self.caller = caller
        self._watch_expiry()
        if self.subscription is not None and viewer_of(caller) != self.subscription.viewer:
            await self._reopen(self.subscription)
        return {"user": self.user, "expiresAt": caller.expires_at}

    async def _reopen(self, old: Subscription) -> None:
        """Go on with the same filters in new rights, from the same place."""
        filters, cursor = old.filters, old.cursor
        old.close()
        self.subscription = await self._store.hub.subscribe(
            self.caller.tenant, viewer_of(self.caller), filters, cursor
        )
        self.on_subscription(self.subscription)

    @property
    def user(self) -> dict[str, str | None] | None:
        """Who the client is, as he is told: id and user name; None for a visitor."""
        if self.caller.is_visitor:
            return None
        return {"id": self.caller.user_id or self.caller.device_id, "username": self.caller.username}

    async def subscribe(self, command: Subscribe) -> dict[str, Any]:
        """Add topic filters, from a cursor or from now on."""
        await check_filters(self._store, self.caller, self._filters | frozenset(command.topics))
        await self._listen(frozenset(command.topics), command.cursor)
        assert self.subscription is not None
        return {"topics": sorted(self.subscription.filters), "cursor": self.subscription.cursor}

    async def unsubscribe(self, command: Unsubscribe) -> dict[str, Any]:
        """Take topic filters away; one that is not held is no fault."""
        if self.subscription is not None:
            self.subscription.unsubscribe(command.topics)
        return {"topics": sorted(self._filters)}

    @property
    def _filters(self) -> frozenset[str]:
        return self.subscription.filters if self.subscription is not None else frozenset()

    async def _listen(self, filters: frozenset[str], cursor: str | None) -> None:
        if self.subscription is None:
            hub, caller = self._store.hub, self.caller
            self.subscription = await hub.subscribe(caller.tenant, viewer_of(caller), filters, cursor)
            self.on_subscription(self.subscription)
        else:
            await self.subscription.subscribe(filters, cursor)

    async def join_chat(self, command: JoinChat) -> dict[str, Any]:
        """Enter a chat, or open one."""
        self.caller.require_known()
        if command.chat_id is None:
            chat: Chat = await self._run(
                OPEN_CHAT, {}, {} if command.subject is None else {"subject": command.subject}
            )
        else:
            chat = await self._run(GET_CHAT, {"id": command.chat_id})
        topics = self._filters | {f"chats/{chat.id}"}
        if len(topics) > self._store.limits.filters_per_connection:
            raise BadRequest(f"At most {self._store.limits.filters_per_connection} topics per connection.")
        await self._listen(frozenset({f"chats/{chat.id}"}), command.cursor)
        assert self.subscription is not None
        if chat.id not in self._chats:
            self._chats[chat.id] = chat
            self._announce(chat, online=True)
        return {
            "sessionId": self.id,
            "user": self.user,
            "chat": chat.model_dump(mode="json", by_alias=True),
            "cursor": self.subscription.cursor,
        }

    async def leave_chat(self, command: InChat) -> dict[str, Any]:
        """Leave a chat; it goes on without this connection."""
        chat = self._joined(command)
        del self._chats[chat.id]
        if self.subscription is not None:
            self.subscription.unsubscribe([f"chats/{chat.id}"])
        self._announce(chat, online=False)
        return {"chatId": chat.id}

    async def send_text(self, command: SendText) -> dict[str, Any]:
        """Say something in a chat."""
        chat = self._joined(command)
        body: dict[str, object] = {"text": command.text}
        if command.client_message_id is not None:
            body["clientMessageId"] = command.client_message_id
        message = await self._run(SEND_MESSAGE, {"id": chat.id}, body)
        return {"message": message.model_dump(mode="json", by_alias=True)}

    async def typing_started(self, command: InChat) -> dict[str, Any]:
        """Show the others that this user types."""
        return self._typing(command, typing=True)

    async def typing_stopped(self, command: InChat) -> dict[str, Any]:
        """Show the others that this user no longer types."""
        return self._typing(command, typing=False)

    def _typing(self, command: InChat, *, typing: bool) -> dict[str, Any]:
        chat = self._joined(command)
        data = ChatTyping(user_id=self.caller.user_id or "", typing=typing)
        audience = visible_to(chat.customer_id)
        self._store.broadcast(self.caller.tenant, Draft(CHAT_TYPING, data, audience, {"chat_id": chat.id}))
        return {"chatId": chat.id}

    async def mark_read(self, command: ReadMark) -> dict[str, Any]:
        """Mark a message as read."""
        chat = self._joined(command)
        message = await self._run(MARK_READ, {"id": chat.id, "message_id": command.message_id})
        return {"message": message.model_dump(mode="json", by_alias=True)}

    async def ping(self, _: Ping) -> dict[str, Any]:
        """Answer with the current cursor, so that a quiet client's does not grow old."""
        return {} if self.subscription is None else {"cursor": self.subscription.cursor}

    def _joined(self, command: InChat) -> Chat:
        if command.chat_id is None and len(self._chats) == 1:
            return next(iter(self._chats.values()))
        chat = self._chats.get(command.chat_id or "")
        if chat is None:
            raise BadRequest("Join the chat first, and name it by chatId.")
        return chat

    def _announce(self, chat: Chat, *, online: bool) -> None:
        data = PresenceChanged(user_id=self.caller.user_id or "", online=online)
        audience = visible_to(chat.customer_id) if chat.customer_id else STAFF_ONLY
        self._store.broadcast(
            self.caller.tenant, Draft(PRESENCE_CHANGED, data, audience, {"chat_id": chat.id})
        )

    async def _run(self, operation: "AnyOperation", params: Mapping[str, object], body: object = None) -> Any:
        from core.store import Call

        return (await self._store.execute(self.caller, Call(operation, params, body))).value

    # --- delivery ---

    def delivered(self, batch: Batch) -> None:
        """Note that a batch went out: messages of others in joined chats are marked as delivered."""
        if not self._chats:
            return
        for event in batch.events:
            if event.event_type != "chat.message":
                continue
            message = event.payload["message"]
            joined = message["chatId"] in self._chats and message["senderId"] != self.caller.user_id
            if joined and message["deliveredAt"] is None and not self._marks.full():
                self._marks.put_nowait((message["chatId"], message["id"]))
                if self._marker is None:
                    self._marker = asyncio.create_task(self._mark_delivered())

    async def _mark_delivered(self) -> None:
        while True:
            chat_id, message_id = await self._marks.get()
            try:
                await self._run(MARK_DELIVERED, {"id": chat_id, "message_id": message_id})
            except StoreError:
                continue


_COMMANDS: dict[str, tuple[type[BaseModel], Callable[[Session, Any], Awaitable[dict[str, Any]]]]] = {
    "authenticate": (Authenticate, Session.authenticate),
    "subscribe": (Subscribe, Session.subscribe),
    "unsubscribe": (Unsubscribe, Session.unsubscribe),
    "joinChat": (JoinChat, Session.join_chat),
    "leaveChat": (InChat, Session.leave_chat),
    "chatMessage": (SendText, Session.send_text),
    "typingStarted": (InChat, Session.typing_started),
    "typingStopped": (InChat, Session.typing_stopped),
    "messageRead": (ReadMark, Session.mark_read),
    "ping": (Ping, Session.ping),
}
