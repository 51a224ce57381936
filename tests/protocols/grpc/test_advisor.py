"""The advisor's answers as gRPC clients get them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio

from core.kernel.caller import Role
from core.kernel.errors import Close, CloseReason
from core.services.advisor.pieces import count_tokens
from core.services.tenant import SEED_TENANT
from core.store.store import Call
from gateway.language_model.server import OpenAiServer, Patience
from protocols.grpc._generated.petstore.v1 import advisor_pb2
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
from tests.protocols.grpc.clients import Client, Node, Refusal, node_with_grpc
from tests.protocols.live import new_tenant
from tests.waiting import eventually, within

USER = advisor_pb2.SPEAKER_ROLE_USER
DOGS = advisor_pb2.CompleteRequest(messages=[advisor_pb2.Turn(role=USER, content="a small dog under $300")])


async def parts_of(client: Client, request: advisor_pb2.CompleteRequest = DOGS) -> list[Any]:
    call = client.advisor.Complete(request, metadata=client.metadata)

    async def read() -> list[Any]:
        return [part async for part in call]

    return await within(read())


async def _read_on(call: Any) -> None:
    """Read to the end: the status comes behind what was written before."""
    while await call.read() is not aio.EOF:
        pass


async def test_it_answers_token_by_token(node: Node) -> None:
    tenant = new_tenant()
    await node.live.store.execute(node.live.member(Role.STAFF, tenant), Call(SEED_TENANT))
    async with node.client(node.live.member(Role.CUSTOMER, tenant)) as client:
        *parts, last = await parts_of(client)
        text = "".join(part.text for part in parts)
        assert "Toby" in text
        assert len({part.id for part in (*parts, last)}) == 1
        assert (last.text, last.finish_reason, last.model) == (
            "",
            "stop",
            advisor_pb2.ADVISOR_MODEL_PET_ADVISOR_1,
        )
        assert last.usage.completion_tokens == count_tokens(text) == len(parts)
        assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
        cut = advisor_pb2.CompleteRequest(messages=DOGS.messages, max_tokens=3)
        *parts, last = await parts_of(client, cut)
        assert (len(parts), last.finish_reason) == (3, "length")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"messages": [advisor_pb2.Turn(role=USER, content="x")] * 300}, "messages"),
    ],
)
async def test_what_cannot_be_is_refused(node: Node, change: dict[str, Any], field: str) -> None:
    request = advisor_pb2.CompleteRequest(**({"messages": DOGS.messages} | change))
    async with node.client(node.live.member()) as client:
        with pytest.raises(aio.AioRpcError) as error:
            await parts_of(client, request)
        refusal = Refusal.of(error.value)
        assert refusal.code is StatusCode.INVALID_ARGUMENT
        assert [name for name, _ in refusal.violations] == [field]


async def test_it_takes_the_right_to_chat(node: Node) -> None:
    async with node.client() as visitor:
        with pytest.raises(aio.AioRpcError) as error:
            await parts_of(visitor)
        assert error.value.code() is StatusCode.UNAUTHENTICATED


async def test_the_store_ends_it_and_a_client_may_leave(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.services.advisor.embedded.tokens_of", lambda _: ["x" * 10_000] * 10_000)
    sessions = node.live.sessions
    async with node.client(node.live.member()) as client:
        call: Any = client.advisor.Complete(DOGS, metadata=client.metadata)
        await within(call.read())
        [session] = sessions
        session.close(Close(CloseReason.REVOKED, "Logged out."))
        with pytest.raises(aio.AioRpcError) as error:
            await within(_read_on(call))
        assert error.value.code() is StatusCode.UNAUTHENTICATED
        await eventually(lambda: not len(sessions))
        call = client.advisor.Complete(DOGS, metadata=client.metadata)
        await within(call.read())
        call.cancel()
        await eventually(lambda: not len(sessions))


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


@pytest.fixture
async def modelled(tmp_path: Path, server: ModelServer) -> AsyncIterator[Node]:
    """A node whose advisor is a language model."""
    model = OpenAiServer(server.url, "some-model", patience=Patience(connect=30, silence=30))
    async with node_with_grpc(tmp_path, language_model=model) as running:
        yield running
    await model.close()


async def test_a_model_s_words_come_as_it_says_them(server: ModelServer, modelled: Node) -> None:
    pause = Pause()
    server.will(says("One ", pause, "two."))
    async with modelled.client(modelled.live.member()) as client:
        call: Any = client.advisor.Complete(DOGS, metadata=client.metadata)
        assert (await within(call.read())).text == "One "
        pause.set()
        assert (await within(call.read())).text == "two."
        last = await within(call.read())
        assert (last.finish_reason, last.usage.prompt_tokens, last.usage.completion_tokens) == ("stop", 11, 7)


async def test_a_model_s_faults_are_a_status(server: ModelServer, modelled: Node) -> None:
    async with modelled.client(modelled.live.member()) as client:
        for given, words in ((status(401), []), (stream(chunk({"content": "One "})), ["One "])):
            server.will(given)
            call: Any = client.advisor.Complete(DOGS, metadata=client.metadata)
            for text in words:
                assert (await within(call.read())).text == text
            with pytest.raises(aio.AioRpcError) as error:
                await within(call.read())
            assert error.value.code() is StatusCode.UNAVAILABLE


@pytest.mark.parametrize("given", [silence, stream(chunk({"content": "One "}), then="hang")])
async def test_who_leaves_ends_the_model_s_request(
    server: ModelServer, modelled: Node, given: Answer
) -> None:
    server.will(given)
    async with modelled.client(modelled.live.member()) as client:
        call: Any = client.advisor.Complete(DOGS, metadata=client.metadata)
        await eventually(lambda: server.asked)
        call.cancel()
        await within(server.asked[0].gone.wait())
        await eventually(lambda: not len(modelled.live.sessions))
