"""The advisor's answers as subscriptions: over a WebSocket, and as event streams."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.kernel.caller import Role
from core.kernel.errors import Close, CloseReason
from core.services.tenant import SEED_TENANT
from core.store.store import Call
from gateway.language_model.server import OpenAiServer, Patience
from tests.model_server import (
    Answer,
    ModelServer,
    Pause,
    chunk,
    model_server,
    says,
    silence,
    status,
    stream,
)
from tests.protocols.graphql.clients import answers, errors_of, member
from tests.protocols.live import Live, live, new_tenant
from tests.waiting import eventually, within

QUERY = """subscription($messages: [TurnInput!]!, $most: Int) {
  completion(messages: $messages, maxTokens: $most) {
    id model createdAt text finishReason usage { promptTokens completionTokens totalTokens }
  }
}"""
DOGS: Any = [{"role": "SYSTEM", "content": "Be kind."}, {"role": "USER", "content": "a small dog under $300"}]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest.fixture
async def modelled(tmp_path: Path, server: ModelServer) -> AsyncIterator[Live]:
    """A node whose advisor is a language model."""
    model = OpenAiServer(server.url, "some-model", patience=Patience(connect=30, silence=30))
    async with live(tmp_path, language_model=model) as running:
        yield running
    await model.close()


def part_of(payload: dict[str, Any]) -> dict[str, Any]:
    assert "errors" not in payload, payload
    found: dict[str, Any] = payload["data"]["completion"]
    return found


async def test_the_embedded_engine_answers_both(node: Live) -> None:
    tenant = new_tenant()
    await node.store.execute(node.member(Role.STAFF, tenant), Call(SEED_TENANT))
    token = node.token(node.member(Role.CUSTOMER, tenant))
    async with member(node, token) as client:
        await client.subscribe("1", QUERY, messages=DOGS)
        said = part_of(await client.payload("1"))
        last = part_of(await client.payload("1"))
        assert await client.hear() == {"type": "complete", "id": "1"}
        assert "Toby" in said["text"]
        assert (said["finishReason"], said["usage"]) == (None, None)
        assert (last["id"], last["text"], last["finishReason"]) == (said["id"], "", "stop")
        assert (
            last["usage"]["totalTokens"] == last["usage"]["promptTokens"] + last["usage"]["completionTokens"]
        )
        await client.subscribe("1", QUERY, messages=DOGS, most=3)
        assert part_of(await client.payload("1"))["text"] == "Available small dogs"
        assert part_of(await client.payload("1"))["finishReason"] == "length"
    async with answers(node, QUERY, token=token, messages=DOGS) as client_by_stream:
        assert part_of(await client_by_stream.answer())["text"] == said["text"]
        assert part_of(await client_by_stream.answer())["usage"] == last["usage"]
        assert (await client_by_stream.block())["event"] == "complete"


async def test_a_model_s_words_come_as_it_says_them(server: ModelServer, modelled: Live) -> None:
    token = modelled.token(modelled.member())
    pause = Pause()
    server.will(says("One ", pause, "two."))
    async with member(modelled, token) as client:
        await client.subscribe("1", QUERY, messages=DOGS)
        assert part_of(await client.payload("1"))["text"] == "One "
        await client.subscribe("2", "{ __typename }")
        assert (await client.payload("2"))["data"] == {"__typename": "Query"}
        pause.set()
        assert await client.hear() == {"type": "complete", "id": "2"}
        assert part_of(await client.payload("1"))["text"] == "two."
        assert part_of(await client.payload("1"))["usage"]["promptTokens"] == 11
    pause = Pause()
    server.will(says("One ", pause, "two."))
    async with answers(modelled, QUERY, token=token, messages=DOGS) as by_stream:
        assert part_of(await by_stream.answer())["text"] == "One "
        pause.set()
        assert part_of(await by_stream.answer())["text"] == "two."


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"messages": []}, "VALIDATION_ERROR"),
        ({"messages": [{"role": "SYSTEM", "content": "x"}]}, "VALIDATION_ERROR"),
        ({"messages": DOGS, "most": 0}, "VALIDATION_ERROR"),
        ({"messages": [{"role": "CAT"}]}, "BAD_REQUEST"),
    ],
)
async def test_impossible_values_end_the_subscription_alone(
    node: Live, variables: dict[str, Any], code: str
) -> None:
    token = node.token(node.member())
    async with member(node, token) as client:
        await client.subscribe("1", QUERY, **variables)
        message = await client.hear()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        await client.subscribe("2", "{ __typename }")
        assert (await client.payload("2"))["data"] == {"__typename": "Query"}
    async with answers(node, QUERY, token=token, **variables) as by_stream:
        assert (await by_stream.answer())["errors"][0]["extensions"]["code"] == code
        assert (await by_stream.block())["event"] == "complete"


async def test_it_takes_the_right_to_chat_and_a_stream(node: Live) -> None:
    async with member(node) as visitor:
        await visitor.subscribe("1", QUERY, messages=DOGS)
        assert (await visitor.hear())["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    [error] = await errors_of(node, QUERY, node.token(node.member()), variables={"messages": DOGS})
    assert error["extensions"]["code"] == "BAD_REQUEST"


async def test_each_costs_a_request(tmp_path: Path) -> None:
    async with (
        live(tmp_path, requests_per_minute=3, network_requests_per_minute=0) as node,
        member(node, node.token(node.member())) as client,
    ):
        for number in range(2):  # The connection has cost one.
            await client.subscribe(str(number), QUERY, messages=DOGS)
            assert part_of(await client.payload())["text"]
            assert part_of(await client.payload())["finishReason"] == "stop"
            assert (await client.hear())["type"] == "complete"
        await client.subscribe("more", QUERY, messages=DOGS)
        refused = await client.hear()
        assert (refused["type"], refused["id"]) == ("error", "more")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"


@pytest.mark.parametrize("given", [status(401), stream(chunk({"content": "One "}))])
async def test_a_model_s_faults_end_the_subscription_with_an_error(
    server: ModelServer, modelled: Live, given: Answer
) -> None:
    token = modelled.token(modelled.member())
    server.will(given)
    async with member(modelled, token) as client:
        await client.subscribe("1", QUERY, messages=DOGS)
        while (message := await client.hear())["type"] == "next":
            assert part_of(message["payload"])["text"] == "One "
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == "UNAVAILABLE"
        await client.subscribe("2", "{ __typename }")
        assert (await client.payload("2"))["data"] == {"__typename": "Query"}
    async with answers(modelled, QUERY, token=token, messages=DOGS) as by_stream:
        while "errors" not in (answer := await by_stream.answer()):
            assert part_of(answer)["text"] == "One "
        assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert (await by_stream.block())["event"] == "complete"


@pytest.mark.parametrize("given", [silence, stream(chunk({"content": "One "}), then="hang")])
async def test_who_wants_no_more_ends_the_model_s_request(
    server: ModelServer, modelled: Live, given: Answer
) -> None:
    token = modelled.token(modelled.member())
    server.will(given)
    async with member(modelled, token) as client:
        await client.subscribe("1", QUERY, messages=DOGS)
        await eventually(lambda: server.asked)
        await client.say("complete", "1")
        await within(server.asked[0].gone.wait())
        await client.subscribe("1", QUERY, messages=DOGS)
        await eventually(lambda: len(server.asked) == 2)
    await within(server.asked[1].gone.wait())
    async with answers(modelled, QUERY, token=token, messages=DOGS):
        await eventually(lambda: len(server.asked) == 3)
    await within(server.asked[2].gone.wait())


async def test_it_ends_with_the_login(server: ModelServer, modelled: Live) -> None:
    server.will(stream(chunk({"content": "One "}), then="hang"))
    caller = modelled.member()
    async with (
        member(modelled, modelled.token(caller)) as client,
        answers(modelled, QUERY, token=modelled.token(caller), messages=DOGS) as by_stream,
    ):
        await client.subscribe("1", QUERY, messages=DOGS)
        await client.payload("1")
        await by_stream.answer()
        for session in modelled.sessions:
            session.close(Close(CloseReason.REVOKED, "Logged out."))
        code, messages = await client.end()
        assert (code, messages) == (4403, [])
        with pytest.raises(EOFError):
            await by_stream.answer()
        for asked in server.asked:
            await within(asked.gone.wait())
