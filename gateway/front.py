"""The front of the HTTP port: leads each request to its door, and sees what becomes of it."""

import logging
import re
from collections import Counter
from collections.abc import Mapping
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.ids import new_id
from gateway.telemetry.access import AccessLog, Finished
from gateway.telemetry.metrics import Metrics
from protocols.http.problems import MEDIA_TYPE, problem

log = logging.getLogger(__name__)

_SANE = re.compile(rb"[\x21-\x7e]{1,128}")
#: The status that stands for a client who left before the answer began; it is never sent.
CLIENT_LEFT = 499
#: Doors whose requests last as long as the client likes.
_LIVE = frozenset({"sse", "websocket"})
#: How a WebSocket ended whose end nobody announced (RFC 6455, section 7.1.5).
_ABNORMAL = 1006


class Front:
    """Plain ASGI and no framework: it adds a few microseconds to a request.

    ``paths`` leads from exact paths to (door, application), ``sockets`` does so for WebSockets; any other request is
    REST's. ``open`` counts what each door is serving at the moment.
    """

    def __init__(
        self,
        rest: ASGIApp,
        paths: Mapping[str, tuple[str, ASGIApp]],
        sockets: Mapping[str, ASGIApp],
        *,
        metrics: Metrics,
        access: AccessLog,
    ) -> None:
        self._rest = ("rest", rest)
        self._paths = dict(paths)
        self._sockets = dict(sockets)
        self._metrics = metrics
        self._access = access
        self.open: Counter[str] = Counter(
            dict.fromkeys({"rest", "websocket", *(door for door, _ in paths.values())}, 0)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket, or the life of the application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await _live(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        path = scope["path"]
        door, serve = self._paths.get(path, self._rest)
        state = scope.setdefault("state", {})
        status = CLIENT_LEFT
        if door != "rest":  # REST sees to its own request ids.
            state["request_id"] = _request_id(scope)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if door != "rest":
                    given = (b"x-request-id", state["request_id"].encode())
                    message = {**message, "headers": [*message["headers"], given]}
            await send(message)

        self.open[door] += 1
        try:
            await serve(scope, receive, watched)
        except Exception:  # The boundary of all doors: whatever went wrong, the client is answered.
            log.exception("a request failed", extra={"request_id": state.get("request_id")})
            if status == CLIENT_LEFT:
                await _answer(
                    watched,
                    500,
                    "internal-server-error",
                    "Internal Server Error",
                    "Something went wrong.",
                    path,
                )
        finally:
            self.open[door] -= 1
            self._finished(door, scope, path if door != "rest" else state.get("route", ""), status, started)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        path = scope["path"]
        serve = self._sockets.get(path)
        if serve is None:
            await send({"type": "websocket.close", "code": 1000})
            return
        scope.setdefault("state", {})["request_id"] = _request_id(scope)
        status = _ABNORMAL

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.close":
                status = message.get("code", 1000)
            await send(message)

        async def heard() -> Message:
            nonlocal status
            message = await receive()
            if message["type"] == "websocket.disconnect" and status == _ABNORMAL:
                status = message.get("code", _ABNORMAL)
            return message

        self.open["websocket"] += 1
        try:
            await serve(scope, heard, watched)
        except Exception:
            status = 1011
            log.exception("a WebSocket failed")
            raise
        finally:
            self.open["websocket"] -= 1
            self._finished("websocket", scope, path, status, started)

    def _finished(self, door: str, scope: Scope, route: str, status: int, started: float) -> None:
        seconds = perf_counter() - started
        method = scope.get("method", "GET")
        self._metrics.count(door, method, route, status, None if door in _LIVE else seconds)
        self._access.write(Finished(door, method, route, status, seconds, scope["state"]))


class OnlyGet:
    """An application on a path where GET alone makes sense."""

    def __init__(self, serve: ASGIApp, *, head: bool = False) -> None:
        self._serve = serve
        self._methods = ("GET", "HEAD") if head else ("GET",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve GET, refuse the rest."""
        if scope["method"] in self._methods:
            await self._serve(scope, receive, send)
            return
        allow = ", ".join(self._methods)
        detail = f"This takes {allow} only."
        await _answer(
            send,
            405,
            "method-not-allowed",
            "Method Not Allowed",
            detail,
            scope["path"],
            (b"allow", allow.encode()),
        )


def _request_id(scope: Scope) -> str:
    """The client's own name for a request, if it is a sane one, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _SANE.fullmatch(given) else new_id()


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan: what the doors stand on is opened and closed by who built them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(
    send: Send, status: int, slug: str, title: str, detail: str, path: str, *headers: tuple[bytes, bytes]
) -> None:
    body = problem(slug, status, title, detail, path)
    head = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
