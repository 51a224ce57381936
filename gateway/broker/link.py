"""One connection to the broker.

aiomqtt 2.5 acknowledges a message on arrival, and drops it when its queue is full; it hides the reason for which the
broker refused a publication, and leaves the socket open when a connection fails. So this module handles
acknowledgements, incoming messages and the end itself, past aiomqtt's public interface: here and nowhere else.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.broker.address import BrokerAddress

T = TypeVar("T")

#: Between two pings, for a reply, and for which the broker keeps the session while no gateway is connected.
_KEEP_ALIVE_SECONDS = 10
_TIMEOUT_SECONDS = 10.0
_SESSION_EXPIRY_SECONDS = 7 * 24 * 3600
#: Messages that the broker may have sent without an acknowledgement (receive maximum).
_RECEIVE_MAXIMUM = 64
#: The largest packet that the broker may send; readings are small, lists of accounts are not.
_MAX_PACKET_BYTES = 4 << 20
#: Messages that may be in flight to the broker, unless it allows fewer.
_MAX_IN_FLIGHT_MESSAGES = 100
#: Messages of quality of service 0 that may wait here; there is no promise to deliver them, and more are dropped.
_MAX_QUEUED_MESSAGES = 1000
#: What a packet holds besides topic and payload, at most: header, packet id and our properties.
_PACKET_OVERHEAD_BYTES = 512


class LinkFailed(Exception):
    """The broker cannot be reached, has disconnected, or refuses us or what we publish."""


class Refused(LinkFailed):
    """The broker answers, and refuses."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish with quality of service 1."""

    topic: str
    payload: bytes
    retain: bool = False
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message received. ``packet_id`` is 0 with quality of service 0: it needs no acknowledgement."""

    topic: str
    payload: bytes
    packet_id: int
    properties: dict[str, str]


class Link:
    """A connection, open inside ``async with``; when it ends, every wait on it raises LinkFailed.

    With an ``identifier`` the broker keeps the session of that client id, and ends the connection that had it before.
    """

    def __init__(self, address: BrokerAddress, identifier: str | None = None) -> None:
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.ReceiveMaximum = _RECEIVE_MAXIMUM
        connect.MaximumPacketSize = _MAX_PACKET_BYTES
        if identifier is not None:
            connect.SessionExpiryInterval = _SESSION_EXPIRY_SECONDS
        self.dropped = 0
        self._messages: asyncio.Queue[Incoming] = asyncio.Queue()
        #: Packet ids in the order they came, and whether each may be acknowledged.
        self._unacknowledged: dict[int, bool] = {}
        self._client = _Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=identifier is None,
            properties=connect,
            keepalive=_KEEP_ALIVE_SECONDS,
            timeout=_TIMEOUT_SECONDS,
            max_inflight_messages=_MAX_IN_FLIGHT_MESSAGES,
            # Without Nagle's algorithm: with it, a small packet would wait for the acknowledgement of the one before.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            tls_context=ssl.create_default_context() if address.tls else None,
        )
        self._client.receive = self._receive
        self._paho = self._client._client
        self._paho.manual_ack_set(on=True)

    async def __aenter__(self) -> Self:
        # Connecting happens in a thread, which a cancellation would leave behind with an open socket.
        entering = asyncio.ensure_future(self._client.__aenter__())
        try:
            await asyncio.shield(entering)
        except (aiomqtt.MqttError, ValueError) as error:
            self._close()
            kind = Refused if isinstance(error, aiomqtt.exceptions.MqttConnectError) else LinkFailed
            raise kind(_reason(error)) from None
        except asyncio.CancelledError:
            await asyncio.wait({entering})
            if not entering.exception():
                await self.__aexit__()
            self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._client.__aexit__(None, None, None)
        finally:
            self._close()

    def _close(self) -> None:
        self._paho._sock_close()
        self._client.ended.add_done_callback(_looked_at)

    def fits(self, message: Outgoing) -> bool:
        """Whether the broker accepts messages of this size."""
        return (
            len(message.payload) + len(message.topic.encode()) + _PACKET_OVERHEAD_BYTES
            <= self._client.largest
        )

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in this order; return when the broker has acknowledged every message.

        Raises:
            LinkFailed: any of them may or may not have arrived.
        """
        acknowledged = [self._send(message) for message in messages]
        for message, one in zip(messages, acknowledged, strict=True):
            code = await self.unless_ended(one)
            if code.is_failure:
                raise Refused(f"{message.topic} may not be published: {code}")

    def _send(self, message: Outgoing) -> "asyncio.Future[ReasonCode]":
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if message.properties:
            properties.UserProperty = list(message.properties)
        info = self._paho.publish(message.topic, message.payload, 1, message.retain, properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise LinkFailed(paho.error_string(info.rc))
        acknowledged: asyncio.Future[ReasonCode] = asyncio.get_running_loop().create_future()
        self._client.publishing[info.mid] = acknowledged
        return acknowledged

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe with quality of service 1, to new messages only: no retained ones.

        Raises:
            Refused: one of the filters is not granted.
            LinkFailed: the connection has ended.
        """
        options = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        asked = self._client.subscribe([(pattern, options) for pattern in filters])
        try:
            codes = await self.unless_ended(asyncio.ensure_future(asked))
        except aiomqtt.MqttError as error:
            raise LinkFailed(_reason(error)) from None
        for pattern, code in zip(filters, codes, strict=True):
            if isinstance(code, ReasonCode) and code.is_failure:
                raise Refused(f"{pattern} may not be subscribed to: {code}")

    async def receive(self) -> Incoming:
        """The next message. One with a packet id is sent again, on another connection, until it is acknowledged."""
        return await self.unless_ended(asyncio.ensure_future(self._messages.get()), seconds=None)

    def acknowledge(self, message: Incoming) -> None:
        """Acknowledge a message. Acknowledgements are sent in the order in which the messages came (section 4.6)."""
        if message.packet_id in self._unacknowledged:
            self._unacknowledged[message.packet_id] = True
        while self._unacknowledged:
            packet_id, dealt_with = next(iter(self._unacknowledged.items()))
            if not dealt_with:
                return
            del self._unacknowledged[packet_id]
            self._paho.ack(packet_id, 1)

    def _receive(self, message: paho.MQTTMessage) -> None:
        if message.qos:
            self._unacknowledged[message.mid] = False
        elif self._messages.qsize() >= _MAX_QUEUED_MESSAGES:
            self.dropped += 1
            return
        given = getattr(message.properties, "UserProperty", [])
        # A topic that is not UTF-8 is none of ours.
        topic = bytes(message._topic).decode(errors="replace")
        self._messages.put_nowait(Incoming(topic, bytes(message.payload), message.mid, dict(given)))

    async def unless_ended(self, wanted: "asyncio.Future[T]", seconds: float | None = _TIMEOUT_SECONDS) -> T:
        """The result of a future, unless the connection ends before, or it takes too long."""
        ended = self._client.ended
        try:
            both: set[asyncio.Future[Any]] = {wanted, ended}
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if wanted.done():
                return wanted.result()
        finally:
            wanted.add_done_callback(_looked_at)
            wanted.cancel()
        if not ended.done():
            raise LinkFailed(f"the broker did not answer within {seconds:g} s")
        error = ended.exception()
        raise LinkFailed(_reason(error) if error is not None else "disconnected")


class _Client(aiomqtt.Client):
    """aiomqtt's client, which also hands on the broker's limits and the outcome of each publication."""

    receive: Callable[[paho.MQTTMessage], None]
    largest = 2**28

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.publishing: dict[int, asyncio.Future[ReasonCode]] = {}

    @property
    def ended(self) -> "asyncio.Future[None]":
        """Done when the connection has ended."""
        return self._disconnected

    def _on_connect(self, client: Any, *told: Any) -> None:
        properties = told[-1]
        self.largest = getattr(properties, "MaximumPacketSize", self.largest)
        # The public setter refuses a change once connected, though nothing has been published yet.
        window = client._max_inflight_messages
        client._max_inflight_messages = min(window, getattr(properties, "ReceiveMaximum", window))
        super()._on_connect(client, *told)

    def _on_publish(self, *told: Any) -> None:
        _, _, packet_id, code, _ = told
        acknowledged = self.publishing.pop(packet_id, None)
        if acknowledged is not None and not acknowledged.done():
            acknowledged.set_result(code)

    def _on_message(self, *told: Any) -> None:
        self.receive(told[-1])

    def _on_socket_register_write(self, client: Any, *told: Any) -> None:
        # aiomqtt hands the loop the number of the socket, which may belong to another socket by the time the loop
        # uses it.
        self._loop.call_soon_threadsafe(self._await_writing, client, told[-1])

    def _await_writing(self, client: Any, connected: socket.socket) -> None:
        if connected.fileno() >= 0:
            self._loop.add_writer(connected, self._write, client)

    def _write(self, client: Any) -> None:
        try:
            client.loop_write()
        except Exception as error:  # noqa: BLE001 - the boundary to the library: whatever it is, the connection is over
            if not self.ended.done():
                self.ended.set_exception(error)


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """Mark a future's exception as retrieved, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()


def _reason(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return text or type(error).__name__
