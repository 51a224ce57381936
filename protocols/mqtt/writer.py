"""The outgoing half of a client's connection: packets, up to the one that ends it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from mqtt5 import ConnAckReasonCode, DisconnectReasonCode

from core.live.connection import ClientConnection
from protocols.mqtt.encoder import Accepted, Encoder, EncoderV3, EncoderV5
from protocols.mqtt.packets import ConnectPacket, Property, ProtocolVersion

#: How long a client may take to read the last packet.
_FAREWELL_SECONDS = 2.0
#: The end of a connection that was lost without a reason code; MQTT has no such code.
CONNECTION_LOST = 255


class NetworkConnection(ClientConnection, Protocol):
    """What carries the bytes of a client: TCP, TLS or WebSocket (MQTT 5.0, section 4.2)."""

    def close(self) -> None:
        """End the connection behind what was written."""

    def pause_reading(self) -> None:
        """Take no more bytes from the client until `resume_reading`."""

    def resume_reading(self) -> None:
        """Take bytes from the client again."""


class PacketWriter:
    """Writes packets to one client and ends its connection; ``on_end`` is called once, before the last packet."""

    def __init__(self, network: NetworkConnection, on_end: Callable[[], None]) -> None:
        self.version = ProtocolVersion.V3_1_1
        self.encoder: Encoder = EncoderV3()
        #: Whether CONNACK has accepted the client.
        self.accepted = False
        self.ended = False
        #: The reason code that either side gave for the end (MQTT 5.0, section 2.4).
        self.code: int = CONNECTION_LOST
        self._max_packet_bytes: int | None = None
        self._network = network
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None

    def use_version(self, version: ProtocolVersion) -> None:
        """Write packets of this version: from now on a refusal has its reason code."""
        self.version = version
        if version is ProtocolVersion.V5_0:
            self.encoder = EncoderV5()

    def use_options(self, connect: ConnectPacket) -> None:
        """Write packets as the client wants them."""
        if connect.version is ProtocolVersion.V5_0:
            number = connect.properties.number
            self._max_packet_bytes = number(Property.MAXIMUM_PACKET_SIZE, 0) or None
            self.encoder = EncoderV5(
                with_reasons=bool(number(Property.REQUEST_PROBLEM_INFORMATION, 1)),
                max_packet_bytes=self._max_packet_bytes,
            )

    def _fits(self, packet: bytes) -> bool:
        """Whether the client accepts a packet of that size (section 3.1.2.11.4)."""
        return self._max_packet_bytes is None or len(packet) <= self._max_packet_bytes

    def write(self, packet: bytes) -> None:
        """Write a packet; a client that does not accept what it has to be told is disconnected."""
        if self._fits(packet):
            self._network.write(packet)
        else:
            self.close(DisconnectReasonCode.PACKET_TOO_LARGE, "An answer is larger than you accept.")

    def accept(self, accepted: Accepted) -> bool:
        """Accept the client by CONNACK; refuse one that does not accept a packet of its size."""
        packet = self.encoder.connack(accepted)
        self.accepted = self._fits(packet)
        if self.accepted:
            self._network.write(packet)
        else:
            self.refuse(ConnAckReasonCode.PACKET_TOO_LARGE, "CONNACK is larger than you accept.")
        return self.accepted

    def refuse(self, code: ConnAckReasonCode, reason: str) -> None:
        """Refuse the client by CONNACK, and close."""
        self.end(code, self.encoder.connack_refused(code, reason))

    def close(
        self, code: DisconnectReasonCode, reason: str, user_properties: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Close, with DISCONNECT to a client that was accepted."""
        self.end(code, self.farewell(code, reason, user_properties))

    def farewell(
        self, code: DisconnectReasonCode, reason: str, user_properties: Sequence[tuple[str, str]] = ()
    ) -> bytes:
        """DISCONNECT; empty for a client that was not accepted or does not accept it, or whose connection has ended."""
        if self.ended or not self.accepted:
            return b""
        packet = self.encoder.disconnect(code, reason, list(user_properties))
        return packet if self._fits(packet) else b""

    def close_unavailable(self) -> None:
        """Close since the store cannot be read just now; the client should come again."""
        self.close(DisconnectReasonCode.SERVER_BUSY, "The store cannot be read just now.")

    def reject(self, code: DisconnectReasonCode, reason: str) -> None:
        """Close since the client sent what is not MQTT; before CONNACK that has the reason in version 5."""
        if self.version is ProtocolVersion.V5_0 and not self.accepted:
            self.refuse(ConnAckReasonCode(int(code)), reason)
        else:
            self.close(code, reason)

    def end(self, code: int, packet: bytes = b"") -> None:
        """End the connection behind a last packet; only the first end counts."""
        if self.ended:
            return
        self.ended = True
        self.code = int(code)
        self._on_end()
        if packet and self._fits(packet):
            self._network.write(packet)
        self._timer = asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self._network.abort)
        self._network.close()

    def stop(self) -> None:
        """The connection is gone."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
