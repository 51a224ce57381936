"""GraphQL over WebSocket: the protocol graphql-transport-ws as an ASGI application; one Connection per client.

Pages of any origin may connect: cookies play no part, so a foreign page has no rights but those of a token that its
user gave to it.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from graphql import OperationType
from starlette.types import Receive, Scope, Send

from core.caller import Credentials
from core.errors import (
    Close,
    CloseReason,
    CursorExpired,
    Internal,
    RateLimited,
    StoreError,
)
from core.hub import Subscription
from core.outlet import QueuedSink, Sink
from core.session import Session
from protocols.graphql.context import Context
from protocols.graphql.delivery import Delivery
from protocols.graphql.door import Door
from protocols.graphql.errors import (
    BAD_MESSAGE,
    CLOSE_CODES,
    FAULT,
    ID_IN_USE,
    NO_SUBPROTOCOL,
    NOT_ACKNOWLEDGED,
    SECOND_INIT,
    TOO_BIG,
    close_entry,
    error_entry,
    refusal_reason,
)
from protocols.graphql.execution import Prepared, Refused, encode
from protocols.graphql.sharing import Membership
from protocols.graphql.wire import (
    BadMessage,
    Message,
    SocketWire,
    next_message,
    read_message,
    request_of,
    server_message,
)
from protocols.http.credentials import bearer_of, read_credentials
from protocols.http.frames import Transport, read_frames
from protocols.http.headers import read_headers

log = logging.getLogger(__name__)

SUBPROTOCOL = "graphql-transport-ws"
#: How long a peer may take to read our farewell before its connection is dropped, in seconds.
_FAREWELL = 2.0
#: Bytes of a close frame's reason (RFC 6455, section 5.5).
_REASON = 123
#: Operations of one connection that may go on at once.
_MOST_OPERATIONS = 100


class GraphqlSocket:
    """``/v1/graphql`` as a WebSocket."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or the store ends it."""
        await Connection(self._door, scope, receive, send).run()


