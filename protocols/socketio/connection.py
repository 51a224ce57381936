"""One Socket.IO client: what it is told, and the mailbox that this is written to."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from core.kernel.errors import BadRequest, Close, StoreError
from core.kernel.limits import Limits
from core.kernel.model import Part
from core.live.client import InteractiveClient, Taken
from core.live.session import Session
from core.live.sessions import Sessions
from protocols.http.closing import CLOSE_CODES, GOING_AWAY
from protocols.http.error_data import error_data
from protocols.socketio.errors import farewell, refused
from protocols.socketio.mailbox import Mailbox
from protocols.socketio.wire import DISCONNECT, LiveFrames, acknowledgement, event_frame

_FRAMES = LiveFrames()


class Handshake(Part):
    """What a client sends as ``auth`` to connect. With topics they are subscribed at once, from the cursor on."""

    token: str | None = Field(default=None, min_length=1, max_length=8192, repr=False)
    """An access token."""
    tenant_id: str | None = Field(default=None, max_length=64)
    """The tenant."""
    topics: list[str] = Field(default_factory=list)
    """MQTT topic filters to subscribe to at once."""
    cursor: str | None = Field(default=None, max_length=200)
    """Where to begin: a cursor from any door, or ``earliest``; without one, now."""


class Connection:
    """Answers a client's events and shows what it is told; its life is an `InteractiveClient`, once it has begun.

    ``finish`` disconnects it behind what was written.
    """

    __slots__ = ("_client", "_finish", "_limits", "_sessions", "eio_sid", "session", "sink")

    def __init__(
        self,
        eio_sid: str,
        mailbox: Mailbox,
        session: Session,
        sessions: Sessions,
        limits: Limits,
        finish: Callable[[str], None],
    ) -> None:
        self.eio_sid = eio_sid
        self.session = session
        self.sink = mailbox
        self._sessions = sessions
        self._limits = limits
        self._finish = finish
        self._client: InteractiveClient | None = None

    async def begin(self) -> None:
        """Greet a client that has just been told that it is connected; its events follow."""
        self._client = client = InteractiveClient(
            self._sessions, self.session, self, _FRAMES, heartbeat_seconds=self._limits.ping_seconds
        )
        self.sink.on_stalled = client.stalled
        client.greet()
        if self.session.subscription is None:
            # Who asks for topics in the handshake watches; who does not is there to chat.
            await client.chats.offer()

    async def take(self, event: list[Any], mark: int | None) -> None:
        """Carry out an event of the client, and answer it: by acknowledgement if it wants one, else only an error."""
        client = self._client
        if client is None or self.session.closed.done():
            return
        name, *arguments = event
        for argument in arguments:
            if isinstance(argument, StoreError):
                client.reject(argument, mark)
                return
        if len(arguments) > 1:
            client.reject(BadRequest("An event has one argument, an object."), mark)
            return
        taken = await client.take(name, arguments[0] if arguments else None, mark)
        if name == "joinChat" and taken is not Taken.REFUSED:
            await client.chats.offer()

    def release(self) -> None:
        """Leave nothing behind."""
        self.sink.on_stalled = None
        if self._client is not None:
            self._client.release()
        else:
            self.session.leave()

    # --- what the client is shown ---

    def greeting(self, content: dict[str, Any]) -> bytes:
        """See `InteractivePeer`."""
        return event_frame("connected", content)

    def reply(
        self, command: str, content: dict[str, Any], mark: int | None, greeting: dict[str, Any] | None
    ) -> bytes:
        """See `InteractivePeer`: who joins a chat is greeted there."""
        shown = b"" if mark is None else acknowledgement(mark, {"ok": True, "data": content})
        if command == "joinChat":
            greeting = content
        return shown if greeting is None else shown + event_frame("connected", greeting)

    def refusal(self, error: StoreError, mark: int | None) -> bytes:
        """See `InteractivePeer`."""
        if mark is None:
            return event_frame("error", error_data(error))
        return acknowledgement(mark, refused(error))

    def heartbeat(self, cursor: str | None) -> bytes:
        """See `Peer`."""
        return b"" if cursor is None else event_frame("pong", {"cursor": cursor})

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        """See `Peer`.

        Who should come back loses the connection, for then clients reconnect by themselves. Who should not is
        disconnected from the namespace first, which tells them to leave it at that.
        """
        last = farewell(close, cursor)
        return last if close.resumable else last + DISCONNECT

    def disconnect(self, close: Close) -> None:
        """See `Peer`."""
        self.sink.close_code = GOING_AWAY if close.resumable else CLOSE_CODES[close.reason]
        self._finish(self.eio_sid)
