"""Encodes packets to clients, for either protocol version."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import mqtt5

from protocols.mqtt.errors import connect_return_code
from protocols.mqtt.framing import varint

#: Stands for a packet identifier that is filled in later.
_PLACEHOLDER_ID = 1
#: The codec's members for the qualities of service, by number.
_QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
PINGRESP = b"\xd0\x00"


@dataclass(frozen=True, slots=True)
class ApplicationMessage:
    """What PUBLISH carries to a client.

    ``user_properties`` and ``subscription_ids`` exist in version 5 only; version 3.1.1 leaves them out.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    user_properties: tuple[tuple[str, str], ...] = ()
    subscription_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """What CONNACK tells a client that is connected; None is left out.

    ``session_expiry`` is in seconds, ``maximum_packet_size`` in bytes.
    """

    session_present: bool
    session_expiry: int | None
    client_id: str | None
    receive_maximum: int
    maximum_packet_size: int
    authentication_method: str | None


class Encoder(Protocol):
    """Encodes packets for one protocol version; empty where the version has no such packet."""

    def connack(self, accepted: Accepted) -> bytes:
        """CONNACK for a client that is accepted."""

    def connack_refused(self, code: mqtt5.ConnAckReasonCode, reason: str) -> bytes:
        """CONNACK for a client that is refused."""

    def publish(
        self, message: ApplicationMessage, packet_id: int = _PLACEHOLDER_ID, *, duplicate: bool = False
    ) -> bytes:
        """PUBLISH; the packet identifier is left out with quality of service 0."""

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

    def auth(self, method: str) -> bytes:
        """AUTH: the new credentials are accepted."""


class EncoderV3:
    """Packets of version 3.1.1."""

    def connack(self, accepted: Accepted) -> bytes:
        """CONNACK."""
        return bytes((0x20, 2, accepted.session_present, 0))

    def connack_refused(self, code: mqtt5.ConnAckReasonCode, reason: str) -> bytes:  # noqa: ARG002
        """CONNACK."""
        return bytes((0x20, 2, 0, connect_return_code(code)))

    def publish(
        self, message: ApplicationMessage, packet_id: int = _PLACEHOLDER_ID, *, duplicate: bool = False
    ) -> bytes:
        """PUBLISH."""
        name = message.topic.encode()
        identifier = packet_id.to_bytes(2, "big") if message.qos else b""
        size = varint(2 + len(name) + len(identifier) + len(message.payload))
        first = 0x30 | duplicate << 3 | message.qos << 1 | message.retain
        return b"".join(
            (bytes((first,)), size, len(name).to_bytes(2, "big"), name, identifier, message.payload)
        )

    def puback(self, packet_id: int, code: mqtt5.PubAckReasonCode, reason: str | None) -> bytes:  # noqa: ARG002
        """PUBACK: this version cannot refuse a message."""
        return _ack(0x40, packet_id)

    def pubrec(self, packet_id: int, code: mqtt5.PubRecReasonCode, reason: str | None) -> bytes:  # noqa: ARG002
        """PUBREC: this version cannot refuse a message."""
        return _ack(0x50, packet_id)

    def pubcomp(self, packet_id: int, code: mqtt5.PubCompReasonCode) -> bytes:  # noqa: ARG002
        """PUBCOMP."""
        return _ack(0x70, packet_id)

    def suback(
        self,
        packet_id: int,
        codes: list[mqtt5.SubAckReasonCode],
        properties: list[tuple[str, str]],  # noqa: ARG002
    ) -> bytes:
        """SUBACK."""
        # This version has the return codes 0, 1, 2 and 128.
        return b"".join(
            (
                b"\x90",
                varint(2 + len(codes)),
                packet_id.to_bytes(2, "big"),
                bytes(min(int(code), 0x80) for code in codes),
            )
        )

    def unsuback(self, packet_id: int, codes: list[mqtt5.UnsubAckReasonCode]) -> bytes:  # noqa: ARG002
        """UNSUBACK."""
        return _ack(0xB0, packet_id)

    def disconnect(
        self,
        code: mqtt5.DisconnectReasonCode,  # noqa: ARG002
        reason: str,  # noqa: ARG002
        properties: list[tuple[str, str]],  # noqa: ARG002
    ) -> bytes:
        """Empty: a server of this version closes without a packet."""
        return b""

    def auth(self, method: str) -> bytes:  # noqa: ARG002
        """Empty: this version has no such packet."""
        return b""


