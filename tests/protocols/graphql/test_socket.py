"""graphql-transport-ws, word for word: rules of the protocol, rights, resuming, and ends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from core.kernel.cursor import Cursor
from core.kernel.errors import Unavailable
from core.kernel.ids import SHARED_TENANT
from protocols.graphql.shared_executions import SharedDelivery
from tests.clock import skip
from tests.protocols.graphql.clients import (
    EVENTS,
    ORDER,
    add_pet,
    answers,
    data_of,
    member,
    subscribed,
    talker,
)
from tests.protocols.live import Live, live, new_tenant
from tests.waiting import eventually

MANY = "[" + ",".join(f'"pets/{n}"' for n in range(101)) + "]"


async def test_a_query_and_a_mutation_are_answered_and_completed(node: Live) -> None:
    async with member(node, node.staff_token()) as client:
        await client.subscribe("q", "{ __typename }")
        assert await client.payload("q") == {"data": {"__typename": "Query"}}
        assert await client.hear() == {"type": "complete", "id": "q"}
        await client.subscribe(
            "m", 'mutation { createPet(input: {name: "A", species: CAT, ageMonths: 1, price: 1}) { name } }'
        )
        assert (await client.payload("m"))["data"] == {"createPet": {"name": "A"}}
        assert await client.hear() == {"type": "complete", "id": "m"}
        await client.subscribe("q", "{ nothing }")
        message = await client.hear()
        assert (message["type"], message["id"]) == ("error", "q")
        assert message["payload"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_subscription_is_acknowledged_with_its_place_before_anything_else(node: Live) -> None:
    await node.happen(1)
    async with member(node) as client:
        await client.say("subscribe", "1", {"query": EVENTS, "variables": {"topics": ["pets/#"]}})
        opened = json.loads(await client.connection.recv())
        assert opened["type"] == "pong"
        place = opened["payload"]["cursors"]["1"]
        assert Cursor.decode(place, SHARED_TENANT).sequence == 1
        await node.happen(2)
        assert await client.numbers(1) == [2]
        await client.subscribe("2", topics=["pets/#"], after=place)
        assert await client.numbers(1) == [2]
        assert client.places == {"2": place}


async def test_each_subscription_gets_its_own_answers(node: Live) -> None:
    async with member(node) as client:
        await client.subscribe("a", topics=["pets/#"])
        await client.subscribe('a longer id with "quotes" and ümlauts', topics=["pets/one"])
        await client.subscribe("c", topics=["inventory/#"])
        await subscribed(node, 3)
        await node.happen(1, 2)
        found = [await client.hear() for _ in range(4)]
        for mark in ("a", 'a longer id with "quotes" and ümlauts'):
            mine = [one for one in found if one["id"] == mark]
            assert [one["payload"]["data"]["events"]["data"]["number"] for one in mine] == [1, 2]
        await client.say("complete", "a")
        await subscribed(node, 2)
        await node.happen(3)
        assert (await client.hear())["id"] != "a"


async def test_every_answer_tells_the_place_to_resume_from(node: Live) -> None:
    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"])
        await subscribed(node, 1)
        await node.happen(1, 2, 3)
        place = (await client.payload())["extensions"]["cursor"]
    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"], after=place)
        await node.happen(4)
        assert await client.numbers(3) == [2, 3, 4]
        await client.subscribe("2", topics=["pets/#"], after="earliest")
        assert await client.numbers(4) == [1, 2, 3, 4]


async def test_cursors_of_other_doors_lead_on_here_and_ours_there(node: Live) -> None:
    async with node.stream("pets/#") as stream:
        await node.happen(1, 2)
        assert await stream.numbers(1) == [1]
        place = stream.last_id
    async with answers(node, topics=["pets/#"], after=place) as over_sse:
        assert await over_sse.numbers(1) == [2]
        place = over_sse.last_id
    await node.happen(3)
    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"], after=place)
        payload = await client.payload()
        assert payload["data"]["events"]["data"]["number"] == 3
        place = payload["extensions"]["cursor"]
    await node.happen(4)
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["pets/#"], cursor=place)
        assert await socket.numbers(1) == [4]


async def test_named_feeds_show_what_they_are_about(node: Live) -> None:
    staff, buyer = node.staff_token(), node.member()
    pet = await add_pet(node, staff)
    async with member(node, node.token(buyer)) as client:
        await client.subscribe(
            "p",
            "subscription($id: ID) { petStatusChanged(petId: $id) { oldStatus newStatus pet { name } cursor } }",
            id=pet,
        )
        await client.subscribe(
            "o",
            """subscription { orderStatusChanged { previousStatus newStatus changedAt
            order { totalAmount items { pet { name } } } } }""",
        )
        await subscribed(node, 2)
        await data_of(node, ORDER, node.token(buyer), variables={"id": pet})
        found = {message["id"]: message["payload"] for message in [await client.hear(), await client.hear()]}
        changed = found["p"]["data"]["petStatusChanged"]
        assert changed.pop("cursor") == found["p"]["extensions"]["cursor"]
        assert changed == {"oldStatus": "AVAILABLE", "newStatus": "PENDING", "pet": {"name": "Rex"}}
        order = found["o"]["data"]["orderStatusChanged"]
        assert order["changedAt"].endswith("Z")
        assert order["order"] == {"totalAmount": "75.00", "items": [{"pet": {"name": "Rex"}}]}
        assert (order["previousStatus"], order["newStatus"]) == (None, "PLACED")


async def test_messages_of_a_chat_come_to_its_customer(node: Live) -> None:
    customer = node.token(node.member())
    chat = (await data_of(node, 'mutation { openChat(input: {subject: "Food"}) { id } }', customer))[
        "openChat"
    ]["id"]
    async with member(node, customer) as client:
        await client.subscribe(
            "c", "subscription($id: ID!) { chatMessages(chatId: $id) { text senderRole cursor } }", id=chat
        )
        await subscribed(node, 1)
        say = 'mutation($id: ID!) { sendMessage(chatId: $id, input: {text: "Hello"}) { id } }'
        await data_of(node, say, node.staff_token(), variables={"id": chat})
        message = (await client.payload("c"))["data"]["chatMessages"]
        assert (message["text"], message["senderRole"]) == ("Hello", "AGENT")
        assert message["cursor"]
        await client.subscribe("d", 'subscription { chatMessages(chatId: "nothing") { text } }')
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('subscription { events(topics: ["orders/#"]) { id } }', "UNAUTHENTICATED"),
        ('subscription { events(topics: ["pets/#/x"]) { id } }', "BAD_REQUEST"),
        ("subscription { events(topics: []) { id } }", "BAD_REQUEST"),
        ('subscription { events(topics: ["pets/#"], after: "x") { id } }', "BAD_REQUEST"),
        ("subscription { events(topics: 1) { nothing } }", "BAD_REQUEST"),
        ('subscription { petStatusChanged(petId: "#") { petId } }', "BAD_REQUEST"),
        ('subscription($x: Boolean!) { events(topics: ["#"]) @skip(if: $x) { id } }', "BAD_REQUEST"),
        (f"subscription {{ events(topics: {MANY}) {{ id }} }}", "BAD_REQUEST"),
    ],
)  # fmt: skip
async def test_a_refused_subscription_ends_alone(node: Live, query: str, code: str) -> None:
    async with member(node) as client:
        await client.subscribe("other", topics=["pets/#"])
        await subscribed(node, 1)
        await client.subscribe("1", query)
        message = await client.hear()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        await node.happen(1)
        assert (await client.hear())["id"] == "other"
        assert len(list(node.graphql.shared_executions)) == 1


async def test_an_expired_cursor_ends_its_subscription_and_tells_where_to_begin(node: Live) -> None:
    async with member(node) as client:
        await node.happen(1)
        await client.subscribe("1", topics=["pets/#"], after="earliest")
        place = (await client.payload())["extensions"]["cursor"]
        await client.say("complete", "1")
        await node.happen(*range(2, 50))
        await node.store.storage.trim_log(None, 5)
        await client.subscribe("2", topics=["pets/#"], after=place)
        message = await client.hear()
        while message["type"] != "error":
            message = await client.hear()
        assert message["payload"][0]["extensions"]["code"] == "CURSOR_EXPIRED"
        await client.subscribe(
            "3", topics=["pets/#"], after=message["payload"][0]["extensions"]["oldestCursor"]
        )
        assert (await client.payload("3"))["data"]["events"]["data"]["number"] == 45


async def test_events_come_in_the_subscribers_rights(node: Live) -> None:
    anna = node.member()
    async with (
        member(node, node.token(anna)) as own,
        member(node) as visitor,
        member(node, node.staff_token()) as staff,
    ):
        for client in (own, visitor, staff):
            await client.subscribe("1", topics=["#"])
        await subscribed(node, 3)
        await node.happen_to(anna, 1)
        await node.happen_to(None, 2)
        await node.happen(3)
        assert await own.numbers(2) == [1, 3]
        assert await visitor.numbers(1) == [3]
        assert await staff.numbers(3) == [1, 2, 3]


async def test_the_payload_of_the_beginning_names_token_and_tenant_and_more_is_ignored(node: Live) -> None:
    tenant, caller = new_tenant(), node.member()
    async with talker(node) as client:
        await client.say(
            "connection_init", None, {"token": node.token(caller), "apollo": 1, "tenantId": None}
        )
        ack = await client.hear()
        assert (ack["type"], ack["payload"]["user"]["id"]) == ("connection_ack", caller.user_id)
    async with member(node, tenantId=tenant) as client:
        await client.subscribe("1", topics=["#"])
        await subscribed(node, 1)
        await node.happen(1)
        await node.happen(2, tenant=tenant)
        assert await client.numbers(1) == [2]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"token": "nonsense"}, 4403),
        ({"Authorization": "Bearer nonsense"}, 4403),
        ({"token": 7}, 4400),
        ({"cursor": 7}, 4400),
        ({"tenantId": "x"}, 4400),
    ],
)
async def test_bad_credentials_end_the_connection(node: Live, payload: Any, code: int) -> None:
    async with talker(node) as client:
        await client.say("connection_init", None, payload)
        assert (await client.end())[0] == code


async def test_a_token_of_another_tenant_ends_it_too(node: Live) -> None:
    async with talker(node) as client:
        await client.say("connection_init", None, {"token": node.staff_token(), "tenantId": new_tenant()})
        assert (await client.end())[0] == 4403


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (['{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}'], 4401),
        (['{"type":"connection_init"}', '{"type":"connection_init"}'], 4429),
        (["nonsense"], 4400),
        (["[]"], 4400),
        (['{"type":"start"}'], 4400),
        (['{"type":[]}'], 4400),
        ([b"\x01"], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"1"}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","payload":{}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"1","payload":{}}'], 4400),
        (['{"type":"ping","payload":1}'], 4400),
        (['{"type":"ping","id":"%s"}' % ("x" * 70_000)], 1009),
    ],
)  # fmt: skip
async def test_whoever_breaks_the_protocol_is_sent_off(node: Live, frames: list[Any], code: int) -> None:
    async with talker(node) as client:
        for frame in frames:
            await client.connection.send(frame)
        assert (await client.end())[0] == code


async def test_an_id_that_is_in_use_is_refused(node: Live) -> None:
    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"])
        await client.subscribe("1", topics=["pets/#"])
        assert (await client.end())[0] == 4409


async def test_whoever_completes_at_once_is_told_nothing(node: Live) -> None:
    async with member(node) as client:
        for mark in range(5):
            await client.subscribe(str(mark), topics=["pets/#"])
            await client.say("complete", str(mark))
        await client.subscribe("last", topics=["pets/#"])
        await eventually(lambda: node.graphql.shared_executions.statistics().subscribers == 1)
        await subscribed(node, 1)
        await node.happen(1)
        assert (await client.hear())["id"] == "last"


async def test_another_subprotocol_is_refused(node: Live) -> None:
    async with talker(node, subprotocols=None) as client:
        assert (await client.end())[0] == 4406


async def test_pings_are_answered_with_their_payload(node: Live) -> None:
    async with member(node) as client:
        await client.say("ping", None, {"n": 1})
        assert await client.hear() == {"type": "pong", "payload": {"n": 1}}
        await client.say("pong")


async def test_whoever_does_not_begin_in_time_is_sent_off(tmp_path: Path) -> None:
    async with live(tmp_path, login_seconds=0.1) as node, talker(node) as client:
        assert (await client.end())[0] == 4408


async def test_half_a_character_is_a_refusal_of_its_operation(node: Live) -> None:
    async with member(node) as client:
        await client.subscribe("1", '{ pets(search: "\ud83d") { id } }')
        told = await client.hear()
        assert (told["type"], told["id"]) == ("error", "1")
        await client.subscribe("2", "{ __typename }")
        assert (await client.hear())["type"] == "next"


async def test_a_backlog_is_read_more_slowly_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    async with (
        live(tmp_path, message_burst=10, messages_per_second=50) as node,
        member(node) as client,
    ):
        for mark in range(40):
            await client.subscribe(str(mark), "{ __typename }")
        done = [mark async for mark in _completed(client, 40)]
        assert sorted(done, key=int) == [str(mark) for mark in range(40)]


async def _completed(client: Any, count: int) -> AsyncIterator[str]:
    while count:
        told = await client.hear()
        assert told["type"] != "error", told
        if told["type"] == "complete":
            count -= 1
            yield told["id"]


@pytest.mark.parametrize("flood", ["ping", "pong", "complete", "refused documents"])
async def test_whoever_only_floods_is_told_4429(tmp_path: Path, flood: str) -> None:
    async with live(tmp_path, message_burst=5, messages_per_second=10) as node, member(node) as client:
        for mark in range(30):
            if flood == "refused documents":
                await client.subscribe(str(mark), "{ nothing }")
            else:
                await client.say(flood, "1" if flood == "complete" else None)
        assert (await client.end())[0] == 4429


async def test_too_many_connections_are_to_be_tried_again_later(tmp_path: Path) -> None:
    async with live(tmp_path, connections_per_caller=1) as node:
        token = node.staff_token()
        async with member(node, token), talker(node) as client:
            await client.say("connection_init", None, {"token": token})
            assert (await client.end())[0] == 1013


async def test_operations_count_against_the_budget(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=2) as node, member(node) as client:
        await client.subscribe("1", "{ __typename }")
        assert [(await client.hear())["type"] for _ in range(2)] == ["next", "complete"]
        await client.subscribe("2", "{ __typename }")
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_the_end_of_a_token_ends_the_connection_with_the_last_place(node: Live) -> None:
    async with member(node, node.token(node.member(lasts=20))) as client:
        await client.subscribe("1", topics=["#"])
        await subscribed(node, 1)
        await node.happen(1)
        place = (await client.payload())["extensions"]["cursor"]
        skip(20)
        code, messages = await client.end()
        assert (code, messages) == (4403, [])
        assert client.places == {"1": place}


async def test_a_revoked_login_ends_the_connection(node: Live) -> None:
    caller = node.member()
    async with member(node, node.token(caller)) as client:
        await node.store.revocations.revoke(caller.subjects)
        assert (await client.end())[0] == 4403


async def test_a_drain_tells_the_places_and_ends_no_subscription(node: Live) -> None:
    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"])
        await client.subscribe("2", topics=["inventory/#"])
        await subscribed(node, 2)
        await node.happen(1)
        await client.payload("1")
        await node.drain()
        code, messages = await client.end()
    assert (code, messages) == (1001, [])
    assert list(client.places) == ["1", "2"]
    assert {Cursor.decode(place, SHARED_TENANT).sequence for place in client.places.values()} == {1}
    assert client.place in client.places.values()
    node.store.draining = False


async def test_a_subscription_that_cannot_begin_now_is_for_the_next_connection(node: Live) -> None:
    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"])
        await subscribed(node, 1)

        async def away(*_: object) -> None:
            raise Unavailable("The database is away.")

        node.store.hub.subscribe = away  # type: ignore[method-assign, assignment]
        await client.subscribe("2", topics=["pets/#"])
        assert await client.end() == (1001, [])
    del node.store.hub.subscribe


async def test_a_stream_that_fails_is_for_the_next_connection(node: Live, monkeypatch: Any) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("an error of ours")

    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"])
        await subscribed(node, 1)
        monkeypatch.setattr(SharedDelivery, "deliver", fail)
        await node.happen(1)
        assert (await client.end())[0] == 1013


async def test_a_cursor_of_the_connection_is_where_subscriptions_begin(node: Live) -> None:
    async with member(node) as client:
        await client.subscribe("1", topics=["pets/#"])
        await subscribed(node, 1)
        await node.happen(1, 2, 3, 4)
        first, _, third = [(await client.payload())["extensions"]["cursor"] for _ in range(3)]
    async with member(node, cursor=first) as client:
        await client.subscribe("1", topics=["pets/#"])
        assert await client.numbers(3) == [2, 3, 4]
        await client.subscribe("2", topics=["pets/#"], after=third)
        assert await client.numbers(1) == [4]
        await client.subscribe("3", "subscription { events(topics: []) { id } }")
        assert (await client.hear())["type"] == "error"
    for bad in ("x", "x" * 300):
        async with member(node, cursor=bad) as client:
            await client.subscribe("1", topics=["pets/#"])
            assert (await client.hear())["payload"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_the_place_of_a_connection_is_the_least_of_its_subscriptions(tmp_path: Path) -> None:
    async with live(tmp_path, ping_seconds=0.05) as node:
        await node.happen(*range(1, 4))
        begin = asyncio.Event()
        async with member(node) as client:
            await client.subscribe("1", topics=["pets/#"])
            await client.subscribe("2", topics=["pets/#"], after="earliest")
            assert await client.numbers(3) == [1, 2, 3]
            while client.place != client.places["1"]:
                assert (await client.hear())["type"] == "ping"
            hold = node.store.hub.subscribe

            async def held(*arguments: Any) -> Any:
                await begin.wait()
                return await hold(*arguments)

            node.store.hub.subscribe = held  # type: ignore[method-assign, assignment]
            await client.subscribe("3", topics=["pets/#"], after="earliest")
            while "cursor" in (await client.hear())["payload"]:
                pass
            begin.set()
            del node.store.hub.subscribe
            assert await client.numbers(3) == [1, 2, 3]


async def test_who_keeps_the_place_of_the_connection_misses_nothing_of_any_subscription(
    tmp_path: Path,
) -> None:
    """One subscription may be ahead of another when the line is cut; what comes again is no loss."""
    seen: dict[str, list[int]] = {"a": [], "b": []}
    count, place = 0, "earliest"

    async def happen(node: Live) -> None:
        nonlocal count
        for _ in range(10):
            await node.happen(count, topic="ab"[count % 2])
            count += 1

    def complete() -> bool:
        return all(set(seen["ab"[number % 2]]) >= {number} for number in range(count))

    async with live(tmp_path, ping_seconds=0.02) as node:
        for cut in range(8):
            async with member(node, cursor=place) as client:
                for mark in seen:
                    await client.subscribe(mark, topics=[f"pets/{mark}"])
                await happen(node)
                last = cut == 7
                heard = 0
                while not complete() if last else heard <= 3 * cut:
                    message = await client.hear()
                    place = client.place or place
                    if message["type"] == "next":
                        heard += 1
                        number = message["payload"]["data"]["events"]["data"]["number"]
                        seen[message["id"]].append(number)
                client.connection.transport.abort()
            if not last:
                await happen(node)


async def test_a_quiet_subscriber_is_told_his_place_now_and_then(tmp_path: Path) -> None:
    async with live(tmp_path, ping_seconds=0.05) as node, member(node) as client:
        await client.subscribe("1", topics=["inventory/#"])
        await subscribed(node, 1)
        await node.happen(1, 2, 3)
        while True:
            message = await client.hear()
            assert message["type"] == "ping"
            place = message.get("payload", {}).get("cursors", {}).get("1")
            if place and Cursor.decode(place, SHARED_TENANT).sequence == 3:
                break


async def test_clients_that_are_cut_off_leave_nothing(node: Live) -> None:
    for _ in range(10):
        async with member(node) as client:
            for mark in range(5):
                await client.subscribe(str(mark), topics=["#"], after="earliest")
            await client.subscribe("q", "{ pets { owner { id } } }")
            client.connection.transport.abort()


async def test_a_reader_who_falls_behind_misses_nothing(node: Live) -> None:
    async with member(node) as slow:
        await slow.subscribe("1", topics=["pets/#"])
        await subscribed(node, 1)
        slow.connection.transport.pause_reading()
        for start in range(0, 3000, 100):
            await node.happen(*range(start, start + 100), filling=1000)
        await asyncio.sleep(0)
        slow.connection.transport.resume_reading()
        assert await slow.numbers(3000) == list(range(3000))


async def test_answers_wait_for_who_reads_them(tmp_path: Path) -> None:
    async with (
        live(tmp_path, stall_limit=1, messages_per_second=0) as node,
        talker(node, max_queue=1) as client,
    ):
        taken = 0
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.say("ping", None, {"filling": "x" * 60_000})
                taken += 60_000
        assert taken < 32 * 1024 * 1024  # What the two kernels hold, and little more.


async def test_a_half_open_message_holds_up_nobody(node: Live) -> None:
    async with node.raw() as raw, member(node) as client:
        raw.send(
            b"GET /v1/graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n\x81"
        )
        assert b" 101 " in await raw.read_head()
        await client.subscribe("1", topics=["#"])
        await subscribed(node, 1)
        await node.happen(1)
        assert await client.numbers(1) == [1]
