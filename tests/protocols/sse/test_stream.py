"""Event streams as clients read them."""

import json
from pathlib import Path

import pytest

from core.kernel.cursor import Cursor
from core.kernel.ids import SHARED_TENANT
from tests.clock import skip
from tests.protocols.live import Live, live, new_tenant


async def test_a_stream_begins_with_its_place_and_then_shows_events(node: Live) -> None:
    async with node.stream("pets/#,inventory/+/stock") as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-cache, no-transform"
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert "connection" not in stream.response.headers
        assert "content-encoding" not in stream.response.headers
        first = await stream.block()
        assert list(first) == ["retry", "id", "event", "data"]
        assert (first["retry"], first["event"]) == ("2000", "cursor")
        assert json.loads(first["data"]) == {"cursor": first["id"]}
        await node.happen(1)
        block = await stream.block()
        assert list(block) == ["id", "event", "data"]
        assert block["event"] == "thing.happened"
        assert f'"cursor":"{block["id"]}"' in block["data"]
        await node.happen(2, 3)
        assert await stream.numbers(2) == [2, 3]


@pytest.mark.parametrize("by", ["header", "query", "both"])
async def test_a_stream_resumes_behind_a_cursor(node: Live, by: str) -> None:
    async with node.stream("pets/#") as stream:
        await node.happen(1)
        await stream.event()
        cursor = stream.last_id
    await node.happen(2)
    await node.happen(3)
    headers = {} if by == "query" else {"Last-Event-ID": cursor}
    query = {"query": {"cursor": cursor}, "both": {"cursor": "earliest"}}.get(by, {})
    async with node.stream("pets/#", headers=headers, **query) as stream:
        assert (await stream.block())["id"] == cursor
        assert await stream.numbers(2) == [2, 3]
        await node.happen(4)
        assert await stream.numbers(1) == [4]


async def test_earliest_is_all_that_is_kept(node: Live) -> None:
    await node.happen(*range(1, 1000))
    await node.store.storage.trim_log(None, 500)
    async with node.stream("#", cursor="earliest") as stream:
        assert await stream.numbers(500) == list(range(500, 1000))


async def test_a_quiet_stream_is_told_its_place_now_and_then(tmp_path: Path) -> None:
    async with (
        live(tmp_path, heartbeat_seconds=0.05) as node,
        node.stream("pets/other") as stream,
    ):
        await node.happen(1, 2, 3)
        while True:
            block = await stream.block()
            assert block["event"] == "cursor"
            assert json.loads(block["data"]) == {"cursor": block["id"]}
            if Cursor.decode(block["id"], SHARED_TENANT).sequence == 3:
                break
        before = stream.last_id
        block = await stream.block()
        assert (list(block), block["id"]) == (["id", "event", "data"], before)


async def test_tokens_and_tenants_may_stand_in_the_address(node: Live) -> None:
    tenant = new_tenant()
    async with (
        node.stream("#", token=node.staff_token(tenant)) as by_token,
        node.stream("#", tenant=tenant) as by_tenant,
        node.stream("#", headers={"X-Tenant-ID": tenant}) as by_header,
    ):
        await node.happen(1)
        await node.happen(2, tenant=tenant)
        for stream in (by_token, by_tenant, by_header):
            assert await stream.numbers(1) == [2]


async def test_the_owner_sees_what_others_do_not(node: Live) -> None:
    anna = node.member()
    headers = {"Authorization": f"Bearer {node.token(anna)}"}
    async with node.stream("#", headers=headers) as own, node.stream("#") as visitor:
        await node.happen_to(anna, 1)
        await node.happen(2)
        assert await own.numbers(2) == [1, 2]
        assert await visitor.numbers(1) == [2]


async def test_a_stream_ends_at_the_expiry_of_its_token(node: Live) -> None:
    async with node.stream("#", token=node.token(node.member(lasts=20))) as stream:
        skip(20)
        end = await stream.event()
        assert (end["reason"], end["resumable"]) == ("expired", False)
        with pytest.raises(EOFError):
            await stream.block()


async def test_a_stream_ends_at_the_revocation_of_its_token(node: Live) -> None:
    caller = node.member()
    async with node.stream("#", token=node.token(caller)) as stream:
        await node.store.revocations.revoke(caller.subjects)
        end = await stream.event()
        assert (end["reason"], end["resumable"]) == ("revoked", False)
        with pytest.raises(EOFError):
            await stream.block()


async def test_a_drain_says_farewell_with_the_last_cursor(node: Live) -> None:
    async with node.stream("#") as stream:
        await node.happen(1)
        await stream.event()
        last = stream.last_id
        await node.drain()
        farewell = await stream.block()
        assert (list(farewell), farewell["event"]) == (["retry", "id", "event", "data"], "cursor")
        assert (farewell["id"], 1000 <= int(farewell["retry"]) <= 4000) == (last, True)
        end = await stream.block()
        assert end["event"] == "closed"
        assert '"resumable":true' in end["data"]
        with pytest.raises(EOFError):
            await stream.block()
    answer = await node.get(params={"topics": "#"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_cursor_that_expires_under_way_is_told_and_ends_the_stream(node: Live) -> None:
    await node.happen(*range(1, 600))
    read = node.store.storage.read_log

    async def trim(*arguments: object) -> object:
        page = await read(*arguments)  # type: ignore[arg-type]
        await node.store.storage.trim_log(None, 3)
        return page

    node.store.storage.read_log = trim  # type: ignore[assignment]
    async with node.stream("#", cursor="earliest") as stream:
        while (block := await stream.block()).get("event") != "cursor-expired":
            pass
        assert block["id"] == Cursor(node.store.epoch, SHARED_TENANT, 596).encode()
        assert block["data"] == f'{{"oldestCursor":"{block["id"]}"}}'
        with pytest.raises(EOFError):
            await stream.block()
    async with node.stream("#", headers={"Last-Event-ID": block["id"]}) as stream:
        assert await stream.numbers(3) == [597, 598, 599]


async def test_a_stream_of_many_events_has_each_once_in_order(node: Live) -> None:
    async with node.stream("#") as stream:
        for first in range(0, 2000, 100):
            await node.happen(*range(first, first + 100), filling=300)
        assert await stream.numbers(2000) == list(range(2000))


async def test_ephemeral_events_have_no_id(node: Live) -> None:
    staff = node.member()
    async with node.chat(staff) as chat, node.stream("chats/#", token=node.staff_token()) as stream:
        await chat.ask("joinChat")
        await chat.ask("typingStarted")
        block: dict[str, str] = {}
        while block.get("event") != "chat.typing":
            block = await stream.block()
        assert "id" not in block
