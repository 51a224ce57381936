"""Events on their way to subscribers, encoded once however many take them."""

from collections.abc import Sequence
from typing import Protocol

from core.kernel.events import Event

#: What an event costs in memory besides its data, roughly: the objects, the envelope's head, a frame's head.
_OVERHEAD_BYTES = 2_000


class WireFormat(Protocol):
    """How a door writes an event. Make one object per format and keep it: it is the key of the cache.

    Frames must be such that several of them, joined without anything between, are a valid stream of several events.
    """

    def encode(self, event: Event) -> bytes:
        """The frame of one event."""


class Entry:
    """An event in memory, with its place in the log and the frames made of it so far."""

    __slots__ = ("event", "frames", "place", "size")

    def __init__(self, event: Event, place: int) -> None:
        self.event = event
        #: The event's sequence; of an ephemeral event, the sequence of the event that it followed.
        self.place = place
        #: Bytes of memory, estimated with the envelope and one frame.
        self.size = 3 * len(event.data) + _OVERHEAD_BYTES
        self.frames: dict[WireFormat, bytes] = {}

    @property
    def before(self) -> int:
        """The place to read the log from in order to come to this entry next."""
        return self.place - 1 if self.event.sequence else self.place


class Batch:
    """Events in order, at least one. Immutable, and shared by all subscribers who take the same range."""

    __slots__ = ("_encoded", "_entries", "_events", "place")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._events: tuple[Event, ...] | None = None
        self._encoded: dict[WireFormat, bytes] = {}
        #: The sequence up to which the log has been served with this batch.
        self.place = entries[-1].place

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events in order."""
        if self._events is None:
            self._events = tuple([entry.event for entry in self._entries])
        return self._events

    @property
    def first(self) -> Event:
        """The oldest event."""
        return self._entries[0].event

    @property
    def last(self) -> Event:
        """The newest event."""
        return self._entries[-1].event

    @property
    def cursor(self) -> str | None:
        """The place behind the last event that is in the log; None when all are ephemeral."""
        return next((entry.event.cursor for entry in reversed(self._entries) if entry.event.sequence), None)

    def encoded(self, wire_format: WireFormat) -> bytes:
        """The frames of all events, joined; made once per format, from frames made once per event and format."""
        encoded = self._encoded.get(wire_format)
        if encoded is None:
            frames = []
            for entry in self._entries:
                frame = entry.frames.get(wire_format)
                if frame is None:
                    frame = entry.frames[wire_format] = wire_format.encode(entry.event)
                frames.append(frame)
            encoded = self._encoded[wire_format] = frames[0] if len(frames) == 1 else b"".join(frames)
        return encoded
