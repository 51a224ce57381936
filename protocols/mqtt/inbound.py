"""What clients publish: devices report telemetry, and nobody publishes anything else."""

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from mqtt5 import DisconnectReasonCode, PubAckReasonCode, PubCompReasonCode, PubRecReasonCode

from core.kernel.caller import Caller, Role
from core.kernel.errors import (
    BadRequest,
    Forbidden,
    StoreError,
    Unavailable,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.ids import is_id
from core.kernel.validation import check_body
from core.models.readings import TELEMETRY_TOPIC, ReadingDraft
from core.services.readings import REPORT_HEALTH
from core.store.store import Call
from protocols.mqtt import packets
from protocols.mqtt.errors import PUBLISH_CODES
from protocols.mqtt.filters import read_topic
from protocols.mqtt.packets import Breach, Kind, Property, Will
from protocols.mqtt.persistence import Kept

if TYPE_CHECKING:
    from protocols.mqtt.connection import Connection

_TELEMETRY = re.compile(TELEMETRY_TOPIC.format(pet_id="([^/]+)"))


class Publishing:
    """The messages of one client, and his will."""

    #: Messages of quality of service 1 and 2 that he may have unacknowledged (receive maximum).
    MOST = 64

    def __init__(self, connection: "Connection", caller: Caller, will: Will | None) -> None:
        self.will = will
        self._connection = connection
        self._caller = caller
        #: Packet ids of messages of quality of service 2 that were taken and not yet released.
        self._taken: set[int] = set()

    # --- messages ---

    async def publish(self, packet: packets.Publish) -> None:
        """Take a message, or say why not."""
        connection, wire = self._connection, self._connection.wire
        if Property.TOPIC_ALIAS in packet.properties.values:
            connection.close(DisconnectReasonCode.TOPIC_ALIAS_INVALID, "Topic aliases are not taken.")
            return
        if packet.qos == 2 and packet.packet_id in self._taken:
            connection.peer.write(wire.pubrec(packet.packet_id, PubRecReasonCode.SUCCESS, None))
            return
        if packet.qos == 2 and len(self._taken) >= self.MOST:
            connection.close(DisconnectReasonCode.RECEIVE_MAX_EXCEEDED, "Too many messages at once.")
            return
        code, reason = PubAckReasonCode.SUCCESS, None
        try:
            await self._report(packet.topic, packet.payload)
        except Unavailable as error:
            connection.door.counters.refused_messages += 1
            if packet.qos:
                # Unacknowledged, it comes again when the client is back.
                connection.close(DisconnectReasonCode.SERVER_BUSY, error.detail)
            return
        except StoreError as error:
            connection.door.counters.refused_messages += 1
            code, reason = PUBLISH_CODES[error.code], _explained(error)
        else:
            connection.door.counters.published += 1
        if packet.qos == 1:
            connection.peer.write(wire.puback(packet.packet_id, code, reason))
        elif packet.qos == 2:
            # A refused message is over with its PUBREC (section 4.3.3); version 3.1.1 goes on with PUBREL all the same.
            if code == PubAckReasonCode.SUCCESS or connection.version is packets.Version.V3:
                self._taken.add(packet.packet_id)
            connection.peer.write(wire.pubrec(packet.packet_id, PubRecReasonCode(int(code)), reason))

    def release(self, packet: packets.Acknowledged) -> None:
        """PUBREL; we ask for nothing that would be answered with PUBREC or PUBCOMP."""
        if packet.kind is not Kind.PUBREL:
            raise Breach("an acknowledgement of nothing")
        known = packet.packet_id in self._taken
        self._taken.discard(packet.packet_id)
        code = PubCompReasonCode.SUCCESS if known else PubCompReasonCode.PACKET_ID_NOT_FOUND
        self._connection.peer.write(self._connection.wire.pubcomp(packet.packet_id, code))

    async def _report(self, topic: str, payload: bytes) -> None:
        session = self._connection.session
        assert session is not None
        pet_id = _pet_of(session.caller, topic)
        call = Call(REPORT_HEALTH, {"id": pet_id}, _json(payload), request_id=session.id)
        await self._connection.door.store.execute(session.caller, call)

    # --- the will ---

    async def check_will(self) -> None:
        """Pass when the client could publish his will himself.

        Raises:
            Forbidden, ValidationFailed: he could not.
        """
        if self.will is None:
            return
        _pet_of(self._caller, self.will.topic)
        try:
            check_body(ReadingDraft, _json(self.will.payload))
        except BadRequest as error:
            raise ValidationFailed((Violation("", error.detail, ViolationCode.INVALID_FORMAT),)) from None

    def send_will(self, name: tuple[str, str, str] | None, kept: Kept) -> None:
        """The client is lost: publish his will, at the latest when his session ends (section 3.1.3.2.2)."""
        will, self.will = self.will, None
        if will is None or name is None:
            return

        async def late() -> None:
            # On another node he may have come back unseen.
            if not await kept.moved():
                await self._execute_will(will)

        door, delay = self._connection.door, min(will.delay, kept.lasts.total_seconds())
        if delay:
            door.wills.wait(name, delay, partial(self._execute_will, will), late=late)
        else:
            door.spawn(self._execute_will(will))

    async def _execute_will(self, will: Will) -> None:
        counters = self._connection.door.counters
        try:
            await self._report(will.topic, will.payload)
        except StoreError:
            counters.refused_messages += 1
        else:
            counters.published += 1

    # --- what is kept ---

    def state(self) -> dict[str, Any]:
        """What was taken and not released."""
        return {"taken": sorted(self._taken)}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self._taken = set(state["taken"])


def _pet_of(caller: Caller, topic: str) -> str:
    """The pet that a topic is the telemetry of.

    Raises:
        Forbidden: it is no such topic, or the caller is no device of its tenant.
    """
    try:
        address = read_topic(topic)
    except BadRequest:
        raise Forbidden("Nobody publishes there.") from None
    found = _TELEMETRY.fullmatch(address.pattern)
    if found is None or not is_id(found[1]):
        raise Forbidden("Nobody publishes there.")
    if caller.role is not Role.DEVICE or address.tenant not in (None, caller.tenant):
        raise Forbidden("Only devices of the tenant publish there.")
    return found[1]


def _json(payload: bytes) -> object:
    try:
        found: object = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise BadRequest("The payload is not JSON.") from None
    return found


def _explained(error: StoreError) -> str:
    if isinstance(error, ValidationFailed):
        told = (f"{fault.field}: {fault.message}".removeprefix(": ") for fault in error.violations)
        return "; ".join(told)[:500]
    return error.detail
