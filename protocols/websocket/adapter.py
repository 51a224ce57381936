"""The WebSocket door as an ASGI application; one Connection per client.

Pages of any origin may connect: cookies play no part, so a foreign page has no rights but those of a token that its
user gave to it.
"""

import asyncio
import logging
from typing import cast

from starlette.types import Receive, Scope, Send

from core.errors import BadRequest, Close, CloseReason, ErrorCode, StoreError
from core.limits import Limits
from core.outlet import Outlet, QueuedSink, Sink
from core.session import Session, Sessions
from protocols.http.credentials import read_credentials
from protocols.http.faults import ErrorData, ExpiredData, error_data
from protocols.http.frames import Transport, read_frames, text_frame
from protocols.http.headers import read_headers
from protocols.websocket.errors import BINARY, CLOSE_CODES, FAULT, TOO_BIG, refusal_reason
from protocols.websocket.wire import (
    BadMessage,
    ChatFrames,
    EventFrames,
    read_message,
    server_message,
)

log = logging.getLogger(__name__)

#: How long a peer may take to read our farewell before its connection is dropped, in seconds.
_FAREWELL = 2.0
#: How long a client without credentials may be silent before he is welcomed as a visitor, in seconds.
_GRACE = 1.0
#: Bytes of a close frame's reason (RFC 6455, section 5.5).
_REASON = 123


