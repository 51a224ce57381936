"""GraphQL over WebSocket: the protocol graphql-transport-ws as an ASGI application; one Connection per client.

Which pages may connect is looked after before (`protocols.http.cors`). Cookies play no part, so a foreign page has no
permissions but those of a token that its user gave to it.
"""

from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from core.kernel.caller import Credentials
from core.kernel.errors import BadRequest, Close, StoreError
from core.live.client import Client
from core.live.inbound_rate import InboundRate
from core.live.session import Session
from protocols.graphql.door import Door
from protocols.graphql.errors import (
    BAD_MESSAGE,
    CLOSE_CODES,
    NO_SUBPROTOCOL,
    NOT_ACKNOWLEDGED,
    SECOND_INIT,
    Breach,
    reason_of,
    refusal_of,
)
from protocols.graphql.operations import Operations
from protocols.graphql.wire import (
    BadMessage,
    SocketMessage,
    places_message,
    read_message,
    request_of,
    server_message,
)
from protocols.http.closing import TOO_BIG
from protocols.http.credentials import bearer_of, read_credentials
from protocols.http.headers import read_headers
from protocols.http.sockets import Socket, exceeds

SUBPROTOCOL = "graphql-transport-ws"


class GraphqlSocket:
    """``/v1/graphql`` as a WebSocket."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or the store ends it."""
        await Connection(self._door, scope, receive, send).run()


class Connection:
    """One client: finds out who it is, reads its messages, and begins and ends its operations.

    Its events go out by its operations, each with a place of its own; the rest of its life is a `Client`: one until it
    has said who it is, another from then on.
    """

    __slots__ = (
        "_acknowledged", "_client", "_credentials", "_door", "_initialised", "_offered", "_operations", "_rate",
        "_socket", "_state", "sink",
    )  # fmt: skip

    def __init__(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        self._door = door
        self._state = scope.setdefault("state", {})
        self._credentials = read_credentials(scope, read_headers(scope["headers"]))
        self._offered = SUBPROTOCOL in scope.get("subprotocols", ())
        self._socket = Socket(scope, receive, send)
        self.sink = self._socket.connection
        self._rate = InboundRate(door.limits)
        self._operations = Operations(door, self.sink, self._state)
        self._client: Client[Connection] | None = None
        self._initialised = False
        self._acknowledged = False

    async def run(self) -> None:
        """Serve the client."""
        if not await self._socket.connected():
            return
        async with self._socket.accepted(SUBPROTOCOL if self._offered else None):
            self.sink.on_writable = self._operations.pump
            try:
                if not self._offered:
                    raise Breach(NO_SUBPROTOCOL, "Subprotocol not acceptable")
                await self._wait_for_init()
                await self._read()
            except Breach as breach:
                await self._socket.close(breach.code, str(breach))
            except BadRequest as error:  # A tenant that cannot be one.
                await self._socket.close(BAD_MESSAGE, error.detail)
            except StoreError as error:
                await self._socket.close(*refusal_of(error))
            finally:
                await self._release()

    async def _wait_for_init(self) -> None:
        """Let somebody in whom nobody knows yet, and who has to say soon who it is."""
        admission = await self._door.store.admit(self._credentials._replace(token=None, api_key=None), cost=0)
        if admission.refusal is not None:
            raise admission.refusal
        self._hold(
            self._door.sessions.open(
                self._credentials, admission.caller, admitted=False, login_required=True, rate=self._rate
            )
        )

    def _hold(self, session: Session) -> "Client[Connection]":
        """Go on in a session, in place of the one before."""
        if self._client is not None:
            self._client.release()
        self._client = client = Client(session, self, None)
        self._state.update(caller=session.caller.key, tenant=session.caller.tenant)
        return client

    # --- reading ---

    async def _read(self) -> None:
        limit = self._door.limits.frame_bytes
        while (frame := await self._socket.receive(self._rate))["type"] != "websocket.disconnect":
            self._rate.count()
            assert self._client is not None
            session = self._client.session
            text = frame.get("text")
            if session.closed.done():
                continue
            if text is None:
                raise Breach(BAD_MESSAGE, "Messages are text.")
            if exceeds(text, limit):
                raise Breach(TOO_BIG, f"Messages have at most {limit} bytes.")
            try:
                await self._take(session, read_message(text))
            except BadMessage as error:
                raise Breach(BAD_MESSAGE, str(error)) from None

    async def _take(self, session: Session, message: SocketMessage) -> None:
        match message.kind:
            case "connection_init":
                await self._init(session, message.payload or {})
            case "ping":
                self.sink.write(server_message("pong", None, message.payload))
            case "subscribe":
                self._begin(session, message)
            case "complete":
                self._operations.stop(message.id)
            case _:
                pass  # a pong

    async def _init(self, held: Session, payload: Mapping[str, Any]) -> None:
        """Find out who the client is; what else stands in the payload is its own business."""
        if self._initialised:
            raise Breach(SECOND_INIT, "Too many initialisation requests")
        self._initialised = True
        given = _credentials_of(self._credentials, payload)
        self._operations.begins = _text_of(payload, "cursor")
        admission = await self._door.store.admit(given)
        if admission.refusal is not None:
            raise admission.refusal
        if held.closed.done():
            return
        session = self._door.sessions.open(given, admission.caller, rate=self._rate)
        client = self._hold(session)
        self._credentials = given
        self._acknowledged = True
        self.sink.write(server_message("connection_ack", None, {"user": session.user}))
        client.start_heartbeat(self._door.limits.ping_seconds)

    def _begin(self, session: Session, message: SocketMessage) -> None:
        if not self._acknowledged:
            raise Breach(NOT_ACKNOWLEDGED, "Unauthorized")
        if message.refused is not None:
            self._operations.refuse(message.id, message.refused)
            return
        try:
            request = request_of(message.payload)
        except BadRequest as error:
            raise BadMessage(f"payload: {error.detail}") from None
        self._operations.begin(message.id, request, session, self._credentials)

    # --- what the client is shown ---

    def heartbeat(self, _: str | None) -> bytes:
        """See `Peer`: asks for a sign of life, and tells the place of each subscription."""
        return self._places("ping")

    def farewell(self, _: Close, __: str | None) -> bytes:
        """See `Peer`: the last places. No subscription is told to end, so clients begin them again when they return."""
        self._operations.stand_still()
        return self._places("pong") if self._operations.cursors else b""

    def _places(self, kind: str) -> bytes:
        return places_message(kind, self._operations.cursors, self._operations.cursor)

    def disconnect(self, close: Close) -> None:
        """See `Peer`."""
        self._socket.spawn(self._socket.close(CLOSE_CODES[close.reason], reason_of(close)))

    async def _release(self) -> None:
        """Leave nothing behind."""
        self.sink.on_writable = None
        if self._client is not None:
            self._client.stop()
        await self._operations.end()
        if self._client is not None:
            self._client.release()


def _credentials_of(found: Credentials, payload: Mapping[str, Any]) -> Credentials:
    """The credentials of a ``connection_init`` payload, where it has any; else those of the handshake."""
    token, tenant = _text_of(payload, "token"), _text_of(payload, "tenantId")
    authorization = _text_of(payload, "Authorization" if "Authorization" in payload else "authorization")
    if token is None and authorization is not None:
        token = bearer_of(authorization)
    return found._replace(token=token or found.token, tenant=tenant or found.tenant)


def _text_of(payload: Mapping[str, Any], name: str) -> str | None:
    text = payload.get(name)
    if not isinstance(text, str | None):
        raise BadMessage(f"{name} is a text.")
    return text or None
