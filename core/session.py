"""A connected client as one state machine, without a socket: every live door is an encoding of it.

A door opens a Session with the credentials it found, hands in commands, lets an Outlet carry the events, and ends when
``closed`` says so. All that may be refused is refused here.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from core.access import check_filters, viewer_of
from core.caller import Caller, Credentials, Scope
from core.clock import rfc3339
from core.errors import (
    BadRequest,
    Close,
    Closed,
    CloseReason,
    Forbidden,
    Internal,
    RateLimited,
    StoreError,
    Unauthorized,
    Unavailable,
)
from core.events import Draft, visible_to
from core.hub import Batch, Subscription
from core.ids import TenantId, new_id
from core.models.chats import CHAT_TYPING, PRESENCE_CHANGED, Chat, ChatTyping, PresenceChanged
from core.ports import StorageDown
from core.resource import Line, Part, Text
from core.services.chats import (
    ASSIGN_WAITING_CHATS,
    GET_CHAT,
    MARK_DELIVERED,
    MARK_READ,
    OPEN_CHAT,
    SEND_MESSAGE,
)
from core.store import Call
from core.validation import check_body

if TYPE_CHECKING:
    from core.operations import AnyOperation
    from core.store import Store

log = logging.getLogger(__name__)

#: Delivery marks of one session that wait to be written; what comes beyond is marked when it is read.
_MOST_MARKS = 1000
#: How long a subscription may take to begin, in seconds.
_PATIENCE = 10.0
#: The expiry of a login is looked at as often as this, in seconds, for the clock may be set.
_LOOK = 60.0


class Authenticate(Part):
    """Log in, or renew the login of this connection."""

    token: str = Field(min_length=1, max_length=8192, repr=False)


class Subscribe(Part):
    """Add topic filters; with a cursor, what happened since comes first."""

    topics: list[str] = Field(min_length=1)
    cursor: str | None = Field(default=None, max_length=200)


class Unsubscribe(Part):
    """Take topic filters away."""

    topics: list[str] = Field(min_length=1)


class JoinChat(Part):
    """Enter a chat, with a cursor from there on; without an id a new one is opened."""

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
        self.store = store
        self._open: set[Session] = set()
        self._per_caller: Counter[tuple[str, str]] = Counter()
        self._in_chats: Counter[tuple[str, str]] = Counter()
        store.revocations.watchers.append(self._on_revoked)

    def open(
        self, credentials: Credentials, caller: Caller, *, admitted: bool = True, login_required: bool = False
    ) -> "Session":
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
        if _name(held) != _name(caller):
            self._enter(caller)
            self._exit(held)

    def leave(self, session: "Session") -> None:
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
        return self._per_caller[_name(caller)]

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
        name = _name(caller)
        if self._per_caller[name] >= self.store.limits.connections_per_caller:
            raise RateLimited(1, "Too many connections at once.")
        self._per_caller[name] += 1

    def _exit(self, caller: Caller) -> None:
        name = _name(caller)
        self._per_caller[name] -= 1
        if not self._per_caller[name]:
            del self._per_caller[name]

    def _on_revoked(self, subjects: frozenset[str]) -> None:
        for session in list(self._open):
            if not subjects.isdisjoint(session.caller.subjects):
                session.close(Close(CloseReason.REVOKED, "The login was revoked."))


def _name(caller: Caller) -> tuple[str, str]:
    return caller.tenant, caller.key


@contextmanager
def _told() -> Iterator[None]:
    """Turn whatever goes wrong with a command into the errors that clients know."""
    try:
        yield
    except StoreError:
        raise
    except (StorageDown, TimeoutError):
        raise Unavailable("The database is away.") from None
    except Closed:
        raise Unavailable("The stream has ended.") from None
    except Exception:  # The boundary of a command: one that fails does not end the connection.
        log.exception("a command failed")
        raise Internal from None


class Session:
    """One connected client.

    ``admitted``: the store has let the caller in; until then he is an unknown visitor. ``subscription`` holds all his
    topic filters as one stream, so that an event that several of them match comes once. It is None until the first
    filter; then ``on_subscription`` is called, once.
    """

    __slots__ = (
        "_chats", "_credentials", "_login_required", "_marker", "_marks", "_offers_chats", "_second", "_sessions",
        "_spent", "_store", "_streams", "_timer", "admitted", "caller", "closed", "id", "on_subscription",
        "subscription",
    )  # fmt: skip

    def __init__(
        self,
        sessions: Sessions,
        credentials: Credentials,
        caller: Caller,
        *,
        admitted: bool,
        login_required: bool,
    ) -> None:
        self.id = new_id()
        self.caller = caller
        self.admitted = admitted
        self.subscription: Subscription | None = None
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[Close] = loop.create_future()
        self.on_subscription: Callable[[Subscription], None] | None = None
        self._store = sessions.store
        self._sessions = sessions
        self._credentials = credentials._replace(token=None, api_key=None)
        self._login_required = login_required and not admitted
        #: The customers of the chats that this client has joined, by the chats' ids.
        self._chats: dict[str, str] = {}
        self._streams: set[Subscription] = set()
        self._offers_chats = False
        self._marks: list[tuple[str, str]] = []
        self._marker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._spent = 0
        self._second = 0
        if self._login_required:
            close = Close(CloseReason.LOGIN_TIMEOUT, "No token came in time.")
            self._timer = loop.call_later(self._store.limits.login_seconds, self.close, close)
        else:
            self._watch_expiry()

    # --- life ---

    def close(self, close: Close) -> None:
        """End the session; the first reason counts. The door sees it in ``closed`` and says goodbye."""
        if not self.closed.done():
            self.closed.set_result(close)

    def leave(self) -> None:
        """Free everything: the door calls it when the client has gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._marker is not None:
            self._marker.cancel()
        if self.subscription is not None:
            self.subscription.close()
        for stream in list(self._streams):
            self.close_stream(stream)
        for chat_id in list(self._chats):
            self._part(chat_id)
        if self._offers_chats:
            self._offers_chats = False
            self._store.presence.leave(self.caller.tenant, self._user_id)
        self._sessions.leave(self)

    def _watch_expiry(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.caller.expires_at is None:
            return
        left = (self.caller.expires_at - self._store.clock()).total_seconds()
        if left <= 0:
            self.close(Close(CloseReason.EXPIRED, "The token has expired."))
        else:
            self._timer = asyncio.get_running_loop().call_later(min(left, _LOOK), self._watch_expiry)

    @property
    def user(self) -> dict[str, str | None] | None:
        """Who the client is, as he is told: id and user name; None for a visitor."""
        if self.caller.is_visitor:
            return None
        return {"id": self.caller.user_id or self.caller.device_id, "username": self.caller.username}

    @property
    def _user_id(self) -> str:
        return self.caller.user_id or ""

    # --- commands ---

    async def command(self, name: str, data: object) -> dict[str, Any]:
        """Carry out one command of the live vocabulary; gives what the acknowledgement says.

        Raises:
            StoreError: it is refused. The session goes on, but one that is still not ``admitted`` should be closed.
        """
        self.spend()
        with _told():
            if not self.admitted and name != "authenticate":
                await self._go_on_as_visitor()
            entry = _COMMANDS.get(name)
            if entry is None:
                raise BadRequest(f"There is no message type '{name[:64]}'.")
            model, handler = entry
            return await handler(self, check_body(model, {} if data is None else data))

    async def follow(self, command: Subscribe) -> None:
        """Subscribe once and for all, for doors whose clients cannot talk.

        Raises:
            StoreError: it is refused.
        """
        with _told():
            await self.subscribe(command)

    def spend(self) -> None:
        """Count an inbound message; a client that does not keep to the rate is closed.

        Raises:
            RateLimited: it is one too many.
        """
        limit = self._store.limits.messages_per_second
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._spent = second, 0
        self._spent += 1
        if limit and self._spent > limit:
            self.close(Close(CloseReason.TOO_MANY_MESSAGES, f"More than {limit} messages in a second."))
            raise RateLimited(1, "Too many messages.")

    async def _go_on_as_visitor(self) -> None:
        if self._login_required:
            raise Unauthorized("The first message must be authenticate, with a token.")
        admission = await self._store.admit(self._credentials)
        if admission.refusal is not None:
            raise admission.refusal
        self.admitted = True

    async def authenticate(self, command: Authenticate) -> dict[str, Any]:
        """Take a token: a visitor becomes known, a known caller renews his time. Refused, nothing has changed."""
        admission = await self._store.admit(self._credentials._replace(token=command.token))
        if admission.refusal is not None:
            raise admission.refusal
        caller, held = admission.caller, self.caller
        if not held.is_visitor and _name(caller) != _name(held):
            raise Forbidden("This connection belongs to another caller.")
        if self.subscription is not None:
            if caller.tenant != held.tenant:
                raise Forbidden("The token is of another tenant.")
            if self._filters:
                await check_filters(self._store, caller, self._filters)
        self._sessions.move(held, caller)
        self.caller = caller
        self.admitted = True
        self._login_required = False
        self._watch_expiry()
        if self.subscription is not None:
            self.subscription.look_as(viewer_of(caller))
        return {
            "user": self.user,
            "expiresAt": None if caller.expires_at is None else rfc3339(caller.expires_at),
        }

    def visit(self, tenant: TenantId) -> None:
        """Go on in another tenant: a visitor may who named none, until he listens to something.

        Raises:
            Forbidden: he may not.
            RateLimited: too many connections of visitors from his address there.
        """
        if not self.caller.is_visitor or self.subscription is not None:
            raise Forbidden("This connection is of another tenant.")
        caller = self._store.known.visitor(tenant, self._credentials.address)
        self._sessions.move(self.caller, caller)
        self.caller = caller

    async def subscribe(self, command: Subscribe) -> dict[str, Any]:
        """Add topic filters, from a cursor or from now on."""
        topics = frozenset(command.topics)
        await check_filters(self._store, self.caller, self._filters | topics)
        return {"cursor": await self._listen(topics, command.cursor), "topics": sorted(self._filters)}

    async def open_stream(self, command: Subscribe) -> Subscription:
        """Begin a stream of its own, for clients who follow several things apart from one another.

        What several streams match comes in each of them. Their filters together are bounded like those of one.

        Raises:
            StoreError: it is refused.
        """
        topics, most = frozenset(command.topics), self._store.limits.filters_per_connection
        with _told():
            if sum(len(stream.filters) for stream in self._streams) + len(topics) > most:
                raise BadRequest(f"At most {most} topic filters per connection.")
            await check_filters(self._store, self.caller, topics)
            async with asyncio.timeout(_PATIENCE):
                viewer = viewer_of(self.caller)
                stream = await self._store.hub.subscribe(self.caller.tenant, viewer, topics, command.cursor)
        self._streams.add(stream)
        return stream

    def close_stream(self, stream: Subscription) -> None:
        """End a stream that ``open_stream`` began."""
        self._streams.discard(stream)
        stream.close()

    async def unsubscribe(self, command: Unsubscribe) -> dict[str, Any]:
        """Take topic filters away; one that is not held is no fault."""
        answer: dict[str, Any] = {}
        if self.subscription is not None:
            self.subscription.unsubscribe(command.topics)
            answer["cursor"] = self.subscription.cursor
        return {**answer, "topics": sorted(self._filters)}

    @property
    def _filters(self) -> frozenset[str]:
        return self.subscription.filters if self.subscription is not None else frozenset()

    async def _listen(self, filters: frozenset[str], cursor: str | None) -> str:
        """Hear these topics too; gives the place reached. Nothing may wait between this and the acknowledgement."""
        async with asyncio.timeout(_PATIENCE):
            if self.subscription is not None:
                await self.subscription.subscribe(filters, cursor)
                return self.subscription.cursor
            viewer = viewer_of(self.caller)
            subscription = await self._store.hub.subscribe(self.caller.tenant, viewer, filters, cursor)
        self.subscription = subscription
        if self.on_subscription is not None:
            self.on_subscription(subscription)
        return subscription.cursor

    async def join_chat(self, command: JoinChat) -> dict[str, Any]:
        """Enter a chat, or open one."""
        self.caller.require_known()
        cursor = command.cursor
        known = f"chats/{command.chat_id}" in self._filters
        if not known and len(self._filters) >= self._store.limits.filters_per_connection:
            raise BadRequest(f"At most {self._store.limits.filters_per_connection} topics per connection.")
        if command.chat_id is None:
            # So that an agent who is given the chat at its opening is told of like any other.
            cursor = await self._store.hub.cursor_now(self.caller.tenant)
            body = {} if command.subject is None else {"subject": command.subject}
            chat: Chat = await self._run(OPEN_CHAT, {}, body)
        else:
            chat = await self._run(GET_CHAT, {"id": command.chat_id})
        place = await self._listen(frozenset({f"chats/{chat.id}"}), cursor)
        if chat.id not in self._chats:
            self._chats[chat.id] = chat.customer_id
            if self._sessions.arrive(chat.id, self._user_id):
                self._announce(chat.id, chat.customer_id, online=True)
        return {
            "sessionId": self.id,
            "user": self.user,
            "chat": chat.model_dump(mode="json", by_alias=True),
            "cursor": place,
        }

    async def leave_chat(self, command: InChat) -> dict[str, Any]:
        """Leave a chat; it goes on without this connection."""
        chat_id = self._joined(command)
        if self.subscription is not None:
            self.subscription.unsubscribe([f"chats/{chat_id}"])
        self._part(chat_id)
        return {"chatId": chat_id}

    def _part(self, chat_id: str) -> None:
        customer_id = self._chats.pop(chat_id)
        if self._sessions.depart(chat_id, self._user_id):
            self._announce(chat_id, customer_id, online=False)

    async def send_text(self, command: SendText) -> dict[str, Any]:
        """Say something in a chat."""
        chat_id = self._joined(command)
        body: dict[str, object] = {"text": command.text}
        if command.client_message_id is not None:
            body["clientMessageId"] = command.client_message_id
        message = await self._run(SEND_MESSAGE, {"id": chat_id}, body)
        return {"message": message.model_dump(mode="json", by_alias=True)}

    async def typing_started(self, command: InChat) -> dict[str, Any]:
        """Show the others that this user types."""
        return self._typing(command, typing=True)

    async def typing_stopped(self, command: InChat) -> dict[str, Any]:
        """Show the others that this user no longer types."""
        return self._typing(command, typing=False)

    def _typing(self, command: InChat, *, typing: bool) -> dict[str, Any]:
        chat_id = self._joined(command)
        audience = visible_to(self._chats[chat_id])
        data = ChatTyping(user_id=self._user_id, typing=typing)
        self._store.broadcast(self.caller.tenant, Draft(CHAT_TYPING, data, audience, {"chat_id": chat_id}))
        return {"chatId": chat_id}

    async def mark_read(self, command: ReadMark) -> dict[str, Any]:
        """Mark a message as read."""
        chat_id = self._joined(command)
        message = await self._run(MARK_READ, {"id": chat_id, "message_id": command.message_id})
        return {"message": message.model_dump(mode="json", by_alias=True)}

    async def ping(self, _: Ping) -> dict[str, Any]:
        """Answer with the current cursor, so that a quiet client's does not grow old."""
        return {} if self.subscription is None else {"cursor": self.subscription.cursor}

    def _joined(self, command: InChat) -> str:
        if command.chat_id is None and len(self._chats) == 1:
            return next(iter(self._chats))
        chat_id = (command.chat_id or "").lower()
        if chat_id not in self._chats:
            raise BadRequest("Join the chat first, and name it by chatId.")
        return chat_id

    def _announce(self, chat_id: str, customer_id: str, *, online: bool) -> None:
        data = PresenceChanged(user_id=self._user_id, online=online)
        draft = Draft(PRESENCE_CHANGED, data, visible_to(customer_id), {"chat_id": chat_id})
        self._store.broadcast(self.caller.tenant, draft)

    async def _run(self, operation: "AnyOperation", params: Mapping[str, object], body: object = None) -> Any:
        return (await self._store.execute(self.caller, Call(operation, params, body))).value

    # --- agents ---

    async def offer_chats(self) -> None:
        """The client is at a chat door now: an agent is there for chats that wait, until he leaves."""
        caller = self.caller
        if self._offers_chats or not caller.is_staff or Scope.CHAT_AGENT not in caller.scopes:
            return
        self._offers_chats = True
        self._store.presence.arrive(caller.tenant, self._user_id)
        try:
            await self._run(ASSIGN_WAITING_CHATS, {})
        except StoreError as error:
            log.warning("waiting chats were not assigned: %s", error.detail)

    # --- delivery ---

    def delivered(self, batch: Batch) -> None:
        """Note that a batch went out: messages of others in joined chats are marked as delivered."""
        if not self._chats:
            return
        for event in batch.events:
            if event.event_type != "chat.message" or len(self._marks) >= _MOST_MARKS:
                continue
            message = event.payload["message"]
            if message["chatId"] in self._chats and message["senderId"] != self.caller.user_id:
                self._marks.append((message["chatId"], message["id"]))
        if self._marks and self._marker is None:
            self._marker = asyncio.create_task(self._mark_delivered())

    async def _mark_delivered(self) -> None:
        try:
            while self._marks:
                chat_id, message_id = self._marks.pop(0)
                try:
                    await self._run(MARK_DELIVERED, {"id": chat_id, "message_id": message_id})
                except StoreError as error:
                    log.debug("a message was not marked as delivered: %s", error.detail)
        finally:
            self._marker = None


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
