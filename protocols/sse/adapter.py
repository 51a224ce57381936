"""The Server-Sent Events door as an ASGI application; one Stream per client."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import parse_qs

from sse_starlette import EventSourceResponse
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send

from core.kernel.errors import BadRequest, Close
from core.kernel.limits import Limits
from core.kernel.validation import check_params
from core.live.client import Client
from core.live.commands import Subscribe
from core.live.delivery import FrameDelivery
from core.live.session import Session
from core.live.sessions import Sessions
from protocols.http.connection import connection_of
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.headers import Header, accepts
from protocols.http.problems import NOT_ACCEPTABLE, HttpError
from protocols.sse.errors import farewell
from protocols.sse.wire import RETRY_MILLISECONDS, EventBlocks, cursor_block

# The drain ends the streams, each with a farewell; the library would cut them off at the signal.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]

_BLOCKS = EventBlocks()
_METHODS = ("GET", "HEAD", "OPTIONS")
_PARAMETERS = frozenset({"topics", "cursor", "token", "tenant"})
#: In place of the library's: development proxies that compress hold a stream back unless it must not be changed, and
#: whether the connection is kept is for the server to say.
_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
#: How long a peer may take to read the farewell before its connection is dropped.
_FAREWELL_SECONDS = 2.0


class SseDoor:
    """``GET /v1/events?topics=a,b``; resumes from ``Last-Event-ID`` or ``?cursor=``.

    ``origins``: whose web pages may read it.
    """

    def __init__(self, sessions: Sessions, limits: Limits, *, origins: Sequence[str] = ()) -> None:
        self.sessions = sessions
        self.limits = limits
        self._cors = Cors(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or the store ends it."""
        exchange = Exchange(scope, receive, send, self._cors)
        await exchange.run(self._serve, methods=_METHODS, store=self.sessions.store)

    async def _serve(self, exchange: Exchange) -> None:
        if not accepts(exchange.headers.get(b"accept", b"*/*"), b"text/event-stream"):
            raise HttpError(NOT_ACCEPTABLE, "This is a text/event-stream.")
        caller = await exchange.admit(self.sessions.store, in_query=True)
        assert exchange.credentials is not None
        command = read_request(exchange.scope["query_string"], exchange.headers)
        session = self.sessions.open(exchange.credentials, caller)
        try:
            cursor = await session.follow(command)
            if exchange.method == "HEAD":
                headers = [*exchange.common, *_HEADERS]
                await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
                await exchange.send({"type": "http.response.body", "body": b""})
                return
            await Stream(session, exchange, self.limits).serve(cursor)
        finally:
            session.leave()


def read_request(query_string: bytes, headers: dict[bytes, bytes]) -> Subscribe:
    """What a client asks for: topic filters, apart by commas or repeated, and where to begin.

    A browser that comes back sends Last-Event-ID beside the address it began with, so the header goes first.

    A plus sign stands for itself here and not for a blank. And since what follows a ``#`` in an address never gets
    to a server, ``pets/`` is taken for the ``pets/#`` that its writer meant: no topic ends in a slash.

    Raises:
        BadRequest: no topic filters, something that is none, or a parameter that is unknown.
    """
    query = parse_qs(query_string.decode("latin-1").replace("+", "%2B"), keep_blank_values=True)
    for name in query:
        if name not in _PARAMETERS:
            raise BadRequest(f"unknown parameter '{name[:64]}'")
    parts = [part.strip() for text in query.get("topics", []) for part in text.split(",")]
    topics = [f"{part}#" if part.endswith("/") else part for part in parts if part]
    if not topics:
        raise BadRequest(
            "topics: name at least one topic filter, such as pets/%23 ('#' is %23 in an address)."
        )
    place = headers.get(b"last-event-id", b"").decode("latin-1") or next(iter(query.get("cursor", [])), None)
    return check_params(Subscribe, {"topics": topics, "cursor": place or None})


class Stream:
    """One client's stream: its cursor, its events, its cursor again and again, the end."""

    __slots__ = ("_client", "_ended", "_exchange", "_limits", "_session", "_timer", "sink")

    def __init__(self, session: Session, exchange: Exchange, limits: Limits) -> None:
        self.sink = connection_of(exchange.scope)
        self._exchange = exchange
        self._session = session
        self._limits = limits
        self._client: Client[Stream] | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self, cursor: str) -> None:
        """Answer with the stream, and return when it has ended."""
        scope = {"type": "http", "method": "GET"}
        response = EventSourceResponse(self._blocks(cursor), ping=0)
        response.raw_headers = [*self._exchange.common, *_HEADERS]
        try:
            await response(scope, self._exchange.receive, self._exchange.send)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._client is not None:
                self._client.release()

    async def _blocks(self, cursor: str) -> AsyncGenerator[bytes, None]:
        """The one block that goes through ASGI: all others are written to the connection."""
        yield cursor_block(cursor, retry=RETRY_MILLISECONDS)
        self._client = Client(self._session, self, FrameDelivery(self.sink, _BLOCKS, self._session.close))
        self._client.start_heartbeat(self._limits.heartbeat_seconds)
        await self._ended

    # --- what the client is shown ---

    def heartbeat(self, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`."""
        assert cursor is not None, "a stream follows from its beginning"
        return cursor_block(cursor)

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`."""
        assert cursor is not None, "a stream follows from its beginning"
        return farewell(close, cursor)

    def disconnect(self, _: Close) -> None:
        """See `core.live.client.Peer`: the response ends behind what was written, if the peer reads that."""
        if not self._ended.done():
            self._ended.set_result(None)
        self._timer = asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self.sink.abort)
