"""The life of a connected client, whatever carries its bytes.

A live door gives each client a `Peer`: where to write, how things look there, and how the connection ends. From then on
the life goes by itself: events flow from the session's subscription (`core.live.delivery.Delivery`), a heartbeat tells
the cursor now and then, and when the store ends the session the client is told so with its last cursor and
disconnected. The door calls `release` when the client has gone.

    session = sessions.open(credentials, caller)
    await session.follow(command)                       # in a stream; a client that talks does it by commands
    client = Client(session, peer, FrameDelivery(peer.sink, FORMAT, session.close))
    client.start_heartbeat(seconds)
    ...
    client.release()

`InteractiveClient` adds what a client has that can talk: it is greeted when it is let in and when its caller has become
another, and its commands are carried out and answered.

What a door does beside it: it reads its protocol's messages, and calls `stalled` when the peer reads nothing for too
long. A door with a way of its own to deliver (packet ids, encoding that waits) passes its own subclass of `Delivery`;
one with several streams in a connection passes none, follows by `Session.follow_apart`, and makes a `Delivery` for each
stream. One that has no heartbeat does not start it.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from core.hub import Batch, WireFormat
from core.kernel.errors import Close, CloseReason, ErrorCode, StoreError
from core.live.chats import JoinedChats
from core.live.connection import Sink
from core.live.delivery import Delivery, FrameDelivery
from core.live.session import Session
from core.live.sessions import Sessions
from core.live.vocabulary import execute


class Peer(Protocol):
    """One client as its door sees it. Nothing here waits; what is encoded as nothing is not written."""

    @property
    def sink(self) -> Sink:
        """Where to write."""

    def heartbeat(self, cursor: str | None) -> bytes:
        """What is written now and then; ``cursor`` is the place reached, None for a client that follows nothing."""

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        """The last that is written: why the session ends, and where to resume."""

    def disconnect(self, close: Close) -> None:
        """End the connection behind what was written, within a bounded time."""


class InteractivePeer(Peer, Protocol):
    """One client that can talk. ``mark`` is the client's own name for a command, None where it gave none."""

    def greeting(self, content: dict[str, Any]) -> bytes:
        """Tell the client who it is."""

    def reply(
        self, command: str, content: dict[str, Any], mark: Any, greeting: dict[str, Any] | None
    ) -> bytes:
        """Acknowledge a command; with a greeting when the command has made the client's caller another."""

    def refusal(self, error: StoreError, mark: Any) -> bytes:
        """Say that a command is refused."""


P = TypeVar("P", bound=Peer)


