"""One client that has sent CONNECT: its session, its packets one after the other, and its release."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from mqtt5 import DisconnectReasonCode

from core.kernel.errors import Close, CloseReason, StoreError
from core.live.client import Client
from core.live.connection import Sink
from core.live.session import Session
from protocols.mqtt import gate
from protocols.mqtt.connect import ClientKey, session_expiry_of
from protocols.mqtt.delivery import MessageDelivery
from protocols.mqtt.encoder import PINGRESP, Accepted
from protocols.mqtt.errors import DISCONNECT_CODES
from protocols.mqtt.inbound import RECEIVE_MAXIMUM, InboundMessages
from protocols.mqtt.packets import (
    AckPacket,
    AuthPacket,
    ConnectPacket,
    DisconnectPacket,
    Packet,
    PacketType,
    PingPacket,
    Property,
    ProtocolError,
    PublishPacket,
    SubscribePacket,
    UnsubscribePacket,
)
from protocols.mqtt.persistence import PersistentSession
from protocols.mqtt.server import MqttServer
from protocols.mqtt.subscriptions import Subscriptions
from protocols.mqtt.telemetry import can_report
from protocols.mqtt.writer import NetworkConnection, PacketWriter

log = logging.getLogger(__name__)

#: The receive maximum of a client that names none (section 3.1.2.11.3).
_DEFAULT_RECEIVE_MAXIMUM = 65_535
#: AUTH: the client renews its login (section 3.15.2.1).
_REAUTHENTICATE = 25


class MqttClient:
    """One client, from its CONNECT, whose credentials were accepted, until nothing is left of it.

    Its life, once it is accepted, is a `core.live.client.Client`, whose peer it is.
    """

    def __init__(
        self,
        server: MqttServer,
        session: Session,
        connect: ConnectPacket,
        client_id: str,
        network: NetworkConnection,
        writer: PacketWriter,
    ) -> None:
        caller, number = session.caller, connect.properties.number
        self.session = session
        #: Set when nothing is left of the client's connection, and its session is saved.
        self.released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: The same of the connection that this one takes over.
        self._before: asyncio.Future[None] | None = None
        self._server = server
        self._writer = writer
        #: None until the client is accepted.
        self._life: Client[MqttClient] | None = None
        self._connect = connect
        self._will = connect.will
        self._key = ClientKey(caller.tenant, caller.owner, client_id)
        self._delivery = MessageDelivery(
            session,
            network,
            writer.version,
            writer.encoder,
            receive_maximum=number(Property.RECEIVE_MAXIMUM, _DEFAULT_RECEIVE_MAXIMUM),
            max_packet_bytes=number(Property.MAXIMUM_PACKET_SIZE, 0) or None,
        )
        self._delivery.gate.shut(gate.CONNACK)
        self._inbound = InboundMessages(writer, session, server.store, server.counters)
        expiry = session_expiry_of(connect, server.durable_sessions.max_expiry(caller))
        self._persistent = PersistentSession(
            server.durable_sessions, caller, client_id, session.id, expiry, self._to_state
        )
        self._subscriptions = Subscriptions(
            server.store, server.shared_subscriptions, session, self._delivery, writer, self._persistent.save
        )

    # --- beginning ---

    async def begin(self) -> None:
        """Take over from an earlier connection, resume the session, and accept the client.

        Raises:
            StoreError: the client is refused.
        """
        if self._will is not None and not can_report(
            self.session.caller, self._will.topic, self._will.payload
        ):
            # Many clients have a will on a fixed topic and could not connect without: it is never published.
            self._will = None
        await self._take_over()
        present = await self._persistent.begin(clean_start=self._connect.clean_start, resume=self._resume)
        if self._writer.ended:
            return
        self._persistent.on_lost = self.taken_over
        self._server.session_keeper.add(self._persistent)
        self._life = Client(self.session, self, self._delivery)
        self._subscriptions.go_on()
        self._accept(session_present=present)

    async def _take_over(self) -> None:
        """Be the one connection of this client; the one before saves how far it came."""
        before = self._server.clients.get(self._key)
        self._server.clients[self._key] = self
        if before is not None:
            self._before = before.released
            before.taken_over()
            await asyncio.wait((before.released,))
        self._server.wills.settle(self._key, publish=self._connect.clean_start)

    def _accept(self, *, session_present: bool) -> None:
        properties = self._connect.properties
        expiry = int(self._persistent.expiry.total_seconds())
        requested = properties.number(Property.SESSION_EXPIRY_INTERVAL, 0)
        accepted = Accepted(
            session_present=session_present,
            session_expiry=expiry if expiry != requested else None,
            client_id=self._key.client_id if not self._connect.client_id else None,
            receive_maximum=RECEIVE_MAXIMUM,
            maximum_packet_size=self._server.limits.frame_bytes,
            authentication_method=properties.text(Property.AUTHENTICATION_METHOD),
        )
        if self._writer.accept(accepted):
            self._server.counters.connected += 1
            self._delivery.gate.open(gate.CONNACK)
        else:
            self._will = None

    # --- packets ---

    def acknowledge(self, packet_ids: list[int]) -> int:
        """PUBACK; gives how many of these messages were in flight."""
        return self._delivery.acknowledge(packet_ids)

    def take_acknowledgement(self, packet: AckPacket) -> bool:
        """PUBACK or PUBREL; gives whether there was something to acknowledge.

        Raises:
            ProtocolError: it acknowledges nothing that the server sends.
        """
        if packet.type is PacketType.PUBACK:
            return bool(self._delivery.acknowledge([packet.packet_id]))
        return self._inbound.release(packet)

    async def handle(self, packet: Packet) -> None:
        """Handle a packet behind CONNECT.

        Raises:
            ProtocolError: it is not allowed here.
        """
        match packet:
            case PublishPacket():
                await self._inbound.publish(packet)
            case AckPacket():
                self.take_acknowledgement(packet)
            case SubscribePacket():
                await self._subscriptions.subscribe(packet)
            case UnsubscribePacket():
                await self._subscriptions.unsubscribe(packet)
            case DisconnectPacket():
                self._disconnect(packet)
            case AuthPacket():
                await self._reauthenticate(packet)
            case PingPacket():
                self._writer.write(PINGRESP)

    async def _reauthenticate(self, packet: AuthPacket) -> None:
        """Renew the login by a new token (section 4.12.1)."""
        method = packet.properties.text(Property.AUTHENTICATION_METHOD)
        expected = self._connect.properties.text(Property.AUTHENTICATION_METHOD)
        if packet.code != _REAUTHENTICATE or method is None or method != expected:
            raise ProtocolError("AUTH without the authentication method of CONNECT")
        token = (packet.properties.data(Property.AUTHENTICATION_DATA) or b"").decode(errors="replace")
        try:
            await self.session.authenticate(token)
        except StoreError as error:
            self._writer.close(DisconnectReasonCode.NOT_AUTHORIZED, error.detail)
        else:
            self._writer.write(self._writer.encoder.auth(method))

    def _disconnect(self, packet: DisconnectPacket) -> None:
        """The client says goodbye (section 3.14)."""
        expiry = packet.properties.values.get(Property.SESSION_EXPIRY_INTERVAL)
        if isinstance(expiry, int):
            if expiry and not self._persistent.expiry:
                raise ProtocolError("a session that was to end cannot be kept")
            longest = self._server.durable_sessions.max_expiry(self._persistent.caller)
            self._persistent.expiry = min(longest, timedelta(seconds=expiry))
        if packet.code == 0:
            self._will = None
        self._writer.end(packet.code)

    # --- the session's state ---

    def _to_state(self) -> tuple[str | None, dict[str, Any]]:
        state = self._delivery.to_state() | self._subscriptions.to_state() | self._inbound.to_state()
        return self._delivery.cursor, state

    async def _resume(self, state: dict[str, Any], cursor: str | None) -> bool:
        try:
            resumed = await self._subscriptions.resume(state, cursor)
            if resumed:
                self._inbound.resume(state)
        except (KeyError, TypeError, ValueError):
            # Better than a client that cannot connect for as long as the record is kept.
            log.warning("the record of a durable session cannot be read: it begins anew", exc_info=True)
            return False
        return resumed

    # --- ending ---

    def taken_over(self) -> None:
        """The client has connected again, here or on another node."""
        self._server.counters.taken_over += 1
        self._writer.close(DisconnectReasonCode.SESSION_TAKEN_OVER, "The client connected again.")

    @property
    def sink(self) -> Sink:
        """See `core.live.client.Peer`."""
        return self._delivery.gate

    def heartbeat(self, cursor: str | None) -> bytes:  # noqa: ARG002
        """Nothing: it is the client that keeps the connection alive (section 3.1.2.10)."""
        return b""

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        """DISCONNECT with the reason for which the store ends the session."""
        properties = []
        if close.reason is CloseReason.DRAINING:
            self._will = None  # It is not the client that is lost.
            if cursor is not None:
                properties.append(("cursor", cursor))
        elif close.reason is CloseReason.CURSOR_EXPIRED:
            self._persistent.expiry = timedelta()
            properties.append(("oldestCursor", close.oldest_cursor or ""))
        elif close.reason in (CloseReason.REVOKED, CloseReason.EXPIRED):
            self._will = None
        return self._writer.farewell(DISCONNECT_CODES[close.reason], close.detail, properties)

    def disconnect(self, close: Close) -> None:
        """End the connection behind what was written."""
        self._writer.end(DISCONNECT_CODES[close.reason])

    def stop(self) -> None:
        """The connection ends: nothing more is delivered, and events of shared subscriptions go to others."""
        if self._life is not None:
            self._life.stop()
        self._subscriptions.close()

    def gone(self) -> None:
        """The connection is gone."""
        self.stop()
        self._delivery.gate.end()

    async def release(self) -> None:
        """Save what is to be saved, publish the will, and leave nothing else behind."""
        if self._before is not None:
            # Whoever waits for this connection waits for the earlier ones too.
            await asyncio.wait((self._before,))
        try:
            if self._life is None:
                self.session.leave()
                await self._persistent.abandon()
            else:
                self._server.session_keeper.remove(self._persistent)
                await self._persistent.end()
                self._life.release()
        finally:
            if self._server.clients.get(self._key) is self:
                del self._server.clients[self._key]
            if self._life is not None:
                self._send_will()
            self.released.set_result(None)

    def _send_will(self) -> None:
        """Publish the will of a lost client, at the latest when its session ends (section 3.1.3.2.2)."""
        will, self._will = self._will, None
        if will is None:
            return
        delay_seconds = min(will.delay, self._persistent.expiry.total_seconds())
        self._server.wills.send(
            self._key,
            delay_seconds,
            lambda: self._inbound.publish_will(will),
            self._persistent.is_held_elsewhere,
        )
