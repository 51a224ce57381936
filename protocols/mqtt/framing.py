"""The fixed header (MQTT 5.0, section 2.1): where one packet ends in a stream of bytes, and the next one begins."""

from protocols.mqtt.packets import MalformedPacket

#: One byte of type and flags, and up to four of the remaining length (section 2.1.4).
_MAX_HEADER_BYTES = 5


class PacketTooLarge(Exception):
    """A packet is larger than the server accepts."""


class PacketSplitter:
    """Cuts a stream of bytes into packets of at most ``max_packet_bytes``."""

    __slots__ = ("_buffer", "_max_packet_bytes")

    def __init__(self, max_packet_bytes: int) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._buffer = bytearray()

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return not self._buffer

    def add(self, data: bytes) -> None:
        """Bytes that came behind the earlier ones."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next packet; None while it is incomplete.

        Raises:
            PacketTooLarge: it announces more than the limit; the rest of it need not have arrived.
            MalformedPacket: its length cannot be read.
        """
        end = self._end_of_first()
        if end is None:
            return None
        packet = bytes(self._buffer[:end])
        del self._buffer[:end]
        return packet

    def _end_of_first(self) -> int | None:
        """Where the first packet ends; None while it is incomplete."""
        buffer, size = self._buffer, 0
        for position in range(1, min(_MAX_HEADER_BYTES, len(buffer))):
            byte = buffer[position]
            size |= (byte & 0x7F) << (7 * (position - 1))
            if byte < 0x80:
                end = position + 1 + size
                if end > self._max_packet_bytes:
                    raise PacketTooLarge
                return end if end <= len(buffer) else None
        if len(buffer) >= _MAX_HEADER_BYTES:
            raise MalformedPacket("the length of a packet does not end")
        return None


def varint(number: int) -> bytes:
    """A variable byte integer (section 1.5.5)."""
    encoded = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        encoded.append(digit | 0x80 if number else digit)
        if not number:
            return bytes(encoded)


def locate_packet_id(publish: bytes) -> tuple[int, int]:
    """For a whole PUBLISH that has a packet identifier: its length, and the offset of the packet identifier."""
    position, size, shift = 1, 0, 0
    while True:
        byte = publish[position]
        size |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            break
    return position + size, position + 2 + int.from_bytes(publish[position : position + 2], "big")