class Client(Generic[P]):
    """A connected client, from the moment when events may be written to it until it has gone."""

    __slots__ = ("_delivery", "_peer", "_timer", "session")

    def __init__(self, session: Session, peer: P, delivery: Delivery | None) -> None:
        self.session = session
        self._peer = peer
        self._delivery = delivery
        self._timer: asyncio.TimerHandle | None = None
        session.closed.add_done_callback(self._on_closed)
        if delivery is not None:
            peer.sink.on_writable = delivery.go_on
            session.on_subscription = delivery.attach
            if session.subscription is not None:
                delivery.attach(session.subscription)

    @property
    def cursor(self) -> str | None:
        """The place up to which events were delivered; None for a client that follows nothing."""
        return None if self._delivery is None else self._delivery.cursor

    def start_heartbeat(self, seconds: float) -> None:
        """From now on tell the client its cursor every so often, so that a quiet one's does not grow old."""
        self._set_timer(seconds, self._beat, seconds)

    def stalled(self) -> None:
        """The peer has read nothing for too long."""
        self.session.close(Close(CloseReason.STALLED, "Nothing was read for too long."))

    def release(self) -> None:
        """Leave nothing behind, for the client has gone; a second time has no effect."""
        self.stop()
        self.session.closed.remove_done_callback(self._on_closed)
        self.session.leave()

    def _write(self, data: bytes) -> None:
        if data:
            self._peer.sink.write(data)

    def _beat(self, seconds: float) -> None:
        self.start_heartbeat(seconds)
        # It waits its turn behind the events that were written, so it is never ahead of them.
        if self._peer.sink.writable and not self.session.closed.done():
            self._write(self._peer.heartbeat(self.cursor))

    def _set_timer(self, seconds: float, callback: Any, *arguments: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback, *arguments)

    def _on_closed(self, closed: "asyncio.Future[Close]") -> None:
        """Say goodbye; before a drain, when the cursor that is told counts all that the client has got."""
        self.stop()
        close = closed.result()
        if self._delivery is not None and close.reason is CloseReason.DRAINING:
            self._delivery.settle(partial(self._say_goodbye, close))
        else:
            self._say_goodbye(close)

    def _say_goodbye(self, close: Close) -> None:
        self._write(self._peer.farewell(close, self.cursor))
        self._peer.disconnect(close)

    def stop(self) -> None:
        """Write no more events and no heartbeat; the cursor stands still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delivery is not None:
            self._delivery.close()
            self._peer.sink.on_writable = None


class _ChatDelivery(FrameDelivery):
    """Delivers to a client that may be in chats."""

    __slots__ = ("_chats",)

    def __init__(
        self, sink: Sink, wire_format: WireFormat, on_end: Callable[[Close], None], chats: JoinedChats
    ) -> None:
        super().__init__(sink, wire_format, on_end)
        self._chats = chats

    def deliver(self, batch: Batch) -> asyncio.Future[bytes] | None:
        """Write the frames, and note the messages that were delivered."""
        self._sink.write(batch.encoded(self._format))
        self._chats.delivered(batch)
        return None


class Taken(Enum):
    """What has become of a command."""

    REFUSED = auto()
    DONE = auto()
    #: Done, and the client was greeted with it.
    GREETED = auto()


class InteractiveClient(Client[InteractivePeer]):
    """A client that can talk: `greet` it when it is let in, and `take` its commands one after the other."""

    __slots__ = ("_greeted_as", "_heartbeat_seconds", "chats")

    def __init__(
        self,
        sessions: Sessions,
        session: Session,
        peer: InteractivePeer,
        wire_format: WireFormat,
        *,
        heartbeat_seconds: float,
    ) -> None:
        self.chats = JoinedChats(session, sessions, lambda event: self._write(wire_format.encode(event)))
        self._heartbeat_seconds = heartbeat_seconds
        #: The key of the caller that the client was last greeted as; None before the first greeting.
        self._greeted_as: str | None = None
        super().__init__(session, peer, _ChatDelivery(peer.sink, wire_format, session.close, self.chats))

    @property
    def greeted(self) -> bool:
        """Whether the client knows who it is."""
        return self._greeted_as is not None

    def greet(self) -> None:
        """Tell the client who it is. The heartbeat begins with the first greeting."""
        self._write(self._peer.greeting(self._greeting()))

    def greet_later(self, seconds: float) -> None:
        """Greet a client that says nothing for so long; one that is greeted before then is not greeted twice."""
        self._set_timer(seconds, self.greet)

    async def take(self, command: str, data: object, mark: Any = None) -> Taken:
        """Carry out a command and answer it."""
        session = self.session
        if session.closed.done():
            return Taken.REFUSED
        try:
            content = await execute(session, self.chats, command, data)
        except StoreError as error:
            self.refuse(error, mark)
            return Taken.REFUSED
        anew = session.caller.key != self._greeted_as
        greeting = self._greeting() if anew else None
        self._write(self._peer.reply(command, content, mark, greeting))
        return Taken.GREETED if anew else Taken.DONE

    def reject(self, error: StoreError, mark: Any = None) -> None:
        """Refuse what is no command; a client that has not been let in may still say who it is."""
        self._write(self._peer.refusal(error, mark))

    def refuse(self, error: StoreError, mark: Any = None) -> None:
        """Answer with an error; a client that has not been let in goes."""
        if self.session.admitted and not self.greeted:
            self.greet()
        self._write(self._peer.refusal(error, mark))
        if not self.session.admitted:
            self.session.close(Close(refusal_reason(error), error.detail))

    def release(self) -> None:
        """Leave nothing behind, for the client has gone; a second time has no effect."""
        super().release()
        self.chats.close()

    def _greeting(self) -> dict[str, Any]:
        if self._greeted_as is None:
            self.start_heartbeat(self._heartbeat_seconds)
        self._greeted_as = self.session.caller.key
        return self.session.greeting()


def refusal_reason(error: StoreError) -> CloseReason:
    """Why a connection ends that is not let in."""
    match error.code:
        case ErrorCode.FORBIDDEN:
            return CloseReason.FORBIDDEN
        case ErrorCode.RATE_LIMITED:
            return CloseReason.TOO_MANY_MESSAGES
        case ErrorCode.UNAVAILABLE:
            return CloseReason.DRAINING
        case ErrorCode.INTERNAL:
            return CloseReason.INTERNAL
        case _:
            return CloseReason.UNAUTHENTICATED
