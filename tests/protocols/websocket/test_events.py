"""The socket of domain events: subscribing, resuming, and who sees what."""

from pathlib import Path

import pytest

from core.kernel.caller import Role
from core.kernel.cursor import Cursor
from core.kernel.ids import SHARED_TENANT, new_id
from core.models.orders import Order
from core.services.orders import PLACE_ORDER
from core.services.pets import CREATE_PET
from tests.core.stores import Shop
from tests.protocols.live import Live, live, new_tenant


async def test_a_visitor_subscribes_and_sees_public_events(node: Live) -> None:
    async with node.socket() as socket:
        await socket.say("subscribe", "s1", topics=["pets/#"])
        assert (await socket.hear())["type"] == "connected"
        ack = await socket.hear()
        assert (ack["type"], ack["replyTo"], ack["data"]["topics"]) == ("ack", "s1", ["pets/#"])
        await node.happen(1, 2)
        event = await socket.hear()
        assert event.keys() == {"type", "data"}
        assert event["data"].keys() == {"id", "eventType", "timestamp", "tenantId", "topic", "cursor", "data"}
        assert await socket.numbers(1) == [2]


async def test_an_event_that_several_filters_match_comes_once(node: Live) -> None:
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["pets/#", "#", "pets/one"])
        await socket.ask("subscribe", topics=["pets/+"])
        await node.happen(1)
        await node.happen(2)
        assert await socket.numbers(2) == [1, 2]


async def test_the_acknowledgement_comes_before_the_events(node: Live) -> None:
    await node.happen(*range(1, 300))
    async with node.socket() as socket:
        await socket.say("subscribe", 1, topics=["pets/one"], cursor="earliest")
        await socket.say("subscribe", 2, topics=["pets/+"], cursor="earliest")
        assert (await socket.until("ack", "event"))["replyTo"] == 1
        numbers: list[int] = []
        acks = 0
        while len(numbers) < 299:
            message = await socket.hear()
            if message["type"] == "ack":
                acks += 1
            else:
                numbers.append(message["data"]["data"]["number"])
        assert (numbers, acks) == (list(range(1, 300)), 1)


async def test_a_subscription_resumes_from_a_cursor_without_gap_or_repeat(node: Live) -> None:
    async with node.socket() as socket:
        cursor = (await socket.ask("subscribe", topics=["pets/#"]))["cursor"]
        await node.happen(1, 2)
        first = await socket.until("event")
    await node.happen(3)
    for place, missed in [(cursor, [1, 2, 3]), (first["data"]["cursor"], [2, 3]), ("earliest", [1, 2, 3])]:
        async with node.socket() as socket:
            answer = await socket.ask("subscribe", topics=["pets/#"], cursor=place)
            assert Cursor.decode(answer["cursor"], SHARED_TENANT).sequence == 3 - len(missed)
            assert await socket.numbers(len(missed)) == missed
            assert Cursor.decode((await socket.ask("ping"))["cursor"], SHARED_TENANT).sequence == 3
    await node.happen(4)
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["pets/#"], cursor=first["data"]["cursor"])
        await node.happen(5)
        assert await socket.numbers(4) == [2, 3, 4, 5]


async def test_unsubscribing_ends_the_events_of_those_topics_alone(node: Live) -> None:
    async with node.socket() as socket:
        await socket.ask("unsubscribe", topics=["pets/#"])
        await socket.ask("subscribe", topics=["pets/one", "pets/two"])
        answer = await socket.ask("unsubscribe", topics=["pets/one", "never/there"])
        assert answer["topics"] == ["pets/two"]
        await node.happen(1, topic="one")
        await node.happen(2, topic="two")
        assert await socket.numbers(1) == [2]
        await socket.ask("unsubscribe", topics=["pets/two"])
        await node.happen(3, topic="two")
        answer = await socket.ask("subscribe", topics=["pets/two"])
        await node.happen(4, topic="two")
        assert await socket.numbers(1) == [4]


