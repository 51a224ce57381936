"""The Server-Sent Events door as an ASGI application; one Stream per client."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import parse_qs

from sse_starlette import EventSourceResponse
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send

from core.kernel.errors import BadRequest, Close, StoreError
from core.kernel.limits import Limits
from core.kernel.validation import check_params
from core.live.client import Client
from core.live.commands import Subscribe
from core.live.delivery import FrameDelivery
from core.live.session import Session
from core.live.sessions import Sessions
from protocols.http.connection import connection_of
from protocols.http.cors import Cors
from protocols.http.credentials import read_credentials
from protocols.http.headers import Header, accepts, rate_limit_headers, read_headers, request_id_of
from protocols.http.problems import MEDIA_TYPE, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, problem, problem_of
from protocols.sse.errors import farewell
from protocols.sse.wire import RETRY_MILLISECONDS, EventBlocks, place_block

# The drain ends the streams, each with a farewell; the library would cut them off at the signal.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]

_BLOCKS = EventBlocks()
_ALLOW = b"GET, HEAD, OPTIONS"
#: How long a peer may take to read the farewell before its connection is dropped.
_FAREWELL_SECONDS = 2.0


class SseDoor:
    """``GET /v1/events?topics=a,b``; resumes from ``Last-Event-ID`` or ``?cursor=``.

    ``origins``: of which web pages may read it. For logs, ``scope["state"]`` holds ``request_id``, ``caller``
    (his key) and ``tenant``.
    """

    def __init__(self, sessions: Sessions, limits: Limits, *, origins: Sequence[str] = ()) -> None:
        self.sessions = sessions
        self.limits = limits
        self._cors = Cors(origins) if origins else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or the store ends it."""
        headers = read_headers(scope["headers"])
        method: str = scope["method"]
        request_id = request_id_of(headers)
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        common: list[Header] = [
            (b"x-request-id", request_id),
            (b"vary", b"Accept, Authorization, Origin, X-API-Key, X-Tenant-ID"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if self._cors is not None:
            common += self._cors.headers(method, headers)
        if method == "OPTIONS":
            await _answer(send, 204, [*common, (b"allow", _ALLOW)], b"")
        elif method not in ("GET", "HEAD"):
            body = problem(*METHOD_NOT_ALLOWED, "This path is for GET.", scope["path"])
            await _answer(send, 405, [*common, *_PROBLEM, (b"allow", _ALLOW)], body)
        elif not accepts(headers.get(b"accept", b"*/*"), b"text/event-stream"):
            body = problem(*NOT_ACCEPTABLE, "This is a text/event-stream.", scope["path"])
            await _answer(send, 406, [*common, *_PROBLEM], body)
        else:
            await self._serve(scope, headers, common, receive, send)

    async def _serve(
        self, scope: Scope, headers: dict[bytes, bytes], common: list[Header], receive: Receive, send: Send
    ) -> None:
        credentials = read_credentials(scope, headers, in_query=True)
        token_given = False
        session: Session | None = None
        try:
            try:
                admission = await self.sessions.store.admit(credentials)
                scope["state"].update(caller=admission.caller.key, tenant=admission.caller.tenant)
                if admission.allowance is not None:
                    common += rate_limit_headers(admission.allowance)
                if admission.refusal is not None:
                    token_given = credentials.token is not None or credentials.api_key is not None
                    raise admission.refusal
                command = read_request(scope["query_string"], headers)
                session = self.sessions.open(credentials, admission.caller)
                cursor = await session.follow(command)
            except StoreError as error:
                status, own, body = problem_of(error, scope["path"], token_given=token_given)
                await _answer(send, status, [*common, *own], b"" if scope["method"] == "HEAD" else body)
                return
            await Stream(session, scope, self.limits).serve(cursor, common, receive, send)
        finally:
            if session is not None:
                session.leave()


def read_request(query_string: bytes, headers: dict[bytes, bytes]) -> Subscribe:
    """What a client asks for: topic filters, apart by commas or repeated, and where to begin.

    A browser that comes back sends Last-Event-ID beside the address it began with, so the header goes first.

    A plus sign stands for itself here and not for a blank. And since what follows a ``#`` in an address never gets
    to a server, ``pets/`` is taken for the ``pets/#`` that its writer meant: no topic ends in a slash.

    Raises:
        BadRequest: no topic filters, or something that is none.
    """
    query = parse_qs(query_string.decode("latin-1").replace("+", "%2B"))
    parts = [part.strip() for text in query.get("topics", []) for part in text.split(",")]
    topics = [f"{part}#" if part.endswith("/") else part for part in parts if part]
    if not topics:
        raise BadRequest(
            "topics: name at least one topic filter, such as pets/%23 ('#' is %23 in an address)."
        )
    place = headers.get(b"last-event-id", b"").decode("latin-1") or next(iter(query.get("cursor", [])), None)
    return check_params(Subscribe, {"topics": topics, "cursor": place or None})


_PROBLEM: list[Header] = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]


async def _answer(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    if status != 204:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Stream:
    """One client's stream: a first block with its place, its events, its place again and again, the end."""

    __slots__ = ("_client", "_ended", "_limits", "_session", "_timer", "sink")

    def __init__(self, session: Session, scope: Scope, limits: Limits) -> None:
        self.sink = connection_of(scope)
        self._session = session
        self._limits = limits
        self._client: Client[Stream] | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self, cursor: str, common: list[Header], receive: Receive, send: Send) -> None:
        """Answer with the stream, and return when it has ended."""
        scope = {"type": "http", "method": "GET"}
        response = EventSourceResponse(self._blocks(cursor), ping=0)
        response.raw_headers.extend(common)
        try:
            await response(scope, receive, send)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._client is not None:
                self._client.release()

    async def _blocks(self, cursor: str) -> AsyncGenerator[bytes, None]:
        """The one block that goes through ASGI: all others are written to the connection."""
        yield place_block(cursor, retry=RETRY_MILLISECONDS)
        self._client = Client(self._session, self, FrameDelivery(self.sink, _BLOCKS, self._session.close))
        self._client.start_heartbeat(self._limits.heartbeat_seconds)
        await self._ended

    # --- what the client is shown ---

    def heartbeat(self, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`."""
        assert cursor is not None, "a stream follows from its beginning"
        return place_block(cursor)

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`."""
        assert cursor is not None, "a stream follows from its beginning"
        return farewell(close, cursor)

    def disconnect(self, _: Close) -> None:
        """See `core.live.client.Peer`: the response ends behind what was written, if the peer reads that."""
        if not self._ended.done():
            self._ended.set_result(None)
        self._timer = asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self.sink.abort)
