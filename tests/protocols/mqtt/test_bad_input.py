"""Bytes that are not MQTT end the connection that they came on, and harm no other."""

import random
from collections.abc import Iterator

import mqtt5
import pytest

from core.kernel.validation import MAX_VALUES
from protocols.mqtt.decoder import decode_connect, decode_packet, protocol_version_of
from protocols.mqtt.framing import PacketSplitter, PacketTooLarge
from protocols.mqtt.packets import MalformedPacket, ProtocolVersion
from tests.protocols.mqtt.node import MqttNode
from tests.protocols.mqtt.raw import text, varint
from tests.waiting import eventually

CONNECT = mqtt5.ConnectPacket("", clean_start=True).write()
SEEDS = [
    mqtt5.ConnectPacket(
        "a", username="u", password=b"p", will=mqtt5.Will("t/a", payload=b"x"), user_properties=[("a", "b")]
    ).write(),
    mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("a/#")], subscription_id=3).write(),
    mqtt5.PublishPacket(
        "t", b"x", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=3, content_type="x", user_properties=[("a", "b")]
    ).write(),
    mqtt5.UnsubscribePacket(2, ["a"]).write(),
    mqtt5.AuthPacket(reason_code=mqtt5.AuthReasonCode.RE_AUTHENTICATE, authentication_method="token").write(),
    mqtt5.DisconnectPacket(session_expiry_interval=3).write(),
    mqtt5.PubRelPacket(4, reason_code=mqtt5.PubRelReasonCode.PACKET_ID_NOT_FOUND).write(),
    mqtt5.PubAckPacket(4, reason_str="why").write(),
]
MALFORMED, PROTOCOL_ERROR, TOO_LARGE, QUOTA_EXCEEDED = 129, 130, 149, 151


def packet(first: int, body: bytes) -> bytes:
    """A packet with this content."""
    return bytes((first,)) + varint(len(body)) + body


def user_properties(count: int) -> bytes:
    """The properties of a packet, so many and no others."""
    properties = (b"\x26" + text("a") + text("b")) * count
    return varint(len(properties)) + properties


def mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(0, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data)


def packets_of(splitter: PacketSplitter, data: bytes) -> Iterator[bytes]:
    """The packets that are complete with these bytes."""
    splitter.add(data)
    while (packet := splitter.next()) is not None:
        yield packet


