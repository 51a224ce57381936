"""The Server-Sent Events door as an ASGI application; one Stream per client."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import cast
from urllib.parse import parse_qs

from sse_starlette import EventSourceResponse
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send

from core.errors import BadRequest, Close, Closed, CloseReason, CursorExpired, StoreError
from core.limits import Limits
from core.outlet import Outlet, Sink
from core.session import Session, Sessions, Subscribe
from core.validation import check_params
from protocols.http.credentials import read_credentials
from protocols.http.problems import problem_of
from protocols.sse.wire import BLOCKS, RETRY, closed_block, expired_block, place_block

# The drain ends the streams, each with a farewell; the library would cut them off at the signal.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class SseDoor:
    """``GET /v1/events?topics=a,b``; resumes from ``Last-Event-ID`` or ``?cursor=``."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self.sessions = sessions
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or the store ends it."""
        headers = dict(scope["headers"])
        credentials = read_credentials(scope, headers, in_query=True)
        session: Session | None = None
        try:
            session = await self.sessions.open(credentials)
            # For logs.
            scope.setdefault("state", {}).update(caller=session.caller.key, tenant=session.caller.tenant)
            command = read_request(scope, headers)
            await session.subscribe(command)
        except StoreError as error:
            if session is not None:
                session.leave()
            await _answer_problem(error, scope, send, token_given=credentials.token is not None)
            return
        except BaseException:
            if session is not None:
                session.leave()
            raise
        stream = Stream(session, scope, self.limits)
        try:
            await EventSourceResponse(stream.blocks(), ping=0, headers={"Cache-Control": "no-store"})(
                scope, receive, send
            )
        finally:
            stream.close()


def read_request(scope: Scope, headers: dict[bytes, bytes]) -> Subscribe:
    """What a client asks for: topic filters, apart by commas or repeated, and where to begin.

    A browser that comes back sends Last-Event-ID beside the address it began with, so the header goes first.

    Raises:
        BadRequest: no topic filters, or something that is none.
    """
    # A plus sign in an address would be a blank, but no topic has one and `orders/+/status` is what people type.
    query = parse_qs(scope["query_string"].decode("latin-1").replace("+", "%2B"), encoding="utf-8")
    topics = [part.strip() for text in query.get("topics", []) for part in text.split(",") if part.strip()]
    if not topics:
        raise BadRequest("topics: name at least one topic filter, such as pets/#.")
    place = headers.get(b"last-event-id", b"").decode("latin-1") or next(iter(query.get("cursor", [])), None)
    return check_params(Subscribe, {"topics": topics, "cursor": place or None})


async def _answer_problem(error: StoreError, scope: Scope, send: Send, *, token_given: bool) -> None:
    status, headers, body = problem_of(error, scope["path"], token_given=token_given)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Stream:
    """One client's stream: a first block with his place, his events, and a word at the end."""

    def __init__(self, session: Session, scope: Scope, limits: Limits) -> None:
        assert session.subscription is not None
        self._session = session
        self._subscription = session.subscription
        self._limits = limits
        self._transport = cast(Sink | None, scope.get("extensions", {}).get("petstore.transport"))
        self._outlet: Outlet | None = None

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The parts of the response body that go through ASGI."""
        yield place_block(self._subscription.cursor, retry=RETRY)
        if self._transport is not None:
            await self._let_out(self._transport)
        else:
            async with contextlib.aclosing(self._by_itself()) as parts:
                async for part in parts:
                    yield part
        yield self._farewell(self._session.closed.result())

    async def _let_out(self, transport: Sink) -> None:
        """Events are written in the hub's wake-up; here is only the clock."""
        outlet = self._outlet = Outlet(self._session, transport, BLOCKS)
        outlet.pump()
        while not await self._closed_within(self._limits.heartbeat_seconds):
            # Past ASGI too: a place that waited its turn behind newer events would set the reader back.
            if transport.writable:
                transport.write(place_block(self._subscription.cursor))
        outlet.close()

    async def _by_itself(self) -> AsyncGenerator[bytes, None]:
        """On a server without our transport the stream's own coroutine fetches the events."""
        following = asyncio.ensure_future(self._subscription.next())
        try:
            while not self._session.closed.done():
                waiting = (following, self._session.closed)
                await asyncio.wait(
                    waiting, timeout=self._limits.heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if not following.done():
                    yield place_block(self._subscription.cursor)
                elif isinstance(error := following.exception(), CursorExpired):
                    self._session.close(Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor))
                elif isinstance(error, Closed):
                    self._session.close(error.close)
                else:
                    yield following.result().encoded(BLOCKS)
                    following = asyncio.ensure_future(self._subscription.next())
        finally:
            following.cancel()

    async def _closed_within(self, seconds: float) -> bool:
        await asyncio.wait((self._session.closed,), timeout=seconds)
        return self._session.closed.done()

    def _farewell(self, close: Close) -> bytes:
        if close.oldest_cursor is not None:
            return expired_block(close.oldest_cursor)
        return place_block(self._subscription.cursor) + closed_block(close)

    def close(self) -> None:
        """Free everything."""
        if self._outlet is not None:
            self._outlet.close()
        self._session.leave()
