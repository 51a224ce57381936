"""The WebSocket door as an ASGI application; one Connection per client.

Pages of any origin may connect: cookies play no part, so a foreign page has no rights but those of a token that its
user gave to it.
"""

import asyncio

from starlette.types import Receive, Scope, Send

from core.kernel.errors import BadRequest, Close, StoreError
from core.kernel.limits import Limits
from core.live.delivery import Outlet
from core.live.session import Session
from core.live.sessions import Sessions
from protocols.http.closing import CLOSE_CODES, TOO_BIG, UNACCEPTABLE, refusal_reason
from protocols.http.credentials import read_credentials
from protocols.http.error_data import error_data
from protocols.http.frames import text_frame
from protocols.http.headers import read_headers
from protocols.http.sockets import Socket, exceeds
from protocols.websocket.errors import farewell
from protocols.websocket.wire import (
    BadMessage,
    ChatFrames,
    EventFrames,
    read_message,
    server_message,
)

#: How long a client without credentials may be silent before he is welcomed as a visitor, in seconds.
_GRACE = 1.0


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
        "_connection", "_credentials", "_door", "_greeted", "_outlet", "_session", "_socket", "_state", "_timer",
    )  # fmt: skip

    def __init__(self, door: WebSocketDoor, scope: Scope, receive: Receive, send: Send) -> None:
        self._door = door
        self._state = scope.setdefault("state", {})
        self._credentials = read_credentials(scope, read_headers(scope["headers"]), in_query=True)
        self._socket = Socket(scope, receive, send)
        self._connection = self._socket.connection
        self._session: Session | None = None
        self._outlet: Outlet | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._greeted = False

    async def run(self) -> None:
        """Serve the client."""
        if not await self._socket.connected():
            return
        async with self._socket.accepted():
            try:
                session = await self._open()
                if session is not None:
                    await self._read(session)
            finally:
                self._release()

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
            await self._socket.close(CLOSE_CODES[refusal_reason(error)], error.detail)
            return None
        self._session = session
        self._state.update(caller=session.caller.key, tenant=session.caller.tenant)
        session.closed.add_done_callback(self._on_closed)
        self._outlet = Outlet(session, self._connection, door.frames)
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
        while (frame := await self._socket.receive())["type"] != "websocket.disconnect":
            text = frame.get("text")
            if session.closed.done():
                continue
            if text is None:
                await self._socket.close(UNACCEPTABLE, "Frames are text.")
                return
            if exceeds(text, self._door.limits.frame_bytes):
                await self._socket.close(
                    TOO_BIG, f"Frames have at most {self._door.limits.frame_bytes} bytes."
                )
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
        self._connection.write(text_frame(server_message(name, data, reply_to=reply_to)))

    def _beat(self) -> None:
        """Tell a subscriber the current cursor now and then, so that a quiet one does not grow old."""
        self._timer = asyncio.get_running_loop().call_later(self._door.limits.ping_seconds, self._beat)
        assert self._session is not None
        subscription = self._session.subscription
        if subscription is not None and self._connection.writable and not self._session.closed.done():
            self._say("pong", {"cursor": subscription.cursor})

    # --- ending ---

    def _on_closed(self, closed: asyncio.Future[Close]) -> None:
        self._socket.spawn(self._end(closed.result()))

    async def _end(self, close: Close) -> None:
        """Say goodbye with the last cursor, and close."""
        assert self._session is not None
        assert self._outlet is not None
        self._outlet.close()
        subscription = self._session.subscription
        last = farewell(close, None if subscription is None else subscription.cursor)
        if last is not None:
            self._say(*last)
        await self._socket.close(CLOSE_CODES[close.reason], close.detail)

    def _release(self) -> None:
        """Leave nothing behind."""
        if self._timer is not None:
            self._timer.cancel()
        if self._outlet is not None:
            self._outlet.close()
        if self._session is not None:
            self._session.closed.remove_done_callback(self._on_closed)
            self._session.leave()
