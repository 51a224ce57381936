"""What clients send on Socket.IO, and garbage among it: the right answer, neighbours unharmed, nothing left."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from protocols.socketio.wire import BadPacket, check_packet
from tests.http_clients import http_client
from tests.protocols.live import Live, Socket, live
from tests.protocols.socketio.clients import connected
from tests.waiting import eventually, within

SOCKET = "/socket.io/?EIO=4&transport=websocket"
POLL = "/socket.io/?EIO=4&transport=polling"


@contextlib.asynccontextmanager
async def raw_client(node: Live, topics: str = "[]") -> AsyncIterator[Socket]:
    """A client without a library, connected."""
    async with node.socket(SOCKET, max_size=None) as socket:
        await socket.connection.recv()
        await socket.raw(f'40{{"topics":{topics}}}')
        await packet(socket, "40")
        await packet(socket, '42["connected"')
        yield socket


async def packet(socket: Socket, start: str) -> str:
    """The next packet, which begins so."""
    found = str(await within(socket.connection.recv()))
    assert found.startswith(start), found
    return found


async def ended(socket: Socket) -> tuple[int, list[str]]:
    """The close code, and the packets before."""
    packets = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            packets.append(str(await within(socket.connection.recv())))
    return socket.connection.close_code or 0, packets


async def test_unknown_events_are_answered_not_punished(node: Live, kind: str) -> None:
    async with connected(node.port, kind) as client:
        assert (await client.refusal("selfDestruct", {}))["code"] == "bad-request"
        assert (await client.refusal("selfDestruct"))["code"] == "bad-request"
        await client.ask("ping")


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("subscribe", ({},), "validation-error"),
        ("subscribe", ({"topics": []},), "validation-error"),
        ("subscribe", ({"topics": ["#"], "depth": 1},), "validation-error"),
        ("subscribe", ("pets/#",), "validation-error"),
        ("subscribe", ([["pets/#"]],), "validation-error"),
        ("subscribe", (None,), "validation-error"),
        ("subscribe", ({"topics": ["#"]}, {"topics": ["#"]}), "bad-request"),
        ("subscribe", ({"topics": ["a/#/b"]},), "bad-request"),
        ("subscribe", ({"topics": ["#"], "cursor": "rubbish"},), "bad-request"),
        ("subscribe", ({"topics": ["orders/+"]},), "unauthorized"),
        ("chatMessage", ({"text": "Hello"},), "bad-request"),
        ("authenticate", ({"token": "rubbish"},), "unauthorized"),
    ],
)
async def test_wrong_arguments_are_answered(
    node: Live, name: str, arguments: tuple[Any, ...], code: str
) -> None:
    async with connected(node.port) as client:
        error = await client.refusal(name, *arguments)
        assert error["code"] == code
        assert ("errors" in error) == (code == "validation-error")
        await client.ask("ping")


async def test_who_wants_no_answer_is_still_told_of_errors(node: Live, kind: str) -> None:
    async with connected(node.port, kind) as client:
        await client.until("connected")
        await client.emit("subscribe", {"topics": ["pets/#"]})
        await client.emit("subscribe", {"topics": "pets/#"})
        error = await client.until("error", "event")
        assert error["code"] == "validation-error"
        await node.happen(1)
        assert await client.numbers(1) == [1]


@pytest.mark.parametrize(
    "garbage",
    [
        "", "x", "9", "0{}", "2", "6", "4", "4x", "4{}", "4[]", "42", "42{}", "42[]", "42[1]", '42["a"', "42[NaN]",
        "43[]", "44{}", "46[]", '421234567890123456["ping"]', '42["connect",{}]', '42["disconnect"]', "ÿ",
        "42" + "[" * 5000, '421-["ping"]', '461-[{"_placeholder":true,"num":0}]', "bAQID", "40{", '2"probe"',
    ],
)  # fmt: skip
async def test_garbage_ends_the_connection_with_a_reason(node: Live, garbage: str) -> None:
    async with raw_client(node) as neighbour:
        async with raw_client(node) as socket:
            await socket.raw(garbage)
            code, packets = await ended(socket)
            assert code == 1003
            assert json.loads(packets[0][2:])[0] == "error"
            assert json.loads(packets[0][2:])[1]["code"] == "bad-request"
        await neighbour.raw('421["ping"]')
        await packet(neighbour, "431[")


async def test_what_comes_behind_a_goodbye_does_not_count(
    node: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_client(node) as socket:
        for text in ("1", "40", '421["ping"]'):
            await socket.raw(text)
        assert await ended(socket) == (1000, [])
    assert not caplog.records


async def test_binary_is_refused(node: Live) -> None:
    async with raw_client(node) as socket:
        await socket.raw(b"\x01\x02")
        code, packets = await ended(socket)
        assert (code, "binary" in packets[0]) == (1003, True)


@pytest.mark.parametrize("kind", ["node-websocket", "node-polling"])
async def test_a_binary_argument_is_refused_by_its_acknowledgement(node: Live, kind: str) -> None:
    async with connected(node.port, kind, token=node.token(node.member())) as client:
        await client.ask("joinChat")
        for argument in ({"$binary": "abc"}, {"$binary": "abc"}):
            assert (await client.refusal("chatMessage", argument))["code"] in (
                "bad-request",
                "validation-error",
            )
        await client.ask("chatMessage", text="in letters")


async def test_a_frame_that_is_too_big_ends_the_connection(node: Live) -> None:
    async with raw_client(node) as socket:
        await socket.raw('42["ping","' + "x" * 70_000 + '"]')
        assert (await ended(socket))[0] == 1009


async def test_a_payload_that_is_too_big_ends_the_connection(node: Live) -> None:
    async with connected(node.port, "node-polling") as client:
        await client.until("connected")
        await client.emit("ping", "x" * 70_000)
        assert await client.until("disconnect") == "transport error"


async def test_half_a_character_is_a_refusal_of_its_event(node: Live, kind: str) -> None:
    async with connected(node.port, kind, token=node.token(node.member())) as client:
        await client.ask("joinChat")
        if kind.startswith(
            "node"
        ):  # JavaScript writes it as an escape, the Python client would not write it at all.
            refused = await client.refusal("chatMessage", {"text": "\ud83d"})
            assert (refused["code"], "surrogate" in refused["message"]) == ("bad-request", True)
        await client.ask("chatMessage", text="😀")


async def test_half_a_character_is_refused_over_either_transport(node: Live) -> None:
    event = r'427["chatMessage",{"text":"\ud83d"}]'
    async with raw_client(node) as socket:
        await socket.raw(event)
        assert "surrogate" in await packet(socket, '437[{"ok":false')
    async with poller(node) as client:
        assert await client.post("40") == 200
        await client.poll()
        assert await client.post(event) == 200
        assert "surrogate" in (await client.poll())[-1]
        assert await client.post("1") == 200


async def test_a_backlog_is_read_more_slowly_and_nothing_of_it_is_lost(tmp_path: Path, kind: str) -> None:
    """What a client queued while offline comes at once: typing marks, and a message behind them."""
    async with (
        live(tmp_path, message_burst=10, messages_per_second=50) as node,
        connected(node.port, kind, token=node.token(node.member())) as client,
    ):
        await client.ask("joinChat")
        for _ in range(60):
            await client.emit("typingStarted", {})
        answer = await client.ask("chatMessage", text="Is anybody there?")
        assert answer["message"]["text"] == "Is anybody there?"


async def test_a_backlog_outlives_the_pings(tmp_path: Path, kind: str) -> None:
    """A pong that waits behind a backlog is not missed, on either side."""
    async with (
        live(tmp_path, message_burst=10, messages_per_second=20, ping_seconds=1) as node,
        connected(node.port, kind, token=node.token(node.member())) as client,
    ):
        await client.ask("joinChat")
        for _ in range(80):
            await client.emit("typingStarted", {})
        answer = await client.ask("chatMessage", text="Is anybody there?")
        assert answer["message"]["text"] == "Is anybody there?"


FLOODS = ["40/nowhere,", "3", '42["ping"]', '42["dance"]', '42["chatMessage",1,2]']


@pytest.mark.parametrize("flood", FLOODS)
async def test_whoever_only_floods_a_websocket_goes(tmp_path: Path, flood: str) -> None:
    async with live(tmp_path, message_burst=5, messages_per_second=10) as node, raw_client(node) as socket:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(30):
                await socket.raw(flood)
        assert (await ended(socket))[0] == 4429


@pytest.mark.parametrize("flood", FLOODS)
async def test_whoever_only_floods_by_posts_goes(tmp_path: Path, flood: str) -> None:
    async with live(tmp_path, message_burst=5, messages_per_second=10) as node, poller(node) as client:
        assert await client.post("40") == 200
        assert await client.post("\x1e".join([flood] * 30)) == 200
        while "41" not in (told := await client.poll()):
            pass
        assert "rate-limit-exceeded" in "".join(told)


async def test_answers_wait_for_who_reads_them(tmp_path: Path) -> None:
    """A client who asks and asks and never fetches an answer is not listened to any longer, then dropped."""
    async with (
        live(tmp_path, stall_limit=2, messages_per_second=0) as node,
        http_client(base_url=f"http://127.0.0.1:{node.port}") as client,
    ):
        sid = json.loads((await client.get(POLL)).text[1:])["sid"]
        address = f"{POLL}&sid={sid}"
        assert (await client.post(address, content="40")).text == "ok"
        status = 200
        wide = json.dumps(["subscribe", {"topics": [f"pets/{number}" for number in range(100)]}])
        while status == 200:  # How often that is depends on the machine.
            status = (await client.post(address, content=f"421{wide}")).status_code
            # 64 KiB, and the answer that made them full.
            assert node.socketio.statistics().waiting_bytes < 72 * 1024
        assert (await client.get(address)).status_code == 400


class Poller:
    """A client without a library who polls."""

    async def status(self, method: str, content: Any = None) -> int:
        """What becomes of a request."""
        return (await self._client.request(method, self._address, content=content)).status_code

    def __init__(self, client: httpx.AsyncClient, sid: str) -> None:
        self._client = client
        self._address = f"{POLL}&sid={sid}"

    async def poll(self) -> list[str]:
        answer = await self._client.get(self._address)
        assert answer.status_code == 200, answer.text
        return answer.text.split("\x1e")

    async def post(self, content: str | bytes) -> int:
        return (await self._client.post(self._address, content=content)).status_code


@contextlib.asynccontextmanager
async def poller(node: Live) -> AsyncIterator[Poller]:
    async with http_client(base_url=f"http://127.0.0.1:{node.port}") as client:
        yield Poller(client, json.loads((await client.get(POLL)).text[1:])["sid"])


async def test_a_poll_brings_what_is_due_and_no_more_than_clients_take(node: Live) -> None:
    async with poller(node) as client:
        assert await client.post('40{"topics":["pets/#"]}') == 200
        assert [text[:4] for text in await client.poll()] == ['40{"', '42["']
        await node.happen(*range(40))
        assert [len(await client.poll()) for _ in range(3)] == [16, 16, 8]
        assert await client.post("41\x1e1") == 200


@pytest.mark.parametrize("content", ["", "x", "42[", b"\xff\xfe", '42["ping"]\x1e', "bAQID"])
async def test_garbage_in_a_payload_ends_the_session(node: Live, content: str | bytes) -> None:
    async with poller(node) as client:
        assert await client.post('40{"topics":["pets/#"]}') == 200
        await client.poll()
        assert await client.post(content) == 200
        last = await client.poll()
        assert json.loads(last[0][2:])[1]["code"] == "bad-request"


async def test_two_polls_at_once_end_the_session(node: Live) -> None:
    async with poller(node) as client:
        assert await client.post("40") == 200
        await client.poll()
        first = asyncio.create_task(client.poll())
        await eventually(lambda: node.socketio.statistics().polls == 1)
        assert await client.status("GET") == 400
        assert await first == ["1"]
        assert await client.status("GET") == 400


async def test_two_posts_at_once_end_the_session(node: Live) -> None:
    async with poller(node) as client:
        assert await client.post("40") == 200
        await client.poll()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"42["
            assert await client.status("POST", "3") == 400
            yield b'"ping"]'

        with contextlib.suppress(httpx.HTTPError):
            assert await client.status("POST", slowly()) == 400
        assert await client.status("GET") == 400


async def test_a_poll_that_waits_while_the_client_leaves_gets_its_packet(node: Live) -> None:
    async with poller(node) as client:
        assert await client.post("40") == 200
        await client.poll()
        waiting = asyncio.create_task(client.poll())
        await eventually(lambda: node.socketio.statistics().polls == 1)
        assert await client.post("1") == 200
        assert await waiting == ["6"]
        assert await client.status("GET") == 400


async def test_nothing_is_written_that_was_for_a_poll(node: Live) -> None:
    async with http_client(base_url=f"http://127.0.0.1:{node.port}") as client:
        sid = json.loads((await client.get(POLL)).text[1:])["sid"]
        async with node.socket(f"{SOCKET}&sid={sid}") as socket:
            await socket.raw("2probe")
            await packet(socket, "3probe")
            await socket.raw("5")
            await socket.raw("40")
            await packet(socket, "40")


async def test_a_connection_is_refused_by_an_object(node: Live) -> None:
    async with raw_client(node) as socket:
        await socket.raw("40")
        refused = json.loads((await packet(socket, "44"))[2:])
        assert (refused["message"], refused["data"]["code"]) == (
            "The client is connected already.",
            "bad-request",
        )
        await socket.raw('421["ping"]')
        await packet(socket, "431[")
    for auth in ("[]", '"text"', "true", r'{"token":"\ud83d"}'):
        async with node.socket(SOCKET) as socket:
            await packet(socket, "0")
            await socket.raw(f"40{auth}")
            assert json.loads((await packet(socket, "44"))[2:])["data"]["code"] == "bad-request"


async def test_the_interval_of_pings_is_told_in_milliseconds(tmp_path: Path) -> None:
    async with live(tmp_path, ping_seconds=0.3) as node, node.socket(SOCKET) as socket:
        assert json.loads((await packet(socket, "0"))[1:])["pingInterval"] == 300


def test_packets_that_no_client_sends_are_told_apart() -> None:
    for packet in (
        *("1", "3", "5", "2probe", "40", '40{"token":"x"}', "41"),
        *('42["ping"]', '427["ping",{}]', '42/,7["ping"]', '42/other,["ping"]'),
    ):
        check_packet(packet)
    with pytest.raises(BadPacket):
        check_packet("2probes")
