"""Data types (MQTT 5.0, section 1.5) and properties (2.2.2), read from the bytes of a packet."""

from collections.abc import Callable, Sequence
from functools import partial

from core.kernel.validation import MAX_VALUES
from protocols.mqtt.packets import (
    NO_PROPERTIES,
    MalformedPacket,
    Properties,
    Property,
    ProtocolError,
    ProtocolVersion,
    TooManyItems,
)

#: A variable byte integer has the fewest bytes that it needs (MQTT 5.0, section 1.5.5).
LONGER_THAN_NEEDED = "a number is longer than it needs to be"


class PacketReader:
    """Reads the content of one packet from its beginning to its end.

    Every method raises MalformedPacket where the bytes are not what it reads.
    """

    __slots__ = ("_data", "_position", "version")

    def __init__(self, data: bytes, version: ProtocolVersion) -> None:
        self._data = data
        self._position = 0
        self.version = version

    @property
    def left(self) -> int:
        """How many bytes are not read yet."""
        return len(self._data) - self._position

    def raw(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self._position + size
        if end > len(self._data):
            raise MalformedPacket("a packet ends too early")
        found, self._position = self._data[self._position : end], end
        return found

    def integer(self, size: int) -> int:
        """An integer of ``size`` bytes (sections 1.5.2, 1.5.3)."""
        return int.from_bytes(self.raw(size), "big")

    def varint(self) -> int:
        """A variable byte integer (section 1.5.5)."""
        found = 0
        for shift in (0, 7, 14, 21):
            byte = self.integer(1)
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                if shift and not byte:
                    raise MalformedPacket(LONGER_THAN_NEEDED)
                return found
        raise MalformedPacket("a number does not end")

    def data(self) -> bytes:
        """Binary data (section 1.5.6)."""
        return self.raw(self.integer(2))

    def text(self) -> str:
        """A UTF-8 encoded string (section 1.5.4)."""
        try:
            found = self.data().decode()
        except UnicodeDecodeError:
            raise MalformedPacket("a text is not UTF-8") from None
        if "\0" in found:
            raise MalformedPacket("a text with a null character")
        return found

    def topic_name(self, *, may_be_empty: bool = False) -> str:
        """The name of a topic, which has no wildcards (section 4.7)."""
        found = self.text()
        if "+" in found or "#" in found or not (found or may_be_empty):
            raise MalformedPacket("not the name of a topic")
        return found

    def packet_id(self) -> int:
        """A packet identifier, which is not 0 (section 2.2.1)."""
        found = self.integer(2)
        if not found:
            raise MalformedPacket("a packet id of 0")
        return found

    def properties(self, allowed: frozenset[Property]) -> Properties:
        """The properties; each but user properties may occur once (section 2.2.2).

        Raises:
            MalformedPacket: one is not ``allowed`` in this packet.
            ProtocolError: one occurs twice, or has a value that is not allowed.
            TooManyItems: there are more user properties than are read.
        """
        if self.version is ProtocolVersion.V3_1_1:
            return NO_PROPERTIES
        size = self.varint()
        if not size:
            return NO_PROPERTIES
        block = PacketReader(self.raw(size), self.version)
        values: dict[int, int | str | bytes] = {}
        user: list[tuple[str, str]] = []
        while block.left:
            number = block.varint()
            if number not in allowed:
                raise MalformedPacket(f"property {number} does not belong here")
            if number == Property.USER_PROPERTY:
                user.append((block.text(), block.text()))
                check_count(user)
            elif number in values:
                raise ProtocolError(f"property {number} is there twice")
            else:
                values[number] = _READERS[Property(number)](block)
        return Properties(values, tuple(user))

    def end(self) -> None:
        """See that nothing follows."""
        if self.left:
            raise MalformedPacket("a packet goes on behind its end")


def check_count(items: Sequence[object]) -> None:
    """See that a packet has no more than there may be.

    Raises:
        TooManyItems: it has.
    """
    if len(items) > MAX_VALUES:
        raise TooManyItems(f"A packet has at most {MAX_VALUES} filters or user properties.")


def _flag(reader: PacketReader) -> int:
    found = reader.integer(1)
    if found > 1:
        raise ProtocolError("a flag is neither 0 nor 1")
    return found


def _nonzero(size: int, reader: PacketReader) -> int:
    found = reader.integer(size) if size else reader.varint()
    if not found:
        raise ProtocolError("a number that may not be 0")
    return found


_READERS: dict[Property, Callable[[PacketReader], int | str | bytes]] = {
    Property.PAYLOAD_FORMAT_INDICATOR: _flag,
    Property.MESSAGE_EXPIRY_INTERVAL: lambda reader: reader.integer(4),
    Property.CONTENT_TYPE: PacketReader.text,
    Property.RESPONSE_TOPIC: PacketReader.topic_name,
    Property.CORRELATION_DATA: PacketReader.data,
    Property.SUBSCRIPTION_IDENTIFIER: partial(_nonzero, 0),
    Property.SESSION_EXPIRY_INTERVAL: lambda reader: reader.integer(4),
    Property.AUTHENTICATION_METHOD: PacketReader.text,
    Property.AUTHENTICATION_DATA: PacketReader.data,
    Property.REQUEST_PROBLEM_INFORMATION: _flag,
    Property.WILL_DELAY_INTERVAL: lambda reader: reader.integer(4),
    Property.REQUEST_RESPONSE_INFORMATION: _flag,
    Property.REASON_STRING: PacketReader.text,
    Property.RECEIVE_MAXIMUM: partial(_nonzero, 2),
    Property.TOPIC_ALIAS_MAXIMUM: lambda reader: reader.integer(2),
    Property.TOPIC_ALIAS: partial(_nonzero, 2),
    Property.MAXIMUM_PACKET_SIZE: partial(_nonzero, 4),
}

# Which properties each packet may have.
_MESSAGE_PROPERTIES = frozenset(
    {
        Property.PAYLOAD_FORMAT_INDICATOR,
        Property.MESSAGE_EXPIRY_INTERVAL,
        Property.CONTENT_TYPE,
        Property.RESPONSE_TOPIC,
        Property.CORRELATION_DATA,
        Property.USER_PROPERTY,
    }
)
WILL_PROPERTIES = _MESSAGE_PROPERTIES | {Property.WILL_DELAY_INTERVAL}
PUBLISH_PROPERTIES = _MESSAGE_PROPERTIES | {Property.TOPIC_ALIAS}
CONNECT_PROPERTIES = frozenset(
    {
        Property.SESSION_EXPIRY_INTERVAL,
        Property.AUTHENTICATION_METHOD,
        Property.AUTHENTICATION_DATA,
        Property.REQUEST_PROBLEM_INFORMATION,
        Property.REQUEST_RESPONSE_INFORMATION,
        Property.RECEIVE_MAXIMUM,
        Property.TOPIC_ALIAS_MAXIMUM,
        Property.USER_PROPERTY,
        Property.MAXIMUM_PACKET_SIZE,
    }
)
ACK_PROPERTIES = frozenset({Property.REASON_STRING, Property.USER_PROPERTY})
SUBSCRIBE_PROPERTIES = frozenset({Property.SUBSCRIPTION_IDENTIFIER, Property.USER_PROPERTY})
UNSUBSCRIBE_PROPERTIES = frozenset({Property.USER_PROPERTY})
DISCONNECT_PROPERTIES = ACK_PROPERTIES | {Property.SESSION_EXPIRY_INTERVAL}
AUTH_PROPERTIES = ACK_PROPERTIES | {Property.AUTHENTICATION_METHOD, Property.AUTHENTICATION_DATA}
