"""A write whose client goes, at every door for calls: it is done or not, and the same idempotency key says which."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grpc import aio
from websockets.asyncio.client import connect

from core.kernel.caller import Role
from core.kernel.errors import StorageDown
from core.models import examples
from core.services.pets import LIST_PETS
from protocols.grpc._generated.petstore.v1 import pets_pb2
from tests.core.gate import Gate
from tests.core.stores import Shop
from tests.protocols.graphql.clients import SUBPROTOCOL, post
from tests.protocols.grpc.clients import Node, Refusal, node_with_grpc
from tests.protocols.grpc.test_calls import PET
from tests.waiting import TIMEOUT_SECONDS, eventually, within

KEY = "one pet"
DOORS = ["rest", "graphql", "graphql socket", "grpc", "grpc deadline"]
MUTATION = """mutation($input: PetInput!) { createPet(input: $input, idempotencyKey: "one pet") { id } }"""


@dataclass
class Answer:
    """What a call gave: a pet; or the reason why not, and whether it says when to ask again."""

    pet_id: str | None = None
    reason: str = ""
    retry: bool = False


class Caller:
    """Somebody who adds a pet, always with the same key, at one door."""

    def __init__(self, node: Node, door: str) -> None:
        self._node = node
        self._door = door
        self._token = node.live.staff_token()

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[Callable[[], object]]:
        """Ask, and give what breaks the line."""
        node, token = self._node, self._token
        if self._door.startswith("grpc"):
            async with node.client() as client:
                await client.call(client.pets.ListPets, pets_pb2.ListPetsRequest())  # The connection is made.
                deadline = 3 if self._door == "grpc deadline" else None
                call = client.pets.CreatePet(PET, metadata=self._metadata, timeout=deadline)
                yield (lambda: None) if deadline else call.cancel
                with pytest.raises((aio.AioRpcError, asyncio.CancelledError)):
                    await call
        elif self._door == "graphql socket":
            url = f"ws://127.0.0.1:{node.live.port}/v1/graphql"
            async with connect(url, subprotocols=[SUBPROTOCOL], proxy=None) as socket:
                await socket.send(json.dumps({"type": "connection_init", "payload": {"token": token}}))
                await within(socket.recv())
                payload = {"query": MUTATION, "variables": {"input": examples.PET_DRAFT}}
                await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
                yield socket.transport.abort
        else:
            path, body = "/v1/pets", dict(examples.PET_DRAFT)
            if self._door == "graphql":
                path, body = "/v1/graphql", {"query": MUTATION, "variables": {"input": body}}
            content = json.dumps(body).encode()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n"
                f"Idempotency-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            async with node.live.raw() as client:
                client.send(head.encode() + content)
                yield client.writer.transport.abort

    async def ask(self) -> Answer:
        """Ask, and wait for the answer."""
        if self._door == "rest":
            response = await self._node.live.get(
                "/v1/pets", "POST", json=examples.PET_DRAFT, headers=dict(self._headers)
            )
            told = response.json()
            if response.status_code == 201:
                return Answer(told["id"])
            return Answer(None, told["type"].rpartition("/")[2], "retry-after" in response.headers)
        if self._door.startswith("graphql"):
            answer = await post(
                self._node.live, MUTATION, self._token, variables={"input": examples.PET_DRAFT}
            )
            told = answer.json()
            if "errors" not in told:
                return Answer(told["data"]["createPet"]["id"])
            extensions = told["errors"][0]["extensions"]
            return Answer(None, extensions["code"].lower(), "retryAfter" in extensions)
        async with self._node.client() as client:
            try:
                pet = await client.pets.CreatePet(PET, metadata=self._metadata, timeout=TIMEOUT_SECONDS)
            except aio.AioRpcError as error:
                refusal = Refusal.of(error)
                return Answer(None, refusal.info.reason.lower(), refusal.retry is not None)
            return Answer(pet.id)

    @property
    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (("Authorization", f"Bearer {self._token}"), ("Idempotency-Key", KEY))

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple((name.lower(), value) for name, value in self._headers)


async def pets_of(node: Node) -> list[str]:
    """The ids of all pets there are."""
    staff = node.live.member(Role.STAFF)
    shop = Shop(node.live.store, staff.tenant)
    return [pet.id for pet in (await shop.call(LIST_PETS, staff, status="ALL")).data]


@pytest.mark.parametrize("door", DOORS)
async def test_a_write_that_was_cut_off_is_done_and_its_key_says_so(tmp_path: Path, door: str) -> None:
    async with node_with_grpc(tmp_path) as node:
        caller = Caller(node, door)
        gate = Gate(node.live.store, passing=1)  # The key is reserved in a write of its own.
        async with caller.asking() as cut:
            await within(gate.reached.wait())
            cut()
        meanwhile = await caller.ask()
        assert (meanwhile.pet_id, meanwhile.reason, meanwhile.retry) == (None, "conflict", True)
        gate.go_on.set()
        await eventually(lambda: pets_of(node))
        [pet_id] = await pets_of(node)
        assert await caller.ask() == Answer(pet_id)
        assert await pets_of(node) == [pet_id]


@pytest.mark.parametrize("door", DOORS)
async def test_a_write_that_was_cut_off_and_failed_is_done_by_its_key(tmp_path: Path, door: str) -> None:
    async with node_with_grpc(tmp_path) as node:
        caller = Caller(node, door)
        gate = Gate(node.live.store, passing=1)
        gate.error = StorageDown("for a test")
        async with caller.asking() as cut:
            await within(gate.reached.wait())
            cut()
        gate.go_on.set()

        async def answered() -> Answer | None:
            answer = await caller.ask()
            return answer if answer.pet_id else None

        found: Any = await eventually(answered)
        assert await pets_of(node) == [found.pet_id]
