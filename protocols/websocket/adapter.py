"""The WebSocket door as an ASGI application; one Connection per client."""

import asyncio
import contextlib
import logging
from typing import Any, Protocol, cast

from starlette.types import Receive, Scope, Send

from core.caller import Credentials
from core.errors import Close, CloseReason, CursorExpired, StoreError, Unauthorized
from core.limits import Limits
from core.outlet import Outlet, Sink
from core.session import Session, Sessions
from protocols.http.credentials import read_credentials
from protocols.websocket.errors import BINARY, CLOSE_CODES, error_data, refusal_reason
from protocols.websocket.wire import (
    ChatFrames,
    ClientMessage,
    EventFrames,
    read_message,
    server_message,
    text_frame,
)

log = logging.getLogger(__name__)

#: How long a peer may take to answer our close frame before its connection is dropped, in seconds.
_FAREWELL = 2.0


class Transport(Sink, Protocol):
    """What a server may offer to write frames without a task switch (``extensions["petstore.transport"]``)."""

    def abort(self) -> None:
        """Drop the connection now."""


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

    def __init__(self, door: WebSocketDoor, scope: Scope, receive: Receive, send: Send) -> None:
        self._door = door
        self._receive = receive
        self._send = send
        self._credentials = read_credentials(scope, dict(scope["headers"]), in_query=True)
        self._transport = cast(Transport | None, scope.get("extensions", {}).get("petstore.transport"))
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._session: Session | None = None
        self._outlet: Outlet | None = None
        self._writer: asyncio.Task[None] | None = None
        self._ender: asyncio.Task[None] | None = None
        self._heartbeat: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the client."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept"})
        try:
            if await self._log_in():
                await self._read()
        finally:
            await self._release()

    # --- logging in ---

    async def _log_in(self) -> bool:
        """Open the session: at once with credentials, else with the client's first message."""
        given = self._credentials
        if given.token is not None or given.api_key is not None:
            return await self._open(given, None)
        try:
            async with asyncio.timeout(self._door.limits.login_seconds):
                first = await self._next_message()
        except TimeoutError:
            if not self._door.chat:
                return await self._open(given, None)
            await self._end(Close(CloseReason.LOGIN_TIMEOUT, "No token came in time."))
            return False
        return first is not None and await self._log_in_by(first)

    async def _log_in_by(self, first: ClientMessage) -> bool:
        """Take the first message as a login, or its sender as a visitor."""
        given = self._credentials
        token = first.data.get("token") if first.name == "authenticate" else None
        if isinstance(token, str):
            return await self._open(Credentials(given.address, given.tenant, token), first.id)
        if self._door.chat:
            await self._refuse(
                Unauthorized("The first message must be authenticate, with a token."), first.id
            )
            return False
        opened = await self._open(given, None)
        if opened:
            await self._answer(first)
        return opened

    async def _open(self, credentials: Credentials, reply_to: object) -> bool:
        try:
            session = await self._door.sessions.open(credentials)
        except StoreError as error:
            await self._refuse(error, reply_to)
            return False
        self._session = session
        # For logs.
        self._state.update(caller=session.caller.key, tenant=session.caller.tenant)
        session.closed.add_done_callback(self._on_closed)
        if self._transport is not None:
            self._outlet = Outlet(session, self._transport, self._door.frames)
        else:
            session.on_subscription = self._start_writer
        await self._say("connected", {"sessionId": session.id, "user": session.user}, reply_to)
        self._beat()
        return True

    async def _refuse(self, error: StoreError, reply_to: object) -> None:
        await self._say("error", error_data(error), reply_to)
        await self._end(Close(refusal_reason(error), error.detail))

    # --- reading ---

    async def _read(self) -> None:
        while (message := await self._next_message()) is not None:
            await self._answer(message)

    async def _next_message(self) -> ClientMessage | None:
        """The client's next good message, or None when there will be none."""
        while True:
            frame = await self._receive()
            if frame["type"] == "websocket.disconnect":
                return None
            if frame.get("text") is None:
                await self._close(BINARY, "Frames are text.")
                return None
            try:
                return read_message(frame["text"])
            except StoreError as error:
                await self._say("error", error_data(error), None)
                if self._session is not None:
                    self._session.spend()

    async def _answer(self, message: ClientMessage) -> None:
        session = self._session
        assert session is not None
        if session.closed.done():
            return
        if self._outlet is not None:
            self._outlet.hold()
        try:
            data = await session.command(message.name, message.data)
        except StoreError as error:
            await self._say("error", error_data(error), message.id)
        else:
            await self._say("pong" if message.name == "ping" else "ack", data, message.id)
        finally:
            if self._outlet is not None:
                self._outlet.release()

    # --- writing ---

    async def _say(self, name: str, data: object, reply_to: object = None) -> None:
        payload = server_message(name, data, reply_to=reply_to)
        if self._transport is not None:
            self._transport.write(text_frame(payload))
        else:
            with contextlib.suppress(OSError, RuntimeError):
                await self._send({"type": "websocket.send", "text": payload.decode()})

    def _start_writer(self, _: Any) -> None:
        """On a server without our transport one task writes the events, one frame at a time."""
        if self._writer is not None:
            self._writer.cancel()
        self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        session = self._session
        assert session is not None
        assert session.subscription is not None
        try:
            while True:
                batch = await session.subscription.next()
                for event in batch.events:
                    text = self._door.frames.payload(event).decode()
                    await self._send({"type": "websocket.send", "text": text})
                session.delivered(batch)
        except CursorExpired as error:
            session.close(Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor))
        except (OSError, RuntimeError):
            pass  # The peer has gone; the reader sees it too.

    def _beat(self) -> None:
        """Where it has been quiet, tell the current cursor, so that a subscriber does not grow old."""
        session, loop = self._session, asyncio.get_running_loop()
        period = self._door.limits.ping_seconds
        self._heartbeat = loop.call_later(period, self._beat)
        if session is None or session.subscription is None or self._transport is None or self._outlet is None:
            return
        if loop.time() - self._outlet.written_at >= period and self._transport.writable:
            self._transport.write(text_frame(server_message("pong", {"cursor": session.subscription.cursor})))

    # --- ending ---

    def _on_closed(self, closed: asyncio.Future[Close]) -> None:
        if not closed.cancelled():
            self._ender = asyncio.create_task(self._end(closed.result()))

    async def _end(self, close: Close) -> None:
        """Say goodbye with the last cursor, and close."""
        subscription = self._session.subscription if self._session is not None else None
        if close.reason is CloseReason.CURSOR_EXPIRED:
            await self._say("cursorExpired", {"oldestCursor": close.oldest_cursor})
        elif close.reason is CloseReason.DRAINING and self._session is not None:
            data: dict[str, Any] = {"code": "service-unavailable", "message": close.detail, "retryAfter": 1}
            if subscription is not None:
                data["cursor"] = subscription.cursor
            await self._say("error", data)
        await self._close(CLOSE_CODES[close.reason], close.detail)

    async def _close(self, code: int, reason: str) -> None:
        """Send the close frame; a peer that does not take it is dropped."""
        try:
            async with asyncio.timeout(_FAREWELL):
                await self._send({"type": "websocket.close", "code": code, "reason": reason[:120]})
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
        except (OSError, RuntimeError):
            pass  # It has gone already.

    async def _release(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self._outlet is not None:
            self._outlet.close()
        if self._writer is not None:
            self._writer.cancel()
        if self._session is not None:
            self._session.closed.remove_done_callback(self._on_closed)
            self._session.leave()
