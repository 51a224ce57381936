"""The packets that clients send, in both versions, and the errors of packets that the standard forbids.

The strict `decoder` reads them, not the codec that writes: given text that is not UTF-8 that one panics in its native
code (mqtt5 0.8), which no `except Exception` catches, and anybody may send anything.
"""

from dataclasses import dataclass, field
from enum import IntEnum


class ProtocolVersion(IntEnum):
    """Protocol versions by their level in CONNECT (section 3.1.2.2)."""

    V3_1_1 = 4
    V5_0 = 5


class PacketType(IntEnum):
    """The types of the packets that clients send (MQTT 5.0, section 2.1.2)."""

    CONNECT = 1
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    UNSUBSCRIBE = 10
    PINGREQ = 12
    DISCONNECT = 14
    AUTH = 15


class Property(IntEnum):
    """The properties that clients send (MQTT 5.0, section 2.2.2.2)."""

    PAYLOAD_FORMAT_INDICATOR = 0x01
    MESSAGE_EXPIRY_INTERVAL = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY_INTERVAL = 0x11
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY_INTERVAL = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27


class MalformedPacket(Exception):
    """The bytes are not a packet of MQTT (section 4.13)."""


class ProtocolError(MalformedPacket):
    """A well-formed packet that is not allowed here, or has a value that is not allowed (section 4.13)."""


class TooManyItems(MalformedPacket):
    """A packet has more filters or user properties than are read."""


class UnsupportedVersion(MalformedPacket):
    """CONNECT names a protocol version that is not served."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a packet by their identifiers, and the user properties in order."""

    values: dict[int, int | str | bytes] = field(default_factory=dict)
    user: tuple[tuple[str, str], ...] = ()

    def number(self, name: Property, default: int) -> int:
        """The value of a numeric property."""
        value = self.values.get(name, default)
        assert isinstance(value, int)
        return value

    def text(self, name: Property) -> str | None:
        """The value of a property that is a string, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def data(self, name: Property) -> bytes | None:
        """The value of a property that is binary data, or None."""
        value = self.values.get(name)
        return value if isinstance(value, bytes) else None

    def user_property(self, name: str) -> str | None:
        """The first user property of that name, or None."""
        return next((value for key, value in self.user if key == name), None)


NO_PROPERTIES = Properties()


@dataclass(frozen=True, slots=True)
class Will:
    """The will message of a client: published when its connection is lost. ``delay`` is in seconds."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool
    delay: int


@dataclass(frozen=True, slots=True)
class ConnectPacket:
    """CONNECT (section 3.1). ``clean_start`` is Clean Session in version 3.1.1; ``keep_alive`` is in seconds."""

    version: ProtocolVersion
    client_id: str
    clean_start: bool
    keep_alive: int
    will: Will | None
    username: str | None
    password: bytes | None = field(repr=False)
    properties: Properties


@dataclass(frozen=True, slots=True)
class PublishPacket:
    """PUBLISH (section 3.3); ``packet_id`` is 0 with quality of service 0."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool
    duplicate: bool
    packet_id: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class AckPacket:
    """PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7)."""

    type: PacketType
    packet_id: int
    code: int


@dataclass(frozen=True, slots=True)
class RequestedSubscription:
    """One topic filter of SUBSCRIBE with its subscription options (section 3.8.3.1)."""

    topic_filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int


@dataclass(frozen=True, slots=True)
class SubscribePacket:
    """SUBSCRIBE (section 3.8)."""

    packet_id: int
    requested: tuple[RequestedSubscription, ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class UnsubscribePacket:
    """UNSUBSCRIBE (section 3.10)."""

    packet_id: int
    topic_filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PingPacket:
    """PINGREQ (section 3.12)."""


@dataclass(frozen=True, slots=True)
class DisconnectPacket:
    """DISCONNECT (section 3.14)."""

    code: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class AuthPacket:
    """AUTH (section 3.15)."""

    code: int
    properties: Properties


Packet = (
    ConnectPacket
    | PublishPacket
    | AckPacket
    | SubscribePacket
    | UnsubscribePacket
    | PingPacket
    | DisconnectPacket
    | AuthPacket
)
