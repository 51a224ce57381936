"""One client of the MQTT door: his packets in the order in which they came, and what he is due."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from mqtt5 import ConnAckReasonCode, DisconnectReasonCode

from core.kernel.caller import Credentials
from core.kernel.errors import Close, CloseReason, RateLimited, StoreError
from core.live.commands import Authenticate
from core.live.delivery import Sink
from core.live.session import Session
from protocols.mqtt import packets
from protocols.mqtt.connect import Refused, caller_of, client_id_of, kept_for
from protocols.mqtt.decoder import Splitter, TooLarge, read_connect, read_packet, version_of
from protocols.mqtt.delivery import Delivery
from protocols.mqtt.encoder import PINGRESP, Welcome, Wire, Wire3, Wire5
from protocols.mqtt.errors import CONNECT_CODES, DISCONNECT_CODES
from protocols.mqtt.inbound import Publishing
from protocols.mqtt.packets import Breach, Connect, Malformed, Property, UnknownVersion, Version
from protocols.mqtt.persistence import Kept
from protocols.mqtt.subscriptions import Listening

if TYPE_CHECKING:
    from protocols.mqtt.adapter import MqttDoor

log = logging.getLogger(__name__)

#: Packets that may wait to be dealt with before nothing more is read.
_ENOUGH = 64
#: PUBACK without a reason code.
_PUBACK = b"\x40\x02"
#: How long a peer may take to read our farewell, in seconds.
_FAREWELL = 2.0
#: The end of a connection that was lost without a reason code: no code of MQTT.
LOST = 255


class Peer(Sink, Protocol):
    """The client's connection, as the server offers it."""

    def close(self) -> None:
        """End the connection behind what was written."""

    def abort(self) -> None:
        """Drop the connection now."""

    def pause_reading(self) -> None:
        """Take nothing more from the client for now."""

    def resume_reading(self) -> None:
        """Go on."""