class _End(Exception):
    """The client broke the protocol: the connection ends with a code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Operation:
    """One operation of a client, by the id he gave it; a subscription has a delivery once it has begun."""

    __slots__ = ("delivery", "id", "membership", "stream", "task")

    def __init__(self, mark: str) -> None:
        self.id = mark
        self.task: asyncio.Task[None] | None = None
        self.membership: Membership | None = None
        self.stream: Subscription | None = None
        self.delivery: Delivery | None = None


class Connection:
    """One client: reads his messages, runs his operations, and lets deliveries write what he follows."""

    __slots__ = (
        "_acknowledged", "_carrier", "_credentials", "_door", "_ender", "_offered", "_operations", "_receive", "_send",
        "_session", "_sink", "_span", "_state", "_tasks", "_timer", "_transport",
    )  # fmt: skip

    def __init__(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        self._door = door
        self._receive = receive
        self._send = send
        self._state = scope.setdefault("state", {})
        self._credentials = read_credentials(scope, read_headers(scope["headers"]))
        self._offered = SUBPROTOCOL in scope.get("subprotocols", ())
        self._transport = cast(Transport | None, scope.get("extensions", {}).get("petstore.transport"))
        self._sink: Sink = self._transport or QueuedSink()
        self._span = asyncio.timeout(None)
        self._session: Session | None = None
        self._acknowledged = False
        self._operations: dict[str, _Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._carrier: asyncio.Task[None] | None = None
        self._ender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the client."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if self._offered else None})
        if isinstance(self._sink, QueuedSink):
            self._carrier = asyncio.create_task(self._carry(self._sink))
        self._sink.on_writable = self._pump
        try:
            async with self._span:
                if not self._offered:
                    raise _End(NO_SUBPROTOCOL, "Subprotocol not acceptable")
                await self._wait_for_init()
                await self._read()
        except TimeoutError:
            if not self._span.expired():
                raise
        except _End as end:
            await self._close(end.code, str(end))
        except StoreError as error:
            await self._close(CLOSE_CODES[refusal_reason(error)], error.detail)
        except Exception:  # The door's boundary: the client is told that it was not his fault.
            log.exception("a WebSocket failed")
            await self._close(FAULT, "Something went wrong on our side.")
        finally:
            await self._release()

    async def _wait_for_init(self) -> None:
        """Let somebody in whom nobody knows yet; he has to say soon who he is."""
        admission = await self._door.store.admit(self._credentials._replace(token=None, api_key=None), cost=0)
        if admission.refusal is not None:
            raise admission.refusal
        self._hold(
            self._door.sessions.open(self._credentials, admission.caller, admitted=False, login_required=True)
        )

    def _hold(self, session: Session) -> None:
        """Go on in a session, in place of the one before."""
        if self._session is not None:
            self._session.closed.remove_done_callback(self._on_closed)
            self._session.leave()
        self._session = session
        self._state.update(caller=session.caller.key, tenant=session.caller.tenant)
        session.closed.add_done_callback(self._on_closed)

    # --- reading ---

    async def _read(self) -> None:
        limit = self._door.limits.frame_bytes
        while (frame := await self._receive())["type"] != "websocket.disconnect":
            assert self._session is not None
            text = frame.get("text")
            if self._session.closed.done():
                continue
            if text is None:
                raise _End(BAD_MESSAGE, "Messages are text.")
            if len(text) > limit or len(text.encode()) > limit:
                raise _End(TOO_BIG, f"Messages have at most {limit} bytes.")
            try:
                await self._take(self._session, read_message(text))
            except BadMessage as fault:
                raise _End(BAD_MESSAGE, str(fault)) from None
            except RateLimited:
                if not self._session.closed.done():
                    raise

    async def _take(self, session: Session, message: Message) -> None:
        session.spend()
        match message.kind:
            case "connection_init":
                await self._init(message.payload or {})
            case "ping":
                self._sink.write(server_message("pong", None, message.payload))
            case "subscribe":
                self._begin(session, message)
            case "complete":
                if (operation := self._operations.get(message.id)) is not None:
                    self._stop(operation)
            case _:
                pass  # a pong

    async def _init(self, payload: Mapping[str, Any]) -> None:
        """Find out who the client is; what else stands in the payload is his own business."""
        if self._acknowledged:
            raise _End(SECOND_INIT, "Too many initialisation requests")
        self._acknowledged = True
        given = _credentials_of(self._credentials, payload)
        admission = await self._door.store.admit(given)
        if admission.refusal is not None:
            raise admission.refusal
        assert self._session is not None
        if self._session.closed.done():
            return
        self._hold(self._door.sessions.open(given, admission.caller))
        self._credentials = given
        self._sink.write(server_message("connection_ack", None, {"user": self._session.user}))
        self._timer = asyncio.get_running_loop().call_later(self._door.limits.ping_seconds, self._beat)

    # --- operations ---

    def _begin(self, session: Session, message: Message) -> None:
        if not self._timer:
            raise _End(NOT_ACKNOWLEDGED, "Unauthorized")
        if message.id in self._operations:
            raise _End(ID_IN_USE, f"Subscriber for {message.id} already exists")
        if message.payload is None:
            raise BadMessage("A subscribe message has a payload.")
        if len(self._operations) + len(self._tasks) >= 2 * _MOST_OPERATIONS:
            self._error(message.id, error_entry(RateLimited(1, "Too many operations at once.")))
            return
        operation = self._operations[message.id] = _Operation(message.id)
        task = operation.task = asyncio.create_task(self._run(session, operation, dict(message.payload)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, session: Session, operation: _Operation, payload: dict[str, Any]) -> None:
        if self._operations.get(operation.id) is not operation:
            return  # The client has thought better of it already.
        try:
            prepared = self._door.engine.prepare(request_of(payload))
            if prepared.kind is OperationType.SUBSCRIPTION:
                await self._follow(session, operation, prepared)
                return
            admission = await self._door.store.admit(self._credentials)
            if admission.refusal is not None:
                raise admission.refusal
            context = Context(self._door.store, session.caller, self._state.get("request_id"))
            members = await self._door.engine.run(self._door.engine.build(prepared, context))
            if self._operations.get(operation.id) is operation:
                del self._operations[operation.id]
                self._sink.write(next_message(operation.id, encode(members)))
                self._sink.write(server_message("complete", operation.id))
        except Refused as refused:
            self._fail(operation, refused.errors)
        except StoreError as error:
            self._fail(operation, [error_entry(error)])
        except Exception:  # The boundary of an operation: one that fails does not end the connection.
            log.exception("an operation failed")
            self._fail(operation, [error_entry(Internal())])

    async def _follow(self, session: Session, operation: _Operation, prepared: Prepared) -> None:
        operation.membership = self._door.sharing.join(prepared, session.caller)
        operation.stream = await session.open_stream(operation.membership.command)
        # The protocol has no acknowledgement of a subscription, but lets either side send a pong that nobody asked for.
        self._sink.write(_places("pong", {operation.id: operation.stream.cursor}))
        operation.delivery = Delivery(
            operation.stream,
            operation.membership.shared,
            SocketWire(operation.id),
            self._sink,
            partial(self._on_end, operation),
        )

    def _on_end(self, operation: _Operation, reason: CursorExpired | Close) -> None:
        """A subscription has ended by itself: for its own reason, or with the connection."""
        if isinstance(reason, CursorExpired):
            self._fail(operation, [error_entry(reason)])
        elif self._session is not None:
            self._session.close(reason)

    def _fail(self, operation: _Operation, errors: list[dict[str, Any]]) -> None:
        if self._operations.get(operation.id) is operation:
            self._error(operation.id, *errors)
            self._stop(operation)

    def _error(self, mark: str, *errors: dict[str, Any]) -> None:
        self._sink.write(server_message("error", mark, errors))

    def _stop(self, operation: _Operation) -> None:
        """Forget an operation. One that only answers once runs to its end, for it may write."""
        self._operations.pop(operation.id, None)
        if operation.delivery is not None:
            operation.delivery.close()
        elif operation.membership is not None and operation.task is not None:
            operation.task.cancel()
        if operation.stream is not None and self._session is not None:
            self._session.close_stream(operation.stream)
        if operation.membership is not None:
            operation.membership.leave()

    def _pump(self) -> None:
        for operation in list(self._operations.values()):
            if operation.delivery is not None:
                operation.delivery.pump()

    # --- writing ---

    def _beat(self) -> None:
        """Ask for a sign of life, and tell the place of each subscription, so that a quiet one's does not grow old."""
        self._timer = asyncio.get_running_loop().call_later(self._door.limits.ping_seconds, self._beat)
        if self._sink.writable and self._session is not None and not self._session.closed.done():
            cursors = {
                mark: operation.delivery.cursor
                for mark, operation in self._operations.items()
                if operation.delivery is not None
            }
            self._sink.write(_places("ping", cursors))

    async def _carry(self, sink: QueuedSink) -> None:
        """On a server without our transport: send what was written, one message at a time."""
        try:
            while data := await sink.taken():
                for payload in read_frames(data):
                    async with asyncio.timeout(self._door.limits.stall_seconds):
                        await self._send({"type": "websocket.send", "text": payload.decode()})
        except TimeoutError:
            if self._session is not None:
                self._session.close(Close(CloseReason.STALLED, "Nothing was read for too long."))
        except (OSError, RuntimeError):
            pass  # The peer has gone; the reader sees it too.
        finally:
            sink.end()

    # --- ending ---

    def _on_closed(self, closed: asyncio.Future[Close]) -> None:
        self._ender = asyncio.create_task(self._end(closed.result()))

    async def _end(self, close: Close) -> None:
        """Tell each subscription its place and why it ends, and close."""
        for operation in list(self._operations.values()):
            if operation.delivery is not None:
                operation.delivery.close()
                self._error(operation.id, close_entry(close, operation.delivery.cursor))
        await self._close(CLOSE_CODES[close.reason], close.detail)

    async def _close(self, code: int, reason: str) -> None:
        """Send the close frame behind what was written; a peer that does not take it is dropped."""
        reason = reason.encode()[:_REASON].decode(errors="ignore")
        try:
            async with asyncio.timeout(_FAREWELL):
                if isinstance(self._sink, QueuedSink) and self._carrier is not None:
                    self._sink.end()
                    await asyncio.wait((self._carrier,))
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
            else:
                self._span.reschedule(asyncio.get_running_loop().time())
        except (OSError, RuntimeError):
            pass  # It has gone already.

    async def _release(self) -> None:
        """Leave nothing behind."""
        self._sink.on_writable = None
        if self._timer is not None:
            self._timer.cancel()
        helpers = [task for task in (*self._tasks, self._ender, self._carrier) if task is not None]
        for task in helpers:
            task.cancel()
        for operation in list(self._operations.values()):
            self._stop(operation)
        if helpers:
            await asyncio.wait(helpers)
        if self._session is not None:
            self._session.closed.remove_done_callback(self._on_closed)
            self._session.leave()


def _places(kind: str, cursors: Mapping[str, str]) -> bytes:
    """A ping or pong that tells where subscriptions stand."""
    return server_message(kind, None, {"cursors": cursors} if cursors else None)


def _credentials_of(found: Credentials, payload: Mapping[str, Any]) -> Credentials:
    """The credentials of a ``connection_init`` payload, where it has any; else those of the handshake."""
    token, authorization = (
        payload.get("token"),
        payload.get("Authorization", payload.get("authorization")),
    )
    tenant = payload.get("tenantId")
    for text in (token, authorization, tenant):
        if not isinstance(text, str | None):
            raise BadMessage("token, Authorization and tenantId are texts.")
    if token is None and authorization is not None:
        token = bearer_of(authorization)
    return found._replace(token=token or found.token, tenant=tenant or found.tenant)
