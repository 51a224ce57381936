"""Shared execution: what subscribers have in common is executed once."""

import asyncio
import contextlib

import pytest

from core.kernel.caller import Role
from tests.protocols.graphql.clients import (
    EVENTS,
    ORDER,
    Talker,
    add_pet,
    answers,
    data_of,
    member,
    subscribed,
)
from tests.protocols.live import Live


def executions(node: Live) -> int:
    return node.graphql.shared_executions.statistics().executions


async def test_an_event_is_executed_once_for_all_who_asked_alike(node: Live) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients: list[Talker] = []
        for number in range(20):
            client = await stack.enter_async_context(member(node))
            await client.subscribe(f"id-{number}", topics=["pets/#"])
            clients.append(client)
        await subscribed(node, 20)
        statistics = node.graphql.shared_executions.statistics()
        assert (statistics.documents, statistics.subscribers) == (1, 20)
        await node.happen(1, 2, 3)
        for number, client in enumerate(clients):
            for told in (1, 2, 3):
                payload = await client.payload(f"id-{number}")
                assert payload["data"]["events"]["data"]["number"] == told
        assert executions(node) == 3


async def test_sockets_and_streams_share_and_so_does_whoever_resumes(node: Live) -> None:
    async with member(node) as first, answers(node, topics=["pets/#"]) as stream:
        await first.subscribe("1", topics=["pets/#"])
        await subscribed(node, 2)
        await node.happen(1, 2)
        assert await first.numbers(2) == [1, 2]
        assert await stream.numbers(2) == [1, 2]
        async with member(node) as late:
            await late.subscribe("later", topics=["pets/#"], after="earliest")
            assert await late.numbers(2) == [1, 2]
            assert node.graphql.shared_executions.statistics().documents == 1
        assert executions(node) == 2


@pytest.mark.parametrize("difference", ["rights", "variables", "document"])
async def test_what_differs_is_not_shared(node: Live, difference: str) -> None:
    token = node.staff_token() if difference == "rights" else None
    topics = ["pets/+"] if difference == "variables" else ["pets/#"]
    query = EVENTS.replace("topic cursor", "cursor topic") if difference == "document" else EVENTS
    async with member(node) as one, member(node, token) as other:
        await one.subscribe("1", topics=["pets/#"])
        await other.subscribe("1", query, topics=topics)
        await subscribed(node, 2)
        await node.happen(1)
        assert await one.numbers(1) == await other.numbers(1) == [1]
        assert executions(node) == 2


async def test_staff_share_and_customers_do_not(node: Live) -> None:
    tokens = [
        node.token(node.member(role)) for role in (Role.STAFF, Role.STAFF, Role.CUSTOMER, Role.CUSTOMER)
    ]
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(member(node, token)) for token in tokens]
        for client in clients:
            await client.subscribe("1", topics=["pets/#"])
        await subscribed(node, 4)
        assert node.graphql.shared_executions.statistics().documents == 3
        await node.happen(1)
        for client in clients:
            assert await client.numbers(1) == [1]
        assert executions(node) == 3


async def test_links_are_looked_up_once_for_all_and_answers_keep_their_order(node: Live) -> None:
    staff = node.staff_token()
    query = "subscription { orderStatusChanged { newStatus order { items { pet { name } } } } }"
    plain = "subscription { orderStatusChanged { newStatus } }"
    pets = [await add_pet(node, staff) for _ in range(5)]
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(member(node, node.staff_token())) for _ in range(5)]
        for client in clients:
            await client.subscribe("1", query)
        await clients[0].subscribe("2", plain)
        await subscribed(node, 6)
        orders = [
            (await data_of(node, ORDER, staff, variables={"id": pet}))["placeOrder"]["id"] for pet in pets
        ]
        for order in orders:
            await data_of(
                node, "mutation($id: ID!) { cancelOrder(id: $id) { id } }", staff, variables={"id": order}
            )
        for client in clients:
            told: list[str] = []
            while len(told) < 10:
                message = await client.hear()
                if message["id"] == "1":
                    change = message["payload"]["data"]["orderStatusChanged"]
                    assert change["order"]["items"] == [{"pet": {"name": "Rex"}}]
                    told.append(change["newStatus"])
            assert told == ["PLACED"] * 5 + ["CANCELLED"] * 5
        assert executions(node) == 20


