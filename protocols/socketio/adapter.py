"""The Socket.IO door as an ASGI application, for HTTP (long-polling) and for WebSockets.

Everything that the library would answer in its own way, log as an error or take for its own is refused here first.
Pages of allowed origins may poll; which may open a WebSocket is looked after before (`protocols.http.cors`).
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Scope, Send

from core.kernel.errors import BadRequest, PayloadTooLarge, RateLimited, StoreError, Unavailable
from core.kernel.limits import Limits
from core.live.sessions import Sessions
from protocols.http.cors import Cors
from protocols.http.credentials import address_of
from protocols.http.error_data import error_data
from protocols.http.exchange import Exchange
from protocols.http.no_door import refuse_socket
from protocols.http.response import Response
from protocols.socketio.mailbox import Mailbox
from protocols.socketio.server import Server
from protocols.socketio.wire import SEPARATOR, BadPacket, event_frame

_METHODS = ("GET", "POST", "OPTIONS")
#: Packets of Engine.IO, as a poll gets them whose session ends: by a fault of the client, or by its own wish.
_CLOSE, _NOOP = "1", "6"


@dataclass(frozen=True, slots=True)
class Statistics:
    """Engine.IO connections, the clients among them whom the store has let in, those who poll, polls under way, and
    what waits for them."""

    connections: int
    clients: int
    polling: int
    polls: int
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
        self._cors = Cors(origins)
        self._server = Server(sessions, limits)
        self._engine = self._server.eio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            exchange = Exchange(scope, receive, send, self._cors)
            await exchange.run(self._http, methods=_METHODS, store=self._store)

    def statistics(self) -> Statistics:
        """Who is here now."""
        sockets = list(self._engine.sockets.values())
        polling = sum(not socket.upgraded for socket in sockets)
        waiting = sum(socket.queue.size for socket in sockets)
        polls = sum(socket.queue.polling for socket in sockets)
        return Statistics(len(sockets), len(self._server.clients), polling, polls, waiting)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = _query_of(scope)
        try:
            self._check(scope, query, "websocket")
            if "sid" in query:
                socket = self._find(query["sid"])
                if socket.upgrading or not socket.connected:
                    raise BadRequest("This session is upgrading already.")
        except StoreError as error:
            await refuse_socket(scope, receive, send, error, self._cors)
            return
        await self._engine.handle_request(scope, receive, send)

    async def _http(self, exchange: Exchange) -> Response | None:
        query = _query_of(exchange.scope)
        self._check(exchange.scope, query, "polling")
        if exchange.method == "POST":
            await self._post(query, exchange)
            return Response(200, b"ok", b"text/plain; charset=UTF-8")
        await self._get(query, exchange)
        return None

    def _check(self, scope: Scope, query: dict[str, str], transport: str) -> None:
        """Pass what the library can work with.

        Raises:
            StoreError: it cannot, or should not.
        """
        if query.get("transport") != transport:
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

    async def _get(self, query: dict[str, str], exchange: Exchange) -> None:
        """A poll, or the beginning of a session. A client who leaves while it polls ends its session."""
        request = await exchange.receive()
        sid = query.get("sid")
        watcher: asyncio.Task[None] | None = None
        mailbox: Mailbox | None = None
        if sid is not None:
            mailbox = self._find(sid).queue
            if mailbox.polling:
                mailbox.last_packet = _CLOSE
                self._server.drop(sid)
                raise BadRequest("sid: another GET of this session is under way.")
            mailbox.polling = True
            watcher = asyncio.create_task(self._watch(sid, exchange))

        async def given() -> Message:
            return request

        try:
            await self._engine.handle_request(exchange.scope, given, EngineSend(exchange))
        finally:
            if watcher is not None:
                watcher.cancel()
            if mailbox is not None:
                mailbox.polling = False

    async def _watch(self, sid: str, exchange: Exchange) -> None:
        while (await exchange.receive())["type"] != "http.disconnect":
            pass
        if not exchange.started:
            self._server.drop(sid)

    async def _post(self, query: dict[str, str], exchange: Exchange) -> None:
        """Take a payload of the client. Garbage ends the session by an event, for a failed request tells no reason.

        Raises:
            StoreError: it was not taken; the session has ended.
        """
        sid = query["sid"]
        socket = self._find(sid)
        mailbox: Mailbox = socket.queue
        if mailbox.inbox.posting:
            self._server.drop(sid)
            raise BadRequest("sid: another POST of this session is under way.")
        mailbox.inbox.posting = True
        try:
            packets = _text_of(await exchange.body(self._limits.frame_bytes)).split(SEPARATOR)
            await mailbox.inbox.put(
                socket, [text for text in map(mailbox.admit, packets) if text is not None]
            )
            self._find(sid)  # Its session may have ended meanwhile.
            if "1" in packets:
                mailbox.last_packet = _NOOP
        except BadPacket as error:
            mailbox.write(event_frame("error", error_data(error)))
            self._server.finish(sid)
        except PayloadTooLarge:
            self._server.drop(sid)
            raise
        finally:
            mailbox.inbox.posting = False


def _query_of(scope: Scope) -> dict[str, str]:
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return {name: values[0] for name, values in query.items()}


def _text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadPacket("A payload is text in UTF-8.") from None


class EngineSend:
    """ASGI's ``send`` for the library, which gives a body in one piece: its response goes out as the door's."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        """Take the head, then the body."""
        if message["type"] == "http.response.start":
            self._start = message
        else:
            headers = tuple((name.lower(), value) for name, value in self._start["headers"])
            await self._exchange.respond(Response(self._start["status"], message["body"], headers=headers))