class EncoderV5:
    """Packets of version 5.

    ``with_reasons``: the client requests problem information. Reason strings and user properties are left out where
    they would make a packet larger than ``max_packet_bytes`` (section 3.1.2.11.4).
    """

    def __init__(self, *, with_reasons: bool = True, max_packet_bytes: int | None = None) -> None:
        self._with_reasons = with_reasons
        self._max_packet_bytes = max_packet_bytes

    def connack(self, accepted: Accepted) -> bytes:
        """CONNACK."""
        return mqtt5.ConnAckPacket(
            session_present=accepted.session_present,
            session_expiry_interval=accepted.session_expiry,
            assigned_client_id=accepted.client_id,
            receive_max=accepted.receive_maximum,
            max_packet_size=accepted.maximum_packet_size,
            authentication_method=accepted.authentication_method,
        ).write()

    def connack_refused(self, code: mqtt5.ConnAckReasonCode, reason: str) -> bytes:
        """CONNACK."""
        return self._explained(partial(mqtt5.ConnAckPacket, reason_code=code), reason_str=reason or None)

    def publish(
        self, message: ApplicationMessage, packet_id: int = _PLACEHOLDER_ID, *, duplicate: bool = False
    ) -> bytes:
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
            subscription_ids=list(message.subscription_ids),
            user_properties=list(message.user_properties),
        ).write()

    def puback(self, packet_id: int, code: mqtt5.PubAckReasonCode, reason: str | None) -> bytes:
        """PUBACK."""
        packet = partial(mqtt5.PubAckPacket, packet_id, reason_code=code)
        return self._explained(packet, reason_str=reason) if self._with_reasons else _encode(packet)

    def pubrec(self, packet_id: int, code: mqtt5.PubRecReasonCode, reason: str | None) -> bytes:
        """PUBREC."""
        packet = partial(mqtt5.PubRecPacket, packet_id, reason_code=code)
        return self._explained(packet, reason_str=reason) if self._with_reasons else _encode(packet)

    def pubcomp(self, packet_id: int, code: mqtt5.PubCompReasonCode) -> bytes:
        """PUBCOMP."""
        return mqtt5.PubCompPacket(packet_id, reason_code=code).write()

    def suback(
        self, packet_id: int, codes: list[mqtt5.SubAckReasonCode], properties: list[tuple[str, str]]
    ) -> bytes:
        """SUBACK."""
        packet = partial(mqtt5.SubAckPacket, packet_id, codes)
        return self._explained(packet, user_properties=properties) if self._with_reasons else _encode(packet)

    def unsuback(self, packet_id: int, codes: list[mqtt5.UnsubAckReasonCode]) -> bytes:
        """UNSUBACK."""
        return mqtt5.UnsubAckPacket(packet_id, codes).write()

    def disconnect(
        self, code: mqtt5.DisconnectReasonCode, reason: str, properties: list[tuple[str, str]]
    ) -> bytes:
        """DISCONNECT."""
        packet = partial(mqtt5.DisconnectPacket, reason_code=code)
        return self._explained(packet, reason_str=reason or None, user_properties=properties)

    def auth(self, method: str) -> bytes:
        """AUTH."""
        return mqtt5.AuthPacket(authentication_method=method).write()

    def _explained(self, packet: Callable[..., Any], **explanation: object) -> bytes:
        """A packet with what explains it, unless that makes it larger than the client accepts."""
        full = _encode(partial(packet, **explanation))
        return (
            full if self._max_packet_bytes is None or len(full) <= self._max_packet_bytes else _encode(packet)
        )


def _encode(packet: Callable[[], Any]) -> bytes:
    written: bytes = packet().write()
    return written


def _ack(first: int, packet_id: int) -> bytes:
    return bytes((first, 2)) + packet_id.to_bytes(2, "big")
