"""Packets to clients, written for either version of the protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import mqtt5

from protocols.mqtt.errors import old_connect_code

#: In the place of the packet id, until it is known.
_UNKNOWN = 1
#: The codec's names for the qualities of service, which are no numbers.
_QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
PINGRESP = b"\xd0\x00"


@dataclass(frozen=True, slots=True)
class Message:
    """What a PUBLISH to a client says. ``properties`` are user properties, and need version 5, as do ``ids``."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: tuple[tuple[str, str], ...] = ()
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a client is told when it is let in."""

    session_present: bool
    session_expiry: int | None
    client_id: str | None
    receive_maximum: int
    largest_packet: int
    authentication_method: str | None


class Wire(Protocol):
    """How packets are written for one version; nothing where the version has no such packet."""

    def welcome(self, welcome: Welcome) -> bytes:
        """CONNACK for a client that is let in."""

    def refused(self, code: mqtt5.ConnAckReasonCode, reason: str) -> bytes:
        """CONNACK for a client that is not."""

    def publish(self, message: Message, packet_id: int = _UNKNOWN, *, duplicate: bool = False) -> bytes:
        """PUBLISH; the packet id counts with a quality of service above 0."""

    def puback(self, packet_id: int, code: mqtt5.PubAckReasonCode, reason: str | None) -> bytes:
        """PUBACK."""

    def pubrec(self, packet_id: int, code: mqtt5.PubRecReasonCode, reason: str | None) -> bytes:
        """PUBREC."""

    def pubcomp(self, packet_id: int, code: mqtt5.PubCompReasonCode) -> bytes:
        """PUBCOMP."""

    def suback(
        self, packet_id: int, codes: list[mqtt5.SubAckReasonCode], properties: list[tuple[str, str]]
    ) -> bytes:
        """SUBACK."""

    def unsuback(self, packet_id: int, codes: list[mqtt5.UnsubAckReasonCode]) -> bytes:
        """UNSUBACK."""

    def disconnect(
        self, code: mqtt5.DisconnectReasonCode, reason: str, properties: list[tuple[str, str]]
    ) -> bytes:
        """DISCONNECT."""

    def authenticated(self, method: str) -> bytes:
        """AUTH: the new credentials count."""


class Wire3:
    """Packets of version 3.1.1."""

    def welcome(self, welcome: Welcome) -> bytes:
        """CONNACK."""
        return bytes((0x20, 2, welcome.session_present, 0))

    def refused(self, code: mqtt5.ConnAckReasonCode, reason: str) -> bytes:  # noqa: ARG002
        """CONNACK."""
        return bytes((0x20, 2, 0, old_connect_code(code)))

    def publish(self, message: Message, packet_id: int = _UNKNOWN, *, duplicate: bool = False) -> bytes:
        """PUBLISH."""
        name = message.topic.encode()
        mark = packet_id.to_bytes(2, "big") if message.qos else b""
        size = _varint(2 + len(name) + len(mark) + len(message.payload))
        first = 0x30 | duplicate << 3 | message.qos << 1 | message.retain
        return b"".join((bytes((first,)), size, len(name).to_bytes(2, "big"), name, mark, message.payload))

    def puback(self, packet_id: int, code: mqtt5.PubAckReasonCode, reason: str | None) -> bytes:  # noqa: ARG002
        """PUBACK: this version cannot say no."""
        return _acknowledgement(0x40, packet_id)

    def pubrec(self, packet_id: int, code: mqtt5.PubRecReasonCode, reason: str | None) -> bytes:  # noqa: ARG002
        """PUBREC: this version cannot say no."""
        return _acknowledgement(0x50, packet_id)

    def pubcomp(self, packet_id: int, code: mqtt5.PubCompReasonCode) -> bytes:  # noqa: ARG002
        """PUBCOMP."""
        return _acknowledgement(0x70, packet_id)

    def suback(
        self,
        packet_id: int,
        codes: list[mqtt5.SubAckReasonCode],
        properties: list[tuple[str, str]],  # noqa: ARG002
    ) -> bytes:
        """SUBACK."""
        # Of the codes this version knows 0, 1, 2 and 128.
        return b"".join(
            (
                b"\x90",
                _varint(2 + len(codes)),
                packet_id.to_bytes(2, "big"),
                bytes(min(int(code), 0x80) for code in codes),
            )
        )

    def unsuback(self, packet_id: int, codes: list[mqtt5.UnsubAckReasonCode]) -> bytes:  # noqa: ARG002
        """UNSUBACK."""
        return _acknowledgement(0xB0, packet_id)

    def disconnect(
        self,
        code: mqtt5.DisconnectReasonCode,  # noqa: ARG002
        reason: str,  # noqa: ARG002
        properties: list[tuple[str, str]],  # noqa: ARG002
    ) -> bytes:
        """Nothing: a server of this version just closes."""
        return b""

    def authenticated(self, method: str) -> bytes:  # noqa: ARG002
        """Nothing: there is no such packet."""
        return b""


class Wire5:
    """Packets of version 5.

    ``explains``: the client wants reasons in words (request problem information). Where the words would make a packet
    larger than the ``largest`` he takes, it goes without (section 3.1.2.11.4).
    """

    def __init__(self, *, explains: bool = True, largest: int | None = None) -> None:
        self._explains = explains
        self._largest = largest

    def welcome(self, welcome: Welcome) -> bytes:
        """CONNACK."""
        return mqtt5.ConnAckPacket(
            session_present=welcome.session_present,
            session_expiry_interval=welcome.session_expiry,
            assigned_client_id=welcome.client_id,
            receive_max=welcome.receive_maximum,
            max_packet_size=welcome.largest_packet,
            authentication_method=welcome.authentication_method,
        ).write()

    def refused(self, code: mqtt5.ConnAckReasonCode, reason: str) -> bytes:
        """CONNACK."""
        return self._told(partial(mqtt5.ConnAckPacket, reason_code=code), reason_str=reason or None)

    def publish(self, message: Message, packet_id: int = _UNKNOWN, *, duplicate: bool = False) -> bytes:
        """PUBLISH: the payload is JSON in UTF-8."""
        return mqtt5.PublishPacket(
            message.topic,
            message.payload,
            qos=_QOS[message.qos],
            retain=message.retain,
            packet_id=packet_id if message.qos else None,
            duplicate=duplicate,
            payload_format_indicator=1,
            content_type="application/json",
            subscription_ids=list(message.ids),
            user_properties=list(message.properties),
        ).write()

    def puback(self, packet_id: int, code: mqtt5.PubAckReasonCode, reason: str | None) -> bytes:
        """PUBACK."""
        packet = partial(mqtt5.PubAckPacket, packet_id, reason_code=code)
        return self._told(packet, reason_str=reason) if self._explains else _bytes(packet)

    def pubrec(self, packet_id: int, code: mqtt5.PubRecReasonCode, reason: str | None) -> bytes:
        """PUBREC."""
        packet = partial(mqtt5.PubRecPacket, packet_id, reason_code=code)
        return self._told(packet, reason_str=reason) if self._explains else _bytes(packet)

    def pubcomp(self, packet_id: int, code: mqtt5.PubCompReasonCode) -> bytes:
        """PUBCOMP."""
        return mqtt5.PubCompPacket(packet_id, reason_code=code).write()

    def suback(
        self, packet_id: int, codes: list[mqtt5.SubAckReasonCode], properties: list[tuple[str, str]]
    ) -> bytes:
        """SUBACK."""
        packet = partial(mqtt5.SubAckPacket, packet_id, codes)
        return self._told(packet, user_properties=properties) if self._explains else _bytes(packet)

    def unsuback(self, packet_id: int, codes: list[mqtt5.UnsubAckReasonCode]) -> bytes:
        """UNSUBACK."""
        return mqtt5.UnsubAckPacket(packet_id, codes).write()

    def disconnect(
        self, code: mqtt5.DisconnectReasonCode, reason: str, properties: list[tuple[str, str]]
    ) -> bytes:
        """DISCONNECT."""
        packet = partial(mqtt5.DisconnectPacket, reason_code=code)
        return self._told(packet, reason_str=reason or None, user_properties=properties)

    def authenticated(self, method: str) -> bytes:
        """AUTH."""
        return mqtt5.AuthPacket(authentication_method=method).write()

    def _told(self, packet: Callable[..., Any], **words: object) -> bytes:
        """A packet with what explains it, if the client has room for that."""
        full = _bytes(partial(packet, **words))
        return full if self._largest is None or len(full) <= self._largest else _bytes(packet)


def _bytes(packet: Callable[[], Any]) -> bytes:
    written: bytes = packet().write()
    return written


def publish_head(frame: bytes) -> tuple[int, int]:
    """Of a whole PUBLISH with a packet id: how long it is, and where its packet id is."""
    place, size, shift = 1, 0, 0
    while True:
        byte = frame[place]
        size |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    return place + size, place + 2 + int.from_bytes(frame[place : place + 2], "big")


def _acknowledgement(first: int, packet_id: int) -> bytes:
    return bytes((first, 2)) + packet_id.to_bytes(2, "big")


def _varint(number: int) -> bytes:
    """A variable byte integer (MQTT 5.0, section 1.5.5)."""
    encoded = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        encoded.append(digit | 0x80 if number else digit)
        if not number:
            return bytes(encoded)
