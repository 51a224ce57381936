"""Completions by a language model, as clients get them: its words as they come, its calls in the caller's rights."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import Close, CloseReason
from core.services.advisor.completions import COMPLETE_CHAT
from core.services.advisor.pieces import count_tokens
from core.services.orders import PLACE_ORDER
from core.services.pets import SEARCH_PETS
from core.store.store import Call
from gateway.language_model.server import OpenAiServer, Patience
from tests.model_server import (
    DONE,
    Answer,
    ModelServer,
    Pause,
    calls,
    chunk,
    endless,
    hang_up,
    model_server,
    says,
    silence,
    status,
    stream,
)
from tests.protocols.advisor.test_completions import PATH, headers
from tests.protocols.live import Live, live, new_tenant
from tests.waiting import eventually, within

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "a small dog?"}]
BODY = {"messages": [{"role": "USER", "content": "a small dog?"}], "stream": True}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[OpenAiServer]:
    made = OpenAiServer(server.url, "some-model", "sk-secret", Patience(connect=30, silence=30))
    yield made
    await made.close()


@pytest.fixture
async def node(tmp_path: Path, model: OpenAiServer) -> AsyncIterator[Live]:
    """A node whose advisor is the model; nothing of any client may be left at the end."""
    async with live(tmp_path, language_model=model) as running:
        yield running


async def results(server: ModelServer) -> list[dict[str, Any]]:
    """What the calls came to, as the last request told."""
    return [json.loads(one["content"]) for one in server.asked[-1].body["messages"] if one["role"] == "tool"]


async def test_the_official_client_gets_the_model_s_words_as_they_come(
    server: ModelServer, client: AsyncOpenAI
) -> None:
    pause = Pause()
    server.will(says("One ", pause, "two."))
    chunks = await client.chat.completions.create(
        model="pet-advisor-1", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    found = aiter(chunks)
    assert (await within(anext(found))).choices[0].delta.role == "assistant"
    assert (await within(anext(found))).choices[0].delta.content == "One "
    pause.set()
    rest = [one async for one in found]
    assert [one.choices[0].delta.content for one in rest[:-2]] == ["two."]
    assert rest[-2].choices[0].finish_reason == "stop"
    usage = rest[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 7, 18)


async def test_a_whole_answer_and_tokens_that_no_server_told(
    server: ModelServer, client: AsyncOpenAI
) -> None:
    server.will(says("One two.", finish="length", tokens=None))
    whole = await client.chat.completions.create(
        model="pet-advisor-turbo", messages=ASKED, max_tokens=3, temperature=0.25
    )
    assert whole.choices[0].message.content == "One two."
    assert whole.choices[0].finish_reason == "length"
    assert whole.model == "PET_ADVISOR_TURBO"
    asked = server.asked[0].body
    assert (asked["max_tokens"], asked["temperature"], asked["model"]) == (3, 0.25, "some-model")
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 3
    assert whole.usage.prompt_tokens == sum(count_tokens(one["content"]) for one in asked["messages"])


async def test_what_the_model_is_shown_of_a_conversation(server: ModelServer, client: AsyncOpenAI) -> None:
    server.will(says("ok"))
    await client.chat.completions.create(
        model="pet-advisor-1",
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "dogs"}]},
            {"role": "assistant", "content": None},
            {"role": "tool", "tool_call_id": "x", "content": "its own program's"},
            {"role": "user", "content": "cats"},
        ],
    )
    first, *others = server.asked[0].body["messages"]
    assert (first["role"], first["content"][:19]) == ("system", "You are the advisor")
    assert [(one["role"], one["content"]) for one in others] == [
        ("system", "Be kind."),
        ("system", "Be brief."),
        ("user", "dogs"),
        ("user", "cats"),
    ]


async def test_its_calls_are_run_in_the_caller_s_rights(
    node: Live, server: ModelServer, client: AsyncOpenAI, customer: Caller
) -> None:
    mine, theirs = customer, node.member(Role.CUSTOMER, customer.tenant)
    pets = (
        await node.store.execute(mine, Call(SEARCH_PETS, body={"criteria": {"status": ["AVAILABLE"]}}))
    ).value.data
    own = (await node.store.execute(mine, Call(PLACE_ORDER, body={"petId": pets[0].id}))).value
    await node.store.execute(theirs, Call(PLACE_ORDER, body={"petId": pets[1].id}))
    dogs = {"criteria": {"species": ["DOG"], "size": ["SMALL"]}, "pagination": {"limit": 2}}
    server.will(
        calls(("searchPets", json.dumps(dogs)), ("listOrders", '{"limit": 100}'), tokens=(10, 5)),
        calls(("getPet", json.dumps({"id": pets[0].id})), ("getInventory", ""), tokens=(30, 5)),
        says("Here.", tokens=(50, 2)),
    )
    whole = await client.chat.completions.create(model="pet-advisor-1", messages=ASKED)
    assert whole.choices[0].message.content == "Here."
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (90, 12)
    found, orders, pet, stock = await results(server)
    assert {(one["species"], one["size"]) for one in found["data"]} == {("DOG", "SMALL")}
    assert len(found["data"]) == 2
    assert [one["id"] for one in orders["data"]] == [own.id]
    assert (pet["id"], pet["status"]) == (pets[0].id, "PENDING")
    assert stock["pending"] >= 2
    roles = [one["role"] for one in server.asked[-1].body["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "tool", "tool"]
    names = [one["function"]["name"] for one in server.asked[0].body["tools"]]
    assert names == ["searchPets", "getPet", "getInventory", "listOrders"]
    [search, *_] = [one["function"]["parameters"] for one in server.asked[0].body["tools"]]
    assert set(search["properties"]) == {"criteria", "sort", "pagination"}


async def test_calls_that_cannot_be_are_told_to_the_model(server: ModelServer, client: AsyncOpenAI) -> None:
    server.will(
        calls(
            ("dropTables", "{}"),
            ("placeOrder", '{"petId": "x"}'),
            ("searchPets", "{'no': json"),
            ("searchPets", "[" * 9000),
            ("searchPets", '{"criteria": {"species": ["CAR"]}, "colour": 1}'),
            ("getPet", '"x"'),
            ("getPet", '{"id": "x"}'),
            ("getPet", '{"id": "019e2d16-7f03-7b58-8c24-5a6e8d0f1b33"}'),
        ),
        says("I do not know."),
    )
    whole = await client.chat.completions.create(model="pet-advisor-1", messages=ASKED)
    assert whole.choices[0].message.content == "I do not know."
    errors = [one["error"] for one in await results(server)]
    assert [one["code"] for one in errors] == [
        "bad-request",
        "bad-request",
        "bad-request",
        "bad-request",
        "validation-error",
        "bad-request",
        "bad-request",
        "not-found",
    ]
    assert "searchPets, getPet, getInventory, listOrders" in errors[0]["message"]
    assert "colour" in errors[4]["message"]


async def test_whoever_lacks_a_right_lacks_it_here(node: Live, server: ModelServer, customer: Caller) -> None:
    server.will(calls(("listOrders", "{}")), says("You may not."))
    chatting = replace(customer, scopes=frozenset({Scope.CHAT_WRITE}))
    await node.store.execute(chatting, Call(COMPLETE_CHAT, body={**BODY, "stream": False}))
    [told] = await results(server)
    assert told["error"]["code"] == "forbidden"


async def test_a_model_that_only_calls_comes_to_an_end(server: ModelServer, client: AsyncOpenAI) -> None:
    server.will(calls(*[("getInventory", "{}")] * 12))
    with pytest.raises(openai.InternalServerError) as failed:
        await client.chat.completions.create(model="pet-advisor-1", messages=ASKED)
    assert failed.value.status_code == 503
    assert [asked.body["tool_choice"] for asked in server.asked] == ["auto"] * 5 + ["none"]
    assert len(await results(server)) == 5 * 8


async def test_an_answer_beyond_its_tokens_is_cut(server: ModelServer, client: AsyncOpenAI) -> None:
    server.will(endless)
    whole = await client.chat.completions.create(model="pet-advisor-1", messages=ASKED, max_tokens=10)
    assert whole.choices[0].finish_reason == "length"
    assert len(whole.choices[0].message.content or "") == 160
    await within(server.asked[0].gone.wait())


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("given", "code"),
    [
        (status(401, {"code": "invalid_api_key"}), 503),
        (status(429, Retry_After="20"), 503),
        (status(500), 503),
        (hang_up, 503),
        (stream(b"data: garbage\n\n"), 503),
        (stream(chunk({"content": "x" * 300_000})), 503),
        (status(400, {"code": "context_length_exceeded"}), 400),
    ],
)  # fmt: skip
async def test_what_fails_before_the_first_word_is_a_problem(
    node: Live,
    server: ModelServer,
    customer: Caller,
    caplog: pytest.LogCaptureFixture,
    streams: bool,
    given: Answer,
    code: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.will(given)
    response = await node.get(PATH, "POST", json={**BODY, "stream": streams}, headers=headers(node, customer))
    assert response.status_code == code
    problem = response.json()
    assert problem["type"].endswith("service-unavailable" if code == 503 else "bad-request")
    assert problem["error"]["type"] == ("server_error" if code == 503 else "invalid_request_error")
    if code == 503:
        assert int(response.headers["retry-after"]) in (5, 20, 60)
    assert "language model failed" in caplog.text
    assert "sk-secret" not in caplog.text
    assert "a small dog" not in caplog.text


@pytest.mark.parametrize(
    "given",
    [
        stream(chunk({"content": "One "})),
        stream(chunk({"content": "One "}), b"data: garbage\n\n"),
        stream(chunk({"content": "One "}), b'data: {"error": {"message": "overloaded"}}\n\n'),
    ],
)
async def test_what_fails_later_ends_the_stream_with_an_error(
    node: Live, server: ModelServer, client: AsyncOpenAI, customer: Caller, given: Answer
) -> None:
    server.will(given)
    response = await node.get(PATH, "POST", json=BODY, headers=headers(node, customer))
    assert response.status_code == 201
    *_, said, last = response.text.removesuffix("\n\n").split("\n\n")
    assert json.loads(said.removeprefix("data: "))["choices"][0]["delta"]["content"] == "One "
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("server_error", "service-unavailable")
    assert len(server.asked) == 1
    chunks = await client.chat.completions.create(model="pet-advisor-1", messages=ASKED, stream=True)
    with pytest.raises(openai.APIError, match="language model"):
        async for _ in chunks:
            pass


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("given", [silence, stream(chunk({"content": "One "}), then="hang")])
async def test_a_client_that_leaves_ends_the_request(
    node: Live, server: ModelServer, customer: Caller, streams: bool, given: Answer
) -> None:
    server.will(given)
    body = json.dumps({**BODY, "stream": streams}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {node.token(customer)}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    async with node.raw() as leaving:
        leaving.writer.write(head.encode() + body)
        await eventually(lambda: server.asked)
    await within(server.asked[0].gone.wait())
    await eventually(lambda: not len(node.sessions))


@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_ends_with_the_login(
    node: Live, server: ModelServer, customer: Caller, streams: bool
) -> None:
    server.will(stream(chunk({"content": "One "}), then="hang"))
    asking = asyncio.ensure_future(
        node.get(PATH, "POST", json={**BODY, "stream": streams}, headers=headers(node, customer))
    )
    await eventually(lambda: server.asked and len(node.sessions))
    [session] = node.sessions
    session.close(Close(CloseReason.REVOKED, "Logged out."))
    response = await within(asking)
    if streams and response.status_code == 201:
        assert '"code":"revoked"' in response.text
    else:
        assert response.status_code == 401
    await within(server.asked[0].gone.wait())


async def test_one_caller_asks_a_few_at_once_and_others_as_well(
    node: Live, server: ModelServer, client: AsyncOpenAI, customer: Caller
) -> None:
    server.will(silence)
    busy = [
        asyncio.ensure_future(node.get(PATH, "POST", json=BODY, headers=headers(node, customer)))
        for _ in range(4)
    ]
    await eventually(lambda: len(server.asked) == 4)
    with pytest.raises(openai.RateLimitError, match="At most 4 answers"):
        await client.chat.completions.create(model="pet-advisor-1", messages=ASKED)
    server.will(says("You are served."))
    other = node.member(Role.CUSTOMER, new_tenant())
    response = await node.get(PATH, "POST", json=BODY, headers=headers(node, other))
    assert "You are served." in response.text
    for one in busy:
        one.cancel()
    await asyncio.wait(busy)
    for asked in server.asked[:4]:
        await within(asked.gone.wait())


async def test_a_call_without_an_id_and_arguments_is_run(server: ModelServer, client: AsyncOpenAI) -> None:
    server.will(
        stream(
            chunk({"tool_calls": [{"index": 0, "function": {"name": "getInventory"}}]}),
            chunk({}, "stop"),
            DONE,
        ),
        says("ok"),
    )
    whole = await client.chat.completions.create(model="pet-advisor-1", messages=ASKED)
    assert whole.choices[0].message.content == "ok"
    assert server.asked[-1].body["messages"][-1]["tool_call_id"] == "call_0"