async def test_a_document_that_nobody_follows_is_forgotten(node: Live) -> None:
    async with member(node) as client:
        for mark in range(5):
            await client.subscribe(str(mark), topics=[f"pets/{mark}"])
        await subscribed(node, 5)
        for mark in range(5):
            await client.say("complete", str(mark))
        await subscribed(node, 0)
        assert node.graphql.shared_executions.statistics().documents == 0


async def test_a_batch_whose_links_are_not_looked_up_yet_is_not_behind_the_last_place(node: Live) -> None:
    """A drain in the middle of an execution hands out the place before what was not told."""
    staff = node.staff_token()
    pet = await add_pet(node, staff)
    held = asyncio.Event()
    execute = node.store.execute
    query = "subscription { orderStatusChanged { order { id items { pet { name } } } } }"

    async def slow(caller: object, call: object) -> object:
        if getattr(call, "operation").name == "lookUpPets":  # noqa: B009 - of whatever type
            await held.wait()
        return await execute(caller, call)  # type: ignore[arg-type]

    node.store.execute = slow  # type: ignore[method-assign, assignment]
    async with member(node, staff) as client:
        await client.subscribe("1", query)
        await subscribed(node, 1)
        await data_of(node, ORDER, staff, variables={"id": pet})
        await node.drain()
        held.set()
        assert await client.end() == (1001, [])
    place = client.place
    node.store.draining = False
    node.store.execute = execute  # type: ignore[method-assign]
    async with member(node, staff) as client:
        await client.subscribe("1", query.replace("Changed", f'Changed(after: "{place}")'))
        assert (await client.payload())["data"]["orderStatusChanged"]["order"]["items"] == [
            {"pet": {"name": "Rex"}}
        ]


def own(number: int) -> str:
    """A document like no other."""
    return EVENTS.replace("topic cursor", f"topic cursor a{number}: id")


async def test_many_executions_let_others_in_between(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)  # One piece of work in each.
    async with member(node) as client:
        for number in range(20):
            await client.subscribe(str(number), own(number), topics=["pets/#"])
        await subscribed(node, 20)
        await node.happen(1)
        turns = 0
        while executions(node) < 20:
            before, turns = executions(node), turns + 1
            await asyncio.sleep(0)
            assert executions(node) <= before + 2
        assert turns >= 10
        assert await client.numbers(20) == [1] * 20


async def test_many_events_at_once_let_others_in_between(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.happen(*range(100))
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)
    async with member(node) as client, member(node) as other:
        for one in (client, other):
            await one.subscribe("1", topics=["pets/#"], after="earliest")
        assert await client.numbers(100) == list(range(100))
        assert await other.numbers(100) == list(range(100))
        await node.happen(100)
        assert await client.numbers(1) == await other.numbers(1) == [100]


async def test_what_one_caller_follows_is_bounded_over_all_connections(
    node: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocols.graphql.shared_executions._MAX_EXECUTIONS", 3)
    customer = node.member(Role.CUSTOMER)
    tokens = [node.token(customer)] * 2 + [node.token(node.member(Role.CUSTOMER))]
    async with contextlib.AsyncExitStack() as stack:
        first, second, other = [await stack.enter_async_context(member(node, token)) for token in tokens]
        for number in range(3):
            await first.subscribe(str(number), own(number), topics=["pets/#"])
        await subscribed(node, 3)
        await second.subscribe("same", own(0), topics=["pets/#"])
        await subscribed(node, 4)
        await second.subscribe("one more", own(3), topics=["pets/#"])
        refused = await second.hear()
        assert (refused["type"], refused["id"]) == ("error", "one more")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await other.subscribe("1", own(3), topics=["pets/#"])
        await subscribed(node, 5)
        await first.say("complete", "0")
        await second.say("complete", "same")
        await subscribed(node, 3)
        await second.subscribe("again", own(3), topics=["pets/#"])
        await subscribed(node, 4)
