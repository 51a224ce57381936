"""Events on their way to one client: in frames that all share, with packet ids where he acknowledges."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.hub import Batch
from core.kernel.cursor import Cursor
from core.kernel.events import Event
from core.live.current_state import has_state
from core.live.delivery import Outlet, Sink
from core.live.session import Session
from protocols.mqtt.encoder import Message, Wire, Wire3, Wire5, publish_head
from protocols.mqtt.filters import Grant, Shape, common_shape, matching
from protocols.mqtt.packets import Version

#: Messages that may wait for the client's acknowledgement, if he does not ask for fewer.
WINDOW = 500

_MARK = struct.Struct(">II")


def properties_of(event: Event) -> tuple[tuple[str, str], ...]:
    """The user properties of an event."""
    given = (("eventId", event.id), ("eventType", event.event_type))
    return given if event.cursor is None else (*given, ("cursor", event.cursor))


class EventFrames:
    """Frames of one shape, the same for all clients of a version; the packet id is filled in later."""

    def __init__(self, version: Version, shape: Shape) -> None:
        self._wire: Wire = Wire5() if version is Version.V5 else Wire3()
        self._shape = shape

    def encode(self, event: Event) -> bytes:
        """PUBLISH."""
        shape = self._shape
        topic = f"tenants/{event.tenant}/{event.topic}" if shape.prefixed else event.topic
        retain = shape.retain_as_published and has_state(event.topic)
        return self._wire.publish(Message(topic, event.envelope, shape.qos, retain, properties_of(event)))


class EventMarks:
    """Where one frame after the other ends, and where its packet id is: what `EventFrames` leaves to be filled in."""

    def __init__(self, frames: EventFrames) -> None:
        self._frames = frames

    def encode(self, event: Event) -> bytes:
        """Length and place, four bytes each."""
        return _MARK.pack(*publish_head(self._frames.encode(event)))


_SHAPES = [
    Shape(qos, kept, prefixed) for qos in (0, 1) for kept in (False, True) for prefixed in (False, True)
]
_FRAMES = {(version, shape): EventFrames(version, shape) for version in Version for shape in _SHAPES}
_MARKS = {key: EventMarks(frames) for key, frames in _FRAMES.items() if key[1].qos}


class Gate:
    """The client's connection as his outlet sees it: closed too while there is a reason to hold events back."""

    def __init__(self, sink: Sink) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.reasons: set[str] = set()
        self._sink = sink
        self._ended = False
        self._changed: asyncio.Future[None] | None = None
        sink.on_writable = self.look

    @property
    def writable(self) -> bool:
        """Whether events may go out."""
        return not self.reasons and self._sink.writable and not self._ended

    def write(self, data: bytes) -> None:
        """Write whole packets."""
        self._sink.write(data)

    def shut(self, reason: str) -> None:
        """Hold events back."""
        self.reasons.add(reason)

    def open(self, reason: str) -> None:
        """One reason less."""
        if reason in self.reasons:
            self.reasons.remove(reason)
            self.look()

    def look(self) -> None:
        """Something has changed: go on, and tell who waits.

        A full window is no reason not to: what waits may be all that fills it.
        """
        if self.on_writable is not None and self._sink.writable and not self.reasons - {"window"}:
            self.on_writable()
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def end(self) -> None:
        """The client has gone."""
        self._ended = True
        self.on_writable = None
        self.look()

    async def change(self) -> None:
        """Wait until something is different.

        Raises:
            ConnectionResetError: the client has gone.
        """
        if self._ended:
            raise ConnectionResetError("the client has gone")
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    async def drain(self) -> None:
        """Wait until ``writable``."""
        while not self.writable:
            await self.change()


