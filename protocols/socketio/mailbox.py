"""What waits for one Engine.IO client."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from engineio import packet as engine

from core.kernel.limits import Limits
from core.live.connection import Sink
from core.live.inbound_rate import InboundRate
from protocols.http.frames import read_frames, text_frame
from protocols.socketio.inbox import Inbox
from protocols.socketio.wire import BadPacket, check_packet, without_attachments

#: Bytes that may wait for a client that polls before its delivery pauses; one batch more may be added to them.
_HIGH_WATER_BYTES = 64 * 1024
#: Packets in the answer to a poll: python-engineio's clients take no more ("Too many packets in payload").
_MAX_PACKETS_PER_POLL = 16


class Due:
    """A packet that is encoded already, where the library expects one of its own class."""

    __slots__ = ("_text",)

    packet_type = engine.MESSAGE

    def __init__(self, text: str) -> None:
        self._text = text

    def encode(self, b64: bool = False) -> str:  # noqa: ARG002 the library's signature
        """The packet as text."""
        return self._text


class Mailbox:
    """Stands where the library has an unbounded queue, and is the sink of the client's delivery at the same time.

    While a client polls, things wait here for the next poll; they are little more than `_HIGH_WATER_BYTES`, and
    ``on_stalled`` is called when nothing was fetched for too long. Once it is on a WebSocket nothing waits: frames are
    written past the library, all clients' from the same bytes, one write for a wake-up. Only the library's pings
    still take its way, whose tasks tell by them that the connection lives.
    """

    __slots__ = (
        "_attachments", "_ended", "_filled", "_left", "_ping_milliseconds", "_room", "_since", "_sink", "_size",
        "_stall", "_timer", "_waiting", "close_code", "inbox", "last_packet", "on_stalled", "on_writable", "pinger",
        "polling", "rate",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.on_stalled: Callable[[], None] | None = None
        #: The library's task that sends the next ping.
        self.pinger: asyncio.Task[None] | None = None
        #: By which the client's packets are read.
        self.rate = InboundRate(limits)
        self.inbox = Inbox(self.rate, self, limits.stall_seconds)
        self.close_code = 1000
        #: Whether a poll is under way, and what it gets when the end comes instead of anything else.
        self.polling = False
        self.last_packet: str | None = None
        #: Of a binary event, which have yet to come.
        self._attachments = 0
        self._ping_milliseconds = round(limits.ping_seconds * 1000)
        self._stall = limits.stall_seconds
        #: Packets and their sizes; a packet is the library's or `Due`.
        self._waiting: deque[tuple[Any, int]] = deque()
        self._left = 0
        self._size = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sink: Sink | None = None
        self._ended = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    # --- reading ---

    def admit(self, packet: str | bytes) -> str | None:
        """What the library gets of a packet of the client: nothing of an attachment, for binary is not taken.

        Raises:
            BadPacket: the connection must end.
        """
        if isinstance(packet, bytes) or packet[:1] == "b":
            if not self._attachments:
                raise BadPacket("Events are text: binary is not taken.")
            self._attachments -= 1
            return None
        packet, attachments = without_attachments(packet)
        self._attachments += attachments
        check_packet(packet)
        return packet

    # --- writing ---

    @property
    def size(self) -> int:
        """Bytes that wait for a poll."""
        return self._size

    @property
    def writable(self) -> bool:
        """Whether less waits than should."""
        if self._ended:
            return False
        return self._size < _HIGH_WATER_BYTES if self._sink is None else self._sink.writable

    def write(self, data: bytes) -> None:
        """Hand over text frames with one packet each; nothing happens after the end."""
        if self._ended:
            return
        if self._sink is not None:
            self._sink.write(data)
        else:
            for packet in read_frames(data):
                self._add(Due(packet.decode()), len(packet))

    async def drain(self) -> None:
        """Wait until ``writable``; ConnectionResetError when the end has come instead."""
        while not self.writable:
            if self._ended:
                raise ConnectionResetError("the client has gone")
            if self._sink is not None:
                await self._sink.drain()
            else:
                self._room.clear()
                await self._room.wait()

    async def fetched(self) -> None:
        """Wait until nothing waits for a poll any more, or the end."""
        while self._waiting and self._sink is None and not self._ended:
            self._room.clear()
            await self._room.wait()

    def attach(self, sink: Sink) -> None:
        """The client is on a WebSocket now: write what waits, and all that comes, to it."""
        waiting, self._waiting, self._size = self._waiting, deque(), 0
        self._sink = sink
        self._quieten()
        for item, _ in waiting:
            if item.packet_type == engine.NOOP:
                continue  # It was for a poll.
            sink.write(text_frame(item.encode().encode()))
        sink.on_writable = self._tell
        self._room.set()
        self._tell()

    def end(self) -> None:
        """Take no more. What waits may still be fetched by the poll that is under way."""
        if self._ended:
            return
        self._ended = True
        self.rate.lift()
        self._quieten()
        if self._sink is not None:
            self._sink.on_writable = None
        self.on_writable = self.on_stalled = None
        if self.pinger is not None and self.pinger is not asyncio.current_task():
            self.pinger.cancel()
        self._filled.set()
        self._room.set()

    def _tell(self) -> None:
        if self.on_writable is not None:
            self.on_writable()

    def _add(self, item: Any, size: int) -> None:
        if not self._waiting:
            self._since = asyncio.get_running_loop().time()
        self._waiting.append((item, size))
        self._size += size
        self._filled.set()
        if self._timer is None and self._sink is None:
            self._timer = asyncio.get_running_loop().call_later(self._stall, self._look)

    def _look(self) -> None:
        """Check whether the client still fetches what waits for them."""
        self._timer = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        left = self._since + self._stall - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._look)
        elif self.on_stalled is not None:
            self.on_stalled()

    def _quieten(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- the library's side: what it needs of asyncio.Queue ---

    async def put(self, item: Any) -> None:
        """Take a packet of the library; None is the end."""
        if item is not None and item.packet_type == engine.OPEN:
            item.data["pingInterval"] = self._ping_milliseconds  # The library tells whole seconds.
        if item is None:
            self.end()
        elif self._ended:
            pass
        elif self._sink is not None and item.packet_type != engine.PING:
            self._sink.write(text_frame(item.encode().encode()))
        else:
            self._add(item, len(item.encode()))

    async def get(self) -> Any:
        """Begin a poll: wait for a packet; None after the end."""
        while not self._waiting:
            if self._ended:
                last, self.last_packet = self.last_packet, None
                return None if last is None else Due(last)
            self._filled.clear()
            await self._filled.wait()
        self._left = _MAX_PACKETS_PER_POLL
        return self._take()

    def get_nowait(self) -> Any:
        """Go on with a poll: a packet, if one waits.

        Raises:
            asyncio.QueueEmpty: none does, or the poll has enough.
        """
        if not self._waiting or not self._left:
            raise asyncio.QueueEmpty
        return self._take()

    def _take(self) -> Any:
        full = not self.writable
        packet, size = self._waiting.popleft()
        self._size -= size
        self._left -= 1
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        if not self._waiting or (full and self.writable):
            self._room.set()
        if full and self.writable:
            # Later, so that this poll ends with what was due when it began.
            loop.call_soon(self._tell)
        return packet

    def task_done(self) -> None:
        """Nobody counts."""

    async def join(self) -> None:
        """Whoever wants to wait uses `fetched`, within bounds."""
