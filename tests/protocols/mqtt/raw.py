"""A client that sends and reads one packet after the other and does nothing by itself."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, TypeVar

import mqtt5

from tests.waiting import TIMEOUT_SECONDS

P = TypeVar("P")

QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE, mqtt5.QoS.EXACTLY_ONCE)
NEVER = 2


def subscribe_packet(packet_id: int, topic_filters: Iterable[str], options: int, **properties: Any) -> bytes:
    """SUBSCRIBE with any filters: the codec writes no malformed ones."""
    filters = [mqtt5.TopicFilter("x")]
    plain: bytes = mqtt5.SubscribePacket(packet_id, filters, **properties).write()
    body = plain[2:-4] + b"".join(text(topic_filter) + bytes((options,)) for topic_filter in topic_filters)
    return b"\x82" + varint(len(body)) + body


def connect_packet(client_id: str, **given: Any) -> bytes:
    """CONNECT; a password may be text, with any user name."""
    given.setdefault("clean_start", True)
    if isinstance(given.get("password"), str):
        given.setdefault("username", "any")
        given["password"] = given["password"].encode()
    packet: bytes = mqtt5.ConnectPacket(client_id, **given).write()
    return packet


def text(value: str) -> bytes:
    """A UTF-8 encoded string."""
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def varint(number: int) -> bytes:
    """A variable byte integer."""
    encoded = b""
    while True:
        number, digit = number >> 7, number & 0x7F
        encoded += bytes((digit | 0x80 if number else digit,))
        if not number:
            return encoded


class Raw:
    """One connection. Packets are of version 5 unless they are handed over as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._last_id = 0

    def send(self, packet: Any) -> None:
        """Send a packet, or bytes."""
        self.writer.write(packet if isinstance(packet, bytes) else packet.write())

    async def bytes_of_next(self) -> bytes:
        """The bytes of the next packet."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            head = await self.reader.readexactly(2)
            while head[-1] & 0x80:
                head += await self.reader.readexactly(1)
            size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
            return head + await self.reader.readexactly(size)

    async def next(self) -> Any:
        """The next packet."""
        packet, _ = mqtt5.read(memoryview(await self.bytes_of_next()))
        return packet

    async def expect(self, kind: type[P]) -> P:
        """The next packet, which is of this kind."""
        packet = await self.next()
        assert isinstance(packet, kind), packet
        return packet

    async def connect(self, client_id: str = "", **given: Any) -> mqtt5.ConnAckPacket:
        """CONNECT, which is accepted."""
        answer = await self.try_connect(client_id, **given)
        assert answer.reason_code == mqtt5.ConnAckReasonCode.SUCCESS, answer
        return answer

    async def try_connect(self, client_id: str = "", **given: Any) -> mqtt5.ConnAckPacket:
        """CONNECT; gives the CONNACK."""
        self.send(connect_packet(client_id, **given))
        return await self.expect(mqtt5.ConnAckPacket)

    def packet_id(self) -> int:
        """A new packet identifier."""
        self._last_id += 1
        return self._last_id

    async def subscribe(
        self,
        *topic_filters: str,
        qos: int = 0,
        retain_handling: int = NEVER,
        no_local: bool = False,
        retain_as_published: bool = False,
        **properties: Any,
    ) -> mqtt5.SubAckPacket:
        """SUBSCRIBE; gives the SUBACK. Without retained messages unless the handling says so."""
        options = qos | no_local << 2 | retain_as_published << 3 | retain_handling << 4
        self.send(subscribe_packet(self.packet_id(), topic_filters, options, **properties))
        return await self.expect(mqtt5.SubAckPacket)

    async def codes(self, *topic_filters: str, **given: Any) -> list[int]:
        """The reason codes of SUBACK."""
        return [int(code) for code in (await self.subscribe(*topic_filters, **given)).reason_codes]

    async def publish(self, topic: str, payload: Any, qos: int = 1, **given: Any) -> Any:
        """PUBLISH; gives its acknowledgement, if there is one."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        packet_id = given.pop("packet_id", None) or (self.packet_id() if qos else None)
        self.send(mqtt5.PublishPacket(topic, data, qos=QOS[qos], packet_id=packet_id, **given))
        return await self.next() if qos else None

    async def message(self, *, acknowledge: bool = True) -> mqtt5.PublishPacket:
        """The next message."""
        packet = await self.expect(mqtt5.PublishPacket)
        if packet.qos == mqtt5.QoS.AT_LEAST_ONCE and acknowledge:
            assert packet.packet_id
            self.send(mqtt5.PubAckPacket(packet.packet_id))
        return packet

    async def numbers(self, count: int, *, acknowledge: bool = True) -> list[int]:
        """The numbers of the next events."""
        messages = [await self.message(acknowledge=acknowledge) for _ in range(count)]
        return [json.loads(message.payload)["data"]["number"] for message in messages]

    async def answered(self) -> None:
        """All that was sent is handled, and nothing comes but the answer to a ping."""
        self.send(mqtt5.PingReqPacket())
        await self.expect(mqtt5.PingRespPacket)

    async def farewell(self) -> mqtt5.DisconnectPacket:
        """DISCONNECT of the server, and the end behind it."""
        packet = await self.expect(mqtt5.DisconnectPacket)
        assert await self.ended()
        return packet

    async def ended(self) -> bool:
        """Whether the server ends the connection, with nothing before."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    def leave(self) -> None:
        """DISCONNECT."""
        self.send(mqtt5.DisconnectPacket())
