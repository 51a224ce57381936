"""From bytes to the packets of clients (`packets`)."""

from collections.abc import Callable, Iterator
from functools import partial

from protocols.mqtt.packets import (
    NO_PROPERTIES,
    Acknowledged,
    Auth,
    Breach,
    Connect,
    Disconnect,
    Kind,
    Malformed,
    Packet,
    Ping,
    Properties,
    Property,
    Publish,
    Subscribe,
    UnknownVersion,
    Unsubscribe,
    Version,
    Will,
    Wish,
)

#: A fixed header has at most this many bytes (MQTT 5.0, section 2.1.4).
_LONGEST_HEAD = 5


class TooLarge(Exception):
    """A packet is larger than the server takes."""


class Splitter:
    """Cuts a stream of bytes into packets of at most ``limit`` bytes."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    @property
    def empty(self) -> bool:
        """Whether no packet has begun that is not complete."""
        return not self._held

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The packets that are complete now.

        Raises:
            TooLarge: a packet announces more than the limit; nothing more of it needs to have come.
            Malformed: its length cannot be read.
        """
        held = self._held
        held += data
        while (end := self._end()) is not None:
            packet = bytes(held[:end])
            del held[:end]
            yield packet

    def _end(self) -> int | None:
        """Where the first packet ends; None while it is not all here."""
        held, size = self._held, 0
        for place in range(1, min(_LONGEST_HEAD, len(held))):
            byte = held[place]
            size |= (byte & 0x7F) << (7 * (place - 1))
            if byte < 0x80:
                end = place + 1 + size
                if end > self._limit:
                    raise TooLarge
                return end if end <= len(held) else None
        if len(held) >= _LONGEST_HEAD:
            raise Malformed("the length of a packet does not end")
        return None


class _Body:
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
        block = _Body(self.raw(size), self.version)
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


def _flag(body: _Body) -> int:
    found = body.number(1)
    if found > 1:
        raise Breach("a flag is neither 0 nor 1")
    return found


def _positive(size: int, body: _Body) -> int:
    found = body.number(size) if size else body.varint()
    if not found:
        raise Breach("a number that may not be 0")
    return found


