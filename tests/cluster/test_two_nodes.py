"""Two real nodes over real servers, which are killed, frozen and restarted meanwhile."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster.clients import Heard, Listen, over_sse, over_websocket
from tests.cluster.conftest import Pair, log_in, pair_of, start, stop
from tests.http_clients import http_client
from tests.servers import PostgresServer, RedisServer
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PET = {"name": "Rex", "species": "DOG", "ageMonths": 12, "price": "75.00"}


@contextlib.asynccontextmanager
async def staff_of(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


async def create_pet(client: httpx.AsyncClient, name: str = "Rex") -> str:
    answer = await client.post("/v1/pets", json=PET | {"name": name})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def everything_since(url: str, cursor: str, token: str, last: str) -> Heard:
    """Read the log again, from a cursor to the pet with a name."""
    async with over_sse(url, "#", token=token, cursor=cursor) as heard:
        await heard.has("pet.created", name=last)
        return heard


@pytest.mark.parametrize("listen", [over_sse, over_websocket])
async def test_an_order_at_one_node_reaches_subscribers_of_the_other(pair: Pair, listen: Listen) -> None:
    token = log_in(pair.a.url)
    async with (
        staff_of(pair.a.url, token) as staff,
        listen(pair.b.url, "orders/#,pets/#", token=token) as heard,
    ):
        pet_id = await create_pet(staff)
        order = (await staff.post("/v1/orders", json={"petId": pet_id})).json()
        await heard.has("pet.created", id=pet_id)
        event = await heard.has("order.created", id=order["id"])
        assert event["topic"] == f"orders/{order['id']}/status"


async def test_nothing_is_lost_and_nothing_comes_twice_while_redis_is_killed_frozen_and_restarted(
    pair: Pair, redis_server: RedisServer
) -> None:
    token = log_in(pair.a.url)
    async with (
        staff_of(pair.a.url, token) as at_a,
        staff_of(pair.b.url, token) as at_b,
        over_sse(pair.a.url, "#", token=token) as heard_a,
        over_websocket(pair.b.url, "#", token=token) as heard_b,
    ):
        begin = heard_a.cursor
        assert begin is not None

        async def write(stage: str) -> None:
            for number in range(5):
                await create_pet(at_a, f"{stage} a{number}")
                await create_pet(at_b, f"{stage} b{number}")

        async def both_have(name: str) -> None:
            await heard_a.has("pet.created", name=name)
            await heard_b.has("pet.created", name=name)

        await write("before")
        redis_server.kill()
        await write("killed")
        await both_have("killed b4")
        redis_server.start()
        await write("back")
        redis_server.freeze()
        await write("frozen")
        await both_have("frozen b4")
        redis_server.thaw()
        redis_server.restart()
        await write("restarted")
        await both_have("restarted b4")
        told = await everything_since(pair.b.url, begin, token, "restarted b4")
    last = told.ids.index((await told.has("pet.created", name="restarted b4"))["id"])
    expected = told.ids[: last + 1]
    assert len(set(expected)) == len(expected)
    assert heard_a.ids[: len(expected)] == expected
    assert heard_b.ids[: len(expected)] == expected


async def test_of_a_hundred_orders_for_one_pet_over_both_nodes_exactly_one_wins(pair: Pair) -> None:
    token = log_in(pair.a.url)
    async with staff_of(pair.a.url, token) as at_a, staff_of(pair.b.url, token) as at_b:
        pet_id = await create_pet(at_a)

        async def order(node: httpx.AsyncClient) -> int:
            # On a busy machine somebody may have waited for their turn too long, and asks again.
            while (answer := await node.post("/v1/orders", json={"petId": pet_id})).status_code == 503:
                pass
            return answer.status_code

        statuses = await asyncio.gather(*(order(node) for node in [at_a, at_b] * 50))
        assert statuses.count(201) == 1
        assert statuses.count(409) == 99
        assert (await at_b.get(f"/v1/pets/{pet_id}")).json()["status"] == "PENDING"


async def test_a_node_killed_amid_writes_loses_no_acknowledged_write_and_no_event(pair: Pair) -> None:
    token = log_in(pair.b.url)
    acknowledged: list[str] = []

    async def write() -> None:
        async with staff_of(pair.a.url, token) as staff:
            with contextlib.suppress(httpx.TransportError):
                while True:
                    acknowledged.append(await create_pet(staff))

    async with over_sse(pair.b.url, "pets/+", token=token) as heard, staff_of(pair.b.url, token) as staff:
        writers = [asyncio.create_task(write()) for _ in range(8)]
        await eventually(lambda: len(acknowledged) >= 50)
        await asyncio.to_thread(pair.a.kill)
        await asyncio.gather(*writers)
        for pet_id in acknowledged:
            assert (await staff.get(f"/v1/pets/{pet_id}")).status_code == 200
        last = await create_pet(staff, "last")
        await heard.has("pet.created", id=last)
        created = [
            event["data"]["pet"]["id"] for event in heard.events if event["eventType"] == "pet.created"
        ]
        assert len(created) == len(set(created))
        assert set(acknowledged) <= set(created)


@pytest.mark.parametrize(("listen", "word"), [(over_sse, "reason"), (over_websocket, "code")])
async def test_a_node_told_to_stop_sends_its_streams_off_and_they_resume_on_the_other(
    pair: Pair, listen: Listen, word: str
) -> None:
    token = log_in(pair.b.url)
    made: list[str] = []
    done = asyncio.Event()

    async def write(staff: httpx.AsyncClient) -> None:
        while not done.is_set():
            made.append(await create_pet(staff))

    async with staff_of(pair.b.url, token) as staff:
        async with listen(pair.a.url, "pets/+", token=token) as before:
            writer = asyncio.create_task(write(staff))
            await eventually(lambda: len(before.events) > 10)
            pair.a.send(signal.SIGTERM)
            await eventually(lambda: before.ended)
            assert before.farewell is not None
            assert before.farewell[word] in ("draining", "service-unavailable")
        assert await asyncio.to_thread(pair.a.wait) == 0
        async with listen(pair.b.url, "pets/+", token=token, cursor=before.cursor) as after:
            await eventually(lambda: len(after.events) > 10)
            done.set()
            await writer
            await after.has("pet.created", id=made[-1])
            both = before.events + after.events
    created = [event["data"]["pet"]["id"] for event in both if event["eventType"] == "pet.created"]
    assert created == made


async def test_while_postgresql_is_away_the_answer_is_503_and_afterwards_all_is_well(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    database = PostgresServer()
    pair: Pair | None = None
    try:
        database.start()
        pair = pair_of(tmp_path, database.url(database.create_database()), redis_server.url)
        start(pair)
        token = log_in(pair.a.url)
        async with (
            staff_of(pair.a.url, token) as staff,
            over_websocket(pair.b.url, "pets/+", token=token) as heard,
        ):
            await create_pet(staff, "before")
            database.stop()
            assert (await staff.post("/v1/pets", json=PET)).status_code == 503

            async def unready() -> bool:
                ready = await staff.get("/readyz")
                return ready.status_code == 503 and ready.json()["servers"]["database"]["state"] == "down"

            await eventually(unready)
            database.start()

            async def works() -> bool:
                return (await staff.post("/v1/pets", json=PET | {"name": "after"})).status_code == 201

            await eventually(works)
            await heard.has("pet.created", name="after")
            names: list[Any] = [event["data"].get("pet", {}).get("name") for event in heard.events]
            assert names.count("before") == 1
    finally:
        if pair is not None:
            stop(pair)
        database.remove()


@pytest.mark.parametrize("listen", [over_sse, over_websocket])
async def test_a_logout_at_one_node_ends_the_stream_at_the_other(pair: Pair, listen: Listen) -> None:
    token = log_in(pair.a.url, "demo")
    async with staff_of(pair.a.url, token) as customer, listen(pair.b.url, "pets/#", token=token) as heard:
        assert (await customer.delete("/v1/auth/tokens")).status_code == 204
        await eventually(lambda: heard.ended)
