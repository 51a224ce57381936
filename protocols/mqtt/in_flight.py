"""What a client has been sent and not acknowledged (MQTT 5.0, sections 4.4 and 4.9), also across its connections."""

from collections.abc import Iterable, Mapping
from typing import Any

#: Unacknowledged messages of a client at most, unless its receive maximum is lower.
MAX_IN_FLIGHT = 500

#: What a session knows a message by: its sequence in the log, or the topic filter and topic of a retained message.
MessageKey = int | tuple[str, str]


class InFlight:
    """The unacknowledged messages of one client, by packet identifier.

    Those of shared subscriptions have sequence 0: the session does not send them again.

    The window counts what was sent on this connection (section 4.9). What is left of an earlier one is sent again as
    the window lets it, however much it is, and keeps its packet identifiers meanwhile.
    """

    __slots__ = (
        "_earlier", "_earlier_ids", "_earlier_to", "_last_id", "_sent_to", "retained", "sequences", "window",
    )  # fmt: skip

    def __init__(self, receive_maximum: int) -> None:
        self.window = min(receive_maximum, MAX_IN_FLIGHT)
        #: Sent on this connection, by packet identifier.
        self.sequences: dict[int, int] = {}
        #: The topic filters and topics of the retained messages among them.
        self.retained: dict[int, tuple[str, str]] = {}
        self._last_id = 0
        #: The highest sequence that was sent.
        self._sent_to = 0
        #: Sent on an earlier connection and not again yet: packet identifiers by sequence, or by filter and topic.
        self._earlier: dict[MessageKey, int] = {}
        self._earlier_ids: set[int] = set()
        #: The highest sequence that was sent on an earlier connection; 0 when that is of no concern any more.
        self._earlier_to = 0

    @property
    def room(self) -> int:
        """How many messages may be sent now."""
        return self.window - len(self.sequences)

    @property
    def is_resuming(self) -> bool:
        """Whether messages may still have to be sent again, or left out since they were acknowledged."""
        return bool(self._earlier_to)

    def next_id(self, message: MessageKey) -> int:
        """A free packet identifier, for a message that is sent now."""
        sequences, earlier = self.sequences, self._earlier_ids
        packet_id = self._last_id % 0xFFFF + 1
        while packet_id in sequences or packet_id in earlier:
            packet_id = packet_id % 0xFFFF + 1
        self._last_id = packet_id
        if isinstance(message, int):
            sequences[packet_id] = message
        else:
            sequences[packet_id] = 0
            self.retained[packet_id] = message
        return packet_id

    def id_to_resend(self, message: MessageKey) -> int:
        """The packet identifier under which a message was sent on an earlier connection; 0 if it was not.

        It is in flight again.
        """
        packet_id = self.forget_earlier(message)
        if packet_id:
            self.sequences[packet_id] = message if isinstance(message, int) else 0
            if not isinstance(message, int):
                self.retained[packet_id] = message
        return packet_id

    def was_acknowledged(self, sequence: int) -> bool:
        """Whether a message, the next one in the log, was sent and acknowledged on an earlier connection."""
        if self._earlier_to and sequence > self._earlier_to:
            self._end_resuming()
        return 0 < sequence <= self._earlier_to and sequence not in self._earlier

    def mark_sent(self, sequence: int) -> None:
        """Everything of the session up to a place in the log has been sent."""
        if sequence > self._sent_to:
            self._sent_to = sequence

    def acknowledge(self, packet_ids: Iterable[int]) -> int:
        """The client has these messages; gives how many of them were in flight."""
        known = 0
        for packet_id in packet_ids:
            sequence = self.sequences.pop(packet_id, None)
            if sequence is not None:
                known += 1
                if not sequence:
                    self.retained.pop(packet_id, None)
            elif packet_id in self._earlier_ids:
                # Clients may acknowledge what an earlier connection brought before it is sent again.
                known += 1
                self.forget_earlier(next(key for key, found in self._earlier.items() if found == packet_id))
        return known

    def lowest(self) -> int | None:
        """The lowest sequence that is not acknowledged; None when there is none."""
        return min((sequence for sequence in self._unacknowledged().values() if sequence), default=None)

    def _unacknowledged(self) -> dict[int, int]:
        """The sequences of all messages that are the session's own."""
        earlier = {found: key for key, found in self._earlier.items() if isinstance(key, int)}
        return {**earlier, **self.sequences} if earlier else self.sequences

    @property
    def retained_to_resend(self) -> list[tuple[str, str]]:
        """The filters and topics of retained messages that were sent on an earlier connection and not again yet."""
        return [key for key in self._earlier if not isinstance(key, int)]

    def to_state(self) -> dict[str, Any]:
        """What a durable session keeps."""
        retained = {self._earlier[key]: key for key in self.retained_to_resend} | self.retained
        return {
            "sent": max(self._sent_to, self._earlier_to),
            "inFlight": [[key, sequence] for key, sequence in self._unacknowledged().items() if sequence],
            "retainedInFlight": [[key, *message] for key, message in retained.items()],
            "lastId": self._last_id,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from ``to_state``: what was in flight is sent again under its packet identifier, nothing else is."""
        self._earlier_to = self._sent_to = int(state["sent"])
        self._last_id = int(state["lastId"])
        self._earlier = {int(sequence): int(key) for key, sequence in state["inFlight"]}
        for key, topic_filter, topic in state.get("retainedInFlight", ()):
            self._earlier[topic_filter, topic] = int(key)
        self._earlier_ids = set(self._earlier.values())

    def rewind(self) -> None:
        """A subscription begins at an earlier place: what was sent before says nothing about it."""
        self._end_resuming()
        self._sent_to = 0

    def _end_resuming(self) -> None:
        """What was in flight and has not been sent again is no longer subscribed to."""
        for key in [key for key in self._earlier if isinstance(key, int)]:
            self.forget_earlier(key)
        self._earlier_to = 0

    def forget_earlier(self, message: MessageKey) -> int:
        """A message of an earlier connection is not to be sent again; gives its packet identifier, or 0."""
        packet_id = self._earlier.pop(message, 0)
        self._earlier_ids.discard(packet_id)
        return packet_id
