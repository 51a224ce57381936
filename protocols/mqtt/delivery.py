"""Delivers events to one client: in frames that all clients share, or one by one, with its own packet identifiers."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.hub import Batch
from core.kernel.cursor import Cursor
from core.kernel.events import Event
from core.live.connection import Sink
from core.live.current_state import has_state
from core.live.delivery import Delivery
from core.live.session import Session
from protocols.mqtt.encoder import ApplicationMessage, Encoder
from protocols.mqtt.filters import FrameShape, GrantedSubscription, common_shape, match
from protocols.mqtt.frames import FRAMES, packet_id_offsets, user_properties_of
from protocols.mqtt.gate import WINDOW, Gate
from protocols.mqtt.in_flight import InFlight, MessageKey
from protocols.mqtt.packets import ProtocolVersion

#: How long acknowledgements that are on their way at a drain are waited for.
_SETTLE_SECONDS = 1.0


class MessageDelivery(Delivery):
    """The events that one client is due, as messages.

    While all its subscriptions are alike, a batch goes out as it is, in frames shared with every client of the same
    version and shape; otherwise, or when too many messages are unacknowledged, event by event.
    """

    __slots__ = (
        "_encoder", "_in_flight", "_max_packet_bytes", "_on_settled", "_shape", "_subscriptions", "_version",
        "_waiting", "gate", "on_room",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        sink: Sink,
        version: ProtocolVersion,
        encoder: Encoder,
        *,
        receive_maximum: int,
        max_packet_bytes: int | None,
    ) -> None:
        #: Holds events back.
        self.gate = Gate(sink)
        #: Called whenever the client may be sent more.
        self.on_room: list[Callable[[], None]] = []
        self._version = version
        self._encoder = encoder
        self._max_packet_bytes = max_packet_bytes
        self._in_flight = InFlight(receive_maximum)
        self._subscriptions: tuple[GrantedSubscription, ...] = ()
        self._shape: FrameShape | None = None
        self._waiting: deque[Event] = deque()
        self._on_settled: Callable[[], None] | None = None
        super().__init__(self.gate, session.close)

    @property
    def has_room(self) -> bool:
        """Whether one more message may be sent now."""
        return self.gate.sink_writable and self._in_flight.room > 0

    @property
    def is_free(self) -> bool:
        """Whether there is room, and nothing that has to go out first."""
        return self.has_room and self.gate.is_open

    def set_subscriptions(self, subscriptions: Iterable[GrantedSubscription]) -> None:
        """From now on the client has these subscriptions; shared ones are not delivered here."""
        self._subscriptions = tuple(one for one in subscriptions if one.share_name is None)
        # Each message has to be measured for a client that limits its packets.
        self._shape = common_shape(self._subscriptions) if self._max_packet_bytes is None else None

    # --- events ---

    def deliver(self, batch: Batch) -> None:
        """Write a batch as far as the client may have it; the rest waits here and shuts the gate."""
        shape, in_flight = self._shape, self._in_flight
        if shape is None or self._waiting or in_flight.is_resuming or self.gate.reasons:
            self._waiting.extend(batch.events)
            self._flush()
        elif not shape.qos:
            self.gate.write(batch.encoded(FRAMES[(self._version, shape)]))
            in_flight.mark_sent(batch.place)
        elif len(batch) <= in_flight.room:
            self.gate.write(self._numbered(batch, shape))
            in_flight.mark_sent(batch.place)
            self._limit()
        else:
            self._waiting.extend(batch.events)
            self._flush()

    def _numbered(self, batch: Batch, shape: FrameShape) -> bytes:
        """The shared frames of a batch, with this client's packet identifiers."""
        frames = bytearray(batch.encoded(FRAMES[(self._version, shape)]))
        next_id = self._in_flight.next_id
        begin = 0
        offsets = packet_id_offsets(batch, self._version, shape)
        for event, (size, offset) in zip(batch.events, offsets, strict=True):
            packet_id = next_id(event.sequence)
            frames[begin + offset] = packet_id >> 8
            frames[begin + offset + 1] = packet_id & 0xFF
            begin += size
        return bytes(frames)

    def go_on(self) -> None:
        """Send what waits here, then what the subscription has; tell who else waits for room."""
        self._flush()
        if not self._waiting:
            self.pump()
        for callback in list(self.on_room):
            callback()

    def _flush(self) -> None:
        """Send what waits, as far as there is room."""
        waiting, is_open = self._waiting, self.gate.is_open
        while waiting and is_open and self.has_room:
            self._send_next(waiting.popleft())
        self._limit()

    def _limit(self) -> None:
        """Shut the gate while events wait here, or while too many messages are unacknowledged."""
        if self._waiting or self._in_flight.room <= 0:
            self.gate.reasons.add(WINDOW)
        else:
            self.gate.reasons.discard(WINDOW)

    def _send_next(self, event: Event) -> None:
        if self._in_flight.was_acknowledged(event.sequence):
            return
        topic, matched = match(self._subscriptions, event)
        if matched:
            retain = any(one.retain_as_published for one in matched) and has_state(topic)
            self.send(event, topic, matched, retain=retain, resend=event.sequence)
        self._in_flight.mark_sent(event.sequence)

    def send(
        self,
        event: Event,
        topic: str,
        matched: list[GrantedSubscription],
        *,
        retain: bool,
        resend: MessageKey = 0,
    ) -> int:
        """Send an event under a topic, for the subscriptions that it matches.

        ``resend``: as what the session sends it again to a client that comes back without having acknowledged it: its
        sequence, or its filter and topic; 0 when it does not.

        Returns:
            The packet identifier; 0 for a message that needs no acknowledgement, or is too large for the client.
        """
        qos = max(one.qos for one in matched)
        message = ApplicationMessage(
            matched[0].prefix + topic,
            event.envelope,
            qos,
            retain,
            user_properties_of(event),
            tuple(one.identifier for one in matched if one.identifier),
        )
        packet_id, duplicate = 0, False
        if qos:
            packet_id = self._in_flight.id_to_resend(resend)
            duplicate = bool(packet_id)
            packet_id = packet_id or self._in_flight.next_id(resend)
        frame = self._encoder.publish(message, packet_id or 1, duplicate=duplicate)
        if self._max_packet_bytes is not None and len(frame) > self._max_packet_bytes:
            # Such a message is dropped as if it had been delivered (section 3.1.2.11.4).
            self._in_flight.acknowledge((packet_id,))
            return 0
        self.gate.write(frame)
        return packet_id

    async def wait_for_room(self) -> None:
        """Wait until ``has_room``.

        Raises:
            ConnectionResetError: the client has gone.
        """
        while not self.has_room:
            await self.gate.wait_for_change()

    def send_retained(self, event: Event, subscription: GrantedSubscription) -> None:
        """Send current state as a retained message."""
        topic, matched = match((subscription,), event)
        if matched:
            self.send(event, topic, matched, retain=True, resend=(subscription.topic_filter, topic))

    @property
    def retained_to_resend(self) -> list[tuple[str, str]]:
        """The filters and topics of retained messages of an earlier connection that are to be sent again."""
        return self._in_flight.retained_to_resend

    def forget_retained(self, topic_filter: str, topic: str) -> None:
        """A retained message is not to be sent again, for its topic has no state any more."""
        self._in_flight.forget_earlier((topic_filter, topic))

    def is_in_flight(self, packet_id: int) -> bool:
        """Whether a message of a shared subscription is not acknowledged yet."""
        in_flight = self._in_flight
        return in_flight.sequences.get(packet_id) == 0 and packet_id not in in_flight.retained

    def acknowledge(self, packet_ids: Iterable[int]) -> int:
        """The client has these messages; gives how many of them were in flight."""
        in_flight = self._in_flight
        known = in_flight.acknowledge(packet_ids)
        if self._closed:
            if not in_flight.sequences:
                self._settled()
            return known
        # Not at every single one: events should gather into batches while the window is full.
        if self._waiting or len(in_flight.sequences) <= in_flight.window // 2:
            self._flush()
        self.gate.changed()
        return known

    def settle(self, done: Callable[[], None]) -> None:
        """Call ``done`` when nothing is in flight any more: acknowledgements may be on their way."""
        self._on_settled = done
        if self._in_flight.sequences:
            asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._settled)
        else:
            self._settled()

    def _settled(self) -> None:
        done, self._on_settled = self._on_settled, None
        if done is not None:
            done()

    # --- the session's state ---

    @property
    def cursor(self) -> str | None:
        """The cursor up to which the client has everything; None without a subscription."""
        subscription = self.subscription
        if subscription is None:
            return None
        cursor = subscription.cursor
        unacknowledged = self._in_flight.lowest()
        waiting = next((event.sequence for event in self._waiting if event.sequence), None)
        missing = [sequence for sequence in (unacknowledged, waiting) if sequence is not None]
        if not missing:
            return cursor
        place = Cursor.decode(cursor, subscription.tenant)
        return Cursor(place.epoch, place.tenant, min(place.sequence, min(missing) - 1)).encode()

    def to_state(self) -> dict[str, Any]:
        """What a durable session keeps."""
        return self._in_flight.to_state()

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from ``to_state``."""
        self._in_flight.resume(state)

    def rewind(self) -> None:
        """A subscription begins at an earlier place in the log."""
        self._in_flight.rewind()
