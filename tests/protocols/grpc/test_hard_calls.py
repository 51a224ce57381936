"""Compressed calls, calls that clients retry by themselves, and calls that their deadline cuts off."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from grpc import Compression, StatusCode, aio

from core.kernel.caller import Caller, Credentials, Role
from core.kernel.errors import Unavailable
from core.store.store import Admission, Call, Outcome
from protocols.grpc._generated.petstore.v1 import orders_pb2, pets_pb2
from tests.protocols.grpc.clients import Node
from tests.protocols.grpc.test_calls import PET, add
from tests.protocols.grpc.test_server import NODE, PROTO
from tests.waiting import eventually, within

RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.01s",
    "maxBackoff": "0.05s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
SERVICE_CONFIG = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": RETRIES}]})


def fail(node: Node, *, before: int = 0, after: int = 0) -> list[str]:
    """Let so many calls fail before they are carried out, and then so many after that; gives what was asked for."""
    execute, asked = node.live.store.execute, []

    async def failing(caller: Caller, call: Call) -> Outcome:
        asked.append(call.operation.name)
        if len(asked) <= before:
            raise Unavailable("Not now.")
        outcome = await execute(caller, call)
        if len(asked) <= before + after:
            raise Unavailable("The answer is lost.")
        return outcome

    node.live.store.execute = failing  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize("algorithm", [Compression.Gzip, Compression.Deflate], ids=lambda found: found.name)
async def test_a_compressed_request_is_read(node: Node, algorithm: Compression) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        request = pets_pb2.CreatePetRequest(description="good " * 700)
        request.MergeFrom(PET)
        made = await staff.pets.CreatePet(request, metadata=staff.metadata, compression=algorithm)
        assert made.description == request.description


async def test_what_is_too_much_when_it_is_unpacked_is_refused(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        request = pets_pb2.CreatePetRequest(description="x" * (40 << 20))
        with pytest.raises(aio.AioRpcError) as caught:
            await staff.pets.CreatePet(request, metadata=staff.metadata, compression=Compression.Gzip)
        assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
        assert await add(staff)


@pytest.mark.parametrize(("before", "after"), [(3, 0), (0, 1), (1, 2)])
async def test_a_client_that_retries_by_itself_has_one_effect(node: Node, before: int, after: int) -> None:
    staff = node.live.member(Role.STAFF)
    asked = fail(node, before=before, after=after)
    async with node.client(staff, service_config=SERVICE_CONFIG, enable_retries=1) as client:
        key = ("idempotency-key", "retried")
        call = client.pets.CreatePet(PET, metadata=(*client.metadata, key))
        made = await within(call)
        replayed = dict(await call.trailing_metadata()).get("idempotent-replayed") == "true"
        assert asked == ["createPet"] * (before + after + 1)
        assert replayed is (after > 0)
        found = await client.call(client.pets.ListPets, pets_pb2.ListPetsRequest())
        assert [pet.id for pet in found.pets] == [made.id]


async def test_whatever_the_deadline_an_order_is_placed_once(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        for milliseconds in range(1, 25):
            pet = await add(staff)
            request, key = orders_pb2.PlaceOrderRequest(pet_id=pet.id), ("idempotency-key", f"order {pet.id}")
            place: Any = partial(staff.call, staff.orders.PlaceOrder, request, key)
            first: Any = (await asyncio.gather(place(timeout=milliseconds / 1000), return_exceptions=True))[0]

            async def settled(place: Any = place) -> Any:
                told: Any = (await asyncio.gather(place(), return_exceptions=True))[0]
                assert isinstance(told, orders_pb2.Order) or "still running" in told.details()
                return told if isinstance(told, orders_pb2.Order) else None

            again: Any = await eventually(settled)
            if isinstance(first, aio.AioRpcError):
                assert first.code() is StatusCode.DEADLINE_EXCEEDED
            else:
                assert first == again
            assert again.pet_id == pet.id


async def test_a_javascript_client_on_a_bad_line_is_served_as_well(node: Node) -> None:
    token = node.live.staff_token()
    execute, unwilling = node.live.store.execute, 3

    async def failing(caller: Caller, call: Call) -> Outcome:
        nonlocal unwilling
        outcome = await execute(caller, call)
        if call.idempotency_key == "retried" and unwilling:
            unwilling -= 1
            raise Unavailable("The answer is lost.")
        return outcome

    node.live.store.execute = failing  # type: ignore[method-assign]
    process = await asyncio.create_subprocess_exec(
        "node", NODE / "grpc_hard.mjs", f"127.0.0.1:{node.port}", PROTO, token, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await within(process.communicate())
    told = [json.loads(line) for line in output.splitlines()]
    assert [line["description"] for line in told if line["name"] == "compressed"] == ["good " * 700] * 2
    [retried] = [line for line in told if line["name"] == "retried"]
    assert (bool(retried["id"]), unwilling) == (True, 0)
    cut = [line for line in told if line["name"] == "cut off"]
    assert len(cut) == 30
    for line in cut:
        assert line["code"] in (0, StatusCode.DEADLINE_EXCEEDED.value[0])
        assert (line["same"], bool(line["order"])) == (True, True), line
    async with node.client(node.live.member(Role.STAFF)) as staff:
        found = await staff.call(staff.pets.SearchPets, pets_pb2.SearchPetsRequest())
        assert found.pagination.total_items == 2 + 1 + 30
        placed = await staff.call(staff.orders.ListOrders, orders_pb2.ListOrdersRequest(limit=100))
        assert sorted(order.pet_id for order in placed.orders) == sorted(line["pet"] for line in cut)


async def test_many_calls_at_once_let_others_in(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)  # One piece of work in each.
    store, turn = node.live.store, 0
    admit = store.admit
    begun: list[int] = []

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def noted(credentials: Credentials, *, cost: int = 1) -> Admission:
        begun.append(turn)
        return await admit(credentials, cost=cost)

    store.admit = noted  # type: ignore[method-assign]
    counting = asyncio.create_task(count_turns())
    async with node.client() as visitor:
        calls = (visitor.call(visitor.pets.ListPets, pets_pb2.ListPetsRequest()) for _ in range(50))
        await asyncio.gather(*calls)
    counting.cancel()
    assert len(begun) == 50
    assert max(begun.count(one) for one in begun) <= 2