_VALUES: dict[Property, Callable[[_Body], int | str | bytes]] = {
    Property.PAYLOAD_FORMAT: _flag,
    Property.MESSAGE_EXPIRY: lambda body: body.number(4),
    Property.CONTENT_TYPE: _Body.text,
    Property.RESPONSE_TOPIC: _Body.text,
    Property.CORRELATION_DATA: _Body.data,
    Property.SUBSCRIPTION_ID: partial(_positive, 0),
    Property.SESSION_EXPIRY: lambda body: body.number(4),
    Property.AUTH_METHOD: _Body.text,
    Property.AUTH_DATA: _Body.data,
    Property.PROBLEM_INFORMATION: _flag,
    Property.WILL_DELAY: lambda body: body.number(4),
    Property.RESPONSE_INFORMATION: _flag,
    Property.REASON: _Body.text,
    Property.RECEIVE_MAXIMUM: partial(_positive, 2),
    Property.TOPIC_ALIAS_MAXIMUM: lambda body: body.number(2),
    Property.TOPIC_ALIAS: partial(_positive, 2),
    Property.LARGEST_PACKET: partial(_positive, 4),
}

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
_IN_WILL = _MESSAGE | {Property.WILL_DELAY}
_IN_PUBLISH = _MESSAGE | {Property.TOPIC_ALIAS}
_IN_CONNECT = frozenset(
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
_IN_ACK = frozenset({Property.REASON, Property.USER})
_IN_SUBSCRIBE = frozenset({Property.SUBSCRIPTION_ID, Property.USER})
_IN_UNSUBSCRIBE = frozenset({Property.USER})
_IN_DISCONNECT = _IN_ACK | {Property.SESSION_EXPIRY}
_IN_AUTH = _IN_ACK | {Property.AUTH_METHOD, Property.AUTH_DATA}

#: Flags in the first byte that have to be so (section 2.1.3); PUBLISH has flags of its own.
_FLAGS = dict.fromkeys(Kind, 0) | {Kind.PUBREL: 2, Kind.SUBSCRIBE: 2, Kind.UNSUBSCRIBE: 2}

_ACK_CODES = {
    Kind.PUBACK: frozenset({0, 16, 128, 131, 135, 144, 145, 151, 153}),
    Kind.PUBREC: frozenset({0, 16, 128, 131, 135, 144, 145, 151, 153}),
    Kind.PUBREL: frozenset({0, 146}),
    Kind.PUBCOMP: frozenset({0, 146}),
}
_DISCONNECT_CODES = frozenset({0, 4, 128, 129, 130, 131, 144, 147, 148, 149, 150, 151, 152, 153})
_AUTH_CODES = frozenset({24, 25})


def read_connect(packet: bytes) -> Connect:
    """Read the first packet, which names the version.

    Raises:
        UnknownVersion: it is CONNECT of another version.
        Malformed: it is not CONNECT.
    """
    kind, flags, content = _opened(packet)
    if kind is not Kind.CONNECT or flags:
        raise Malformed("the first packet is not CONNECT")
    name = content[2 : 2 + int.from_bytes(content[:2], "big")]
    level = content[2 + len(name) : 3 + len(name)]
    if name == b"MQIsdp" or (name == b"MQTT" and level not in (b"\x04", b"\x05")):
        raise UnknownVersion(f"{name.decode()} level {level.hex()}")
    if name != b"MQTT":
        raise Malformed("the first packet is not CONNECT")
    return _connect(_Body(content[7:], Version(level[0])))


def read_packet(packet: bytes, version: Version) -> Packet:
    """Read any further packet.

    Raises:
        Malformed: it is none, or none that a client may send now.
    """
    kind, flags, content = _opened(packet)
    body = _Body(content, version)
    if kind is Kind.PUBLISH:
        return _publish(body, flags)
    if flags != _FLAGS[kind]:
        raise Malformed("reserved flags are set")
    if kind is Kind.CONNECT:
        raise Breach("a second CONNECT")
    found = _READERS[kind](body)
    body.end()
    return found


def _opened(packet: bytes) -> tuple[Kind, int, bytes]:
    try:
        kind = Kind(packet[0] >> 4)
    except ValueError:
        raise Malformed("not a packet of a client") from None
    place = 1
    while packet[place] & 0x80:
        place += 1
    return kind, packet[0] & 0x0F, packet[place + 1 :]


def _connect(body: _Body) -> Connect:
    """CONNECT behind its version (section 3.1)."""
    flags = body.number(1)
    has_will, will_qos = bool(flags & 0x04), flags >> 3 & 3
    has_password, has_name = bool(flags & 0x40), bool(flags & 0x80)
    if flags & 1 or will_qos == 3 or (not has_will and flags & 0x38):
        raise Malformed("the flags of CONNECT do not fit together")
    if has_password and not has_name and body.version is Version.V3:
        raise Malformed("a password without a user name")
    keep_alive = body.number(2)
    properties = body.properties(_IN_CONNECT)
    if properties.data(Property.AUTH_DATA) is not None and properties.text(Property.AUTH_METHOD) is None:
        raise Breach("data for authentication without a method")
    client_id = body.text()
    will = _will(body, will_qos, retain=bool(flags & 0x20)) if has_will else None
    username = body.text() if has_name else None
    password = body.data() if has_password else None
    body.end()
    return Connect(
        body.version, client_id, bool(flags & 0x02), keep_alive, will, username, password, properties
    )


def _will(body: _Body, qos: int, *, retain: bool) -> Will:
    properties = body.properties(_IN_WILL)
    return Will(_topic(body.text()), body.data(), qos, retain, properties.number(Property.WILL_DELAY, 0))


def _publish(body: _Body, flags: int) -> Publish:
    """PUBLISH (section 3.3)."""
    qos, duplicate = flags >> 1 & 3, bool(flags & 8)
    if qos == 3 or (duplicate and not qos):
        raise Malformed("the flags of PUBLISH do not fit together")
    topic = body.text()
    packet_id = body.packet_id() if qos else 0
    properties = body.properties(_IN_PUBLISH)
    if topic or Property.TOPIC_ALIAS not in properties.values:
        topic = _topic(topic)
    return Publish(topic, body.raw(body.left), qos, bool(flags & 1), duplicate, packet_id, properties)


def _topic(text: str) -> str:
    if not text or "+" in text or "#" in text:
        raise Malformed("not the name of a topic")
    return text


def _acknowledged(kind: Kind, body: _Body) -> Acknowledged:
    """PUBACK and its like (sections 3.4 to 3.7); a code of 0 may be left out."""
    packet_id, code = body.packet_id(), 0
    if body.version is Version.V5 and body.left:
        code = body.number(1)
        if body.left:
            body.properties(_IN_ACK)
    if code not in _ACK_CODES[kind]:
        raise Malformed("an unknown reason code")
    return Acknowledged(kind, packet_id, code)


def _subscribe(body: _Body) -> Subscribe:
    """SUBSCRIBE (section 3.8)."""
    packet_id = body.packet_id()
    properties = body.properties(_IN_SUBSCRIBE)
    wishes = []
    while body.left:
        pattern, options = body.text(), body.number(1)
        wish = Wish(pattern, options & 3, bool(options & 4), bool(options & 8), options >> 4 & 3)
        if options & 0xC0 or wish.qos == 3 or wish.retain_handling == 3:
            raise Malformed("reserved options are set")
        if body.version is Version.V3 and options > 2:
            raise Malformed("reserved options are set")
        if wish.no_local and pattern.startswith("$share/"):
            raise Breach("no local on a shared subscription")
        wishes.append(wish)
    if not wishes:
        raise Breach("SUBSCRIBE without a filter")
    return Subscribe(packet_id, tuple(wishes), properties)


def _unsubscribe(body: _Body) -> Unsubscribe:
    """UNSUBSCRIBE (section 3.10)."""
    packet_id = body.packet_id()
    body.properties(_IN_UNSUBSCRIBE)
    patterns = []
    while body.left:
        patterns.append(body.text())
    if not patterns:
        raise Breach("UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, tuple(patterns))


def _ping(_: _Body) -> Ping:
    return Ping()


def _disconnect(body: _Body) -> Disconnect:
    """DISCONNECT (section 3.14); everything in it may be left out."""
    code, properties = 0, NO_PROPERTIES
    if body.version is Version.V5 and body.left:
        code = body.number(1)
        if body.left:
            properties = body.properties(_IN_DISCONNECT)
    if code not in _DISCONNECT_CODES:
        raise Malformed("an unknown reason code")
    return Disconnect(code, properties)


def _auth(body: _Body) -> Auth:
    """AUTH (section 3.15)."""
    if body.version is Version.V3:
        raise Malformed("there is no AUTH in version 3.1.1")
    code = body.number(1) if body.left else 0
    if code not in _AUTH_CODES:
        raise Breach("a reason code that is not a client's")
    properties = body.properties(_IN_AUTH) if body.left else NO_PROPERTIES
    return Auth(code, properties)


_READERS: dict[Kind, Callable[[_Body], Packet]] = {
    **{kind: partial(_acknowledged, kind) for kind in _ACK_CODES},
    Kind.SUBSCRIBE: _subscribe,
    Kind.UNSUBSCRIBE: _unsubscribe,
    Kind.PINGREQ: _ping,
    Kind.DISCONNECT: _disconnect,
    Kind.AUTH: _auth,
}
