"""One connected client: his login, his rate, what he listens to, and his commands."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from core.access import check_filters, viewer_of
from core.caller import Caller, Credentials
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
from core.hub import Batch, Subscription
from core.ids import TenantId, new_id
from core.ports import StorageDown
from core.session.chats import JoinedChats
from core.session.commands import (
    Authenticate,
    InChat,
    JoinChat,
    Ping,
    ReadMark,
    SendText,
    Subscribe,
    Unsubscribe,
)
from core.validation import check_body

if TYPE_CHECKING:
    from core.session.sessions import Sessions

log = logging.getLogger(__name__)

#: How long a subscription may take to begin, in seconds.
_PATIENCE = 10.0
#: The expiry of a login is looked at as often as this, in seconds, for the clock may be set.
_LOOK = 60.0


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
    filter; then ``on_subscription`` is called, once. ``chats`` are those that he has joined.
    """

    __slots__ = (
        "_credentials", "_login_required", "_second", "_sessions", "_spent", "_store", "_streams", "_timer", "admitted",
        "caller", "chats", "closed", "id", "on_subscription", "subscription",
    )  # fmt: skip

    def __init__(
        self,
        sessions: "Sessions",
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
        self.chats: JoinedChats = JoinedChats(self, sessions)
        self._streams: set[Subscription] = set()
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
        if self.subscription is not None:
            self.subscription.close()
        for stream in list(self._streams):
            self.close_stream(stream)
        self.chats.close()
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
        if not held.is_visitor and caller.identity != held.identity:
            raise Forbidden("This connection belongs to another caller.")
        if self.subscription is not None:
            if caller.tenant != held.tenant:
                raise Forbidden("The token is of another tenant.")
            if self.filters:
                await check_filters(self._store, caller, self.filters)
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
        await check_filters(self._store, self.caller, self.filters | topics)
        return {"cursor": await self.listen(topics, command.cursor), "topics": sorted(self.filters)}

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
        return {**answer, "topics": sorted(self.filters)}

    @property
    def filters(self) -> frozenset[str]:
        """The topic filters of ``subscription``."""
        return self.subscription.filters if self.subscription is not None else frozenset()

    async def listen(self, filters: frozenset[str], cursor: str | None) -> str:
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

    async def ping(self, _: Ping) -> dict[str, Any]:
        """Answer with the current cursor, so that a quiet client's does not grow old."""
        return {} if self.subscription is None else {"cursor": self.subscription.cursor}

    # --- delivery ---

    def delivered(self, batch: Batch) -> None:
        """Note that a batch went out to the client."""
        self.chats.delivered(batch)


_COMMANDS: dict[str, tuple[type[BaseModel], Callable[[Session, Any], Awaitable[dict[str, Any]]]]] = {
    "authenticate": (Authenticate, Session.authenticate),
    "subscribe": (Subscribe, Session.subscribe),
    "unsubscribe": (Unsubscribe, Session.unsubscribe),
    "joinChat": (JoinChat, lambda session, command: session.chats.join(command)),
    "leaveChat": (InChat, lambda session, command: session.chats.leave(command)),
    "chatMessage": (SendText, lambda session, command: session.chats.say(command)),
    "typingStarted": (InChat, lambda session, command: session.chats.typing_started(command)),
    "typingStopped": (InChat, lambda session, command: session.chats.typing_stopped(command)),
    "messageRead": (ReadMark, lambda session, command: session.chats.mark_read(command)),
    "ping": (Ping, Session.ping),
}
