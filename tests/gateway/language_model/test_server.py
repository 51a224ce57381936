"""What becomes of a server's answers, good and bad ones."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from core.ports.language_model import ModelFailed, Question, Reply, Said, Speaker, Tool, ToolCall, ToolResult
from gateway.language_model.server import OpenAiServer, Patience
from gateway.preflight import reach_model
from gateway.settings import load_settings
from gateway.startup_errors import CannotStart
from tests.model_server import (
    DONE,
    Answer,
    ModelServer,
    calls,
    chunk,
    endless,
    hang_up,
    model_server,
    no_http,
    says,
    silence,
    status,
    stream,
)
from tests.waiting import eventually, within

KEY = "sk-a-key-that-nobody-may-see"
TOOL = Tool("getPet", "Get a pet.", {"type": "object", "properties": {"id": {"type": "string"}}})
ASKED = Question((Said(Speaker.USER, "dogs?"),), (TOOL,), 64, 0.5)


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server(says("ok")) as running:
        yield running


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[OpenAiServer]:
    made = OpenAiServer(server.url, "some-model", KEY, Patience(connect=30, silence=30))
    yield made
    await made.close()


@pytest.fixture
async def hasty(server: ModelServer) -> AsyncIterator[OpenAiServer]:
    """One that waits for nothing long."""
    made = OpenAiServer(server.url, "some-model", KEY, Patience(connect=30, silence=0.5))
    yield made
    await made.close()


async def answer(model: OpenAiServer, question: Question = ASKED) -> tuple[str, Reply]:
    """The text, and how it ends."""
    *texts, last = [part async for part in model.ask(question)]
    assert isinstance(last, Reply)
    return "".join(map(str, texts)), last


async def test_a_question_is_what_openai_s_api_takes(server: ModelServer, model: OpenAiServer) -> None:
    call = ToolCall("call_0", "getPet", '{"id": "x"}')
    question = Question(
        (
            Said(Speaker.PROGRAM, "Be brief."),
            Said(Speaker.USER, "dogs?"),
            Said(Speaker.MODEL, "", (call,)),
            ToolResult("call_0", "{}"),
        ),
        (TOOL,),
        64,
        0.5,
        may_call=False,
    )
    assert await answer(model, question) == ("ok", Reply((), False, 11, 7))
    [asked] = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    wanted = {"name": "getPet", "arguments": '{"id": "x"}'}
    assert asked.body == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "dogs?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "call_0", "type": "function", "function": wanted}],
            },
            {"role": "tool", "tool_call_id": "call_0", "content": "{}"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "getPet", "description": "Get a pet.", "parameters": TOOL.parameters},
            }
        ],
        "tool_choice": "none",
        "max_tokens": 64,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_calls_are_put_together_from_their_parts(server: ModelServer, model: OpenAiServer) -> None:
    server.will(calls(("getPet", '{"id": "x"}'), ("getInventory", "")))
    text, reply = await answer(model)
    assert text == ""
    assert reply == Reply(
        (ToolCall("call_0", "getPet", '{"id": "x"}'), ToolCall("call_1", "getInventory", "")), False, 20, 5
    )


@pytest.mark.parametrize(
    ("given", "text", "truncated"),
    [
        (says("a", "b", finish="length"), "ab", True),
        (stream(b": a comment\n\n", chunk({"content": "é"})[:-2] + b"\r\n\r\n", chunk({}, "stop")), "é", False),
        (stream(chunk({"content": None, "reasoning_content": "hm"}), chunk({"content": "x"}), DONE), "x", False),
        (stream(chunk({"content": "x"}), b"data: {}\n\n", b"event: ping\ndata: [DONE]"), "x", False),
    ],
)  # fmt: skip
async def test_streams_of_all_manners_are_read(
    server: ModelServer, model: OpenAiServer, given: Answer, text: str, truncated: bool
) -> None:
    server.will(given)
    found, reply = await answer(model)
    assert (found, reply.truncated) == (text, truncated)


@pytest.mark.parametrize(
    ("given", "reason", "requests"),
    [
        (status(401, {"code": "invalid_api_key", "message": KEY}), r"it answers 401 \(invalid_api_key\)$", 1),
        (status(404, {"message": f"no model for {KEY}"}), "it answers 404$", 1),
        (status(400, {"code": f"{KEY} is bad"}), "it answers 400$", 1),
        (status(302, Location="http://127.0.0.1:1/"), "it answers 302$", 1),
        (status(500), "it answers 500$", 3),
        (status(429, {"type": "rate_limit"}), r"it answers 429 \(rate_limit\)$", 3),
        (status(503, Retry_After="30"), "it answers 503$", 1),
        (hang_up, "RemoteProtocolError", 3),
        (no_http, "RemoteProtocolError", 3),
        (stream(chunk({"content": "x"})), "its answer was cut off", 1),
        (stream(b"data: {not json}\n\n"), "its answer is no JSON", 1),
        (stream(b"data: [" + b"[" * 5000 + b"\n\n"), "its answer is no JSON", 1),
        (stream(b"data: 7\n\n"), "its answer is no chunk", 1),
        (stream(b'data: {"choices": [7]}\n\n'), "its answer is no chunk", 1),
        (stream(b'data: {"error": {"message": "x"}}\n\n'), "broke off its answer with an error", 1),
        (stream(b'data: {"choices":[{"delta":{"tool_calls":[{"function":7}]}}]}\n\n'), "no function", 1),
        (stream(b"data: " + b"x" * 300_000, then="hang"), "its answer is too long", 1),
        (stream(chunk({"content": "x" * 300_000})), "its answer is too long", 1),
        (stream(*[chunk({"content": "x" * 200_000})] * 50), "its answer is too long", 1),
        (calls(*[("getPet", "{}")] * 17), "its answer calls too much", 1),
        (calls(("getPet", "x" * 30_000)), "its answer calls too much", 1),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_told_in_one_line_without_secrets(
    server: ModelServer, model: OpenAiServer, given: Answer, reason: str, requests: int
) -> None:
    server.will(given)
    with pytest.raises(ModelFailed, match=reason) as failed:
        await within(answer(model))
    assert KEY not in str(failed.value)
    assert len(str(failed.value).splitlines()) == 1
    assert len(server.asked) == requests
    assert (model.counters.requests, model.counters.failures) == (requests, 1)


@pytest.mark.parametrize(
    "given", [silence, stream(then="hang"), stream(chunk({"content": "x"}), then="hang")]
)
async def test_silence_ends_in_time_and_is_not_tried_again(
    server: ModelServer, hasty: OpenAiServer, given: Answer
) -> None:
    server.will(given)
    with pytest.raises(ModelFailed, match="it says nothing for too long"):
        await within(answer(hasty))
    assert len(server.asked) == 1
    await within(server.asked[0].gone.wait())


async def test_what_fails_before_the_first_text_is_tried_again(
    server: ModelServer, model: OpenAiServer
) -> None:
    server.will(status(503), hang_up, says("fine"))
    assert (await answer(model))[0] == "fine"
    assert (model.counters.requests, model.counters.retries, model.counters.failures) == (3, 2, 0)


async def test_how_long_to_wait_is_passed_on(server: ModelServer, model: OpenAiServer) -> None:
    for given, seconds in (
        (status(429, Retry_After="30"), 30),
        (status(429, Retry_After="9999"), 60),
        (status(401), 60),
        (status(500), 5),
    ):
        server.will(given)
        with pytest.raises(ModelFailed) as failed:
            await answer(model)
        assert failed.value.retry_after == seconds


async def test_a_conversation_that_is_too_long_is_told_apart(
    server: ModelServer, model: OpenAiServer
) -> None:
    server.will(status(400, {"code": "context_length_exceeded"}))
    with pytest.raises(ModelFailed) as failed:
        await answer(model)
    assert failed.value.too_long


async def test_an_endless_answer_ends_with_whoever_reads_it(server: ModelServer, model: OpenAiServer) -> None:
    server.will(endless)
    asking = model.ask(ASKED)
    assert [await anext(asking) for _ in range(3)] == ["word "] * 3
    await asking.aclose()
    await within(server.asked[0].gone.wait())


async def test_who_waits_for_the_first_text_and_leaves_ends_the_request(
    server: ModelServer, model: OpenAiServer
) -> None:
    server.will(stream(then="hang"))
    asking = asyncio.ensure_future(answer(model))
    await eventually(lambda: server.asked)
    asking.cancel()
    await within(server.asked[0].gone.wait())


async def test_the_start_looks_whether_the_server_can_be_used(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, value in (("URL", server.url), ("MODEL", "some-model"), ("API_KEY", KEY)):
        monkeypatch.setenv(f"PETSTORE_ADVISOR_{name}", value)
    settings = load_settings()
    assert KEY not in repr(settings)
    server.will(status(404))
    await reach_model(settings)
    assert server.asked[0].path == "/v1/models"
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    server.will(status(401, {"code": "invalid_api_key"}))
    with pytest.raises(CannotStart, match=r"cannot be used: it answers 401 \(invalid_api_key\)$"):
        await reach_model(settings)
    monkeypatch.setenv("PETSTORE_ADVISOR_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(CannotStart, match="ConnectError"):
        await reach_model(load_settings())
    assert KEY not in caplog.text
