"""From bytes to the packets of clients (`packets`)."""

from collections.abc import Callable, Iterator
from functools import partial

from protocols.mqtt.fields import (
    IN_ACK,
    IN_AUTH,
    IN_CONNECT,
    IN_DISCONNECT,
    IN_PUBLISH,
    IN_SUBSCRIBE,
    IN_UNSUBSCRIBE,
    IN_WILL,
    Body,
)
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


def version_of(packet: bytes) -> Version:
    """The version that the first packet names.

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
    return Version(level[0])


def read_connect(packet: bytes, version: Version) -> Connect:
    """Read the first packet, of which the version is known.

    Raises:
        Malformed: something in it is not as it should be.
    """
    _, _, content = _opened(packet)
    return _connect(Body(content[7:], version))


def read_packet(packet: bytes, version: Version) -> Packet:
    """Read any further packet.

    Raises:
        Malformed: it is none, or none that a client may send now.
    """
    kind, flags, content = _opened(packet)
    body = Body(content, version)
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


def _connect(body: Body) -> Connect:
    """CONNECT behind its version (section 3.1)."""
    flags = body.number(1)
    has_will, will_qos = bool(flags & 0x04), flags >> 3 & 3
    has_password, has_name = bool(flags & 0x40), bool(flags & 0x80)
    if flags & 1 or will_qos == 3 or (not has_will and flags & 0x38):
        raise Malformed("the flags of CONNECT do not fit together")
    if has_password and not has_name and body.version is Version.V3:
        raise Malformed("a password without a user name")
    keep_alive = body.number(2)
    properties = body.properties(IN_CONNECT)
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


def _will(body: Body, qos: int, *, retain: bool) -> Will:
    properties = body.properties(IN_WILL)
    return Will(_topic(body.text()), body.data(), qos, retain, properties.number(Property.WILL_DELAY, 0))


def _publish(body: Body, flags: int) -> Publish:
    """PUBLISH (section 3.3)."""
    qos, duplicate = flags >> 1 & 3, bool(flags & 8)
    if qos == 3 or (duplicate and not qos):
        raise Malformed("the flags of PUBLISH do not fit together")
    topic = body.text()
    packet_id = body.packet_id() if qos else 0
    properties = body.properties(IN_PUBLISH)
    if topic or Property.TOPIC_ALIAS not in properties.values:
        topic = _topic(topic)
    return Publish(topic, body.raw(body.left), qos, bool(flags & 1), duplicate, packet_id, properties)


def _topic(text: str) -> str:
    if not text or "+" in text or "#" in text:
        raise Malformed("not the name of a topic")
    return text


def _acknowledged(kind: Kind, body: Body) -> Acknowledged:
    """PUBACK and its like (sections 3.4 to 3.7); a code of 0 may be left out."""
    packet_id, code = body.packet_id(), 0
    if body.version is Version.V5 and body.left:
        code = body.number(1)
        if body.left:
            body.properties(IN_ACK)
    if code not in _ACK_CODES[kind]:
        raise Malformed("an unknown reason code")
    return Acknowledged(kind, packet_id, code)


def _subscribe(body: Body) -> Subscribe:
    """SUBSCRIBE (section 3.8)."""
    packet_id = body.packet_id()
    properties = body.properties(IN_SUBSCRIBE)
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


def _unsubscribe(body: Body) -> Unsubscribe:
    """UNSUBSCRIBE (section 3.10)."""
    packet_id = body.packet_id()
    body.properties(IN_UNSUBSCRIBE)
    patterns = []
    while body.left:
        patterns.append(body.text())
    if not patterns:
        raise Breach("UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, tuple(patterns))


def _ping(_: Body) -> Ping:
    return Ping()


def _disconnect(body: Body) -> Disconnect:
    """DISCONNECT (section 3.14); everything in it may be left out."""
    code, properties = 0, NO_PROPERTIES
    if body.version is Version.V5 and body.left:
        code = body.number(1)
        if body.left:
            properties = body.properties(IN_DISCONNECT)
    if code not in _DISCONNECT_CODES:
        raise Malformed("an unknown reason code")
    return Disconnect(code, properties)


def _auth(body: Body) -> Auth:
    """AUTH (section 3.15)."""
    if body.version is Version.V3:
        raise Malformed("there is no AUTH in version 3.1.1")
    code = body.number(1) if body.left else 0
    if code not in _AUTH_CODES:
        raise Breach("a reason code that is not a client's")
    properties = body.properties(IN_AUTH) if body.left else NO_PROPERTIES
    return Auth(code, properties)


_READERS: dict[Kind, Callable[[Body], Packet]] = {
    **{kind: partial(_acknowledged, kind) for kind in _ACK_CODES},
    Kind.SUBSCRIBE: _subscribe,
    Kind.UNSUBSCRIBE: _unsubscribe,
    Kind.PINGREQ: _ping,
    Kind.DISCONNECT: _disconnect,
    Kind.AUTH: _auth,
}
