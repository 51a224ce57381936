"""Completions as OpenAI's client, and plain HTTP, get them."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from core.kernel.caller import Caller, Role
from core.kernel.errors import Close, CloseReason
from core.services.advisor.pieces import count_tokens
from tests.protocols.live import Live
from tests.waiting import eventually, within

DOGS: list[ChatCompletionMessageParam] = [{"role": "user", "content": "a small dog under $300"}]
PATH = "/v1/chat/completions"


def headers(node: Live, caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {node.token(caller)}"}


async def test_the_official_client_gets_an_answer(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="pet-advisor-1", messages=DOGS)
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl_")
    assert completion.model == "PET_ADVISOR_1"
    [choice] = completion.choices
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert "Toby" in (choice.message.content or "")
    usage = completion.usage
    assert usage is not None
    assert usage.prompt_tokens == count_tokens("a small dog under $300")
    assert usage.completion_tokens == count_tokens(choice.message.content or "")
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_the_official_client_streams_the_same_answer(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="PET_ADVISOR_TURBO", messages=DOGS)
    stream = await client.chat.completions.create(
        model="pet-advisor-turbo", messages=DOGS, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)


async def test_the_official_client_follows_up(client: AsyncOpenAI) -> None:
    first = await client.chat.completions.create(
        model="pet-advisor-1", messages=[{"role": "user", "content": "the most expensive dogs"}]
    )
    said = first.choices[0].message.content
    again = await client.chat.completions.create(
        model="pet-advisor-1",
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "the most expensive dogs"}]},
            {"role": "assistant", "content": said},
            {"role": "user", "content": "and a cheaper one?"},
        ],
    )
    assert (again.choices[0].message.content or "").startswith("Available dogs, cheaper than before")


async def test_the_official_client_lists_models(client: AsyncOpenAI) -> None:
    models = await client.models.list()
    assert [model.id for model in models.data] == ["PET_ADVISOR_1", "PET_ADVISOR_TURBO"]
    assert {model.owned_by for model in models.data} == {"petstore"}


@pytest.mark.parametrize("name", ["PET_ADVISOR_1", "pet-advisor-turbo"])
async def test_the_official_client_retrieves_a_model(client: AsyncOpenAI, name: str) -> None:
    model = await client.models.retrieve(name)
    assert (model.id, model.owned_by) == (name.upper().replace("-", "_"), "petstore")
    for wrong in ("gpt-4", "PET_ADVISOR_1/x", "é"):
        with pytest.raises(openai.NotFoundError) as refused:
            await client.models.retrieve(wrong)
        assert refused.value.type == "not_found_error"


async def test_unknown_query_parameters_are_refused(node: Live, customer: Caller) -> None:
    asked = {"messages": DOGS}
    for method, path in (("POST", PATH), ("GET", "/v1/models"), ("GET", "/v1/models/PET_ADVISOR_1")):
        answer = await node.get(f"{path}?colour=red", method, json=asked, headers=headers(node, customer))
        assert (answer.status_code, "colour" in answer.json()["error"]["message"]) == (400, True)


async def test_a_message_of_other_parts_has_one_fault(node: Live, customer: Caller) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://page.example/dog.png"}}
    asked = {"messages": [{"role": "user", "content": [image]}]}
    answer = await node.get(PATH, "POST", json=asked, headers=headers(node, customer))
    assert [error["field"] for error in answer.json()["errors"]] == ["messages[0].content"]


async def test_the_official_client_understands_refusals(node: Live, client: AsyncOpenAI) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        await create(model="pet-advisor-1", messages=DOGS, n=2)
    assert (refused.value.param, refused.value.type) == ("n", "invalid_request_error")
    with pytest.raises(openai.UnprocessableEntityError, match="model"):
        await create(model="gpt-4", messages=DOGS)
    nobody = client.with_options(api_key="nonsense")
    with pytest.raises(openai.AuthenticationError):
        await nobody.chat.completions.create(model="pet-advisor-1", messages=DOGS)
    await node.drain()
    with pytest.raises(openai.InternalServerError) as away:
        await create(model="pet-advisor-1", messages=DOGS, stream=True)
    assert (away.value.status_code, away.value.type) == (503, "server_error")


async def test_both_spellings_are_read_and_written(node: Live, customer: Caller) -> None:
    for name in ("maxTokens", "max_tokens", "max_completion_tokens"):
        body = {
            "messages": [{"role": "USER", "content": "dogs"}],
            name: 3,
            "frobnicate": {"a": [1]},
            "top_p": None,
        }
        response = await node.get(PATH, "POST", json=body, headers=headers(node, customer))
        assert response.status_code == 201
        shown = response.json()
        [choice] = shown["choices"]
        assert choice["message"]["content"] == "Available dogs ("
        assert choice["finishReason"] == choice["finish_reason"] == "length"
        assert shown["usage"]["completionTokens"] == shown["usage"]["completion_tokens"] == 3
        assert shown["usage"]["totalTokens"] == shown["usage"]["total_tokens"] == 4


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "dogs"}, "messages"),
        ({"messages": [{"role": "SYSTEM", "content": "x"}]}, ""),
        ({"messages": [{"role": "USER", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "CAT", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "USER", "content": "x" * 100_001}]}, ""),
        ({"messages": [{"role": "USER", "content": "x"}] * 201}, "messages"),
        ({"n": 2}, "n"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"maxTokens": 4097}, "maxTokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"model": "gpt-4"}, "model"),
    ],
)  # fmt: skip
async def test_impossible_values_are_problems_in_both_shapes(
    node: Live, change: dict[str, Any], field: str
) -> None:
    body = {"messages": [{"role": "USER", "content": "dogs"}], "stream": True, **change}
    response = await node.get(PATH, "POST", json=body, headers=headers(node, node.member()))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["errors"][0]["field"] == field
    assert problem["error"]["type"] == "invalid_request_error"
    assert problem["error"]["param"] == (field or None)
    assert problem["error"]["message"]


async def test_it_takes_the_right_to_chat(node: Live) -> None:
    body = {"messages": [{"role": "USER", "content": "dogs"}]}
    visitor = await node.get(PATH, "POST", json=body)
    assert (visitor.status_code, visitor.json()["error"]["type"]) == (401, "authentication_error")
    device = node.token(node.member(Role.STAFF))
    assert (await node.get("/v1/models", headers={"Authorization": f"Bearer {device}"})).status_code == 200
    assert (await node.get(PATH, headers={"Authorization": f"Bearer {device}"})).status_code == 405


async def test_a_stream_says_what_it_is_and_ends(node: Live, customer: Caller) -> None:
    body = {"messages": [{"role": "USER", "content": "dogs"}], "stream": True}
    response = await node.get(PATH, "POST", json=body, headers=headers(node, customer))
    assert response.status_code == 201
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store, no-transform"
    *blocks, last = response.text.removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]"
    chunks = [json.loads(block.removeprefix("data: ")) for block in blocks]
    assert [chunk["choices"][0]["finishReason"] for chunk in chunks][-1] == "stop"
    assert all("usage" not in chunk for chunk in chunks)


def _request(node: Live, caller: Caller) -> bytes:
    """A conversation whose answer is longer than what a connection buffers."""
    body = json.dumps({"messages": [{"role": "USER", "content": "dogs"}], "stream": True}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {node.token(caller)}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def long_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every answer be megabytes."""

    async def answer(*_: object) -> str:
        return "word " * 4096

    monkeypatch.setattr("core.services.advisor.embedded.answer", answer)
    monkeypatch.setattr("core.services.advisor.embedded.tokens_of", lambda text: [text[:2000]] * 20_000)


@pytest.mark.usefixtures("long_answer")
async def test_a_client_that_does_not_read_is_told_of_the_end(node: Live, customer: Caller) -> None:
    async with node.raw(receive_buffer=4096) as client:
        client.writer.write(_request(node, customer))
        await eventually(lambda: len(node.sessions) == 1)
        [session] = node.sessions
        session.close(Close(CloseReason.REVOKED, "Logged out."))
        text = b""
        while b'"code":"revoked"}}\n\n' not in text:
            part = await within(client.reader.read(1 << 16))
            assert part
            text += part
        assert b'"type":"authentication_error"' in text
        assert b"[DONE]" not in text


@pytest.mark.usefixtures("long_answer")
async def test_a_client_that_leaves_leaves_nothing(node: Live, customer: Caller) -> None:
    async with node.raw(receive_buffer=4096) as client:
        client.writer.write(_request(node, customer))
        await eventually(lambda: len(node.sessions) == 1)
    await eventually(lambda: len(node.sessions) == 0)
