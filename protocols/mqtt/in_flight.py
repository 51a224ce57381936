"""What a client has been sent and not acknowledged (MQTT 5.0, sections 4.4 and 4.9), also across its connections."""

from collections.abc import Iterable, Mapping
from typing import Any

#: Unacknowledged messages of a client at most, unless its receive maximum is lower.
MAX_IN_FLIGHT = 500


class InFlight:
    """The unacknowledged messages of one client, by packet identifier.

    Messages are known by the sequences of their events in the log; those that are not the session's own (retained
    messages, and those of shared subscriptions) have sequence 0, and are not part of its state.
    """

    __slots__ = ("_last_id", "_resumed", "_resumed_to", "_sent_to", "sequences", "window")

    def __init__(self, receive_maximum: int) -> None:
        self.window = min(receive_maximum, MAX_IN_FLIGHT)
        #: By packet identifier.
        self.sequences: dict[int, int] = {}
        self._last_id = 0
        #: The highest sequence that was sent.
        self._sent_to = 0
        #: Of a resumed session: the packet identifiers that were in flight, by sequence, and what had been sent.
        self._resumed: dict[int, int] = {}
        self._resumed_to = 0

    @property
    def room(self) -> int:
        """How many messages may be sent now."""
        return self.window - len(self.sequences)

    @property
    def is_resuming(self) -> bool:
        """Whether messages may still have to be sent again, or left out since they were acknowledged."""
        return bool(self._resumed_to)

    def next_id(self, sequence: int) -> int:
        """A free packet identifier, for a message that is sent now."""
        sequences = self.sequences
        packet_id = self._last_id % 0xFFFF + 1
        while packet_id in sequences:
            packet_id = packet_id % 0xFFFF + 1
        self._last_id = packet_id
        sequences[packet_id] = sequence
        return packet_id

    def id_to_resend(self, sequence: int) -> int:
        """The packet identifier under which a message was sent on an earlier connection; 0 if it was not."""
        return self._resumed.pop(sequence, 0)

    def was_acknowledged(self, sequence: int) -> bool:
        """Whether a message, the next one in the log, was sent and acknowledged on an earlier connection."""
        if self._resumed_to and sequence > self._resumed_to:
            self.end_resuming()
        return 0 < sequence <= self._resumed_to and sequence not in self._resumed

    def mark_sent(self, sequence: int) -> None:
        """Everything of the session up to a place in the log has been sent."""
        if sequence > self._sent_to:
            self._sent_to = sequence

    def acknowledge(self, packet_ids: Iterable[int]) -> int:
        """The client has these messages; gives how many of them were in flight."""
        before = len(self.sequences)
        for packet_id in packet_ids:
            self.sequences.pop(packet_id, None)
        return before - len(self.sequences)

    def lowest(self) -> int | None:
        """The lowest sequence that is not acknowledged; None when there is none."""
        return min((sequence for sequence in self.sequences.values() if sequence), default=None)

    def to_state(self) -> dict[str, Any]:
        """What a durable session keeps."""
        in_flight = [[key, sequence] for key, sequence in self.sequences.items() if sequence]
        return {
            "sent": max(self._sent_to, self._resumed_to),
            "inFlight": in_flight,
            "lastId": self._last_id,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from ``to_state``: what was in flight is sent again under its packet identifier, nothing else is."""
        self._resumed_to = self._sent_to = int(state["sent"])
        self._last_id = int(state["lastId"])
        self.sequences = {int(key): int(sequence) for key, sequence in state["inFlight"]}
        self._resumed = {sequence: key for key, sequence in self.sequences.items()}

    def rewind(self) -> None:
        """A subscription begins at an earlier place: what was sent before says nothing about it."""
        self.end_resuming()
        self._sent_to = 0

    def end_resuming(self) -> None:
        """What was in flight and has not been sent again is no longer subscribed to."""
        for packet_id in self._resumed.values():
            self.sequences.pop(packet_id, None)
        self._resumed, self._resumed_to = {}, 0
