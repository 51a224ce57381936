"""The WebSocket door as an ASGI application; one Connection per client.

Which pages may connect is looked after before (`protocols.http.cors`). Cookies play no part, so a foreign page has no
permissions but those of a token that its user gave to it.
"""

from typing import Any

from starlette.types import Receive, Scope, Send

from core.kernel.errors import Close, StoreError
from core.kernel.limits import Limits
from core.live.client import InteractiveClient, Taken, refusal_reason
from core.live.session import Session
from core.live.sessions import Sessions
from protocols.http.closing import CLOSE_CODES, TOO_BIG, UNACCEPTABLE
from protocols.http.credentials import read_credentials
from protocols.http.error_data import error_data
from protocols.http.headers import read_headers
from protocols.http.sockets import Socket, exceeds
from protocols.websocket.errors import farewell
from protocols.websocket.wire import BadMessage, ChatFrames, EventFrames, message_frame, read_message

#: How long a client without credentials may be silent before it is greeted as a visitor.
_VISITOR_GREETING_SECONDS = 1.0


class WebSocketDoor:
    """One of the two sockets. ``chat``: it requires a login and shows chat events under their chat names."""

    def __init__(self, sessions: Sessions, limits: Limits, *, chat: bool) -> None:
        self.sessions = sessions
        self.limits = limits
        self.chat = chat
        self.frames = ChatFrames() if chat else EventFrames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or the store ends it."""
        await Connection(self, scope, receive, send).run()


class Connection:
    """One client: reads its messages and shows what it is told; its life is an `InteractiveClient`."""

    __slots__ = ("_credentials", "_door", "_socket", "_state", "sink")

    def __init__(self, door: WebSocketDoor, scope: Scope, receive: Receive, send: Send) -> None:
        self._door = door
        self._state = scope.setdefault("state", {})
        self._credentials = read_credentials(scope, read_headers(scope["headers"]), in_query=True)
        self._socket = Socket(scope, receive, send)
        self.sink = self._socket.connection

    async def run(self) -> None:
        """Serve the client."""
        if not await self._socket.connected():
            return
        async with self._socket.accepted():
            client = await self._open()
            if client is None:
                return
            try:
                await self._begin(client)
                await self._read(client)
            finally:
                client.release()

    async def _open(self) -> InteractiveClient | None:
        """Let the client in: with its credentials, or without any until its first message."""
        given, door = self._credentials, self._door
        known = given.token is not None or given.api_key is not None
        try:
            admission = await door.sessions.store.admit(given, cost=1 if known else 0)
            if admission.refusal is not None:
                raise admission.refusal
            session = door.sessions.open(given, admission.caller, admitted=known, login_required=door.chat)
        except StoreError as error:
            self.sink.write(self.refusal(error, None))
            await self._socket.close(CLOSE_CODES[refusal_reason(error)], error.detail)
            return None
        return InteractiveClient(
            door.sessions, session, self, door.frames, heartbeat_seconds=door.limits.ping_seconds
        )

    async def _begin(self, client: InteractiveClient) -> None:
        self._note_caller(client.session)
        if client.session.admitted:
            client.greet()
            await self._offer(client)
        elif not self._door.chat:
            client.greet_later(_VISITOR_GREETING_SECONDS)

    def _note_caller(self, session: Session) -> None:
        """For logs."""
        self._state.update(caller=session.caller.key, tenant=session.caller.tenant)

    async def _offer(self, client: InteractiveClient) -> None:
        if self._door.chat:
            await client.chats.offer()

    # --- reading ---

    async def _read(self, client: InteractiveClient) -> None:
        limit, rate = self._door.limits.frame_bytes, client.session.rate
        while (frame := await self._socket.receive(rate))["type"] != "websocket.disconnect":
            rate.count()
            text = frame.get("text")
            if client.session.closed.done():
                continue
            if text is None:
                await self._socket.close(UNACCEPTABLE, "Frames are text.")
                return
            if exceeds(text, limit):
                await self._socket.close(TOO_BIG, f"Frames have at most {limit} bytes.")
                return
            try:
                message = read_message(text)
            except BadMessage as error:
                client.reject(error, error.mark)
                continue
            if await client.take(message.name, message.data, message.id) is Taken.GREETED:
                self._note_caller(client.session)
                await self._offer(client)

    # --- what the client is shown ---

    def greeting(self, content: dict[str, Any]) -> bytes:
        """See `InteractivePeer`."""
        return message_frame("connected", content)

    def reply(
        self, command: str, content: dict[str, Any], mark: Any, greeting: dict[str, Any] | None
    ) -> bytes:
        """See `InteractivePeer`: the greeting comes first."""
        shown = message_frame("pong" if command == "ping" else "ack", content, mark)
        if greeting is None:
            return shown
        if command != "authenticate":
            return message_frame("connected", greeting) + shown
        # The greeting says it all to a client that gave no mark.
        return message_frame("connected", greeting, mark) + (b"" if mark is None else shown)

    def refusal(self, error: StoreError, mark: Any) -> bytes:
        """See `InteractivePeer`."""
        return message_frame("error", error_data(error), mark)

    def heartbeat(self, cursor: str | None) -> bytes:
        """See `Peer`."""
        return b"" if cursor is None else message_frame("pong", {"cursor": cursor})

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        """See `Peer`."""
        return farewell(close, cursor)

    def disconnect(self, close: Close) -> None:
        """See `Peer`."""
        self._socket.spawn(self._socket.close(CLOSE_CODES[close.reason], close.detail))
