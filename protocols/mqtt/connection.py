"""One connection: from the bytes of a client to its packets, handled one after the other, and its end."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter

from mqtt5 import ConnAckReasonCode, DisconnectReasonCode

from core.kernel.caller import Credentials
from core.kernel.errors import StoreError
from core.live.session import Session
from protocols.mqtt.client import MqttClient
from protocols.mqtt.connect import ConnectRefused, authenticate, client_id_of
from protocols.mqtt.decoder import decode_connect, decode_packet, protocol_version_of
from protocols.mqtt.encoder import PINGRESP
from protocols.mqtt.errors import CONNECT_CODES
from protocols.mqtt.framing import PacketSplitter, PacketTooLarge
from protocols.mqtt.packets import (
    AckPacket,
    ConnectPacket,
    MalformedPacket,
    Packet,
    PingPacket,
    ProtocolError,
    ProtocolVersion,
    SubscribePacket,
    TooManyItems,
    UnsupportedVersion,
)
from protocols.mqtt.server import MqttServer
from protocols.mqtt.writer import NetworkConnection, PacketWriter

log = logging.getLogger(__name__)

#: How much may wait to be handled before nothing more is read. Up to there pings of a client that sends faster than it
#: is read are answered.
_READ_AHEAD_BYTES = 256 * 1024
#: How long the rest of what a client sent is handled once it has gone.
_REST_SECONDS = 120.0
#: What a waiting packet takes besides its content.
_PACKET_COST_BYTES = 256
#: The fixed header of PUBACK without a reason code; how many of them are handled at once.
_PUBACK = b"\x40\x02"
_MAX_ACKNOWLEDGED_AT_ONCE = 1000
#: A client is gone when it is silent for this many keep alive intervals (section 3.1.2.10).
_KEEP_ALIVE_FACTOR = 1.5
_VERSION_NAMES = {ProtocolVersion.V5_0: "5.0", ProtocolVersion.V3_1_1: "3.1.1"}
_INTERNAL_ERROR = "Something went wrong on our side."


class Connection:
    """One connection of a client.

    What needs no waiting is answered at once; what has to wait for the store is done by a task that lives only as long
    as there is something to do, so that a client that only listens has none.
    """

    def __init__(
        self,
        server: MqttServer,
        network: NetworkConnection,
        credentials: Credentials,
        on_end: Callable[["Connection"], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        #: When it began, by `time.perf_counter`.
        self.started = perf_counter()
        self._server = server
        self._network = network
        self._credentials = credentials
        self._on_end = on_end
        self._writer = PacketWriter(network, self._stop)
        self._splitter = PacketSplitter(server.limits.frame_bytes)
        #: Packets that wait to be handled, and what each of them takes; their sum.
        self._waiting: deque[tuple[Packet, int]] = deque()
        self._ahead_bytes = 0
        #: The one that is handled at the moment.
        self._handled: Packet | None = None
        #: Whether nothing is read.
        self._paused = False
        #: Whether what was read is taken in a later turn of the loop, which comes by itself.
        self._turn_comes = False
        self._worker: asyncio.Task[None] | None = None
        #: Drops a client that does not send CONNECT in time; later it is the keep alive timer.
        self._timer: asyncio.TimerHandle | None = loop.call_later(server.limits.login_seconds, network.abort)
        self._last_received = loop.time()
        self._connect: ConnectPacket | None = None
        self._client: MqttClient | None = None
        #: Whether the client has gone, or the connection been lost.
        self._gone = False
        self._releasing = False

    @property
    def session(self) -> Session | None:
        """The client's session; None until its credentials are accepted."""
        return None if self._client is None else self._client.session

    @property
    def protocol(self) -> str:
        """The name of the protocol version; empty before CONNECT."""
        return "" if self._connect is None else _VERSION_NAMES[self._connect.version]

    @property
    def code(self) -> int:
        """The reason code of the end."""
        return self._writer.code

    # --- bytes ---

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        self._take_in(data)

    def _take_in(self, data: bytes, *, its_turn: bool = False) -> None:
        try:
            if self._connect is None and self._splitter.empty and data[:1] != b"\x10":
                raise MalformedPacket("the first packet is not CONNECT")
            self._splitter.add(self._without_acknowledgements(data))
            self._read(its_turn=its_turn)
        except PacketTooLarge:
            self._reject(DisconnectReasonCode.PACKET_TOO_LARGE, "The packet is too large.")
        except UnsupportedVersion:
            self._refuse(ConnAckReasonCode.UNSUPPORTED_PROTOCOL_VERSION, "")
        except TooManyItems as error:
            self._reject(DisconnectReasonCode.QUOTA_EXCEEDED, str(error))
        except ProtocolError as error:
            self._reject(DisconnectReasonCode.PROTOCOL_ERROR, str(error))
        except MalformedPacket as error:
            self._reject(DisconnectReasonCode.MALFORMED_PACKET, str(error))
        except Exception:  # The boundary to the server, which has other clients to serve.
            log.exception("a packet failed")
            self._fail()

    def _read(self, *, its_turn: bool = False) -> None:
        """Take packets while not too much waits; then nothing more is read either.

        It goes on while the turn of the loop is not over, which all connections share. ``its_turn``: a first packet may
        be taken.
        """
        first = not its_turn
        while not (self._writer.ended or self._splitter.empty):
            if self._ahead_bytes > _READ_AHEAD_BYTES:
                self._paused = True
                self._network.pause_reading()
                return
            if not its_turn and self._server.slices.over:
                self._read_soon(first=first)
                return
            its_turn = first = False
            packet = self._splitter.next()
            if packet is None:
                return
            self._take(packet)

    def _read_soon(self, *, first: bool) -> None:
        """Go on in a later turn of the loop, and listen no further until then."""
        if not self._turn_comes:
            self._turn_comes = True
            self._network.pause_reading()
            self._server.slices.later(self._next_turn, first=first)

    def _next_turn(self) -> None:
        self._turn_comes = False
        if not (self._paused or self._releasing):  # Else it goes on when less waits, or not at all.
            self._go_on(its_turn=True)
        if self._gone and self._worker is None:
            self._handle_rest()

    def _go_on_reading(self) -> None:
        """Read again when enough has been handled of what waited."""
        if self._paused and self._ahead_bytes <= _READ_AHEAD_BYTES // 2 and not self._writer.ended:
            self._paused = False
            # What the client has sent meanwhile has not been looked at.
            self._last_received = asyncio.get_running_loop().time()
            self._go_on()

    def _go_on(self, *, its_turn: bool = False) -> None:
        """Take what waits, and listen again behind it."""
        self._take_in(b"", its_turn=its_turn)
        if not (self._paused or self._turn_comes or self._writer.ended):
            self._network.resume_reading()

    def _without_acknowledgements(self, data: bytes) -> bytes:
        """Handle at once what busy subscribers send most: PUBACK in its shortest form, one behind the other."""
        client = self._client
        if client is None or data[:2] != _PUBACK or not (self._splitter.empty and self._writer.accepted):
            return data
        position = 0
        packet_ids = []
        end = min(len(data), _MAX_ACKNOWLEDGED_AT_ONCE * 4)
        while data[position : position + 2] == _PUBACK and position + 4 <= end:
            packet_ids.append(data[position + 2] << 8 | data[position + 3])
            position += 4
        if packet_ids:
            self._last_received = asyncio.get_running_loop().time()
        for _ in range(len(packet_ids) - client.acknowledge(packet_ids)):
            client.session.rate.count()
        return data[position:]

    def _take(self, data: bytes) -> None:
        """Answer a packet at once, or let it wait for its turn."""
        # Only whole packets keep a connection alive (section 3.1.2.10).
        self._last_received = asyncio.get_running_loop().time()
        packet: Packet
        client = self._client
        if self._connect is None:
            self._writer.use_version(protocol_version_of(data))
            packet = self._connect = decode_connect(data, self._writer.version)
            self._writer.use_options(packet)
        else:
            packet = decode_packet(data, self._writer.version)
        if self._writer.accepted and client is not None and isinstance(packet, AckPacket | PingPacket):
            # They do not wait behind what is held back; an acknowledgement of something costs nothing.
            if isinstance(packet, PingPacket):
                self._writer.write(PINGRESP)
                client.session.rate.count()
            elif not client.take_acknowledgement(packet):
                client.session.rate.count()
            return
        self._waiting.append((packet, _PACKET_COST_BYTES + len(data)))
        self._ahead_bytes += _PACKET_COST_BYTES + len(data)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Handle the packets that wait, as fast as the client is read."""
        try:
            while self._waiting and not self._writer.ended:
                packet, cost = self._waiting.popleft()
                self._handled = packet
                self._ahead_bytes -= cost
                if isinstance(packet, ConnectPacket):
                    await self._open(packet)
                elif self._client is not None:
                    rate = self._client.session.rate
                    await rate.ready()
                    rate.count()
                    rate.message()
                    await self._client.handle(packet)
                self._handled = None
                self._go_on_reading()
        except ProtocolError as error:
            self._reject(DisconnectReasonCode.PROTOCOL_ERROR, str(error))
        except ConnectionResetError:
            pass  # The server sees the disconnect itself.
        except Exception:  # The task's boundary: nobody awaits it.
            log.exception("a packet failed")
            self._fail()
        finally:
            self._worker = self._handled = None
            if self._gone:
                self._handle_rest()

    # --- beginning ---

    async def _open(self, connect: ConnectPacket) -> None:
        """CONNECT: accept the client, or refuse it."""
        try:
            client_id = client_id_of(connect)
            caller, credentials = await authenticate(self._server.store, self._credentials, connect)
            session = self._server.sessions.open(credentials, caller)
            self._client = MqttClient(self._server, session, connect, client_id, self._network, self._writer)
            if self._gone:
                self._client.gone()
            await self._client.begin()
        except ConnectRefused as refusal:
            self._refuse(refusal.code, str(refusal))
        except StoreError as error:
            self._refuse(CONNECT_CODES[error.code], error.detail)
        else:
            if not self._writer.ended and not self._gone:
                self._set_timer(None)
                if connect.keep_alive:
                    self._check_keep_alive(connect.keep_alive * _KEEP_ALIVE_FACTOR)

    def _check_keep_alive(self, limit_seconds: float) -> None:
        """See that the client is heard of in time; a timer for each silence, not for each packet."""
        loop = asyncio.get_running_loop()
        # Nobody can be heard who is not read.
        left = limit_seconds if self._paused else self._last_received + limit_seconds - loop.time()
        if left <= 0:
            reason = "Nothing was heard for too long."
            self._writer.close(DisconnectReasonCode.KEEP_ALIVE_TIMEOUT, reason)
        else:
            self._set_timer(loop.call_later(left, self._check_keep_alive, limit_seconds))

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    # --- ending ---

    def _reject(self, code: DisconnectReasonCode, reason: str) -> None:
        """What the client sent is not MQTT: it is counted, and ends this connection alone."""
        self._server.counters.malformed_packets += 1
        self._writer.reject(code, reason)

    def _fail(self) -> None:
        """Something went wrong on our side."""
        if self._writer.accepted:
            self._writer.close(DisconnectReasonCode.UNSPECIFIED_ERROR, _INTERNAL_ERROR)
        else:
            self._refuse(ConnAckReasonCode.UNSPECIFIED_ERROR, _INTERNAL_ERROR)

    def _refuse(self, code: ConnAckReasonCode, reason: str) -> None:
        self._server.counters.refused_connections += 1
        self._writer.refuse(code, reason)

    def _stop(self) -> None:
        """The writer ends the connection: what the client leaves does not wait for it to hang up."""
        self._set_timer(None)
        if self._client is not None:
            self._client.stop()
        self._release_soon()

    def ended(self) -> None:
        """The connection is gone. What the client had sent before is still handled, as fast as it would have been."""
        self._set_timer(None)
        if self._client is not None:
            self._client.gone()
        self._gone = True
        if (self._worker is None and not self._turn_comes) or self._writer.ended:
            self._leave()
            return
        self._set_timer(asyncio.get_running_loop().call_later(_REST_SECONDS, self._leave))
        if self._worker is not None and (
            isinstance(self._handled, SubscribePacket)
            or (isinstance(self._handled, ConnectPacket) and not (self._waiting or self._turn_comes))
        ):
            self._worker.cancel()  # Of no use to a client that has gone.

    def _handle_rest(self) -> None:
        """Go on for a client that has gone."""
        if self._waiting and not self._releasing:
            self._worker = asyncio.create_task(self._work())
        elif not self._turn_comes:
            self._leave()

    def _leave(self) -> None:
        """Nothing is left to be done for the client."""
        self._writer.stop()
        self._set_timer(None)
        self._release_soon()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self)

    def _release_soon(self) -> None:
        if not self._releasing:
            self._releasing = True
            self._server.spawn(self._release())

    async def _release(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait((self._worker,))
        if self._client is not None:
            await self._client.release()
