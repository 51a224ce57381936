"""One connected client: his login, his rate, what he listens to, and his commands."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from core.auth.authorization import check_filters, viewer_of
from core.hub import Batch, Subscription
from core.kernel.caller import Caller, Credentials
from core.kernel.errors import (
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
from core.kernel.ids import TenantId, new_id
from core.kernel.validation import check_body
from core.live.chats import JoinedChats
from core.live.commands import (
    Authenticate,
    InChat,
    JoinChat,
    Ping,
    ReadMark,
    SendText,
    Subscribe,
    Unsubscribe,
)
from core.live.replies import (
    Answer,
    Authenticated,
    Connected,
    JoinedChat,
    NamedChat,
    OneMessage,
    Pong,
    Subscribed,
    Unsubscribed,
    Who,
)

if TYPE_CHECKING:
    from core.live.sessions import Sessions

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=Answer)

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
    except TimeoutError:
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
        self._credentials = credentials._replace(token=None, api_key=None, username=None, password=None)
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
    def who(self) -> Who | None:
        """Who the client is, as he is told; None for a visitor."""
        if self.caller.is_visitor:
            return None
        return Who(id=self.caller.user_id or self.caller.device_id, username=self.caller.username)

    @property
    def user(self) -> dict[str, str | None] | None:
        """The same as JSON has it."""
        return None if self.who is None else self.who.shown()

    def greeting(self) -> dict[str, Any]:
        """What the client is told when he is let in, and when he has become somebody else."""
        topics = None if self.subscription is None else sorted(self.filters)
        cursor = None if self.subscription is None else self.subscription.cursor
        return Connected(session_id=self.id, user=self.who, topics=topics, cursor=cursor).shown()

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
            command = COMMANDS.get(name)
            if command is None:
                raise BadRequest(f"There is no message type '{name[:64]}'.")
            given = check_body(command.given, {} if data is None else data)
            answer: Answer = await command.handle(self, given)
            return answer.shown()

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

    async def authenticate(self, command: Authenticate) -> Authenticated:
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
                await check_filters(self._store.storage, self._store.limits, caller, self.filters)
        self._sessions.move(held, caller)
        self.caller = caller
        self.admitted = True
        self._login_required = False
        self._watch_expiry()
        if self.subscription is not None:
            self.subscription.change_viewer(viewer_of(caller))
        return Authenticated(user=self.who, expires_at=caller.expires_at)

    def visit(self, tenant: TenantId) -> None:
        """Go on in another tenant: a visitor may who named none, until he listens to something.

        Raises:
            Forbidden: he may not.
            RateLimited: too many connections of visitors from his address there.
        """
        if not self.caller.is_visitor or self.subscription is not None:
            raise Forbidden("This connection is of another tenant.")
        caller = self._store.authenticator.visitor(tenant, self._credentials.address)
        self._sessions.move(self.caller, caller)
        self.caller = caller

    async def subscribe(self, command: Subscribe) -> Subscribed:
        """Add topic filters, from a cursor or from now on."""
        topics = frozenset(command.topics)
        await check_filters(self._store.storage, self._store.limits, self.caller, self.filters | topics)
        return Subscribed(cursor=await self.listen(topics, command.cursor), topics=sorted(self.filters))

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
            await check_filters(self._store.storage, self._store.limits, self.caller, topics)
            async with asyncio.timeout(_PATIENCE):
                viewer = viewer_of(self.caller)
                stream = await self._store.hub.subscribe(self.caller.tenant, viewer, topics, command.cursor)
        self._streams.add(stream)
        return stream

    def close_stream(self, stream: Subscription) -> None:
        """End a stream that ``open_stream`` began."""
        self._streams.discard(stream)
        stream.close()

    async def unsubscribe(self, command: Unsubscribe) -> Unsubscribed:
        """Take topic filters away; one that is not held is no fault."""
        cursor = None
        if self.subscription is not None:
            self.subscription.unsubscribe(command.topics)
            cursor = self.subscription.cursor
        return Unsubscribed(cursor=cursor, topics=sorted(self.filters))

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

    async def ping(self, _: Ping) -> Pong:
        """Answer with the current cursor, so that a quiet client's does not grow old."""
        return Pong(cursor=None if self.subscription is None else self.subscription.cursor)

    # --- delivery ---

    def delivered(self, batch: Batch) -> None:
        """Note that a batch went out to the client."""
        self.chats.delivered(batch)


@dataclass(frozen=True, slots=True)
class Command(Generic[In, Out]):
    """One command of the live vocabulary: what is given with it, what it is acknowledged with, what it does."""

    given: type[In]
    answer: type[Out]
    handle: Callable[[Session, In], Awaitable[Out]]


#: Every command, by the name that all live doors have for it.
COMMANDS: dict[str, Command[Any, Any]] = {
    "authenticate": Command(Authenticate, Authenticated, Session.authenticate),
    "subscribe": Command(Subscribe, Subscribed, Session.subscribe),
    "unsubscribe": Command(Unsubscribe, Unsubscribed, Session.unsubscribe),
    "joinChat": Command(JoinChat, JoinedChat, lambda session, given: session.chats.join(given)),
    "leaveChat": Command(InChat, NamedChat, lambda session, given: session.chats.leave(given)),
    "chatMessage": Command(SendText, OneMessage, lambda session, given: session.chats.say(given)),
    "typingStarted": Command(InChat, NamedChat, lambda session, given: session.chats.typing_started(given)),
    "typingStopped": Command(InChat, NamedChat, lambda session, given: session.chats.typing_stopped(given)),
    "messageRead": Command(ReadMark, OneMessage, lambda session, given: session.chats.mark_read(given)),
    "ping": Command(Ping, Pong, Session.ping),
}