def test_any_bytes_are_a_packet_or_malformed() -> None:
    chance = random.Random(20261122)
    read = 0
    for _ in range(30_000):
        data = mutated(chance.choice(SEEDS), chance)
        for version in ProtocolVersion:
            try:
                for packet in packets_of(PacketSplitter(65_536), data):
                    _ = (
                        decode_connect(packet, protocol_version_of(packet))
                        if packet[0] == 0x10
                        else decode_packet(packet, version)
                    )
                    read += 1
            except (MalformedPacket, PacketTooLarge):
                pass
    assert read > 1000


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed[0]:x}")
def test_a_packet_is_read_however_it_is_cut(seed: bytes) -> None:
    splitter = PacketSplitter(65_536)
    found = [packet for byte in seed * 2 for packet in packets_of(splitter, bytes((byte,)))]
    assert found == [seed, seed]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xf0\xff\xff\xff\xff\x01", MALFORMED),  # a length without end
        (b"\x30\x80\x80\x04", TOO_LARGE),
        (b"\x00\x00", MALFORMED),  # reserved type
        (b"\x20\x03\x00\x00\x00", MALFORMED),  # a server's packet
        (b"\xd0\x00", MALFORMED),
        (b"\xc1\x00", MALFORMED),  # reserved flags
        (b"\x80\x07\x00\x01\x00\x00\x01a\x00", MALFORMED),
        (b"\x82\x09\x00\x00\x00\x00\x03a/b\x00", MALFORMED),  # packet id 0
        (b"\x82\x07\x00\x01\x00\x00\x01a\x40", MALFORMED),  # reserved option
        (b"\x82\x07\x00\x01\x00\x00\x01a\x03", MALFORMED),  # quality of service 3
        (b"\x82\x03\x00\x01\x00", PROTOCOL_ERROR),  # no filter
        (b"\xa2\x03\x00\x01\x00", PROTOCOL_ERROR),
        (b"\x36\x06\x00\x01a\x00\x01\x00", MALFORMED),  # quality of service 3
        (b"\x38\x04\x00\x01a\x00", MALFORMED),  # a duplicate with quality of service 0
        (b"\x30\x04\x00\x01+\x00", MALFORMED),  # a wildcard in a topic
        (b"\x30\x08\x00\x01a\x04\x08\x00\x01#", MALFORMED),  # a wildcard in a response topic
        (b"\x30\x07\x00\x01a\x03\x08\x00\x00", MALFORMED),  # an empty response topic
        (b"\xc0\x80\x00", MALFORMED),  # a length of more bytes than it needs
        (b"\x30\x85\x00\x00\x01a\x00x", MALFORMED),
        (b"\x30\x05\x00\x01a\x80\x00", MALFORMED),  # and one of properties
        (b"\x82\x0a\x00\x01\x03\x0b\x81\x00\x00\x01a\x00", MALFORMED),  # and a subscription identifier
        (b"\x30\x03\x00\x00\x00", MALFORMED),  # no topic
        (b"\x30\x05\x00\x02\xc3\x28\x00", MALFORMED),  # not UTF-8
        (b"\x30\x05\x00\x02\xed\xa0\x00", MALFORMED),
        (b"\x30\x05\x00\x02a\x00\x00", MALFORMED),  # a null character
        (b"\x30\x06\x00\x01a\x02\x01\x02", PROTOCOL_ERROR),  # a flag of 2
        (b"\x30\x08\x00\x01a\x04\x01\x01\x01\x01", PROTOCOL_ERROR),  # a property twice
        (b"\x30\x06\x00\x01a\x02\x21\x00", MALFORMED),  # a property that does not belong here
        (
            b"\x82\x0f\x00\x01\x00\x00\x09$share/g/\x00",
            None,
        ),  # a malformed filter does not make the packet malformed
        (b"\x82\x0f\x00\x01\x00\x00\x09$share/gx\x04", PROTOCOL_ERROR),  # no local on a shared subscription
        (CONNECT, PROTOCOL_ERROR),  # again
        (b"\x50\x02\x00\x01", PROTOCOL_ERROR),  # PUBREC without a message
        (b"\xe0\x02\x07\x00", MALFORMED),  # a reason code that does not exist
        (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x05", PROTOCOL_ERROR),  # a session that was to end
        (packet(0x30, text("a") + user_properties(MAX_VALUES + 1)), QUOTA_EXCEEDED),
        (packet(0x82, b"\0\1\0" + (text("a") + b"\0") * (MAX_VALUES + 1)), QUOTA_EXCEEDED),
        (packet(0xA2, b"\0\1\0" + text("a") * (MAX_VALUES + 1)), QUOTA_EXCEEDED),
    ],
)
async def test_what_is_not_mqtt_ends_its_connection_with_the_reason_and_no_other(
    node: MqttNode, data: bytes, code: int | None
) -> None:
    async with node.client() as neighbour:
        await neighbour.subscribe("pets/#")
        async with node.client() as client:
            client.send(data)
            if code is None:
                assert [int(c) for c in (await client.expect(mqtt5.SubAckPacket)).reason_codes] == [143]
            else:
                assert int((await client.farewell()).reason_code) == code
                assert node.mqtt.counters.malformed_packets == 1
        await node.happen(1)
        assert await neighbour.numbers(1) == [1]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x82\x07\x00\x01\x00\x00\x01a\x00",
        b"\x10\x02\x00\x04",
        b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00",  # version 3.1.1 has no code for that
        b"\x10\x0d\x00\x04MQTX\x05\x02\x00\x00\x00\x00\x00",
        b"\x10\xff\xff\xff\x7f",
    ],
    ids=repr,
)
async def test_a_client_that_does_not_begin_with_connect_is_dropped_without_a_packet(
    node: MqttNode, data: bytes
) -> None:
    async with node.raw_client() as client:
        client.send(data)
        assert await client.ended()