@pytest.mark.parametrize("topic", ["", "a#", "#/a", "a/+b", "/".join("x" * 17), "x" * 513, "a\0b"])
async def test_a_malformed_filter_is_refused(node: Live, topic: str) -> None:
    async with node.socket() as socket:
        assert (await socket.refusal("subscribe", topics=["pets/#", topic]))["code"] == "bad-request"
        assert (await socket.ask("unsubscribe", topics=[topic]))["topics"] == []


async def test_bad_and_foreign_cursors_are_refused(node: Live) -> None:
    await node.happen(1)
    foreign = Cursor(node.store.epoch, new_tenant(), 1).encode()
    good = Cursor(node.store.epoch, SHARED_TENANT, 1).encode()
    async with node.socket() as socket:
        for cursor in (
            "",
            "nonsense",
            "é",
            good[:-1] + ("A" if good[-1] != "A" else "B"),
            good + "AAAA",
            foreign,
        ):
            assert (await socket.refusal("subscribe", topics=["#"], cursor=cursor))[
                "code"
            ] == "bad-request", cursor
        assert (await socket.ask("subscribe", topics=["#"], cursor=good))["cursor"] == good


async def test_an_expired_cursor_is_told_with_the_oldest_one(node: Live) -> None:
    await node.happen(*range(1, 11))
    await node.store.storage.trim_log(None, 4)
    async with node.socket() as socket:
        answer: dict[str, str] = {}
        places = [(node.store.epoch, 3), (node.store.epoch, 99), (node.store.epoch + 1, 8)]
        for epoch, sequence in places:
            cursor = Cursor(epoch, SHARED_TENANT, sequence).encode()
            answer = await socket.refusal("subscribe", topics=["#"], cursor=cursor)
            assert answer["code"] == "cursor-expired"
        await socket.ask("subscribe", topics=["#"], cursor=answer["oldestCursor"])
        assert await socket.numbers(4) == [7, 8, 9, 10]


async def test_a_cursor_that_expires_under_way_ends_the_stream_loudly(tmp_path: Path, node: Live) -> None:
    await node.happen(*range(1, 600))
    async with node.socket() as socket:
        trimmed = node.store.storage.read_log

        async def trim(*arguments: object) -> object:
            page = await trimmed(*arguments)  # type: ignore[arg-type]
            await node.store.storage.trim_log(None, 3)
            return page

        node.store.storage.read_log = trim  # type: ignore[assignment]
        await socket.say("subscribe", topics=["#"], cursor="earliest")
        code, messages = await socket.end()
        assert code == 1000
        assert messages[-1]["type"] == "cursorExpired"
        place = Cursor.decode(messages[-1]["data"]["oldestCursor"], SHARED_TENANT)
        assert place.sequence == 596


async def test_there_are_only_so_many_filters(tmp_path: Path) -> None:
    async with live(tmp_path, filters_per_connection=3) as node, node.socket() as socket:
        assert (await socket.refusal("subscribe", topics=list("abcd")))["code"] == "bad-request"
        await socket.ask("subscribe", topics=list("abb"))
        await socket.ask("subscribe", topics=["c"])
        assert (await socket.refusal("subscribe", topics=["d"]))["code"] == "bad-request"
        await socket.ask("subscribe", topics=list("abc"))
        await socket.ask("unsubscribe", topics=["a"])
        await socket.ask("subscribe", topics=["d"])


