"""MQTT, with paho: version 5 over TCP and over WebSocket, and version 3.1.1."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.kernel.topics import matches
from tests.conformance.door import UNTOLD, Ability, Driver, End, Refused, Stream
from tests.conformance.shapes import compact
from tests.waiting import TIMEOUT_SECONDS

T = TypeVar("T")

NOT_AUTHORIZED = 135
#: Reason codes as the errors that they are: of CONNACK, SUBACK, PUBACK, and of DISCONNECT.
_CONNECT = {
    128: "internal-server-error",
    134: "unauthorized",
    135: "forbidden",
    136: "service-unavailable",
    151: "rate-limit-exceeded",
}
_SUBSCRIBE = {
    128: "service-unavailable",
    131: "cursor-expired",
    NOT_AUTHORIZED: "forbidden",
    143: "bad-request",
    151: "bad-request",
}
_PUBLISH = {135: "forbidden", 151: "rate-limit-exceeded", 153: "validation-error"}
_END = {
    128: "internal-server-error",
    131: "cursor-expired",
    135: "unauthorized",
    137: "service-unavailable",
    139: "service-unavailable",
    149: "payload-too-large",
    150: "rate-limit-exceeded",
    151: "service-unavailable",
    160: "unauthorized",
}
#: The authentication method by which a token can be renewed.
_METHOD = "token"
_AUTH, _RENEW = 0xF0, 0x19


class _Paho(Client):
    """With AUTH of version 5, which paho lacks; and the door is asked about every filter, not paho."""

    renewed: "asyncio.Future[None] | None" = None

    def renew(self, token: str) -> "asyncio.Future[None]":
        """Send AUTH (MQTT 5.0, section 3.15); done when it is answered."""
        content = bytes([_RENEW]) + _credentials(PacketTypes.AUTH, token).pack()  # type: ignore[no-untyped-call]
        packet = self._pack_remaining_length(bytearray([_AUTH]), len(content))
        self.renewed = asyncio.get_running_loop().create_future()
        self._packet_queue(_AUTH, packet + content, 0, 0)
        return self.renewed

    def _packet_handle(self) -> MQTTErrorCode:
        if self._in_packet["command"] == _AUTH and self.renewed is not None:
            self.renewed.set_result(None)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._packet_handle()

    @staticmethod
    def _filter_wildcard_len_check(_: bytes) -> MQTTErrorCode:
        return MQTTErrorCode.MQTT_ERR_SUCCESS


def _credentials(packet: int, token: str) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    properties.AuthenticationMethod = _METHOD
    properties.AuthenticationData = token.encode()
    return properties


class Connection:
    """A client that this event loop reads for, as long as ``reading`` is set."""

    def __init__(self, client: _Paho, reading: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        self.client = client
        #: How it ended: the reason code, when there was one, and what is told with it.
        self.over: asyncio.Future[tuple[int | None, dict[str, str]]] = loop.create_future()
        self._reading = reading
        self._welcome: asyncio.Future[ReasonCode] = loop.create_future()
        self._answers: dict[int, asyncio.Future[tuple[list[ReasonCode], dict[str, str]]]] = {}
        client.on_connect = lambda _client, _data, _flags, code, _told: self._welcome.set_result(code)
        client.on_subscribe = lambda _client, _data, mid, codes, told: self._answer(mid, codes, told)
        client.on_publish = lambda _client, _data, mid, code, told: self._answer(mid, [code], told)
        client.on_disconnect = self._on_end

    async def welcome(self) -> ReasonCode:
        """CONNACK's reason code."""
        return await self._unless_over(self._welcome)

    async def answer(self, mid: int | None) -> tuple[list[ReasonCode], dict[str, str]]:
        """The reason codes and user properties of an acknowledgement."""
        assert mid is not None
        answer = self._answers[mid] = asyncio.get_running_loop().create_future()
        return await self._unless_over(answer)

    async def renew(self, token: str) -> None:
        """Renew the login."""
        await self._unless_over(self.client.renew(token))

    async def read(self) -> None:
        """Read to the end, packet by packet."""
        while (socket := self.client.socket()) is not None:
            await self._reading.wait()
            await _readable(socket.fileno())
            if self._reading.is_set():
                self.client.loop_read()

    async def _unless_over(self, answer: "asyncio.Future[T]") -> T:
        """What is answered.

        Raises:
            Refused: the connection ended instead.
        """
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.wait((answer, self.over), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise Refused(end_of(*self.over.result()).code)

    def _answer(self, mid: int, codes: list[ReasonCode], told: Properties | None) -> None:
        self._answers.pop(mid).set_result((codes, _user_properties(told)))

    def _on_end(
        self, _client: Client, _data: Any, flags: DisconnectFlags, code: ReasonCode, told: Properties | None
    ) -> None:
        if not self.over.done():
            self.over.set_result(
                (code.value if flags.is_disconnect_packet_from_server else None, _user_properties(told))
            )


def end_of(code: int | None, told: dict[str, str]) -> End:
    """What the end of a connection says."""
    if code is None:
        return End(UNTOLD)
    return End(_END.get(code, f"reason code {code}"), told.get("cursor"), told.get("oldestCursor"))


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def _user_properties(properties: Any) -> dict[str, str]:
    return dict(getattr(properties, "UserProperty", ()))


class MqttStream(Stream):
    """A stream that knows its connection."""

    connection: Connection


class MqttDriver(Driver):
    """Somebody who speaks MQTT 5 over TCP, and names their tenant in front of every topic."""

    abilities = frozenset({Ability.FOLLOW, Ability.RESUME, Ability.RENEW, Ability.PUBLISH})
    version: ClassVar[MQTTProtocolVersion] = MQTTProtocolVersion.MQTTv5
    transport: ClassVar[Literal["tcp", "websockets"]] = "tcp"

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        stream = MqttStream()
        async with self._connection(stream) as connection:
            stream.connection = connection
            connection.client.on_message = lambda _client, _data, message: self._take(stream, topics, message)
            properties = None
            if cursor is not None:
                properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
                properties.UserProperty = ("cursor", cursor)
            wishes = [(self._prefix + topic, 1) for topic in topics]
            _, mid = connection.client.subscribe(wishes, properties=properties)
            codes, told = await connection.answer(mid)
            for code in codes:
                if code.is_failure:
                    raise Refused(self._refusal(code.value), oldest_cursor=told.get("oldestCursor"))
            stream.cursor = told.get("cursor", "")
            yield stream

    async def publish(self, topic: str, payload: Any) -> None:
        async with self._connection(Stream()) as connection:
            wire_topic = self._prefix + topic
            mid = connection.client.publish(wire_topic, json.dumps(payload), qos=1).mid
            (code,), _ = await connection.answer(mid)
            if code.is_failure:
                raise Refused(_PUBLISH[code.value])

    async def renew(self, stream: Stream, token: str) -> None:
        assert isinstance(stream, MqttStream)
        await stream.connection.renew(token)

    @property
    def _prefix(self) -> str:
        return "" if self.person.tenant is None else f"tenants/{self.person.tenant}/"

    def _refusal(self, code: int) -> str:
        """What SUBACK says. One code stands for two errors; which it is, a client knows by whether they logged in."""
        if code == NOT_AUTHORIZED and self.person.token is None:
            return "unauthorized"
        return _SUBSCRIBE[code]

    def _take(self, stream: Stream, topics: tuple[str, ...], message: MQTTMessage) -> None:
        """A message: the event's envelope, under its own topic, unless the filters only match another one of it."""
        event, told = json.loads(message.payload), _user_properties(message.properties)
        properties = told if self.version is MQTTProtocolVersion.MQTTv5 else None
        self.on_frame(
            "mqtt",
            None,
            {
                "topic": message.topic, "payload": event, "properties": properties, "qos": message.qos,
                "retain": message.retain,
            },
        )  # fmt: skip
        assert message.topic.startswith(self._prefix)
        topic = message.topic.removeprefix(self._prefix)
        assert any(matches(given, topic) for given in topics)
        # Each filter has the retained messages of its own, so one state may come under both its topics.
        assert (
            message.retain
            or topic == event["topic"]
            or not any(matches(given, event["topic"]) for given in topics)
        )
        if self.version is MQTTProtocolVersion.MQTTv5:
            assert told == compact(
                {"eventId": event["id"], "eventType": event["eventType"], "cursor": event.get("cursor")}
            )
        if message.retain:
            stream.retained.append(event)
        else:
            stream.put(event)

    @contextlib.asynccontextmanager
    async def _connection(self, stream: Stream) -> AsyncIterator[Connection]:
        client = _Paho(CallbackAPIVersion.VERSION2, protocol=self.version, transport=self.transport)
        client.ws_set_options("/mqtt")
        place = self.node.mqtt if self.transport == "tcp" else urlsplit(self.node.url).netloc
        host, _, port = place.rpartition(":")
        connection = Connection(client, stream.reading)
        # Without keep-alive, for one that reads nothing would be missed too.
        await asyncio.to_thread(client.connect, host, int(port), 0, properties=self._log_in(client))
        reader = asyncio.create_task(connection.read())
        connection.over.add_done_callback(lambda over: stream.end(end_of(*over.result())))
        try:
            code = await connection.welcome()
            if code.is_failure:
                raise Refused(_CONNECT[code.value])
            yield connection
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            client.disconnect()

    def _log_in(self, client: _Paho) -> Properties | None:
        """Say who comes: in version 5 by the method that can renew a token, else and for devices by a password."""
        token = self.person.token
        if token is None:
            return None
        if self.version is MQTTProtocolVersion.MQTTv5 and token.count(".") == 2:
            return _credentials(PacketTypes.CONNECT, token)
        client.username_pw_set(self.person.username or "anybody", token)
        return None


class MqttSocketDriver(MqttDriver):
    """Somebody who speaks MQTT 5 over WebSocket."""

    transport = "websockets"


class Mqtt3Driver(MqttDriver):
    """Somebody who speaks MQTT 3.1.1, which tells no cursor, and not why a filter is refused or a connection ends."""

    abilities = frozenset({Ability.FOLLOW})
    version = MQTTProtocolVersion.MQTTv311

    @classmethod
    def says(cls, code: str) -> frozenset[str]:
        return frozenset({code, UNTOLD})

    def _refusal(self, _: int) -> str:
        return UNTOLD
