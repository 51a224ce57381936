"""A client at the broker: what it hears, and what it may do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.servers import MosquittoServer
from tests.waiting import eventually, within


@dataclass(frozen=True)
class Message:
    """A message as it came."""

    topic: str
    payload: bytes
    retain: bool
    properties: dict[str, str]

    @property
    def envelope(self) -> dict[str, Any]:
        """The event."""
        found: dict[str, Any] = json.loads(self.payload)
        return found


@dataclass
class Heard:
    """What a witness was told, in order; ``ended`` says why it was cut off."""

    messages: list[Message] = field(default_factory=list)
    ended: str | None = None
    client: aiomqtt.Client | None = None

    def on(self, topic: str) -> list[Message]:
        """The messages of a topic."""
        return [message for message in self.messages if message.topic == topic]

    def types(self) -> list[str]:
        """The types of the events, in the order they came."""
        return [message.properties["eventType"] for message in self.messages if message.payload]

    async def has(self, topic: str, count: int = 1) -> list[Message]:
        """Wait until so many messages of a topic have come."""
        await eventually(lambda: len(self.on(topic)) >= count)
        return self.on(topic)


def client_at(
    server: MosquittoServer, account: tuple[str, str] | None = None, identifier: str | None = None
) -> aiomqtt.Client:
    """A client, as the administrator of a guarded broker unless another account is given."""
    if account is None and server.password is not None:
        account = (server.administrator, server.password)
    connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    connect.SessionExpiryInterval = 3600 if identifier else 0
    return aiomqtt.Client(
        "127.0.0.1",
        server.port,
        username=account[0] if account else None,
        password=account[1] if account else None,
        identifier=identifier,
        clean_start=identifier is None,
        properties=connect,
        protocol=aiomqtt.ProtocolVersion.V5,
    )


@contextlib.asynccontextmanager
async def witness(
    server: MosquittoServer, *filters: str, account: tuple[str, str] | None = None
) -> AsyncIterator[Heard]:
    """Listen at the broker; open when the subscriptions are granted."""
    heard = Heard()
    client = client_at(server, account)
    async with client:
        options = SubscribeOptions(qos=1, retainAsPublished=False)
        codes = await client.subscribe([(pattern, options) for pattern in filters or ("#",)])
        assert all(_granted(code) for code in codes), codes
        heard.client = client
        listening = asyncio.create_task(_listen(client, heard))
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.wait({listening})
            with contextlib.suppress(aiomqtt.MqttError):
                if heard.ended is not None:
                    client._client._sock_close()


async def _listen(client: aiomqtt.Client, heard: Heard) -> None:
    try:
        async for message in client.messages:
            given = dict(getattr(message.properties, "UserProperty", []))
            assert isinstance(message.payload, bytes)
            heard.messages.append(Message(str(message.topic), message.payload, message.retain, given))
    except aiomqtt.MqttError as error:
        heard.ended = str(error.__cause__ or error)


async def may_subscribe(client: aiomqtt.Client, pattern: str) -> bool:
    """Whether the broker grants a subscription."""
    (code,) = await client.subscribe(pattern, qos=1)
    return _granted(code)


async def may_publish(client: aiomqtt.Client, topic: str, payload: bytes = b"x") -> bool:
    """Whether the broker takes a message."""
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    info = client._client.publish(topic, payload, qos=1)
    client._client.on_publish = lambda _client, _data, mid, code, _properties: (
        told.set_result(code) if mid == info.mid and not told.done() else None
    )
    return not (await within(told)).is_failure


def _granted(code: object) -> bool:
    assert isinstance(code, ReasonCode)
    return not code.is_failure
