"""The Socket.IO door as an ASGI application, for HTTP (long-polling) and for WebSockets.

Everything that the library would answer in its own way, log as an error or take for its own is refused here first.
Pages of any origin may open a WebSocket, and those of allowed origins may poll: cookies play no part.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from engineio.packet import Packet
from starlette.types import Message, Receive, Scope, Send

from core.kernel.errors import BadRequest, PayloadTooLarge, RateLimited, StoreError, Unavailable
from core.kernel.limits import Limits
from core.live.sessions import Sessions
from protocols.http.cors import Cors
from protocols.http.credentials import address_of
from protocols.http.error_data import error_data
from protocols.http.headers import Header, read_headers, request_id_of
from protocols.http.problems import MEDIA_TYPE, METHOD_NOT_ALLOWED, problem, problem_of
from protocols.socketio.mailbox import Mailbox
from protocols.socketio.server import Server
from protocols.socketio.wire import SEPARATOR, BadPacket, event_frame

_PLAIN: list[Header] = [(b"content-type", b"text/plain; charset=UTF-8"), (b"cache-control", b"no-store")]
_ALLOW = b"GET, POST, OPTIONS"


@dataclass(frozen=True, slots=True)
class Statistics:
    """Engine.IO connections, the clients among them whom the store has let in, those who poll, and what waits there."""

    connections: int
    clients: int
    polling: int
    waiting_bytes: int


class SocketIoDoor:
    """``polling``: whether clients may poll; not where their requests come to several processes in turn."""

    #: With and without the slash that clients put at the end.
    paths = ("/socket.io/", "/socket.io")

    def __init__(
        self, sessions: Sessions, limits: Limits, *, origins: tuple[str, ...] = (), polling: bool = True
    ) -> None:
        self._store = sessions.store
        self._limits = limits
        self._polling = polling
        self._cors = Cors(origins) if origins else None
        self._server = Server(sessions, limits)
        self._engine = self._server.eio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        query = {
            name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()
        }
        if scope["type"] == "websocket":
            await self._websocket(scope, query, receive, send)
        else:
            await self._http(scope, query, receive, send)

    def statistics(self) -> Statistics:
        """Who is here now."""
        sockets = list(self._engine.sockets.values())
        polling = sum(not socket.upgraded for socket in sockets)
        waiting = sum(socket.queue.size for socket in sockets)
        return Statistics(len(sockets), len(self._server.clients), polling, waiting)

    async def _websocket(self, scope: Scope, query: dict[str, str], receive: Receive, send: Send) -> None:
        try:
            self._check(scope, query, "websocket")
            if "sid" in query:
                socket = self._find(query["sid"])
                if socket.upgrading or not socket.connected:
                    raise BadRequest("This session is upgrading already.")
        except StoreError as error:
            # Before it is accepted, so that whoever looks at the handshake's answer sees why.
            status, headers, body = problem_of(error, scope["path"])
            await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": body})
            return
        await self._engine.handle_request(scope, receive, send)

    async def _http(self, scope: Scope, query: dict[str, str], receive: Receive, send: Send) -> None:
        headers = read_headers(scope["headers"])
        method = scope["method"]
        request_id = request_id_of(headers)
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        common: list[Header] = [
            (b"x-request-id", request_id),
            (b"vary", b"Origin"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if self._cors is not None:
            common += self._cors.headers(method, headers)
        answer = Answer(send, common)
        if method == "OPTIONS":
            await answer.give(204, [(b"allow", _ALLOW)], b"")
        elif method not in ("GET", "POST"):
            body = problem(*METHOD_NOT_ALLOWED, "This path is for GET and POST.", scope["path"])
            await answer.give(405, [(b"content-type", MEDIA_TYPE.encode()), (b"allow", _ALLOW)], body)
        else:
            try:
                self._check(scope, query, "polling")
                if method == "POST":
                    await self._post(query, headers, receive)
                    await answer.give(200, _PLAIN, b"ok")
                else:
                    await self._get(scope, query, receive, answer)
            except StoreError as error:
                status, own, body = problem_of(error, scope["path"])
                await answer.give(status, own, body)

    def _check(self, scope: Scope, query: dict[str, str], transport: str) -> None:
        """Pass what the library can work with.

        Raises:
            StoreError: it cannot, or should not.
        """
        if query.get("transport", "polling") != transport:
            raise BadRequest(f"transport: on this connection it is {transport}.")
        if transport == "polling" and not self._polling:
            raise BadRequest(
                "Long-polling needs sticky sessions, which several workers on one port do not have: connect with"
                ' transports: ["websocket"].'
            )
        if "j" in query:
            raise BadRequest("j: JSONP is not offered.")
        if query.get("EIO") != "4":
            raise BadRequest("EIO: this server speaks Engine.IO protocol 4 (Socket.IO 3 and newer).")
        if "sid" not in query:
            if scope.get("method") == "POST":
                raise BadRequest("sid: a session begins with GET.")
            if self._store.draining:
                raise Unavailable("This node is shutting down.")
            if self._server.waiting[address_of(scope)] >= self._limits.connections_per_caller:
                raise RateLimited(1, "Too many connections at once.")

    def _find(self, sid: str) -> Any:
        socket = self._engine.find(sid)
        if socket is None or socket.upgraded:
            raise BadRequest("sid: there is no such session here, or it does not poll any more.")
        return socket

    # --- polling ---

    async def _get(self, scope: Scope, query: dict[str, str], receive: Receive, answer: "Answer") -> None:
        """A poll, or the beginning of a session. A client who leaves while he polls ends his session."""
        request = await receive()
        sid = query.get("sid")
        watcher: asyncio.Task[None] | None = None
        if sid is not None:
            self._find(sid)
            watcher = asyncio.create_task(self._watch(sid, receive, answer))

        async def given() -> Message:
            return request

        try:
            await self._engine.handle_request(scope, given, answer)
        finally:
            if watcher is not None:
                watcher.cancel()

    async def _watch(self, sid: str, receive: Receive, answer: "Answer") -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if not answer.given:
            self._server.drop(sid)

    async def _post(self, query: dict[str, str], headers: dict[bytes, bytes], receive: Receive) -> None:
        """Take a payload of the client. Garbage ends the session by an event, for a failed request tells no reason.

        Raises:
            StoreError: it was not taken; the session has ended.
        """
        sid = query["sid"]
        mailbox: Mailbox = self._find(sid).queue
        try:
            body = await self._body(headers, receive)
            async with mailbox.posting, asyncio.timeout(self._limits.stall_seconds):
                await mailbox.drain()
                for text in _text_of(body).split(SEPARATOR):
                    mailbox.admit(text)
                    await self._find(sid).receive(Packet(encoded_packet=text))
        except BadPacket as error:
            mailbox.write(event_frame("error", error_data(error)))
            self._server.finish(sid)
        except (PayloadTooLarge, TimeoutError, ConnectionResetError) as error:
            self._server.drop(sid)
            raise error if isinstance(error, StoreError) else BadRequest("The session has ended.") from None

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._limits.frame_bytes
        fault = PayloadTooLarge(f"Payloads have at most {limit} bytes.")
        if int(headers.get(b"content-length", b"0")) > limit:
            raise fault
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ConnectionResetError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise fault
            more = message.get("more_body", False)
        return b"".join(parts)


def _text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadPacket("A payload is text in UTF-8.") from None


class Answer:
    """The way of an answer to its client: adds the common headers, and notes that it was given."""

    def __init__(self, send: Send, common: list[Header]) -> None:
        self._send = send
        self._common = common
        self._start: Message | None = None
        self.given = False

    async def __call__(self, message: Message) -> None:
        """ASGI's send, for the library, which gives a body in one piece."""
        if message["type"] == "http.response.start":
            self._start = message
        else:
            assert self._start is not None
            own = [(name.lower(), value) for name, value in self._start["headers"]]
            own.append((b"cache-control", b"no-store"))
            await self.give(self._start["status"], own, message["body"])

    async def give(self, status: int, headers: list[Header], body: bytes) -> None:
        """Answer."""
        self.given = True
        if status != 204:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*self._common, *headers]}
        )
        await self._send({"type": "http.response.body", "body": body})
