"""The MCP door as an ASGI application: it finds out who calls and bounds what they send, and the SDK does the rest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from pydantic_core import from_json
from starlette.types import Message, Receive, Scope, Send

from core.kernel.errors import (
    BadRequest,
    Forbidden,
    PayloadTooLarge,
    RateLimited,
    UnsupportedMediaType,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.live.sessions import Sessions
from protocols.http.connection import RESOURCE_METADATA
from protocols.http.content import check_charset, media_type_of
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.headers import accepts
from protocols.http.json_text import MAX_PARTS, has_more_parts
from protocols.http.problems import KEY_HEADER, NOT_ACCEPTABLE, HttpError
from protocols.mcp.bindings import TOOLS
from protocols.mcp.errors import JSON, LOGIN_PATH, PATH, NoRequest, NotJson, tell, tell_tool
from protocols.mcp.server import build_server
from protocols.mcp.visits import Visit, keep_visit

#: A GET would open a stream on which nothing ever comes, and a DELETE would end a session: there are none.
_METHODS = ("POST", "OPTIONS")
_STREAM = b"text/event-stream"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TOOL_NAMES = frozenset(tool.name for tool in TOOLS)


class McpDoor:
    """``POST /mcp``, and ``/mcp/login``, which is the same and takes a login.

    ``origins``: whose web pages may call, beside those of this store and of this machine.
    """

    paths = (PATH, LOGIN_PATH)
    #: Those that some tool needs.
    scopes = frozenset(scope for tool in TOOLS for scope in tool.operation.scopes)

    def __init__(self, sessions: Sessions, *, origins: Sequence[str] = ()) -> None:
        store = self._store = sessions.store
        self._cors = Cors(origins)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins) | {
            _origin(store.public_url)
        }
        self._server = build_server(sessions)
        self._manager = StreamableHTTPSessionManager(
            self._server, stateless=True, max_request_body_size=store.limits.body_bytes
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """What requests need while they are served, once in the door's life.

        The SDK ends its tasks in the task that began them, so that it gets one of its own.
        """
        begun, ended = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            async with self._manager.run():
                begun.set()
                await ended.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            await begun.wait()
            try:
                yield self
            finally:
                ended.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send, self._cors)
        await exchange.run(self._serve, methods=_METHODS, tell=tell, store=self._store)

    async def _serve(self, exchange: Exchange) -> Any:
        if (metadata := exchange.state.get(RESOURCE_METADATA)) is not None:
            exchange.state[RESOURCE_METADATA] = metadata + exchange.path  # RFC 9728, section 3.1
        self._check_origin(exchange.headers)
        try:
            caller = await exchange.admit(self._store)
        except RateLimited as error:
            return await self._refuse(exchange, error)
        if exchange.path == LOGIN_PATH:
            caller.require_known()
        _check_media_types(exchange.headers)
        # The SDK takes a millisecond or more for any request, in some turns of the loop: they begin one in each.
        body = await exchange.body(self._store.limits.body_bytes, short_bytes=0)
        exchange.state["route"] = self._route(_read(body))
        assert exchange.credentials is not None
        key = exchange.headers.get(KEY_HEADER.lower().encode())
        visit = Visit(
            caller, exchange.credentials, exchange.request_id, None if key is None else key.decode("latin-1")
        )
        keep_visit(exchange.scope, visit)
        await self._manager.handle_request(exchange.scope, _replay(body, exchange), _with_headers(exchange))
        return None

    def _check_origin(self, headers: Mapping[bytes, bytes]) -> None:
        """Pass who is no web page, or one that may call: others could be led here by a name (DNS rebinding).

        Raises:
            Forbidden: it may not.
        """
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if not origin or "*" in self._origins or origin in self._origins:
            return
        with contextlib.suppress(ValueError):
            if urlsplit(origin).hostname in _LOOPBACK:
                return
        raise Forbidden("Pages of this origin may not call here: PETSTORE_CORS_ORIGINS names those that may.")

    async def _refuse(self, exchange: Exchange, error: RateLimited) -> Any:
        """Answer somebody who has called too often: a tool says so itself, for its assistant to see."""
        try:
            message = _read(await exchange.body(self._store.limits.frame_bytes))
        except (BadRequest, PayloadTooLarge, ValidationFailed):
            raise error from None
        message_id = message.get("id")
        if message["method"] != "tools/call" or message_id is None:
            raise error
        return tell_tool(exchange, error, message_id)

    def _route(self, message: Mapping[str, Any]) -> str:
        """What metrics and logs call the request."""
        method, params = message["method"], message.get("params")
        if self._server.get_request_handler(method) is None:
            return PATH
        name = params.get("name") if method == "tools/call" and isinstance(params, dict) else None
        return f"{PATH} {method} {name}" if name in _TOOL_NAMES else f"{PATH} {method}"


def _check_media_types(headers: Mapping[bytes, bytes]) -> None:
    """Pass who sends JSON, and reads JSON and streams (MCP, "Streamable HTTP").

    Raises:
        UnsupportedMediaType: they send something else.
        HttpError: they do not read both.
    """
    if media_type_of(headers) != JSON:
        raise UnsupportedMediaType(f"The body must be {JSON.decode()}.")
    check_charset(headers)
    accept = headers.get(b"accept", b"")
    if not (accepts(accept, JSON) and accepts(accept, _STREAM)):
        raise HttpError(NOT_ACCEPTABLE, f"Answers are {JSON.decode()} or {_STREAM.decode()}: accept both.")


def _read(body: bytes) -> Mapping[str, Any]:
    """The message: a request or a notification (JSON-RPC 2.0, section 4; MCP, "Messages").

    Raises:
        NotJson: it is not JSON.
        NoRequest: it is neither.
        ValidationFailed: it has very many members and items.
    """
    if has_more_parts(body, MAX_PARTS):
        text = f"has more than {MAX_PARTS} members and items"
        raise ValidationFailed((Violation("", text, ViolationCode.INVALID_LENGTH),))
    try:
        message = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise NotJson(f"The body is not JSON: {error}.") from None
    if not isinstance(message, dict):
        raise NoRequest("The body must be one request or notification of JSON-RPC: an object.")
    message_id = message.get("id", "")
    if isinstance(message_id, bool) or not isinstance(message_id, str | int):
        raise NoRequest("id must be a string or an integer; a notification has none.")
    if message.get("jsonrpc") != "2.0":
        raise NoRequest('jsonrpc must be "2.0".')
    if not isinstance(message.get("method"), str):
        raise NoRequest("method must be a string.")
    if not isinstance(message.get("params", {}), dict):
        raise NoRequest("params must be an object.")
    return message


def _replay(body: bytes, exchange: Exchange) -> Receive:
    """What the SDK reads: the body that was read already, and then whatever the client does."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else await exchange.receive()

    return receive


def _with_headers(exchange: Exchange) -> Send:
    """Where the SDK writes: its response with what every response of the gateway has."""

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            if not any(name == b"cache-control" for name, _ in headers):
                exchange.common.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*exchange.common, *headers]}
        await exchange.send(message)

    return send


def _origin(url: str) -> str:
    """The origin of an address (RFC 6454, section 6.2)."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}".lower()
