"""What clients may send over a WebSocket, and what they may not."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.kernel.ids import new_id
from protocols.http.frames import read_frames, text_frame
from protocols.websocket.wire import BadMessage, read_message
from tests.gateway.server.serving import CLOSE, PING, PONG, masked
from tests.protocols.live import Live, live

NOT_MESSAGES = [
    "",
    "nonsense",
    "{",
    "null",
    "[]",
    '"text"',
    "17",
    "{}",
    '{"type": 5}',
    '{"type": null}',
    '{"type": "ping", "more": 1}',
    '{"type": "ping", "id": 1.5}',
    '{"type": "ping", "id": true}',
    '{"type": "ping", "id": []}',
    '{"type": "ping", "id": "' + "x" * 129 + '"}',
    '{"type": "ping", "id": ' + "9" * 40 + "}",
    '{"type": "ping", "data": []}',
    '{"type": "ping", "data": "text"}',
    '{"type": "ping", "data": NaN}',
    '{"type": "\\ud800"}',
    '{"type": "subscribe", "data": {"topics": ' + "[" * 20_000 + "]" * 20_000 + "}}",
]


@pytest.mark.parametrize("frame", NOT_MESSAGES, ids=lambda frame: frame[:30])
async def test_what_is_no_message_gets_an_error_and_the_socket_goes_on(node: Live, frame: str) -> None:
    async with node.socket() as socket:
        await socket.ask("ping")
        await socket.raw(frame)
        error = await socket.hear()
        assert (error["type"], error["data"]["code"]) == ("error", "bad-request")
        await socket.ask("ping")


async def test_what_is_no_message_may_be_the_first(node: Live) -> None:
    async with node.socket() as socket:
        await socket.raw("nonsense")
        assert (await socket.hear())["type"] == "error"
        await socket.say("authenticate", token=node.staff_token())
        assert (await socket.until("connected"))["data"]["user"] is not None


async def test_the_id_comes_back_even_with_what_is_no_message(node: Live) -> None:
    async with node.socket() as socket:
        for wrong in ({}, {"type": 4}, {"type": "ping", "data": 3}, {"type": "ping", "extra": 3}):
            await socket.raw(json.dumps({"id": "mine", **wrong}))
            assert (await socket.until("error"))["replyTo"] == "mine"


async def test_half_a_character_is_a_refusal_of_its_message(node: Live) -> None:
    async with node.chat(node.member()) as socket:
        await socket.ask("joinChat")
        half = json.dumps({"type": "chatMessage", "id": "mine", "data": {"text": "\ud83d"}})
        await socket.raw(half)
        told = await socket.until("error")
        assert (told["replyTo"], told["data"]["code"]) == ("mine", "bad-request")
        assert "surrogate" in told["data"]["message"]
        await socket.ask("chatMessage", text="😀")


async def test_unknown_types_are_told_so(node: Live) -> None:
    async with node.socket() as socket:
        for name in ("dance", "", "\0", "ack", "connected", "x" * 5000, "__class__"):
            answer = await socket.refusal(name)
            assert answer["code"] == "bad-request"


WRONG: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("subscribe", {}, {"topics": "REQUIRED_FIELD"}),
    ("subscribe", {"topics": []}, {"topics": "INVALID_LENGTH"}),
    ("subscribe", {"topics": "pets/#"}, {"topics": "INVALID_TYPE"}),
    ("subscribe", {"topics": [1, None]}, {"topics[0]": "INVALID_TYPE", "topics[1]": "INVALID_TYPE"}),
    ("subscribe", {"topics": ["#"], "cursor": 5}, {"cursor": "INVALID_TYPE"}),
    ("subscribe", {"topics": ["#"], "cursor": "x" * 201}, {"cursor": "INVALID_LENGTH"}),
    ("subscribe", {"topics": ["#"], "topic": "#"}, {"topic": "UNKNOWN_FIELD"}),
    ("unsubscribe", {"topics": None}, {"topics": "INVALID_TYPE"}),
    ("joinChat", {"chatId": 5, "subject": {}}, {"chatId": "INVALID_TYPE", "subject": "INVALID_TYPE"}),
    ("joinChat", {"subject": "x" * 201}, {"subject": "INVALID_LENGTH"}),
    (
        "chatMessage",
        {"text": 5, "clientMessageId": 5},
        {"text": "INVALID_TYPE", "clientMessageId": "INVALID_TYPE"},
    ),
    ("chatMessage", {"text": "null \0"}, {"text": "INVALID_FORMAT"}),
    ("chatMessage", {}, {"text": "REQUIRED_FIELD"}),
    ("messageRead", {}, {"messageId": "REQUIRED_FIELD"}),
    ("messageRead", {"messageId": []}, {"messageId": "INVALID_TYPE"}),
    ("typingStarted", {"chatId": True}, {"chatId": "INVALID_TYPE"}),
    ("typingStopped", {"text": ""}, {"text": "UNKNOWN_FIELD"}),
    ("leaveChat", {"chatId": {}}, {"chatId": "INVALID_TYPE"}),
    ("authenticate", {"token": None}, {"token": "INVALID_TYPE"}),
    ("authenticate", {"token": "x" * 9000}, {"token": "INVALID_LENGTH"}),
    ("ping", {"now": 1}, {"now": "UNKNOWN_FIELD"}),
]


async def test_every_violation_of_the_data_is_named(tmp_path: Path) -> None:
    async with live(tmp_path, messages_per_second=0) as node, node.socket() as socket:
        await socket.say("authenticate", token=node.token(node.member()))
        await socket.until("connected")
        for name, data, violations in WRONG:
            answer = await socket.refusal(name, **data)
            assert answer["code"] == "validation-error", (name, data)
            assert {violation["field"]: violation["code"] for violation in answer["errors"]} == violations


async def test_chat_commands_need_a_joined_chat(node: Live) -> None:
    async with node.chat(node.member()) as socket:
        for name, data in [
            ("chatMessage", {"text": "hello"}),
            ("typingStarted", {}),
            ("typingStopped", {}),
            ("leaveChat", {}),
            ("messageRead", {"messageId": new_id()}),
        ]:
            assert (await socket.refusal(name, **data))["code"] == "bad-request"
            assert (await socket.refusal(name, chat_id="someone-elses", **data))["code"] == "bad-request"


async def test_a_binary_frame_is_told_1003(node: Live) -> None:
    for path in ("/v1/ws/events", "/v1/ws/chat"):
        async with node.socket(path) as socket:
            await socket.raw(b"{}")
            assert (await socket.end())[0] == 1003


async def test_a_frame_over_64_kib_is_told_1009(node: Live) -> None:
    async with node.socket() as socket:
        await socket.say("subscribe", topics=["x" * 65_000])
        assert (await socket.until("error"))["data"]["code"] == "bad-request"
        await socket.say("subscribe", topics=["x" * 66_000])
        assert (await socket.end())[0] == 1009
    async with node.socket() as socket:
        await socket.raw(
            json.dumps({"type": "subscribe", "data": {"topics": ["é" * 40_000]}}, ensure_ascii=False)
        )
        assert (await socket.end())[0] == 1009


async def test_a_backlog_is_read_more_slowly_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    """What a client queued while offline comes at once: typing marks, and a message behind them."""
    async with (
        live(tmp_path, message_burst=10, messages_per_second=50) as node,
        node.chat(node.member()) as socket,
    ):
        await socket.ask("joinChat")
        began = asyncio.get_running_loop().time()
        for mark in range(40):
            await socket.say("typingStarted", mark)
        await socket.say("chatMessage", 40, text="Is anybody there?")
        marks = [(await socket.until("ack", "error")) for _ in range(41)]
        assert [(told["type"], told["replyTo"]) for told in marks] == [("ack", mark) for mark in range(41)]
        assert asyncio.get_running_loop().time() - began > 0.5


FLOODS: dict[str, bytes] = {
    "pings": masked(b"", PING),
    "pongs": masked(b"", PONG),
    "no messages": masked(b"nonsense"),
    "unknown types": masked(b'{"type": "dance"}'),
    "pings of the vocabulary": masked(b'{"type": "ping"}'),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_whoever_only_floods_is_told_4429(tmp_path: Path, flood: str) -> None:
    async with live(tmp_path, message_burst=5, messages_per_second=10) as node, node.raw() as client:
        await client.upgrade("/v1/ws/events")
        client.send(masked(b'{"type": "unsubscribe", "data": {"topics": ["pets/#"]}}'))
        client.send(FLOODS[flood] * 30)
        while (told := await client.read_frame())[0] != CLOSE:
            pass
        assert told[1][:2] == (4429).to_bytes(2)
        client.send(masked(told[1], CLOSE))


async def test_empty_fragments_are_a_flood(tmp_path: Path) -> None:
    async with live(tmp_path, message_burst=5, messages_per_second=10) as node, node.raw() as client:
        await client.upgrade("/v1/ws/events")
        client.send(b"\x01\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 30)
        while (told := await client.read_frame())[0] != CLOSE:
            pass
        assert told[1][:2] == (4429).to_bytes(2)
        client.send(masked(told[1], CLOSE))


async def test_a_message_may_come_one_byte_at_a_time(node: Live) -> None:
    async with node.raw() as client:
        await client.upgrade("/v1/ws/events")
        for byte in masked(b'{"type":"ping","id":1}'):
            client.send(bytes([byte]))
            await client.writer.drain()
        assert json.loads((await client.read_frame())[1])["type"] == "connected"
        assert json.loads((await client.read_frame())[1]) == {"type": "pong", "replyTo": 1, "data": {}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "joinChat",
        "leaveChat",
        "chatMessage",
        "typingStarted",
        "messageRead",
        "subscribe",
        "unsubscribe",
        "ping",
    ]
)
MEMBERS = st.sampled_from(
    ["topics", "cursor", "chatId", "text", "clientMessageId", "messageId", "subject", "x"]
)
LIKELY = st.fixed_dictionaries(
    {"type": NAMES},
    optional={
        "id": st.integers() | st.text(max_size=5) | JSON,
        "chatId": JSON,
        "data": st.dictionaries(
            MEMBERS,
            JSON | st.lists(st.sampled_from(["#", "orders/+", "pets/1", "+/x", "a#", "chats/1"])),
            max_size=3,
        ),
    },
)


@given(frame=st.text(max_size=60) | JSON.map(json.dumps) | LIKELY.map(json.dumps))
def test_reading_a_message_fails_only_as_a_bad_request(frame: str) -> None:
    with contextlib.suppress(BadMessage):
        message = read_message(frame)
        assert isinstance(message.name, str)
        assert isinstance(message.data, dict)


@given(payloads=st.lists(st.binary(max_size=70_000), max_size=5))
def test_frames_are_read_as_they_were_written(payloads: list[bytes]) -> None:
    assert list(read_frames(b"".join(map(text_frame, payloads)))) == payloads


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.text(max_size=40) | JSON.map(json.dumps) | LIKELY.map(json.dumps), max_size=25))
def test_whatever_is_sent_each_message_is_answered_and_the_socket_goes_on(
    tmp_path_factory: pytest.TempPathFactory, frames: list[str]
) -> None:
    async def run() -> None:
        async with (
            live(tmp_path_factory.mktemp("fuzz"), messages_per_second=0) as node,
            node.chat(node.member()) as socket,
        ):
            for frame in frames:
                await socket.raw(frame)
            for _ in frames:
                message = await socket.until("ack", "error", "pong")
                assert message["data"].get("code") != "internal-server-error", frames
            await socket.ask("ping")

    asyncio.run(run())
