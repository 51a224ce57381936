"""Decodes the packets of clients (`packets`) from bytes, strictly: whatever the standard forbids is an error."""

from collections.abc import Callable
from functools import partial

from protocols.mqtt.packets import (
    NO_PROPERTIES,
    AckPacket,
    AuthPacket,
    ConnectPacket,
    DisconnectPacket,
    MalformedPacket,
    Packet,
    PacketType,
    PingPacket,
    Property,
    ProtocolError,
    ProtocolVersion,
    PublishPacket,
    RequestedSubscription,
    SubscribePacket,
    UnsubscribePacket,
    UnsupportedVersion,
    Will,
)
from protocols.mqtt.primitives import (
    ACK_PROPERTIES,
    AUTH_PROPERTIES,
    CONNECT_PROPERTIES,
    DISCONNECT_PROPERTIES,
    LONGER_THAN_NEEDED,
    PUBLISH_PROPERTIES,
    SUBSCRIBE_PROPERTIES,
    UNSUBSCRIBE_PROPERTIES,
    WILL_PROPERTIES,
    PacketReader,
    check_count,
)

#: What the flags of the fixed header must be (section 2.1.3); those of PUBLISH have a meaning.
_FLAGS = dict.fromkeys(PacketType, 0) | {
    PacketType.PUBREL: 2,
    PacketType.SUBSCRIBE: 2,
    PacketType.UNSUBSCRIBE: 2,
}

#: The reason codes that clients may send with each packet (section 2.4).
_ACK_CODES = {
    PacketType.PUBACK: frozenset({0, 16, 128, 131, 135, 144, 145, 151, 153}),
    PacketType.PUBREC: frozenset({0, 16, 128, 131, 135, 144, 145, 151, 153}),
    PacketType.PUBREL: frozenset({0, 146}),
    PacketType.PUBCOMP: frozenset({0, 146}),
}
_DISCONNECT_CODES = frozenset({0, 4, 128, 129, 130, 131, 144, 147, 148, 149, 150, 151, 152, 153})
_AUTH_CODES = frozenset({24, 25})


def protocol_version_of(packet: bytes) -> ProtocolVersion:
    """The protocol version that the first packet names.

    Raises:
        UnsupportedVersion: it is the CONNECT of another version.
        MalformedPacket: it is not CONNECT.
    """
    packet_type, flags, content = _split_header(packet, ProtocolVersion.V3_1_1)
    if packet_type is not PacketType.CONNECT or flags:
        raise MalformedPacket("the first packet is not CONNECT")
    name = content[2 : 2 + int.from_bytes(content[:2], "big")]
    level = content[2 + len(name) : 3 + len(name)]
    if name == b"MQIsdp" or (name == b"MQTT" and level not in (b"\x04", b"\x05")):
        raise UnsupportedVersion(f"{name.decode()} level {level.hex()}")
    if name != b"MQTT":
        raise MalformedPacket("the first packet is not CONNECT")
    return ProtocolVersion(level[0])


def decode_connect(packet: bytes, version: ProtocolVersion) -> ConnectPacket:
    """Decode the first packet, whose protocol version is known.

    Raises:
        MalformedPacket: the standard forbids something in it.
    """
    _, _, content = _split_header(packet, version)
    return _connect(PacketReader(content[7:], version))


def decode_packet(packet: bytes, version: ProtocolVersion) -> Packet:
    """Decode any later packet.

    Raises:
        MalformedPacket: it is no packet, or none that a client may send then.
    """
    packet_type, flags, content = _split_header(packet, version)
    reader = PacketReader(content, version)
    if packet_type is PacketType.PUBLISH:
        return _publish(reader, flags)
    if flags != _FLAGS[packet_type]:
        raise MalformedPacket("reserved flags are set")
    if packet_type is PacketType.CONNECT:
        raise ProtocolError("a second CONNECT")
    found = _READERS[packet_type](reader)
    reader.end()
    return found


def _split_header(packet: bytes, version: ProtocolVersion) -> tuple[PacketType, int, bytes]:
    """The packet type, the flags, and what follows the fixed header."""
    try:
        packet_type = PacketType(packet[0] >> 4)
    except ValueError:
        raise MalformedPacket("not a packet of a client") from None
    position = 1
    while packet[position] & 0x80:
        position += 1
    if position > 1 and not packet[position] and version is ProtocolVersion.V5_0:
        raise MalformedPacket(LONGER_THAN_NEEDED)
    return packet_type, packet[0] & 0x0F, packet[position + 1 :]


def _connect(reader: PacketReader) -> ConnectPacket:
    """CONNECT, from its flags on (section 3.1.2.3)."""
    flags = reader.integer(1)
    has_will, will_qos = bool(flags & 0x04), flags >> 3 & 3
    has_password, has_name = bool(flags & 0x40), bool(flags & 0x80)
    if flags & 1 or will_qos == 3 or (not has_will and flags & 0x38):
        raise MalformedPacket("the flags of CONNECT do not fit together")
    if has_password and not has_name and reader.version is ProtocolVersion.V3_1_1:
        raise MalformedPacket("a password without a user name")
    keep_alive = reader.integer(2)
    properties = reader.properties(CONNECT_PROPERTIES)
    if (
        properties.data(Property.AUTHENTICATION_DATA) is not None
        and properties.text(Property.AUTHENTICATION_METHOD) is None
    ):
        raise ProtocolError("data for authentication without a method")
    client_id = reader.text()
    will = _will(reader, will_qos, retain=bool(flags & 0x20)) if has_will else None
    username = reader.text() if has_name else None
    password = reader.data() if has_password else None
    reader.end()
    return ConnectPacket(
        reader.version, client_id, bool(flags & 0x02), keep_alive, will, username, password, properties
    )


