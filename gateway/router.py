"""The router of the HTTP port: leads each request to its door, and sees what becomes of it."""

import logging
from collections import Counter
from collections.abc import Awaitable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from core.kernel.errors import Forbidden, Internal, NotFound
from core.kernel.turns import Slices
from gateway.observability.access_log import AccessLog
from gateway.observability.metrics import Metrics
from protocols.http.connection import REFUSAL, RESOURCE_METADATA, http_connection_of
from protocols.http.cors import NO_PAGES, Cors
from protocols.http.exchange import Exchange, problem_for
from protocols.http.headers import read_headers, request_id_of
from protocols.http.no_door import refuse, refuse_socket, tell_methods

log = logging.getLogger(__name__)

#: The status that stands for a client who left before the answer began; it is never sent.
CLIENT_LEFT = 499
#: How a WebSocket ended whose end nobody announced (RFC 6455, section 7.1.5).
_ABNORMAL_CLOSURE = 1006
_LEAST_PRIVATE_CODE = 3000
#: To read a longer query takes half a millisecond or more: many at once would hold the loop.
_SHORT_QUERY_BYTES = 4096


class Mount(NamedTuple):
    """Where a door hangs.

    ``lasting``: its requests last as long as the client likes, so that nobody times them. ``refuse`` answers the
    requests to it that the server has refused.
    """

    door: str
    serve: ASGIApp
    lasting: bool = False
    refuse: ASGIApp = refuse


class Router:
    """Plain ASGI and no framework: it adds a few microseconds to a request.

    ``paths`` maps exact paths to doors, ``sockets`` does so for WebSockets, and ``trees`` the beginnings of paths; any
    other request is for ``rest``. Where many paths lead to one door, ``scope["state"]`` tells the route.
    ``pages``: which web pages may open WebSockets.
    ``resource_metadata`` is the address that tells who issues tokens.
    ``slices``: requests with a long query begin in these. ``open`` counts what each door is serving at the moment.
    """

    def __init__(
        self,
        rest: Mount,
        paths: Mapping[str, Mount],
        sockets: Mapping[str, Mount],
        *,
        trees: Mapping[str, Mount] = MappingProxyType({}),
        metrics: Metrics,
        access: AccessLog,
        slices: Slices,
        pages: Cors = NO_PAGES,
        resource_metadata: str | None = None,
    ) -> None:
        self._rest = rest
        self._pages = pages
        self._resource_metadata = resource_metadata
        self.paths = dict(paths)
        self._trees = tuple(trees.items())
        self._sockets = dict(sockets)
        self._metrics = metrics
        self._access = access
        self._slices = slices
        doors = {mount.door for mount in (rest, *paths.values(), *trees.values(), *sockets.values())}
        self.open: Counter[str] = Counter(dict.fromkeys(doors, 0))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, one WebSocket, or the life of the application."""
        if scope["type"] == "http":
            return self._http(scope, receive, send)
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        return _live(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        path = scope["path"]
        mount = self.paths.get(path)
        exact = mount is not None
        if mount is None:
            mount = self._rest
            for beginning, tree in self._trees:
                if path.startswith(beginning):
                    mount = tree
        door, serve, lasting, refuse_request = mount
        state = scope.setdefault("state", {})
        state[RESOURCE_METADATA] = self._resource_metadata
        if REFUSAL in state:
            serve = refuse_request
        elif path == "*":
            serve = tell_methods
        connection = http_connection_of(scope)
        self.open[door] += 1
        try:
            if len(scope["query_string"]) > _SHORT_QUERY_BYTES:
                await self._slices.begun()
            await serve(scope, receive, send)
        except Exception:  # The boundary of all doors: whatever went wrong, the client is answered.
            log.exception("a request failed", extra={"request_id": state.get("request_id")})
            if connection.status is None:
                exchange = Exchange(scope, receive, send, NO_PAGES)
                await exchange.respond(problem_for(exchange, Internal()))
        finally:
            self.open[door] -= 1
            route = state.get("route", path if exact else "")
            lasting = lasting or "follows" in state
            self._finished(door, scope, route, connection.status or CLIENT_LEFT, started, lasting=lasting)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        path = scope["path"]
        known = path in self._sockets
        door, serve, *_ = self._sockets[path] if known else self._rest._replace(serve=_refuse_unknown)
        headers = read_headers(scope["headers"])
        if not self._pages.admits(headers):
            serve = _refuse_page
        request_id = request_id_of(headers)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id.decode()
        state[RESOURCE_METADATA] = self._resource_metadata
        status = _ABNORMAL_CLOSURE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.close":
                status = message.get("code", 1000)
            elif message["type"] == "websocket.http.response.start":
                status = message["status"]
            await send(message)

        async def heard() -> Message:
            nonlocal status
            message = await receive()
            if message["type"] == "websocket.disconnect" and status == _ABNORMAL_CLOSURE:
                # A client may send any of thousands of private codes: they count as one.
                status = min(message.get("code", _ABNORMAL_CLOSURE), _LEAST_PRIVATE_CODE)
            return message

        self.open[door] += 1
        try:
            if len(scope["query_string"]) > _SHORT_QUERY_BYTES:
                await self._slices.begun()
            await serve(scope, heard, watched)
        except ClientDisconnected:  # Before they were accepted.
            raise
        except Exception:
            status = 1011
            log.exception("a WebSocket failed")
            raise
        finally:
            self.open[door] -= 1
            self._finished(door, scope, path if known else "", status, started, lasting=True)

    def _finished(
        self, door: str, scope: Scope, route: str, status: int, started: float, *, lasting: bool
    ) -> None:
        seconds = perf_counter() - started
        method = scope.get("method", "GET")
        self._metrics.count(door, method, route, status, None if lasting else seconds)
        self._access.write(door, method, route, status, seconds, scope["state"])


async def _refuse_unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse_socket(scope, receive, send, NotFound("There is no WebSocket at this path."))


async def _refuse_page(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse_socket(scope, receive, send, Forbidden("Pages of this origin may not open WebSockets here."))


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan: what the doors stand on is opened and closed by who built them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