class Connection:
    """One client: his packets in the order in which they came, and what he is due.

    What can be answered at once is; what has to wait for the store is done by a task that lives only as long as
    there is something to do, so that a client who only listens has none.
    """

    def __init__(
        self,
        door: "MqttDoor",
        peer: Peer,
        credentials: Credentials,
        on_end: Callable[["Connection"], None] | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.door = door
        self.peer = peer
        #: When, as `time.perf_counter` has it.
        self.started = perf_counter()
        #: The reason code that either side gave for the end (MQTT 5.0, section 2.4).
        self.code: int = LOST
        self._on_end = on_end
        #: Set when nothing is left of the connection, and what is kept of it is written down.
        self.gone: asyncio.Future[None] = loop.create_future()
        self.session: Session | None = None
        self.delivery: Delivery | None = None
        self.wire: Wire = Wire3()
        self.version = Version.V3
        self._credentials = credentials
        self._splitter = Splitter(door.limits.frame_bytes)
        self._inbox: deque[packets.Packet] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = loop.call_later(door.limits.login_seconds, peer.abort)
        self._heard = loop.time()
        self._connect: Connect | None = None
        self._closing = False
        self._welcomed = False
        self._name: tuple[str, str, str] | None = None
        self._kept: Kept | None = None
        self._listening: Listening | None = None
        self._publishing: Publishing | None = None

    @property
    def protocol(self) -> str:
        """The version that the client speaks, by its name; empty until he has said so."""
        return "" if self._connect is None else "5.0" if self.version is Version.V5 else "3.1.1"

    # --- reading ---

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        self._heard = asyncio.get_running_loop().time()
        try:
            if self._connect is None and self._splitter.empty and data[:1] != b"\x10":
                raise Malformed("the first packet is not CONNECT")
            for packet in self._splitter.feed(self._without_acknowledgements(data)):
                if self._closing:
                    return
                self._take(packet)
        except TooLarge:
            self._blame(DisconnectReasonCode.PACKET_TOO_LARGE, "The packet is too large.")
        except UnknownVersion:
            self.door.counters.refused_connections += 1
            code = ConnAckReasonCode.UNSUPPORTED_PROTOCOL_VERSION
            self._end(code, Wire3().refused(code, ""))
        except Breach as fault:
            self._blame(DisconnectReasonCode.PROTOCOL_ERROR, str(fault))
        except Malformed as fault:
            self._blame(DisconnectReasonCode.MALFORMED_PACKET, str(fault))
        except RateLimited:
            pass  # The session ends, and says so.
        except Exception:  # The boundary to the server, which has other clients to serve.
            log.exception("a packet failed")
            self.close(DisconnectReasonCode.UNSPECIFIED_ERROR, "Something went wrong on our side.")

    def _without_acknowledgements(self, data: bytes) -> bytes:
        """Deal at once with what busy listeners send most: PUBACK in its shortest form, one behind the other."""
        delivery = self.delivery
        if delivery is None or data[:2] != _PUBACK or not self._splitter.empty:
            return data
        place = 0
        found = []
        while data[place : place + 2] == _PUBACK and place + 4 <= len(data):
            found.append(data[place + 2] << 8 | data[place + 3])
            place += 4
        for _ in range(len(found) - delivery.acknowledge(found)):
            self._spend()
        return data[place:]

    def _take(self, data: bytes) -> None:
        packet: packets.Packet
        if self._connect is None:
            self.version = version_of(data)
            if self.version is Version.V5:
                self.wire = Wire5()  # From here on a refusal has its reason.
            packet = self._connect = read_connect(data, self.version)
            if self.version is Version.V5:
                number = packet.properties.number
                self.wire = Wire5(
                    explains=bool(number(Property.PROBLEM_INFORMATION, 1)),
                    largest=number(Property.LARGEST_PACKET, 0) or None,
                )
        else:
            packet = read_packet(data, self.version)
        if isinstance(packet, packets.Acknowledged) and packet.kind is packets.Kind.PUBACK:
            if self.delivery is not None and not self.delivery.acknowledge([packet.packet_id]):
                self._spend()
            return
        self._spend()
        if isinstance(packet, packets.Ping) and self._welcomed:
            self.peer.write(PINGRESP)
            return
        self._inbox.append(packet)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        if len(self._inbox) == _ENOUGH:
            self.peer.pause_reading()

    def _spend(self) -> None:
        if self.session is not None:
            self.session.spend()

    async def _work(self) -> None:
        """Deal with what waits."""
        try:
            while self._inbox and not self._closing:
                await self._handle(self._inbox.popleft())
        except Breach as fault:
            self._blame(DisconnectReasonCode.PROTOCOL_ERROR, str(fault))
        except ConnectionResetError:
            pass  # The server sees the disconnect itself.
        except Exception:  # The task's boundary: nobody awaits it.
            log.exception("a packet failed")
            self.close(DisconnectReasonCode.UNSPECIFIED_ERROR, "Something went wrong on our side.")
        finally:
            self._worker = None
            if not self._closing:
                self.peer.resume_reading()

    async def _handle(self, packet: packets.Packet) -> None:
        if isinstance(packet, Connect):
            await self._open(packet)
            return
        assert self._listening is not None
        assert self._publishing is not None
        match packet:
            case packets.Publish():
                await self._publishing.publish(packet)
            case packets.Acknowledged():
                self._publishing.release(packet)
            case packets.Subscribe():
                await self._listening.subscribe(packet)
            case packets.Unsubscribe():
                await self._listening.unsubscribe(packet)
            case packets.Disconnect():
                self._leave(packet)
            case packets.Auth():
                await self._authenticate(packet)
            case packets.Ping():
                self.peer.write(PINGRESP)

    # --- beginning ---

    async def _open(self, connect: Connect) -> None:
        """Let the client in, or not."""
        try:
            client_id = client_id_of(connect)
            caller, self._credentials = await caller_of(self.door.store, self._credentials, connect)
            session = self.door.sessions.open(self._credentials, caller)
        except Refused as refusal:
            self._refuse(refusal.code, str(refusal))
            return
        except StoreError as error:
            self._refuse(CONNECT_CODES[error.code], error.detail)
            return
        self.session = session
        self._publishing = Publishing(self, caller, connect.will)
        number = connect.properties.number
        self.delivery = delivery = Delivery(
            session,
            self.peer,
            self.version,
            self.wire,
            window=number(Property.RECEIVE_MAXIMUM, 65_535),
            largest=number(Property.LARGEST_PACKET, 0) or None,
        )
        delivery.gate.shut("welcome")
        self._listening = listening = Listening(self, session, delivery)
        try:
            await self._publishing.check_will()
            await self._take_over((caller.tenant, caller.key, client_id), clean=connect.clean)
            lasts = kept_for(connect, self.door.kept.longest(caller))
            kept = Kept(self.door.kept, caller, client_id, session.id, lasts, self._state)
            present = await kept.begin(clean=connect.clean, restore=self._restore)
        except StoreError as error:
            self._refuse(CONNECT_CODES[error.code], error.detail)
            return
        if self._closing:
            return
        self._kept = listening.kept = kept
        kept.on_lost = self.taken_over
        self.door.keeper.add(kept)
        session.closed.add_done_callback(self._on_closed)
        assigned = client_id if not connect.client_id else None
        self._welcome(connect, assigned, lasts, session_present=present)

    async def _take_over(self, name: tuple[str, str, str], *, clean: bool) -> None:
        """Be the one connection of this client; the one before has written down how far it came."""
        before = self.door.clients.get(name)
        self.door.clients[name] = self
        self._name = name
        if before is not None:
            before.taken_over()
            await before.gone
        self.door.wills.settle(name, publish=clean)

    async def _restore(self, state: dict[str, object], cursor: str | None) -> bool:
        """Take up a session that was kept; says whether that was possible."""
        assert self._listening is not None
        assert self._publishing is not None
        self._publishing.resume(state)
        return await self._listening.resume(state, cursor)

    def _state(self) -> tuple[str | None, dict[str, object]]:
        assert self.delivery is not None
        assert self._listening is not None
        assert self._publishing is not None
        state = self.delivery.state() | self._listening.state() | self._publishing.state()
        return self.delivery.place(), state

    def _welcome(
        self, connect: Connect, assigned: str | None, lasts: timedelta, *, session_present: bool
    ) -> None:
        assert self.delivery is not None
        asked = connect.properties.number(Property.SESSION_EXPIRY, 0)
        granted = int(lasts.total_seconds())
        self.peer.write(
            self.wire.welcome(
                Welcome(
                    session_present=session_present,
                    session_expiry=granted if granted != asked else None,
                    client_id=assigned,
                    receive_maximum=Publishing.MOST,
                    largest_packet=self.door.limits.frame_bytes,
                    authentication_method=connect.properties.text(Property.AUTH_METHOD),
                )
            )
        )
        self.door.counters.connected += 1
        self._welcomed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if connect.keep_alive:
            self._mind(connect.keep_alive * 1.5)
        self.delivery.gate.open("welcome")

    def _mind(self, limit: float) -> None:
        """See that the client is heard of in time; a timer per silence, not per packet."""
        loop = asyncio.get_running_loop()
        left = self._heard + limit - loop.time()
        if left <= 0:
            self.close(DisconnectReasonCode.KEEP_ALIVE_TIMEOUT, "Nothing was heard for too long.")
        else:
            self._timer = loop.call_later(left, self._mind, limit)

    async def _authenticate(self, packet: packets.Auth) -> None:
        """Take a new token (section 4.12.1)."""
        assert self.session is not None
        assert self._connect is not None
        method = packet.properties.text(Property.AUTH_METHOD)
        if (
            packet.code != 25
            or method is None
            or method != self._connect.properties.text(Property.AUTH_METHOD)
        ):
            raise Breach("AUTH without the authentication method of CONNECT")
        token = (packet.properties.data(Property.AUTH_DATA) or b"").decode(errors="replace")
        try:
            await self.session.authenticate(Authenticate.model_construct(token=token))
        except StoreError as error:
            self.close(DisconnectReasonCode.NOT_AUTHORIZED, error.detail)
        else:
            self.peer.write(self.wire.authenticated(method))

    # --- ending ---

    def _leave(self, packet: packets.Disconnect) -> None:
        """The client says goodbye (section 3.14)."""
        assert self._publishing is not None
        assert self._kept is not None
        expiry = packet.properties.values.get(Property.SESSION_EXPIRY)
        if isinstance(expiry, int):
            if expiry and not self._kept.lasts:
                raise Breach("a session that was to end cannot be kept")
            longest = self.door.kept.longest(self._kept.caller)
            self._kept.lasts = min(longest, timedelta(seconds=expiry))
        if packet.code == 0:
            self._publishing.will = None
        self._end(packet.code)

    def _blame(self, code: DisconnectReasonCode, reason: str) -> None:
        """The client has sent what is no MQTT: counted, and the end of this connection alone."""
        self.door.counters.malformed_packets += 1
        if self.version is Version.V5 and not self._welcomed:
            self._end(code, self.wire.refused(ConnAckReasonCode(int(code)), reason))
        else:
            self.close(code, reason)

    def _refuse(self, code: ConnAckReasonCode, reason: str) -> None:
        self.door.counters.refused_connections += 1
        self._end(code, self.wire.refused(code, reason))

    def _on_closed(self, closed: "asyncio.Future[Close]") -> None:
        """The store ends the session."""
        close = closed.result()
        assert self._publishing is not None
        assert self._kept is not None
        properties = []
        if close.reason is CloseReason.DRAINING:
            self._publishing.will = None  # It is not the client who is lost.
            if self.delivery is not None and (cursor := self.delivery.place()) is not None:
                properties.append(("cursor", cursor))
        elif close.reason is CloseReason.CURSOR_EXPIRED:
            self._kept.lasts = timedelta()
            properties.append(("oldestCursor", close.oldest_cursor or ""))
        elif close.reason in (CloseReason.REVOKED, CloseReason.EXPIRED):
            self._publishing.will = None
        self.close(DISCONNECT_CODES[close.reason], close.detail, properties)

    def taken_over(self) -> None:
        """The client has come anew, here or on another node."""
        self.door.counters.taken_over += 1
        self.close(DisconnectReasonCode.SESSION_TAKEN_OVER, "The client connected again.")

    def close(
        self, code: DisconnectReasonCode, reason: str, properties: list[tuple[str, str]] | None = None
    ) -> None:
        """Say goodbye, to whoever was welcomed, and close."""
        self._end(code, self.wire.disconnect(code, reason, properties or []) if self._welcomed else b"")

    def close_unavailable(self) -> None:
        """The store can't be read just now; the client should come again."""
        self.close(DisconnectReasonCode.SERVER_BUSY, "The store cannot be read just now.")

    def _end(self, code: int, farewell: bytes = b"") -> None:
        if self._closing:
            return
        self._closing = True
        self.code = int(code)
        if self.delivery is not None:
            self.delivery.close()
        if self._listening is not None:
            self._listening.close()  # The groups' next events are for others.
        if farewell:
            self.peer.write(farewell)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_FAREWELL, self.peer.abort)
        self.peer.close()

    def ended(self) -> None:
        """The connection is no more."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self.delivery is not None:
            self.delivery.close()
            self.delivery.gate.end()
        if self._listening is not None:
            self._listening.close()
        self.door.spawn(self._release())
        if self._on_end is not None:
            self._on_end(self)

    async def _release(self) -> None:
        """Keep what is to be kept, publish the will, and leave nothing else behind."""
        try:
            if self._worker is not None:
                self._worker.cancel()
                await asyncio.wait((self._worker,))
            if self._kept is not None:
                self.door.keeper.remove(self._kept)
                await self._kept.end()
            if self.session is not None:
                self.session.closed.remove_done_callback(self._on_closed)
                self.session.leave()
        finally:
            if self._name is not None and self.door.clients.get(self._name) is self:
                del self.door.clients[self._name]
            if self._welcomed and self._publishing is not None and self._kept is not None:
                self._publishing.send_will(self._name, self._kept)
            self.gone.set_result(None)