def _will(reader: PacketReader, qos: int, *, retain: bool) -> Will:
    properties = reader.properties(WILL_PROPERTIES)
    return Will(
        reader.topic_name(),
        reader.data(),
        qos,
        retain,
        properties.number(Property.WILL_DELAY_INTERVAL, 0),
    )


def _publish(reader: PacketReader, flags: int) -> PublishPacket:
    """PUBLISH (section 3.3)."""
    qos, duplicate = flags >> 1 & 3, bool(flags & 8)
    if qos == 3 or (duplicate and not qos):
        raise MalformedPacket("the flags of PUBLISH do not fit together")
    topic = reader.topic_name(may_be_empty=True)
    packet_id = reader.packet_id() if qos else 0
    properties = reader.properties(PUBLISH_PROPERTIES)
    if not topic and Property.TOPIC_ALIAS not in properties.values:
        raise MalformedPacket("not the name of a topic")
    return PublishPacket(
        topic, reader.raw(reader.left), qos, bool(flags & 1), duplicate, packet_id, properties
    )


def _ack(packet_type: PacketType, reader: PacketReader) -> AckPacket:
    """PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7); reason code 0 may be omitted."""
    packet_id, code = reader.packet_id(), 0
    if reader.version is ProtocolVersion.V5_0 and reader.left:
        code = reader.integer(1)
        if reader.left:
            reader.properties(ACK_PROPERTIES)
    if code not in _ACK_CODES[packet_type]:
        raise MalformedPacket("an unknown reason code")
    return AckPacket(packet_type, packet_id, code)


def _subscribe(reader: PacketReader) -> SubscribePacket:
    """SUBSCRIBE (section 3.8)."""
    packet_id = reader.packet_id()
    properties = reader.properties(SUBSCRIBE_PROPERTIES)
    requested = []
    while reader.left:
        topic_filter, options = reader.text(), reader.integer(1)
        one = RequestedSubscription(
            topic_filter, options & 3, bool(options & 4), bool(options & 8), options >> 4 & 3
        )
        if options & 0xC0 or one.qos == 3 or one.retain_handling == 3:
            raise MalformedPacket("reserved options are set")
        if reader.version is ProtocolVersion.V3_1_1 and options > 2:
            raise MalformedPacket("reserved options are set")
        if one.no_local and topic_filter.startswith("$share/"):
            raise ProtocolError("no local on a shared subscription")
        requested.append(one)
        check_count(requested)
    if not requested:
        raise ProtocolError("SUBSCRIBE without a filter")
    return SubscribePacket(packet_id, tuple(requested), properties)


def _unsubscribe(reader: PacketReader) -> UnsubscribePacket:
    """UNSUBSCRIBE (section 3.10)."""
    packet_id = reader.packet_id()
    reader.properties(UNSUBSCRIBE_PROPERTIES)
    topic_filters = []
    while reader.left:
        topic_filters.append(reader.text())
        check_count(topic_filters)
    if not topic_filters:
        raise ProtocolError("UNSUBSCRIBE without a filter")
    return UnsubscribePacket(packet_id, tuple(topic_filters))


def _ping(_: PacketReader) -> PingPacket:
    return PingPacket()


def _disconnect(reader: PacketReader) -> DisconnectPacket:
    """DISCONNECT (section 3.14); its content may be omitted."""
    code, properties = 0, NO_PROPERTIES
    if reader.version is ProtocolVersion.V5_0 and reader.left:
        code = reader.integer(1)
        if reader.left:
            properties = reader.properties(DISCONNECT_PROPERTIES)
    if code not in _DISCONNECT_CODES:
        raise MalformedPacket("an unknown reason code")
    return DisconnectPacket(code, properties)


def _auth(reader: PacketReader) -> AuthPacket:
    """AUTH (section 3.15)."""
    if reader.version is ProtocolVersion.V3_1_1:
        raise MalformedPacket("there is no AUTH in version 3.1.1")
    code = reader.integer(1) if reader.left else 0
    if code not in _AUTH_CODES:
        raise ProtocolError("a reason code that is not a client's")
    properties = reader.properties(AUTH_PROPERTIES) if reader.left else NO_PROPERTIES
    return AuthPacket(code, properties)


_READERS: dict[PacketType, Callable[[PacketReader], Packet]] = {
    **{packet_type: partial(_ack, packet_type) for packet_type in _ACK_CODES},
    PacketType.SUBSCRIBE: _subscribe,
    PacketType.UNSUBSCRIBE: _unsubscribe,
    PacketType.PINGREQ: _ping,
    PacketType.DISCONNECT: _disconnect,
    PacketType.AUTH: _auth,
}
