"""One Socket.IO client: a session, its outlet, and the mailbox that both write to."""

import asyncio
from typing import TYPE_CHECKING, Any

from pydantic import Field

from core.kernel.errors import BadRequest, Close, CloseReason, StoreError
from core.kernel.limits import Limits
from core.kernel.model import Part
from core.live.delivery import Outlet
from core.live.session import Session
from protocols.http.closing import GOING_AWAY
from protocols.http.error_data import error_data
from protocols.socketio.errors import farewell, refused
from protocols.socketio.mailbox import Mailbox
from protocols.socketio.wire import DISCONNECT, FRAMES, acknowledgement, event_frame

if TYPE_CHECKING:
    from protocols.socketio.engine import Engine


class Handshake(Part):
    """What a client sends as ``auth`` to connect. With topics they are subscribed at once, from the cursor on."""

    token: str | None = Field(default=None, min_length=1, max_length=8192, repr=False)
    tenant_id: str | None = Field(default=None, max_length=64)
    topics: list[str] = Field(default_factory=list)
    cursor: str | None = Field(default=None, max_length=200)


class Client:
    """Answers a client's events, lets the outlet write his, and ends when his session does."""

    __slots__ = ("_beat_timer", "_ender", "_engine", "_limits", "_outlet", "eio_sid", "mailbox", "session")

    def __init__(
        self, engine: "Engine", eio_sid: str, mailbox: Mailbox, session: Session, limits: Limits
    ) -> None:
        self.eio_sid = eio_sid
        self.mailbox = mailbox
        self.session = session
        self._engine = engine
        self._limits = limits
        self._outlet: Outlet | None = None
        self._ender: asyncio.Task[None] | None = None
        self._beat_timer: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """Greet a client who has just been told that he is connected; his events follow."""
        session = self.session
        self._say("connected", session.greeting())
        self._outlet = Outlet(session, self.mailbox, FRAMES)
        self.mailbox.on_stalled = self._stalled
        session.closed.add_done_callback(self._on_closed)
        self._beat_timer = asyncio.get_running_loop().call_later(self._limits.ping_seconds, self._beat)
        if session.subscription is None:
            # Who asks for topics at the door watches; who does not is there to chat.
            await session.chats.offer()

    async def take(self, event: list[Any], mark: int | None) -> None:
        """Carry out an event of the client, and answer it: by acknowledgement if he wants one, else only a fault."""
        name, *arguments = event
        session = self.session
        if session.closed.done():
            return
        before = session.caller
        try:
            if len(arguments) > 1:
                session.spend()
                raise BadRequest("An event has one argument, an object.")
            data = await session.command(name, arguments[0] if arguments else None)
        except StoreError as error:
            if mark is None:
                self._say("error", error_data(error))
            else:
                self.mailbox.write(acknowledgement(mark, refused(error)))
            return
        if mark is not None:
            self.mailbox.write(acknowledgement(mark, {"ok": True, "data": data}))
        if name == "joinChat":
            self._say("connected", data)
            await session.chats.offer()
        elif name == "authenticate" and session.caller.key != before.key:
            self._say("connected", session.greeting())

    def _say(self, name: str, data: object) -> None:
        self.mailbox.write(event_frame(name, data))

    def _beat(self) -> None:
        """Tell a subscriber the current cursor now and then, so that a quiet one does not grow old."""
        self._beat_timer = asyncio.get_running_loop().call_later(self._limits.ping_seconds, self._beat)
        subscription = self.session.subscription
        if subscription is not None and self.mailbox.writable and not self.session.closed.done():
            self._say("pong", {"cursor": subscription.cursor})

    def _stalled(self) -> None:
        self.session.close(Close(CloseReason.STALLED, "Nothing was read for too long."))

    def _on_closed(self, closed: asyncio.Future[Close]) -> None:
        self._ender = asyncio.create_task(self._end(closed.result()))

    async def _end(self, close: Close) -> None:
        """Say goodbye with the last cursor, and disconnect.

        Who should come back loses his connection, for then clients reconnect by themselves. Who should not is
        disconnected from the namespace first, which tells them to leave it at that.
        """
        assert self._outlet is not None
        self._outlet.close()
        subscription = self.session.subscription
        self._say(*farewell(close, None if subscription is None else subscription.cursor))
        if close.resumable:
            self.mailbox.close_code = GOING_AWAY
        else:
            self.mailbox.write(DISCONNECT)
        await self._engine.finish(self.eio_sid)

    def release(self) -> None:
        """Leave nothing behind."""
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        if self._outlet is not None:
            self._outlet.close()
        self.mailbox.on_stalled = None
        self.session.closed.remove_done_callback(self._on_closed)
        self.session.leave()