class Delivery(Outlet):
    """What one client gets, and what he has not acknowledged.

    While all his subscriptions are alike, a batch goes out as it is, shared with everybody who gets the same; else,
    or when too much is unacknowledged, event by event.
    """

    __slots__ = (
        "_gate", "_grants", "_in_flight", "_known", "_largest", "_last_id", "_resumed", "_shape", "_sink_now",
        "_version", "_waiting", "_window", "_wire", "done", "sent",
    )  # fmt: skip

    def __init__(
        self, session: Session, sink: Sink, version: Version, wire: Wire, *, window: int, largest: int | None
    ) -> None:
        self._gate = Gate(sink)
        self._sink_now = sink
        self._version = version
        self._wire = wire
        self._window = min(window, WINDOW)
        self._largest = largest
        self._grants: tuple[Grant, ...] = ()
        self._shape: Shape | None = None
        #: Packet ids that wait for an acknowledgement, with the sequences of their events; 0 is not in the log.
        self._in_flight: dict[int, int] = {}
        self._last_id = 0
        self._waiting: deque[Event] = deque()
        #: The highest sequence that was sent.
        self.sent = 0
        #: Of the session as it was taken up: what was under way, by sequence, and up to where it had been sent.
        self._resumed: dict[int, int] = {}
        self._known = 0
        #: Called when the client may be given more: by groups that share.
        self.done: list[Callable[[], None]] = []
        super().__init__(
            session, self._gate, _FRAMES[(version, Shape(0, retain_as_published=False, prefixed=False))]
        )
        self._gate.on_writable = self._go_on

    @property
    def gate(self) -> Gate:
        """Holds events back."""
        return self._gate

    @property
    def has_room(self) -> bool:
        """Whether one more message may be sent now."""
        return self._sink_now.writable and len(self._in_flight) < self._window

    @property
    def is_free(self) -> bool:
        """Whether there is room, and nothing that has to go out before."""
        return self.has_room and not self._gate.reasons - {"window"}

    def listen(self, grants: Mapping[str, Grant]) -> None:
        """From now on the client has these subscriptions."""
        self._grants = tuple(grant for grant in grants.values() if grant.group is None)
        self._shape = common_shape(self._grants) if self._largest is None else None

    # --- events ---

    def deliver(self, batch: Batch) -> None:
        """Write a batch as far as the client may have it; the rest waits here and closes the gate."""
        shape = self._shape
        free = not self._waiting and not self._known and not self._gate.reasons and shape is not None
        if free and shape is not None and not shape.qos:
            self._gate.write(batch.encoded(_FRAMES[(self._version, shape)]))
            self.sent = max(self.sent, batch.place)
        elif free and shape is not None and len(batch) <= self._window - len(self._in_flight):
            self._gate.write(self._numbered(batch, (self._version, shape)))
            self.sent = max(self.sent, batch.place)
            self._limit()
        else:
            self._waiting.extend(batch.events)
            self._flush()

    def _numbered(self, batch: Batch, key: tuple[Version, Shape]) -> bytes:
        """The frames that all share, with this client's packet ids."""
        frames = bytearray(batch.encoded(_FRAMES[key]))
        begin = 0
        for event, (size, place) in zip(
            batch.events, _MARK.iter_unpack(batch.encoded(_MARKS[key])), strict=True
        ):
            packet_id = self._take_id(event.sequence)
            frames[begin + place] = packet_id >> 8
            frames[begin + place + 1] = packet_id & 0xFF
            begin += size
        return bytes(frames)

    def _take_id(self, sequence: int) -> int:
        packet_id = self._last_id
        while True:
            packet_id = packet_id % 0xFFFF + 1
            if packet_id not in self._in_flight:
                break
        self._last_id = packet_id
        self._in_flight[packet_id] = sequence
        return packet_id

    def _go_on(self) -> None:
        self._flush()
        if not self._waiting:
            self.pump()
        for callback in list(self.done):
            callback()

    def _flush(self) -> None:
        """Send what waits, as far as there is room."""
        waiting, others = self._waiting, self._gate.reasons - {"window"}
        while waiting and self.has_room and not others:
            self._send(waiting.popleft())
        self._limit()

    def _limit(self) -> None:
        """Hold events back while some wait here, or while too many are unacknowledged."""
        if self._waiting or len(self._in_flight) >= self._window:
            self._gate.reasons.add("window")
        else:
            self._gate.reasons.discard("window")

    def _send(self, event: Event) -> None:
        sequence = event.sequence
        if self._known and sequence > self._known:
            self._forget_resumed()
        if 0 < sequence <= self._known and sequence not in self._resumed:
            return  # Acknowledged before the client came back.
        topic, found = matching(self._grants, event)
        if found:
            self.send(
                event, topic, found, retain=any(g.retain_as_published for g in found) and has_state(topic)
            )
        self.sent = max(self.sent, sequence)

    def send(
        self, event: Event, topic: str, grants: list[Grant], *, retain: bool, tracked: bool = True
    ) -> int:
        """Send an event under a topic, for the subscriptions that it matches; gives the packet id, 0 for none.

        Not ``tracked``, it is no part of what this client's session is due.
        """
        qos = max(grant.qos for grant in grants)
        ids = tuple(grant.id for grant in grants if grant.id)
        message = Message(grants[0].prefix + topic, event.envelope, qos, retain, properties_of(event), ids)
        packet_id, again = 0, False
        if qos:
            sequence = event.sequence if tracked else 0
            packet_id = self._resumed.pop(sequence, 0)
            again = bool(packet_id)
            packet_id = packet_id or self._take_id(sequence)
        frame = self._wire.publish(message, packet_id or 1, duplicate=again)
        if self._largest is not None and len(frame) > self._largest:
            # Section 3.1.2.11.4: such a message counts as sent.
            self._in_flight.pop(packet_id, None)
            return 0
        self._gate.write(frame)
        return packet_id

    def is_under_way(self, packet_id: int) -> bool:
        """Whether a message is not acknowledged yet."""
        return packet_id in self._in_flight

    def acknowledge(self, packet_ids: Iterable[int]) -> int:
        """The client has messages; says how many of them were under way."""
        before = len(self._in_flight)
        for packet_id in packet_ids:
            self._in_flight.pop(packet_id, None)
        known = before - len(self._in_flight)
        # Not at each single one: events should gather into batches while the window is full.
        if self._waiting or len(self._in_flight) <= self._window // 2:
            self._flush()
        self._gate.look()
        return known

    # --- state of things ---

    async def send_state(self, event: Event, grant: Grant) -> None:
        """Send the present state of something, when there is room.

        Raises:
            ConnectionResetError: the client has gone.
        """
        while not self.has_room:
            await self._gate.change()
        topic, found = matching((grant,), event)
        if found:
            self.send(event, topic, found, retain=True, tracked=False)

    # --- what is kept ---

    def place(self) -> str | None:
        """The cursor up to which the client has everything."""
        subscription = self._session.subscription
        if subscription is None:
            return None
        cursor = subscription.cursor
        open_ones = [sequence for sequence in self._in_flight.values() if sequence]
        open_ones += [event.sequence for event in self._waiting if event.sequence][:1]
        if not open_ones:
            return cursor
        here = Cursor.decode(cursor, subscription.tenant)
        return Cursor(here.epoch, here.tenant, min(here.sequence, min(open_ones) - 1)).encode()

    def state(self) -> dict[str, Any]:
        """What is under way."""
        in_flight = [[key, sequence] for key, sequence in self._in_flight.items() if sequence]
        return {"sent": max(self.sent, self._known), "inFlight": in_flight, "lastId": self._last_id}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``: what was unacknowledged comes again under its packet id, the rest is not repeated."""
        self._known = self.sent = int(state["sent"])
        self._last_id = int(state["lastId"])
        self._in_flight = {int(key): int(sequence) for key, sequence in state["inFlight"]}
        self._resumed = {sequence: key for key, sequence in self._in_flight.items()}

    def rewind(self) -> None:
        """A subscription begins at an earlier place: what was sent before says nothing about it."""
        self._forget_resumed()
        self.sent = 0

    def _forget_resumed(self) -> None:
        """What was under way and did not come again is listened to no more."""
        for packet_id in self._resumed.values():
            self._in_flight.pop(packet_id, None)
        self._resumed, self._known = {}, 0
