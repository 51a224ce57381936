"""Webhooks of two nodes: the one that delivers is killed amid deliveries, and the other goes on."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests.cluster.conftest import Pair, log_in, pair_of, start, stop
from tests.gateway.webhooks.receiver import Manner, Received, receiving
from tests.http_clients import ask, http_client
from tests.process import Gateway
from tests.servers import RedisServer
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PET = {"name": "Rex", "species": "DOG", "ageMonths": 12, "price": "75.00"}
CARD = {
    "object": "card",
    "name": "Sam",
    "number": "4242424242424242",
    "cvc": "123",
    "expMonth": 12,
    "expYear": 2099,
}
PRICE = {"amount": "75.00", "currency": "USD"}
PETS = 12


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str, redis_server: RedisServer) -> Iterator[Pair]:
    """Two running nodes that may post to this machine."""
    nodes = pair_of(tmp_path, postgres_url, redis_server.url, allow_private_webhooks="true")
    try:
        start(nodes)
        yield nodes
    finally:
        stop(nodes)


def delivers(node: Gateway) -> bool:
    """Whether it is this node that delivers."""
    return "petstore_webhooks_holding 1" in ask("GET", f"{node.url}/metrics").text


class Changes:
    """What is asked of a node, and what an endpoint must be told of it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.pets: list[str] = []

    async def call(self, method: str, path: str, body: object) -> dict[str, Any]:
        answer = await self._client.request(method, f"/v1{path}", json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def pet(self) -> str:
        """A pet that is made and changed."""
        pet_id = str((await self.call("POST", "/pets", PET))["id"])
        await self.call("PATCH", f"/pets/{pet_id}", {"color": "red"})
        self.pets.append(pet_id)
        return pet_id

    async def callback(self, url: str) -> dict[str, Any]:
        """A paid order whose callback was asked for; what was answered about that."""
        order = (await self.call("POST", "/orders", {"petId": await self.pet()}))["id"]
        body = {**PRICE, "timestamp": "2026-03-02T09:30:00Z", "callbackUrl": url}
        accepted = await self.call("POST", f"/orders/{order}", body)
        await self.call("POST", f"/orders/{order}/payment", {**PRICE, "source": CARD})
        return accepted


async def test_when_the_node_that_delivers_is_killed_the_other_goes_on_and_nothing_is_lost(
    pair: Pair,
) -> None:
    """What hung when it died comes again under the same id; each event comes, and those of a pet in their order."""
    await eventually(lambda: delivers(pair.a) or delivers(pair.b))
    dying, staying = (pair.a, pair.b) if delivers(pair.a) else (pair.b, pair.a)
    hanging: list[Received] = []
    killed = asyncio.Event()

    def manner(request: Received) -> Manner:
        # From some request on all hang until the node dies, so that it dies amid attempts.
        if len(receiver.received) <= PETS // 2 or killed.is_set():
            return "good"
        hanging.append(request)
        return "hang"

    headers = {"Authorization": f"Bearer {log_in(staying.url)}"}
    async with (
        receiving() as receiver,
        receiving() as called,
        http_client(base_url=staying.url, headers=headers) as client,
    ):
        receiver.manner = called.manner = manner
        changes = Changes(client)
        body = {"url": receiver.url, "events": ["pet.created", "pet.updated"]}
        made = await changes.call("POST", "/webhooks", body)
        for _ in range(PETS):
            await changes.pet()
        before = await changes.callback(called.url)
        await eventually(lambda: hanging)
        await asyncio.to_thread(dying.kill)
        killed.set()
        for _ in range(PETS):
            await changes.pet()
        after = await changes.callback(called.url)
        done: defaultdict[str, list[str]] = defaultdict(list)

        def complete() -> bool:
            done.clear()
            for request in receiver.received:
                event = json.loads(request.body)
                seen = done[event["data"]["pet"]["id"]]
                if event["eventType"] not in seen:
                    seen.append(event["eventType"])
            told = {request.headers["webhook-id"] for request in called.received}
            both = {before["requestId"], after["requestId"]} <= told
            return both and all(len(done[pet_id]) == 2 for pet_id in changes.pets)

        # An attempt that had failed before the node died is made again after a minute.
        await eventually(complete, timeout=200)
        assert delivers(staying)

    assert all(done[pet_id] == ["pet.created", "pet.updated"] for pet_id in changes.pets)
    bodies = {(request.headers["webhook-id"], request.body) for request in receiver.received}
    assert len(bodies) == 2 * len(changes.pets)
    times = Counter(request.headers["webhook-id"] for request in (*receiver.received, *called.received))
    assert all(times[request.headers["webhook-id"]] > 1 for request in hanging)
    for request in receiver.received:
        assert Verifier(made["secret"]).verify(request.body, request.headers)
    secrets = {accepted["requestId"]: accepted["secret"] for accepted in (before, after)}
    for request in called.received:
        assert Verifier(secrets[request.headers["webhook-id"]]).verify(request.body, request.headers)