async def test_what_one_may_not_see_is_refused_alike_whether_or_not_it_exists(node: Live) -> None:
    owner = node.member()
    shop = Shop(node.store, SHARED_TENANT)
    order = await _order(shop, owner)
    async with node.socket(f"/v1/ws/events?token={node.token(node.member())}") as socket:
        await socket.until("connected")
        answers = [
            await socket.refusal("subscribe", topics=[f"orders/{id_}/#"]) for id_ in (order.id, new_id())
        ]
        assert {answer["code"] for answer in answers} == {"forbidden"}
        assert len({answer["message"].partition("/")[0] for answer in answers}) == 1
    async with node.socket() as visitor:
        for topic in (f"orders/{order.id}/status", f"orders/{new_id()}/status", "orders/+/status", "chats/#"):
            assert (await visitor.refusal("subscribe", topics=[topic]))["code"] == "unauthorized"
        assert (await visitor.refusal("subscribe", topics=["telemetry/#"]))["code"] == "unauthorized"
    for caller in (owner, node.member(Role.STAFF)):
        async with node.socket(f"/v1/ws/events?token={node.token(caller)}") as socket:
            await socket.until("connected")
            await socket.ask("subscribe", topics=[f"orders/{order.id}/#"])


async def _order(shop: Shop, owner: object = None) -> Order:
    draft = {"name": "Rex", "species": "DOG", "ageMonths": 4, "price": "75.00", "status": "AVAILABLE"}
    pet = await shop.call(CREATE_PET, body=draft)
    order: Order = await shop.call(PLACE_ORDER, owner or shop.visitor, {"petId": pet.id})  # type: ignore[arg-type]
    return order


async def test_an_order_without_an_owner_is_seen_by_who_names_it(node: Live) -> None:
    order = await _order(Shop(node.store, SHARED_TENANT))
    async with node.socket() as named, node.socket() as wide:
        await named.ask("subscribe", topics=[f"orders/{order.id}/#"], cursor="earliest")
        assert (await named.until("event"))["data"]["eventType"] == "order.created"
        await wide.ask("subscribe", topics=["#"], cursor="earliest")
        await node.happen(1)
        types = []
        while "thing.happened" not in types:
            types.append((await wide.until("event"))["data"]["eventType"])
        assert not [name for name in types if name.startswith("order")]


async def test_wide_filters_are_narrowed_event_by_event(node: Live) -> None:
    anna, staff = node.member(), node.member(Role.STAFF)
    async with (
        node.socket() as visitor,
        node.socket(f"/v1/ws/events?token={node.token(anna)}") as customer,
        node.socket(f"/v1/ws/events?token={node.token(node.member())}") as stranger,
        node.socket(f"/v1/ws/events?token={node.token(staff)}") as agent,
    ):
        for socket in (visitor, customer, stranger, agent):
            await socket.ask("subscribe", topics=["#"])
        await node.happen_to(anna, 1)
        await node.happen_to(None, 2)
        await node.happen(3)
        assert await visitor.numbers(1) == [3]
        assert await stranger.numbers(1) == [3]
        assert await customer.numbers(2) == [1, 3]
        assert await agent.numbers(3) == [1, 2, 3]


async def test_logging_in_widens_what_is_seen_from_then_on(node: Live) -> None:
    anna = node.member()
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["#"])
        await node.happen_to(anna, 1)
        await node.happen(2)
        assert await socket.numbers(1) == [2]
        await socket.ask("authenticate", token=node.token(anna))
        await node.happen_to(anna, 3)
        await node.happen(4)
        assert await socket.numbers(2) == [3, 4]


async def test_tenants_see_nothing_of_each_other(node: Live) -> None:
    mine, other = new_tenant(), new_tenant()
    async with node.socket(f"/v1/ws/events?tenant={mine}") as socket:
        await socket.ask("subscribe", topics=["#"], cursor="earliest")
        await node.happen(1, tenant=other)
        await node.happen(2)
        await node.happen(3, tenant=mine)
        assert await socket.numbers(1) == [3]


async def test_a_quiet_subscriber_is_told_his_place_now_and_then(tmp_path: Path) -> None:
    async with (
        live(tmp_path, ping_seconds=0.1) as node,
        node.socket() as socket,
        node.socket() as idle,
    ):
        await idle.until("connected")
        await socket.ask("subscribe", topics=["pets/other"])
        await node.happen(1, 2, 3)
        while True:
            cursor = (await socket.until("pong"))["data"]["cursor"]
            if Cursor.decode(cursor, SHARED_TENANT).sequence == 3:
                break
