"""The state of one connected client: its login, its rate, and the topics it follows."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from core.auth.authorization import check_filters, viewer_of
from core.hub import Subscription
from core.kernel.caller import Caller, Credentials
from core.kernel.errors import (
    BadRequest,
    Close,
    Closed,
    CloseReason,
    Forbidden,
    Internal,
    StoreError,
    Unauthorized,
    Unavailable,
)
from core.kernel.ids import TenantId, new_id
from core.live.commands import Subscribe
from core.live.connection_counts import ConnectionCounts
from core.live.inbound_rate import InboundRate
from core.live.replies import Connected, Who
from core.store.store import Store

log = logging.getLogger(__name__)

#: How long a subscription may take to begin.
_SUBSCRIBE_TIMEOUT_SECONDS = 10.0


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever goes wrong within into the errors that clients know.

    Raises:
        StoreError: something went wrong.
    """
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

    ``admitted``: the store has let the caller in; until then they are an unknown visitor. ``subscription`` holds all
    topic filters of the client as one stream, so that an event that several of them match comes once. It is None until
    the first filter; then ``on_subscription`` is called, once. ``rate`` is how fast the door reads from the client.
    ``closed`` is set when the store ends the session.
    """

    __slots__ = (
        "_apart", "_connections", "_credentials", "_following", "_login_required", "_on_left", "_store", "_timer",
        "admitted", "caller", "closed", "id", "on_subscription", "rate", "subscription",
    )  # fmt: skip

    def __init__(
        self,
        store: Store,
        connections: ConnectionCounts,
        credentials: Credentials,
        caller: Caller,
        *,
        admitted: bool,
        login_required: bool,
        rate: InboundRate,
        on_left: Callable[["Session"], None],
    ) -> None:
        """Made by `core.live.sessions.Sessions.open`, which has counted it."""
        self.id = new_id()
        self.caller = caller
        self.admitted = admitted
        self.subscription: Subscription | None = None
        self.rate = rate
        rate.on_flood = self.close
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[Close] = loop.create_future()
        self.on_subscription: Callable[[Subscription], None] | None = None
        self._store = store
        self._connections = connections
        # What a first message authenticate adds a token to.
        self._credentials = credentials._replace(token=None, api_key=None, username=None, password=None)
        self._login_required = login_required and not admitted
        self._on_left: Callable[[Session], None] | None = on_left
        #: Streams besides ``subscription``.
        self._apart: set[Subscription] = set()
        self._timer: asyncio.TimerHandle | None = None
        #: Held while ``subscription`` changes: an agent may follow a chat that is given to them during a command.
        self._following = asyncio.Lock()
        if self._login_required:
            close = Close(CloseReason.LOGIN_TIMEOUT, "No token came in time.")
            self._timer = loop.call_later(self._store.limits.login_seconds, self.close, close)
        else:
            self.watch_expiry()

    # --- life ---

    def close(self, close: Close) -> None:
        """End the session; the first reason counts. Whoever watches ``closed`` says goodbye to the client."""
        if not self.closed.done():
            self.closed.set_result(close)
            self.rate.lift()

    def leave(self) -> None:
        """Free everything, for the client has gone; a second time has no effect."""
        if self._timer is not None:
            self._timer.cancel()
        if self.subscription is not None:
            self.subscription.close()
        for stream in list(self._apart):
            self.end_apart(stream)
        if self._on_left is not None:
            self._connections.leave(self.caller)
            self._on_left(self)
            self._on_left = None

    def watch_expiry(self) -> None:
        """End the session when its login does; again when the clock was set."""
        if self._login_required:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.caller.expires_at is None:
            return
        left = (self.caller.expires_at - self._store.clock()).total_seconds()
        if left <= 0:
            self.close(Close(CloseReason.EXPIRED, "The token has expired."))
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(left, self.watch_expiry)

    # --- login ---

    @property
    def who(self) -> Who | None:
        """Who the client is, as it is told; None for a visitor."""
        if self.caller.is_visitor:
            return None
        return Who(id=self.caller.user_id or self.caller.device_id, username=self.caller.username)

    @property
    def user(self) -> dict[str, str | None] | None:
        """The same as JSON has it."""
        return None if self.who is None else self.who.shown()

    def greeting(self) -> dict[str, Any]:
        """What the client is told when it is let in, and when its caller has become another."""
        topics = None if self.subscription is None else sorted(self.filters)
        return Connected(session_id=self.id, user=self.who, topics=topics, cursor=self.cursor).shown()

    async def admit_visitor(self) -> None:
        """Go on as a visitor, which a client without credentials becomes by its first command.

        Raises:
            StoreError: it may not.
        """
        if self._login_required:
            raise Unauthorized("The first message must be authenticate, with a token.")
        admission = await self._store.admit(self._credentials)
        if admission.refusal is not None:
            raise admission.refusal
        self.admitted = True

    async def authenticate(self, token: str) -> None:
        """Take a token: a visitor becomes known, a known caller renews the login. Refused, nothing has changed.

        Raises:
            StoreError: the token is refused.
        """
        admission = await self._store.admit(self._credentials._replace(token=token))
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
        self._connections.move(held, caller)
        self.caller = caller
        self.admitted = True
        self._login_required = False
        self.watch_expiry()
        if self.subscription is not None:
            self.subscription.change_viewer(viewer_of(caller))

    def visit(self, tenant: TenantId) -> None:
        """Go on in another tenant: a visitor may who named none, until they follow something.

        Raises:
            Forbidden: they may not.
            RateLimited: too many connections of visitors from this address there.
        """
        if not self.caller.is_visitor or self.subscription is not None:
            raise Forbidden("This connection is of another tenant.")
        caller = self._store.authenticator.visitor(tenant, self._credentials.address)
        self._connections.move(self.caller, caller)
        self.caller = caller

    # --- topics ---

    @property
    def filters(self) -> frozenset[str]:
        """The topic filters of ``subscription``."""
        return self.subscription.filters if self.subscription is not None else frozenset()

    @property
    def cursor(self) -> str | None:
        """The place up to which ``subscription`` has been taken."""
        return self.subscription.cursor if self.subscription is not None else None

    async def follow(self, command: Subscribe) -> str:
        """Follow topics too, from a cursor or from now on; gives the cursor reached.

        Nothing may be awaited between this and the acknowledgement.

        Raises:
            StoreError: it is refused, and nothing has changed.
        """
        topics = frozenset(command.topics)
        with store_errors():
            await check_filters(self._store.storage, self._store.limits, self.caller, self.filters | topics)
        return await self.follow_permitted(topics, command.cursor)

    async def follow_permitted(self, topics: frozenset[str], cursor: str | None) -> str:
        """Do the same where the caller's permission has been checked."""
        async with self._following:
            return await self._follow(topics, cursor)

    async def _follow(self, topics: frozenset[str], cursor: str | None) -> str:
        with store_errors():
            if self.subscription is not None:
                async with asyncio.timeout(_SUBSCRIBE_TIMEOUT_SECONDS):
                    await self.subscription.subscribe(topics, cursor)
                return self.subscription.cursor
            subscription = await self._subscribe(topics, cursor)
        self.subscription = subscription
        if self.on_subscription is not None:
            self.on_subscription(subscription)
        return subscription.cursor

    async def follow_apart(self, command: Subscribe) -> Subscription:
        """Follow topics in a stream of its own, which ends with the session or by `end_apart`.

        What several streams match comes in each of them. Their filters together are bounded like those of one.

        Raises:
            StoreError: it is refused.
        """
        topics, bound = frozenset(command.topics), self._store.limits.filters_per_connection
        if sum(len(stream.filters) for stream in self._apart) + len(topics) > bound:
            raise BadRequest(f"At most {bound} topic filters per connection.")
        with store_errors():
            await check_filters(self._store.storage, self._store.limits, self.caller, topics)
            stream = await self._subscribe(topics, command.cursor)
        self._apart.add(stream)
        return stream

    def end_apart(self, stream: Subscription) -> None:
        """End a stream that `follow_apart` began."""
        self._apart.discard(stream)
        stream.close()

    async def follow_shared(self, topics: frozenset[str]) -> Subscription:
        """Follow topics, with this caller's permissions, in a stream that clients share and that they have to close.

        The caller's permission has been checked.

        Raises:
            StoreError: the events cannot be followed just now.
        """
        with store_errors():
            return await self._subscribe(topics, None)

    def unfollow(self, topics: Iterable[str]) -> None:
        """Follow these topic filters no more; those that are not held are passed over."""
        if self.subscription is not None:
            self.subscription.unsubscribe(topics)

    async def _subscribe(self, topics: frozenset[str], cursor: str | None) -> Subscription:
        viewer = viewer_of(self.caller)
        async with asyncio.timeout(_SUBSCRIBE_TIMEOUT_SECONDS):
            return await self._store.hub.subscribe(self.caller.tenant, viewer, topics, cursor)