@pytest.mark.parametrize(
    ("properties", "flags", "code"),
    [
        (b"", 3, MALFORMED),  # a reserved flag
        (b"\x7f\x01", 2, MALFORMED),  # an unknown property
        (b"\x21\x00\x05\x21\x00\x05", 2, PROTOCOL_ERROR),  # a property twice
        (b"\x21\x00\x00", 2, PROTOCOL_ERROR),  # a receive maximum of 0
        (b"\x16\x00\x01a", 2, PROTOCOL_ERROR),  # authentication data without a method
        (b"\x21\x00\x05", 6, MALFORMED),  # a will without a topic
    ],
)
async def test_a_bad_connect_is_answered_with_the_reason(
    node: MqttNode, properties: bytes, flags: int, code: int
) -> None:
    body = b"\x00\x04MQTT\x05" + bytes((flags, 0, 0, len(properties))) + properties + b"\x00\x00"
    async with node.raw_client() as client:
        client.send(bytes((0x10, len(body))) + body)
        assert int((await client.expect(mqtt5.ConnAckPacket)).reason_code) == code
        assert await client.ended()
        assert node.mqtt.counters.malformed_packets == 1


async def test_a_client_that_vanishes_in_the_middle_of_a_packet_leaves_nothing(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("#", qos=1)
        client.send(b"\x82\x20\x00")
    await eventually(lambda: not node.mqtt.clients)


async def test_random_bytes_harm_no_other_client(node: MqttNode) -> None:
    chance = random.Random(7)
    async with node.client() as neighbour:
        await neighbour.subscribe("pets/#")
        for _ in range(60):
            async with node.raw_client() as client:
                client.send(CONNECT + b"".join(mutated(chance.choice(SEEDS), chance) for _ in range(6)))
                client.writer.write_eof()
                while await client.reader.read(4096):
                    pass
        await node.happen(1)
        assert await neighbour.numbers(1) == [1]


async def test_a_bad_response_topic_of_a_will_is_answered_with_the_reason(node: MqttNode) -> None:
    will = b"\x04\x08\x00\x01+" + b"\x00\x01a" + b"\x00\x00"
    body = b"\x00\x04MQTT\x05\x06\x00\x00\x00" + b"\x00\x00" + will
    async with node.raw_client() as client:
        client.send(bytes((0x10, len(body))) + body)
        assert int((await client.expect(mqtt5.ConnAckPacket)).reason_code) == MALFORMED


async def test_version_3_may_write_a_length_with_more_bytes_than_it_needs(node: MqttNode) -> None:
    # The rule came with version 5; some small devices write every length with the same number of bytes.
    async with node.raw_client() as client:
        client.send(b"\x10\x8d\x80\x00\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
        assert await client.bytes_of_next() == b"\x20\x02\x00\x00"
        client.send(b"\xc0\x80\x00")
        assert await client.bytes_of_next() == b"\xd0\x00"


async def test_as_much_as_a_packet_may_hold_is_read(node: MqttNode) -> None:
    async with node.client() as client:
        client.send(packet(0x82, b"\0\1" + user_properties(MAX_VALUES) + text("pets/#") + b"\0"))
        assert [int(code) for code in (await client.expect(mqtt5.SubAckPacket)).reason_codes] == [0]
        client.send(packet(0xA2, b"\0\1\0" + text("a") * MAX_VALUES))
        assert len((await client.expect(mqtt5.UnsubAckPacket)).reason_codes) == MAX_VALUES
