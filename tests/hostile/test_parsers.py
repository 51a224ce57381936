"""The parsers of all doors, fed with anything: they raise their own errors and no others, and slices change nothing."""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.kernel.errors import BadRequest
from gateway.server.proxy_protocol import SIGNATURE, MalformedHeader, read_client
from protocols.graphql.execution import Engine, Refused, Request
from protocols.graphql.schema import executable_schema
from protocols.graphql.shape import MOST, size_of
from protocols.graphql.wire import BadMessage as BadGraphqlMessage
from protocols.graphql.wire import read_message, request_of_body, request_of_query
from protocols.mqtt.decoder import decode_connect, decode_packet, protocol_version_of
from protocols.mqtt.framing import PacketSplitter, PacketTooLarge
from protocols.mqtt.packets import MalformedPacket, ProtocolVersion
from protocols.socketio.wire import BadPacket, check_packet, without_attachments
from tests.gateway.server.serving import Client, connected, serving
from tests.gateway.server.test_http_protocol import Numbers
from tests.gateway.server.test_websocket_protocol import Calls
from tests.hostile import wires
from tests.protocols.mqtt.raw import connect_packet, subscribe_packet, varint
from tests.waiting import eventually

_MORE = settings(max_examples=200, deadline=None)
#: With a server each.
_FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The data in pieces."""
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return (data[start:end] for start, end in itertools.pairwise(marks) if start < end)


_places = st.lists(st.integers(0, 2**16), max_size=8)


# --- MQTT ---

_mqtt_packets = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda first, body: bytes((first,)) + varint(len(body)) + body,
        st.integers(0, 255),
        st.binary(max_size=300),
    ),
    st.builds(lambda name: connect_packet(name), st.text(max_size=10)),
    st.builds(
        lambda names: subscribe_packet(1, names, 0), st.lists(st.text(max_size=10), min_size=1, max_size=5)
    ),
)


def _mqtt_outcome(pieces: Iterator[bytes], version: ProtocolVersion) -> list[object]:
    """The packets, and the error behind them."""
    splitter = PacketSplitter(256)
    found: list[object] = []
    try:
        for piece in pieces:
            splitter.add(piece)
            while (packet := splitter.next()) is not None:
                assert len(packet) <= 256
                connects = packet[0] >> 4 == 1
                found.append(
                    decode_connect(packet, protocol_version_of(packet))
                    if connects
                    else decode_packet(packet, version)
                )
            assert len(splitter._buffer) < 256
    except (MalformedPacket, PacketTooLarge) as error:
        found.append(repr(error))
    return found


@given(packets=st.lists(_mqtt_packets, max_size=5), places=_places, version=st.sampled_from(ProtocolVersion))
@_MORE
def test_mqtt(packets: list[bytes], places: list[int], version: ProtocolVersion) -> None:
    data = b"".join(packets)
    assert _mqtt_outcome(cut(data, places), version) == _mqtt_outcome(iter([data]), version)


# --- Socket.IO ---


@given(
    st.text(max_size=60)
    | st.builds(
        "".join,
        st.lists(st.sampled_from([*'0123456-/,[]{}"\\', "a", "\ud800", '["x"]', "2probe"]), max_size=20),
    )
)
@_MORE
def test_socketio(text: str) -> None:
    packet, attachments = without_attachments(text)
    assert 0 <= attachments <= 9
    try:
        check_packet(packet)
    except BadPacket:
        pass
    else:
        assert text[:1] in "12345"


# --- GraphQL ---

_WORDS = [
    "{", "}", "(", ")", "[", "]", "!", ":", "...", "@", "$", "=", "|", "&", ",", "#\n", "query", "mutation",
    "subscription", "fragment", "on", "pets", "pet", "id", "limit", "Pet", "Query", "events", "topics", "__schema",
    "__typename", "true", "null", "1", "-1.5e9", '"text"', '"""block"""', "$a", "...f", "@skip(if:true)", "{id}",
    "{pets{id}}", '"', "\\", "\ud800",
]  # fmt: skip
_documents = st.builds(" ".join, st.lists(st.sampled_from(_WORDS), max_size=40)) | st.text(max_size=60)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """One engine for all documents."""
    return Engine(executable_schema())


@given(text=_documents)
@_MORE
def test_graphql_tokens(text: str) -> None:
    with contextlib.suppress(GraphQLError):
        assert size_of(text) <= MOST["tokens"]


@given(text=_documents, variables=st.dictionaries(st.sampled_from("ab"), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
), max_size=2))  # fmt: skip
@_MORE
def test_graphql_documents(engine: Engine, text: str, variables: dict[str, Any]) -> None:
    told: list[str] = []

    async def prepare() -> None:
        try:
            await engine.prepare(Request(text, None, variables), "127.0.0.1")
        except Refused as refused:
            told.extend(error["message"] for error in refused.errors)

    asyncio.run(prepare())
    assert all(len(message) < 1_000 for message in told)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,querynull\\ud80 1', max_size=60).map(str.encode))
@_MORE
def test_graphql_requests(data: bytes) -> None:
    for read in (request_of_body, request_of_query):
        with contextlib.suppress(BadRequest):
            read(data)
    with contextlib.suppress(BadGraphqlMessage):
        read_message(data.decode("latin-1"))


# --- the PROXY protocol ---


@st.composite
def _proxy_headers(draw: st.DrawFn) -> bytes:
    content = draw(st.binary(max_size=250))
    length = draw(st.just(len(content)) | st.integers(0, 2**16 - 1))
    signature = draw(st.just(SIGNATURE) | st.binary(min_size=12, max_size=12))
    head = struct.pack(
        "!BBH", draw(st.sampled_from([0x20, 0x21]) | st.integers(0, 255)), draw(st.integers(0, 255)), length
    )
    return (signature + head + content)[: draw(st.just(None) | st.integers(0, 20))]


@given(header=_proxy_headers(), places=_places)
@_MORE
def test_proxy_protocol(header: bytes, places: list[int]) -> None:
    async def outcome(pieces: Iterator[bytes]) -> str:
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            reading = asyncio.create_task(read_client(here))
            for piece in pieces:
                there.sendall(piece)
                await asyncio.sleep(0)
            there.shutdown(socket.SHUT_WR)
            try:
                return str(await reading)
            except (MalformedHeader, ConnectionAbortedError) as error:
                return repr(error)

    async def both() -> None:
        assert await outcome(cut(header, places)) == await outcome(iter([header]))

    asyncio.run(both())


# --- HTTP ---

_HEADS = [
    b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", b"\r\n\r\n",
    b"GET /1 HTTP/1.0\r\n\r\n", b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
]  # fmt: skip


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(_HEADS), min_size=1, max_size=6))))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=2)):
        data[place % len(data)] = byte
    return bytes(data)


@given(data=_requests(), places=_places)
@_FEW
async def test_http(data: bytes, places: list[int]) -> None:
    async def outcome(pieces: Iterator[bytes]) -> list[str]:
        app = Numbers()
        app.over.set()
        async with serving(app) as running, connected(running.port) as client:
            await eventually(lambda: running.connections())
            connection = running.only_connection()
            for piece in pieces:
                if connection.transport.is_closing():
                    break
                connection.data_received(piece)
                await asyncio.sleep(0)
            client.writer.write_eof()
            found = wires.statuses(await client.read_to_end())
            # What a broken head is refused with depends on what of it has come.
            return ["refused" if status[0] in "45" else status for status in found]

    found, whole = await outcome(cut(data, places)), await outcome(iter([data]))
    # A body may turn out to be broken before its request is answered, or when it has been.
    if found and whole and "refused" in (found[-1], whole[-1]):
        found, whole = found[:-1], whole[:-1]
    assert found == whole


# --- WebSocket ---


@st.composite
def _frames(draw: st.DrawFn) -> bytes:
    payload = draw(st.binary(max_size=20) | st.text(max_size=10).map(str.encode))
    first = draw(st.sampled_from([0x81, 0x01, 0x00, 0x80, 0x89, 0x8A, 0x82]) | st.integers(0, 255))
    mask = bytes(4) if draw(st.booleans() | st.just(True)) else b""
    return bytes((first, (0x80 if mask else 0) | len(payload))) + mask + payload


@given(frames=st.lists(_frames(), max_size=8), places=_places)
@_FEW
async def test_websocket(frames: list[bytes], places: list[int]) -> None:
    """The messages are the same, and so is whether it ends; of several faults in one piece any may be told."""

    data = b"".join(frames)

    async def outcome(pieces: Iterator[bytes]) -> tuple[list[object], bool]:
        calls = Calls()
        async with serving(calls) as running, connected(running.port) as client:
            await client.upgrade()
            connection = running.only_connection()
            for piece in pieces:
                connection.data_received(piece)
                await asyncio.sleep(0)
            heard = b"\r\n\r\n" + await _all_frames(client)
            told = [message.get("text", message.get("bytes")) for message in calls.received]
            return [one for one in told if one is not None], wires.websocket_end(heard) != wires.OPEN

    assert await outcome(cut(data, places)) == await outcome(iter([data]))


async def _all_frames(client: Client) -> bytes:
    """What the server says up to its end, or up to the answer to a last ping."""
    client.send(wires.last_ping())
    heard = b""
    while wires.websocket_end(b"\r\n\r\n" + heard) is None:
        part = await asyncio.wait_for(client.reader.read(65536), 2)
        if not part:
            break
        heard += part
    return heard