class WebSocketDoor:
    """One of the two sockets. ``chat``: it wants a login and shows chat events under their chat names."""

    def __init__(self, sessions: Sessions, limits: Limits, *, chat: bool) -> None:
        self.sessions = sessions
        self.limits = limits
        self.chat = chat
        self.frames = ChatFrames() if chat else EventFrames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or the store ends it."""
        await Connection(self, scope, receive, send).run()


class Connection:
    """One client: reads his messages, answers them, and lets the outlet write his events."""

    __slots__ = (
        "_carrier", "_credentials", "_door", "_ender", "_greeted", "_outlet", "_receive", "_send", "_session", "_sink",
        "_span", "_state", "_timer", "_transport",
    )  # fmt: skip

    def __init__(self, door: WebSocketDoor, scope: Scope, receive: Receive, send: Send) -> None:
        self._door = door
        self._receive = receive
        self._send = send
        self._state = scope.setdefault("state", {})
        self._credentials = read_credentials(scope, read_headers(scope["headers"]), in_query=True)
        self._transport = cast(Transport | None, scope.get("extensions", {}).get("petstore.transport"))
        self._sink: Sink = self._transport or QueuedSink()
        self._span = asyncio.timeout(None)
        self._session: Session | None = None
        self._outlet: Outlet | None = None
        self._carrier: asyncio.Task[None] | None = None
        self._ender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._greeted = False

    async def run(self) -> None:
        """Serve the client."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept"})
        if isinstance(self._sink, QueuedSink):
            self._carrier = asyncio.create_task(self._carry(self._sink))
        try:
            async with self._span:
                session = await self._open()
                if session is not None:
                    await self._read(session)
        except TimeoutError:
            if not self._span.expired():
                raise
        except Exception:  # The door's boundary: the client is told that it was not his fault.
            log.exception("a WebSocket failed")
            await self._close(FAULT, "Something went wrong on our side.")
        finally:
            await self._release()

    async def _open(self) -> Session | None:
        """Let the client in: with his credentials, or without any until his first message."""
        given, door = self._credentials, self._door
        known = given.token is not None or given.api_key is not None
        try:
            admission = await door.sessions.store.admit(given, cost=1 if known else 0)
            if admission.refusal is not None:
                raise admission.refusal
            session = door.sessions.open(given, admission.caller, admitted=known, login_required=door.chat)
        except StoreError as error:
            self._say("error", error_data(error))
            await self._close(CLOSE_CODES[refusal_reason(error)], error.detail)
            return None
        self._session = session
        self._state.update(caller=session.caller.key, tenant=session.caller.tenant)
        session.closed.add_done_callback(self._on_closed)
        self._outlet = Outlet(session, self._sink, door.frames)
        if known:
            await self._welcome(session)
        elif not door.chat:
            self._timer = asyncio.get_running_loop().call_later(_GRACE, self._greet, session)
        return session

    def _greet(self, session: Session, reply_to: object = None) -> None:
        """Tell the client who he is: at first, and when that has changed."""
        if not self._greeted:
            self._greeted = True
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self._door.limits.ping_seconds, self._beat)
        self._say("connected", session.greeting(), reply_to)

    async def _welcome(self, session: Session, answer: object = None, reply_to: object = None) -> None:
        self._state.update(caller=session.caller.key, tenant=session.caller.tenant)
        self._greet(session, reply_to)
        if reply_to is not None:
            self._say("ack", answer, reply_to)
        if self._door.chat:
            await session.chats.offer()

    # --- reading ---

    async def _read(self, session: Session) -> None:
        while (frame := await self._receive())["type"] != "websocket.disconnect":
            text = frame.get("text")
            if session.closed.done():
                continue
            if text is None:
                await self._close(BINARY, "Frames are text.")
                return
            if _size_of(text, self._door.limits.frame_bytes) > self._door.limits.frame_bytes:
                await self._close(TOO_BIG, f"Frames have at most {self._door.limits.frame_bytes} bytes.")
                return
            try:
                await self._take(session, text)
            except StoreError as error:
                self._refuse(session, error, None)

    async def _take(self, session: Session, text: str) -> None:
        """Carry out one message and answer it."""
        try:
            message = read_message(text)
        except BadRequest as error:
            session.spend()
            self._say("error", error_data(error), error.mark if isinstance(error, BadMessage) else None)
            return
        before = session.caller
        try:
            data = await session.command(message.name, message.data)
        except StoreError as error:
            self._refuse(session, error, message.id)
            return
        if message.name == "authenticate" and (not self._greeted or session.caller.key != before.key):
            await self._welcome(session, data, message.id)
            return
        if not self._greeted:
            self._greet(session)
        self._say("pong" if message.name == "ping" else "ack", data, message.id)

    def _refuse(self, session: Session, error: StoreError, reply_to: object) -> None:
        """Answer with a fault; whoever was not let in yet goes."""
        if session.admitted and not self._greeted:
            self._greet(session)
        self._say("error", error_data(error), reply_to)
        if not session.admitted:
            session.close(Close(refusal_reason(error), error.detail))

    # --- writing ---

    def _say(self, name: str, data: object, reply_to: object = None) -> None:
        self._sink.write(text_frame(server_message(name, data, reply_to=reply_to)))

    def _beat(self) -> None:
        """Tell a subscriber the current cursor now and then, so that a quiet one does not grow old."""
        self._timer = asyncio.get_running_loop().call_later(self._door.limits.ping_seconds, self._beat)
        assert self._session is not None
        subscription = self._session.subscription
        if subscription is not None and self._sink.writable and not self._session.closed.done():
            self._say("pong", {"cursor": subscription.cursor})

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
        """Say goodbye with the last cursor, and close."""
        assert self._session is not None
        assert self._outlet is not None
        self._outlet.close()
        if close.reason is CloseReason.CURSOR_EXPIRED:
            assert close.oldest_cursor is not None
            self._say("cursorExpired", ExpiredData(oldest_cursor=close.oldest_cursor).shown())
        elif close.reason is CloseReason.DRAINING:
            subscription = self._session.subscription
            cursor = None if subscription is None else subscription.cursor
            data = ErrorData(code=ErrorCode.UNAVAILABLE, message=close.detail, retry_after=1, cursor=cursor)
            self._say("error", data.shown())
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
        if self._timer is not None:
            self._timer.cancel()
        if self._outlet is not None:
            self._outlet.close()
        if self._session is not None:
            self._session.closed.remove_done_callback(self._on_closed)
            self._session.leave()
        helpers = [task for task in (self._ender, self._carrier) if task is not None]
        for task in helpers:
            task.cancel()
        if helpers:
            await asyncio.wait(helpers)


def _size_of(text: str, limit: int) -> int:
    """The size of a text in UTF-8, counted only where it may be above the limit."""
    return len(text) if len(text) * 4 <= limit else len(text.encode())
