"""Inputs of many clients at once: what each of them may do, all do in the same moment."""

from collections.abc import Iterator

from tests.gateway.server.serving import masked
from tests.hostile.inputs import (
    For,
    Input,
    Send,
    as_staff,
    crowd,
    grpc_call,
    grpc_talk,
    http2,
    mqtt,
    mqtt_over_websocket,
    polling,
    raw,
    text,
    websocket,
)
from tests.hostile.wires import (
    DATA,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    call_fields,
    fields_block,
    head,
    http2_frame,
)
from tests.protocols.mqtt.raw import connect_packet, subscribe_packet, varint
from tests.protocols.mqtt.raw import text as mqtt_text

_CLIENTS = 50
_EVENTS, _IO = "/v1/ws/events", "/socket.io/?EIO=4&transport=websocket"
_CHUNKED = head("/v1/pets", "Transfer-Encoding: chunked", "Authorization: Bearer {staff}", method="POST")
_FRAGMENTS = b"\x01\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 10_000
_CONNECT = connect_packet("")
_USER_PROPERTY = b"\x26" + mqtt_text("a") + mqtt_text("b")
_LOGIN = For(lambda place: text(f'40{{"token":"{place.staff}"}}'))
_CALL = fields_block(call_fields("PetService/ListPets"))


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + varint(len(body)) + body


def _reset_streams(count: int) -> bytes:
    return b"".join(
        http2_frame(HEADERS, _CALL, 4, stream)
        + http2_frame(DATA, bytes(5), END_STREAM, stream)
        + http2_frame(RST_STREAM, bytes(4), 0, stream)
        for stream in range(1, 2 * count, 2)
    )


def _inputs() -> Iterator[tuple[str, str, Send]]:
    yield "REST", "20,000 chunks of one byte", raw(as_staff(_CHUNKED), b"1\r\n{\r\n" * 20_000 + b"0\r\n\r\n")
    yield "REST", "100 requests in a row", raw(head("/v1/pets?limit=1") * 100, answers=100)
    yield "REST", "heads of 250 fields", raw(head("/v1/pets", *["A: " + "b" * 200] * 250))
    yield "REST", "queries of 2,000 parameters", raw(head("/v1/pets?" + "a=b&" * 1_999, "Connection: close"))
    yield "SSE", "all that is kept", raw(head("/v1/events?topics=pets/%23&cursor=earliest"))
    frames = {
        "20,000 pings": masked(b"", 0x9) * 20_000,
        "10,000 fragments": _FRAGMENTS,
        "10,000 empty texts": text("") * 10_000,
        "5,000 pings of the protocol": text({"type": "ping"}) * 5_000,
    }
    for name, sent in frames.items():
        yield "WebSocket", name, websocket(_EVENTS, sent, silent=True)
    yield "Socket.IO", "1,000 events", websocket(_IO, _LOGIN, text('42["ping"]') * 1_000, silent=True)
    yield "Socket.IO", "1,000 events by polling", polling("\x1e".join(['42["ping"]'] * 1_000))
    packets = {
        "20,000 pings": b"\xc0\x00" * 20_000,
        "20,000 acknowledgements of nothing": b"\x40\x02\x00\x01" * 20_000,
        "publications with 2,000 user properties": _packet(
            0x30, mqtt_text("a") + varint(2_000 * len(_USER_PROPERTY)) + _USER_PROPERTY * 2_000
        ),
        "2,000 filters": subscribe_packet(1, ["a"] * 2_000, 0),
        "100 filters": subscribe_packet(1, [f"pets/+/{number}" for number in range(100)], 0),
    }
    for name, sent in packets.items():
        yield "MQTT", name, mqtt(_CONNECT, sent, silent=True)
        yield "MQTT", f"/mqtt: {name}", mqtt_over_websocket(_CONNECT, sent, silent=True)
    yield "MQTT", "one client id", mqtt(connect_packet("the same"), silent=True)
    yield "gRPC", "200 messages of nothing in a conversation", grpc_talk(lambda: (b"" for _ in range(200)))
    yield "gRPC", "20 lists of 100 pets", grpc_call("PetService/ListPets", b"\x20\x64", times=20)
    yield "gRPC", "HTTP/2: rapid reset of 500 streams", http2(_reset_streams(500))


CORPUS: tuple[Input, ...] = tuple(
    Input(f"{_CLIENTS} clients: {name}", door, crowd(_CLIENTS, send)) for door, name, send in _inputs()
)
