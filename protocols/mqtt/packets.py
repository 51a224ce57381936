"""The packets of clients, read strictly, in both versions: whatever the standard forbids is Malformed.

Read here and not by the codec that writes: of a text that is not UTF-8 it makes a panic of its native code (mqtt5 0.8),
which no `except Exception` sees, and strangers may send anything.
"""

from dataclasses import dataclass, field
from enum import IntEnum


class Version(IntEnum):
    """Versions of the protocol by their level in CONNECT."""

    V3 = 4
    V5 = 5


class Kind(IntEnum):
    """Packets by their type (MQTT 5.0, section 2.1.2)."""

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
    """Properties that clients send (MQTT 5.0, section 2.2.2.2)."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    AUTH_METHOD = 0x15
    AUTH_DATA = 0x16
    PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    RESPONSE_INFORMATION = 0x19
    REASON = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    USER = 0x26
    LARGEST_PACKET = 0x27


class Malformed(Exception):
    """What came is not MQTT."""


class Breach(Malformed):
    """What came is MQTT, but not at this place, or not with this content: a protocol error."""


class UnknownVersion(Malformed):
    """CONNECT asks for a version that is not served."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a packet by their numbers, and the user properties in order."""

    values: dict[int, int | str | bytes] = field(default_factory=dict)
    user: tuple[tuple[str, str], ...] = ()

    def number(self, name: Property, default: int) -> int:
        """A number."""
        value = self.values.get(name, default)
        assert isinstance(value, int)
        return value

    def text(self, name: Property) -> str | None:
        """A text, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def data(self, name: Property) -> bytes | None:
        """Binary data, or None."""
        value = self.values.get(name)
        return value if isinstance(value, bytes) else None

    def told(self, name: str) -> str | None:
        """The first user property of a name, or None."""
        return next((value for key, value in self.user if key == name), None)


NO_PROPERTIES = Properties()


@dataclass(frozen=True, slots=True)
class Will:
    """What the client wants published when he is lost."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool
    delay: int


@dataclass(frozen=True, slots=True)
class Connect:
    """CONNECT."""

    version: Version
    client_id: str
    clean: bool
    keep_alive: int
    will: Will | None
    username: str | None
    password: bytes | None = field(repr=False)
    properties: Properties


@dataclass(frozen=True, slots=True)
class Publish:
    """PUBLISH; ``packet_id`` is 0 with a quality of service of 0."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool
    duplicate: bool
    packet_id: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""

    kind: Kind
    packet_id: int
    code: int


@dataclass(frozen=True, slots=True)
class Wish:
    """One filter of SUBSCRIBE with its options."""

    pattern: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE."""

    packet_id: int
    wishes: tuple[Wish, ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE."""

    packet_id: int
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """PINGREQ."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """DISCONNECT."""

    code: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH."""

    code: int
    properties: Properties


Packet = Connect | Publish | Acknowledged | Subscribe | Unsubscribe | Ping | Disconnect | Auth
