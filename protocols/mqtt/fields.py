"""The fields of a packet (MQTT 5.0, section 1.5), and the properties that a client may give in each (2.2.2)."""

from collections.abc import Callable
from functools import partial

from protocols.mqtt.packets import NO_PROPERTIES, Breach, Malformed, Properties, Property, Version


class Body:
    """The content of a packet, read from its beginning to its end."""

    __slots__ = ("_data", "_place", "version")

    def __init__(self, data: bytes, version: Version) -> None:
        self._data = data
        self._place = 0
        self.version = version

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return len(self._data) - self._place

    def raw(self, size: int) -> bytes:
        """So many bytes."""
        end = self._place + size
        if end > len(self._data):
            raise Malformed("a packet ends too early")
        found, self._place = self._data[self._place : end], end
        return found

    def number(self, size: int) -> int:
        """A number of so many bytes (sections 1.5.2, 1.5.3)."""
        return int.from_bytes(self.raw(size), "big")

    def varint(self) -> int:
        """A variable byte integer (section 1.5.5)."""
        found = 0
        for shift in (0, 7, 14, 21):
            byte = self.number(1)
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
        raise Malformed("a number does not end")

    def data(self) -> bytes:
        """Binary data (section 1.5.6)."""
        return self.raw(self.number(2))

    def text(self) -> str:
        """A text (section 1.5.4)."""
        try:
            found = self.data().decode()
        except UnicodeDecodeError:
            raise Malformed("a text is not UTF-8") from None
        if "\0" in found:
            raise Malformed("a text with a null character")
        return found

    def packet_id(self) -> int:
        """A packet id, which is not 0 (section 2.2.1)."""
        found = self.number(2)
        if not found:
            raise Malformed("a packet id of 0")
        return found

    def properties(self, allowed: frozenset[Property]) -> Properties:
        """The block of properties; each but user properties may be there once (section 2.2.2)."""
        if self.version is Version.V3:
            return NO_PROPERTIES
        size = self.varint()
        if not size:
            return NO_PROPERTIES
        block = Body(self.raw(size), self.version)
        values: dict[int, int | str | bytes] = {}
        user: list[tuple[str, str]] = []
        while block.left:
            number = block.varint()
            if number not in allowed:
                raise Malformed(f"property {number} does not belong here")
            if number == Property.USER:
                user.append((block.text(), block.text()))
            elif number in values:
                raise Breach(f"property {number} is there twice")
            else:
                values[number] = _VALUES[Property(number)](block)
        return Properties(values, tuple(user))

    def end(self) -> None:
        """Nothing may follow."""
        if self.left:
            raise Malformed("a packet goes on behind its end")


def _flag(body: Body) -> int:
    found = body.number(1)
    if found > 1:
        raise Breach("a flag is neither 0 nor 1")
    return found


def _positive(size: int, body: Body) -> int:
    found = body.number(size) if size else body.varint()
    if not found:
        raise Breach("a number that may not be 0")
    return found


_VALUES: dict[Property, Callable[[Body], int | str | bytes]] = {
    Property.PAYLOAD_FORMAT: _flag,
    Property.MESSAGE_EXPIRY: lambda body: body.number(4),
    Property.CONTENT_TYPE: Body.text,
    Property.RESPONSE_TOPIC: Body.text,
    Property.CORRELATION_DATA: Body.data,
    Property.SUBSCRIPTION_ID: partial(_positive, 0),
    Property.SESSION_EXPIRY: lambda body: body.number(4),
    Property.AUTH_METHOD: Body.text,
    Property.AUTH_DATA: Body.data,
    Property.PROBLEM_INFORMATION: _flag,
    Property.WILL_DELAY: lambda body: body.number(4),
    Property.RESPONSE_INFORMATION: _flag,
    Property.REASON: Body.text,
    Property.RECEIVE_MAXIMUM: partial(_positive, 2),
    Property.TOPIC_ALIAS_MAXIMUM: lambda body: body.number(2),
    Property.TOPIC_ALIAS: partial(_positive, 2),
    Property.LARGEST_PACKET: partial(_positive, 4),
}

# The packets' own sets of properties.
_MESSAGE = frozenset(
    {
        Property.PAYLOAD_FORMAT,
        Property.MESSAGE_EXPIRY,
        Property.CONTENT_TYPE,
        Property.RESPONSE_TOPIC,
        Property.CORRELATION_DATA,
        Property.USER,
    }
)
IN_WILL = _MESSAGE | {Property.WILL_DELAY}
IN_PUBLISH = _MESSAGE | {Property.TOPIC_ALIAS}
IN_CONNECT = frozenset(
    {
        Property.SESSION_EXPIRY,
        Property.AUTH_METHOD,
        Property.AUTH_DATA,
        Property.PROBLEM_INFORMATION,
        Property.RESPONSE_INFORMATION,
        Property.RECEIVE_MAXIMUM,
        Property.TOPIC_ALIAS_MAXIMUM,
        Property.USER,
        Property.LARGEST_PACKET,
    }
)
IN_ACK = frozenset({Property.REASON, Property.USER})
IN_SUBSCRIBE = frozenset({Property.SUBSCRIPTION_ID, Property.USER})
IN_UNSUBSCRIBE = frozenset({Property.USER})
IN_DISCONNECT = IN_ACK | {Property.SESSION_EXPIRY}
IN_AUTH = IN_ACK | {Property.AUTH_METHOD, Property.AUTH_DATA}
