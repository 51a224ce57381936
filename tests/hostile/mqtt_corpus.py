"""Inputs of MQTT, each over TCP and most over WebSocket too."""

import os
from collections.abc import Iterator

import mqtt5

from tests.hostile.inputs import Input, Part, mqtt, mqtt_over_websocket
from tests.protocols.mqtt.raw import connect_packet, subscribe_packet, text, varint

_CONNECT = connect_packet("")


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + varint(len(body)) + body


def _connect(body: bytes, flags: int = 2) -> bytes:
    """CONNECT of version 5 with what stands behind its keep alive."""
    return _packet(0x10, text("MQTT") + bytes((5, flags)) + b"\0\0" + body)


def _user_properties(count: int) -> bytes:
    properties = (b"\x26" + text("a") + text("b")) * count
    return varint(len(properties)) + properties


def _publish(topic: bytes, payload: bytes = b"", *, flags: int = 0) -> bytes:
    return _packet(0x30 | flags, len(topic).to_bytes(2, "big") + topic + b"\0" + payload)


def _id(number: int) -> bytes:
    return (number % 65_535 + 1).to_bytes(2, "big")


#: What is said, and whether the server may be too busy holding the client back to answer a ping.
_PACKETS: dict[str, tuple[tuple[Part, ...], bool]] = {
    "no CONNECT": ((b"\xc0\x00",), False),
    "random bytes": ((os.urandom(100_000),), True),
    "HTTP": ((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",), False),
    "a length without end": ((b"\x10\xff\xff\xff\xff\xff",), False),
    "a length of 256 MB": ((b"\x10\xff\xff\xff\x7f",), False),
    "a packet of 70,000 bytes": ((_CONNECT, _publish(b"a", bytes(70_000))), False),
    "CONNECT twice": ((_CONNECT * 2,), False),
    "CONNECT of version 3": ((_packet(0x10, text("MQIsdp") + b"\x03\x02\0\0" + text("a")),), False),
    "CONNECT of version 99": ((_packet(0x10, text("MQTT") + b"\x63\x02\0\0" + text("a")),), False),
    "CONNECT with a reserved flag": ((_connect(b"\0" + text(""), 3),), False),
    "CONNECT with 9,000 user properties": ((_connect(_user_properties(9_000) + text("")),), False),
    "CONNECT with a property twice": ((_connect(b"\x0a\x11\0\0\0\1\x11\0\0\0\1" + text("")),), False),
    "CONNECT with a reserved property": ((_connect(b"\x02\x7f\x00" + text("")),), False),
    "CONNECT with a receive maximum of 0": ((_connect(b"\x03\x21\0\0" + text("")),), False),
    "CONNECT with properties longer than itself": ((_connect(b"\xff\x7f" + text("")),), False),
    "a client id of 60 kB": ((connect_packet("x" * 60_000),), False),
    "a client id that is not UTF-8": ((_connect(b"\0\x00\x02\xff\xfe"),), False),
    "a client id with a null character": ((_connect(b"\0\x00\x01\x00"),), False),
    "a user name of 60 kB": ((connect_packet("", username="u" * 60_000, password="p"),), False),
    "a password of 60 kB": ((connect_packet("", password="p" * 60_000),), False),
    "a token that is none": ((connect_packet("", password="x.y.z"),), False),
    "a will of 60 kB": ((connect_packet("", will=mqtt5.Will("t/a", payload=bytes(60_000))),), False),
    "a will with a wildcard": ((_connect(b"\0" + text("") + b"\0" + text("a/#") + text("x"), 6),), False),
    "an unknown way to authenticate": (
        (connect_packet("", authentication_method="x" * 10_000, authentication_data=b"y"),), False
    ),
    "AUTH that nobody asked for": ((_CONNECT, b"\xf0\x00"), False),
    "a server's packet": ((_CONNECT, b"\x20\x03\0\0\0"), False),
    "reserved flags": ((_CONNECT, b"\xc1\x00"), False),
    "a reserved packet type": ((_CONNECT, b"\x00\x00"), False),
    "100,000 pings": ((_CONNECT, b"\xc0\x00" * 100_000), True),
    "60,000 acknowledgements of nothing": ((_CONNECT, b"\x40\x02\x00\x01" * 60_000), True),
    "60,000 PUBREC of nothing": ((_CONNECT, b"\x50\x02\x00\x01" * 60_000), True),
    "60,000 PUBREL of nothing": ((_CONNECT, b"\x62\x02\x00\x01" * 60_000), True),
    "20,000 packets before CONNACK": ((_CONNECT + _publish(b"a") * 20_000,), True),
    "20,000 publications": ((_CONNECT, _publish(b"telemetry/pets/1/health", b"{}") * 20_000), True),
    "20,000 publications with acknowledgement": (
        (_CONNECT, lambda: (
            _packet(0x32, text("a") + _id(number) + b"\0") for number in range(20_000)
        )), True,
    ),
    "20,000 publications of quality 2 without an end": (
        (_CONNECT, lambda: (
            _packet(0x34, text("a") + _id(number) + b"\0") for number in range(20_000)
        )), True,
    ),
    "a topic of 60 kB": ((_CONNECT, _publish(b"a" * 60_000)), False),
    "a topic of 60,000 levels": ((_CONNECT, _publish(b"/" * 60_000)), False),
    "a topic with a wildcard": ((_CONNECT, _publish(b"a/+")), False),
    "a topic that is not UTF-8": ((_CONNECT, _publish(b"\xff\xfe")), False),
    "no topic and no alias": ((_CONNECT, _publish(b"")), False),
    "a topic alias of 65535": ((_CONNECT, _packet(0x30, text("a") + b"\x03\x23\xff\xff")), False),
    "a publication with 9,000 user properties": (
        (_CONNECT, _packet(0x30, text("a") + _user_properties(9_000))), False
    ),
    "a payload that is said to be UTF-8": ((_CONNECT, _packet(0x30, text("a") + b"\x02\x01\x01\xff")), False),
    "a reading of 60 kB": ((_CONNECT, _publish(b"telemetry/pets/1/health", b"[" * 60_000)), False),
    "20,000 filters": ((_CONNECT, subscribe_packet(1, ["a"] * 15_000, 0)), False),
    "a filter of 60 kB": ((_CONNECT, subscribe_packet(1, ["a" * 60_000], 0)), False),
    "a filter of 30,000 levels": ((_CONNECT, subscribe_packet(1, ["+/" * 30_000], 0)), False),
    "filters that are none": ((_CONNECT, subscribe_packet(1, ["a#", "#/a", "a+b", "$share/", ""], 0)), False),
    "100 filters again and again": (
        (_CONNECT, lambda: (
            subscribe_packet(number + 1, [f"pets/+/{n}" for n in range(100)], 0) for number in range(100)
        )), True,
    ),
    "retained messages of everything, 100 times": (
        (_CONNECT, lambda: (subscribe_packet(number + 1, ["pets/#", "#"], 0) for number in range(100))), True
    ),
    "15,000 filters to unsubscribe": (
        (_CONNECT, _packet(0xA2, b"\0\1\0" + text("a") * 15_000)), False
    ),
    "100 shared subscriptions": (
        (_CONNECT, subscribe_packet(1, [f"$share/g{number}/pets/#" for number in range(100)], 1)), False
    ),
    "a packet id of 0": ((_CONNECT, b"\x82\x09\0\0\0\0\x03a/b\x00"), False),
    "SUBSCRIBE without a filter": ((_CONNECT, b"\x82\x03\0\1\0"), False),
    "DISCONNECT with a longer session": ((_CONNECT, _packet(0xE0, b"\0\x05\x11\xff\xff\xff\xff")), False),
    "packets behind DISCONNECT": ((_CONNECT, b"\xe0\x00" + b"\xc0\x00" * 10_000), True),
}  # fmt: skip


def _inputs() -> Iterator[Input]:
    for name, (parts, silent) in _PACKETS.items():
        yield Input(name, "MQTT", mqtt(*parts, silent=silent))
        yield Input(f"/mqtt: {name}", "MQTT", mqtt_over_websocket(*parts, silent=silent))
    yield Input(
        "a packet, byte by byte", "MQTT", mqtt(lambda: (bytes((byte,)) for byte in _CONNECT), silent=True)
    )
    yield Input("half a CONNECT", "MQTT", mqtt(_CONNECT[:5], unfinished=True))
    yield Input("half a publication", "MQTT", mqtt(_CONNECT, b"\x30\xff\x7f", unfinished=True))
    frames = mqtt_over_websocket(*(bytes((byte,)) for byte in _CONNECT + _publish(b"a" * 1_000)), silent=True)
    yield Input("/mqtt: one byte in each frame", "MQTT", frames)


CORPUS: tuple[Input, ...] = tuple(_inputs())
