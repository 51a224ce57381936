"""Messages that clients publish (MQTT 5.0, section 4.3): reported, acknowledged or refused."""

from typing import Any

from mqtt5 import DisconnectReasonCode, PubAckReasonCode, PubCompReasonCode, PubRecReasonCode

from core.kernel.errors import StoreError, Unavailable, ValidationFailed
from core.live.session import Session
from core.store.store import Store
from protocols.mqtt.errors import PUBLISH_CODES
from protocols.mqtt.packets import (
    AckPacket,
    PacketType,
    Property,
    ProtocolError,
    ProtocolVersion,
    PublishPacket,
    Will,
)
from protocols.mqtt.statistics import Counters
from protocols.mqtt.telemetry import report
from protocols.mqtt.writer import PacketWriter

#: Messages with quality of service 1 and 2 that a client may have unacknowledged (section 3.2.2.3.3).
RECEIVE_MAXIMUM = 64
#: Unreleased messages of earlier connections that a session keeps: more than a client has that releases them first,
#: as it has to when it is back (section 4.4).
_MAX_EARLIER_MESSAGES = 10 * RECEIVE_MAXIMUM
_MAX_REASON_CHARACTERS = 500


class InboundMessages:
    """The messages of one client."""

    def __init__(self, writer: PacketWriter, session: Session, store: Store, counters: Counters) -> None:
        self._writer = writer
        self._session = session
        self._store = store
        self._counters = counters
        #: Packet identifiers of messages with quality of service 2 that were taken on this connection and are not yet
        #: released, and of those that an earlier one has left: the quota begins anew with each (section 4.9).
        self._unreleased: set[int] = set()
        self._earlier: set[int] = set()

    async def publish(self, packet: PublishPacket) -> None:
        """PUBLISH: report it, and acknowledge or refuse it."""
        writer, encoder = self._writer, self._writer.encoder
        if Property.TOPIC_ALIAS in packet.properties.values:
            writer.close(DisconnectReasonCode.TOPIC_ALIAS_INVALID, "Topic aliases are not taken.")
            return
        if packet.qos == 2 and packet.packet_id in self._unreleased | self._earlier:
            writer.write(encoder.pubrec(packet.packet_id, PubRecReasonCode.SUCCESS, None))
            return
        if packet.qos == 2 and len(self._unreleased) >= RECEIVE_MAXIMUM:
            writer.close(DisconnectReasonCode.RECEIVE_MAX_EXCEEDED, "Too many messages at once.")
            return
        code, reason = PubAckReasonCode.SUCCESS, None
        try:
            await report(self._store, self._session, packet.topic, packet.payload)
        except Unavailable as error:
            self._counters.refused_messages += 1
            if packet.qos:
                # Unacknowledged, it comes again when the client is back.
                writer.close(DisconnectReasonCode.SERVER_BUSY, error.detail)
            return
        except StoreError as error:
            self._counters.refused_messages += 1
            code, reason = PUBLISH_CODES[error.code], _reason_string(error)
        else:
            self._counters.published += 1
        if packet.qos == 1:
            writer.write(encoder.puback(packet.packet_id, code, reason))
        elif packet.qos == 2:
            # A refusal ends the exchange with PUBREC (section 4.3.3); in version 3.1.1 it goes on with PUBREL.
            if code == PubAckReasonCode.SUCCESS or writer.version is ProtocolVersion.V3_1_1:
                self._unreleased.add(packet.packet_id)
            writer.write(encoder.pubrec(packet.packet_id, PubRecReasonCode(int(code)), reason))

    def release(self, packet: AckPacket) -> bool:
        """PUBREL; PUBREC and PUBCOMP acknowledge nothing that the server sends. Gives whether it was known."""
        if packet.type is not PacketType.PUBREL:
            raise ProtocolError("an acknowledgement of nothing")
        known = packet.packet_id in self._unreleased | self._earlier
        self._unreleased.discard(packet.packet_id)
        self._earlier.discard(packet.packet_id)
        code = PubCompReasonCode.SUCCESS if known else PubCompReasonCode.PACKET_ID_NOT_FOUND
        self._writer.write(self._writer.encoder.pubcomp(packet.packet_id, code))
        return known

    async def publish_will(self, will: Will) -> None:
        """Report the client's will."""
        try:
            await report(self._store, self._session, will.topic, will.payload)
        except StoreError:
            self._counters.refused_messages += 1
        else:
            self._counters.published += 1

    # --- the session's state ---

    def to_state(self) -> dict[str, Any]:
        """What a durable session keeps."""
        earlier = sorted(self._earlier)[:_MAX_EARLIER_MESSAGES]
        return {"taken": sorted(self._unreleased) + earlier}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from ``to_state``."""
        self._earlier = set(state["taken"])


def _reason_string(error: StoreError) -> str:
    if isinstance(error, ValidationFailed):
        texts = (
            f"{violation.field}: {violation.message}".removeprefix(": ") for violation in error.violations
        )
        return "; ".join(texts)[:_MAX_REASON_CHARACTERS]
    return error.detail
