"""How Socket.IO connections end: by drain, expiry, revocation and stalls; and who comes back misses nothing."""

import asyncio
import json
import signal
import socket as sockets
import struct
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from core.kernel.errors import Close, CloseReason
from tests.clock import skip
from tests.gateway.server.serving import Client, masked
from tests.http_clients import http_client
from tests.process import Gateway
from tests.protocols.live import Live, live
from tests.protocols.socketio.clients import TRANSPORTS, NodeClient, connected
from tests.protocols.socketio.test_messages import POLL, SOCKET
from tests.waiting import eventually


async def test_at_a_drain_clients_get_their_cursor_and_lose_the_connection(node: Live, kind: str) -> None:
    async with connected(node.port, kind, topics=["pets/#"]) as client:
        await node.happen(1)
        event = await client.until("event")
        await node.drain()
        reason, before = await client.end()
        # Not "io server disconnect": then the JavaScript client would not come back by itself.
        assert reason in ("transport close", "transport error")
        assert before[-1].name == "error"
        assert before[-1].data.keys() == {"code", "message", "retryAfter", "cursor"}
        assert (before[-1].data["code"], before[-1].data["cursor"]) == (
            "service-unavailable",
            event["cursor"],
        )
    node.store.draining = False


async def test_the_javascript_client_comes_back_by_itself_and_misses_nothing(node: Live) -> None:
    for transports in (TRANSPORTS["websocket"], TRANSPORTS["upgrade"]):
        client = NodeClient()
        options = {"transports": transports, "reconnectionDelay": 100, "auth": {"topics": ["pets/#"]}}
        await client.start(f"http://127.0.0.1:{node.port}", options)
        await client.until("connected")
        await node.happen(1)
        place = (await client.until("event"))["cursor"]
        await client.order(auth={"topics": ["pets/#"], "cursor": place})
        node.sessions.close_all(Close(CloseReason.DRAINING, "Come back."))
        assert (await client.end())[0] in ("transport close", "transport error")
        await node.happen(2, 3)
        await client.until("connected")
        await node.happen(4)
        assert await client.numbers(3) == [2, 3, 4]
        await client.stop()


async def test_a_token_that_expires_ends_the_connection_for_good(node: Live, kind: str) -> None:
    token = node.token(node.member(lasts=20))
    async with connected(node.port, kind, token=token, topics=["pets/#"]) as client:
        skip(20)
        reason, before = await client.end()
        assert reason in ("io server disconnect", "server disconnect")
        assert (before[-1].name, before[-1].data["code"]) == ("error", "unauthorized")
        assert before[-1].data["cursor"]


async def test_a_renewed_token_keeps_the_connection(node: Live) -> None:
    caller = node.member(lasts=20)
    async with connected(node.port, token=node.token(caller), topics=["pets/#"]) as client:
        longer = replace(caller, expires_at=node.store.clock() + timedelta(hours=1))
        await client.ask("authenticate", token=node.token(longer))
        skip(20)
        await node.happen(1)
        assert await client.numbers(1) == [1]


async def test_a_revoked_login_ends_the_connection_for_good(node: Live) -> None:
    caller = node.member()
    async with connected(node.port, token=node.token(caller)) as client:
        await client.until("connected")
        node.sessions._on_revoked(frozenset(caller.subjects))
        reason, before = await client.end()
        assert (before[-1].data["code"], "server disconnect" in reason) == ("unauthorized", True)


async def test_a_cursor_that_expires_while_it_is_read_is_said(node: Live) -> None:
    async with connected(node.port, topics=["#"]) as client:
        await client.until("connected")
        (session,) = node.sessions
        session.close(Close(CloseReason.CURSOR_EXPIRED, "Too old.", "oldest"))
        assert await client.until("cursorExpired") == {"oldestCursor": "oldest"}
        await client.until("disconnect")


async def test_quiet_subscribers_are_told_the_cursor_now_and_then(tmp_path: Path) -> None:
    async with live(tmp_path, ping_seconds=0.3) as node, connected(node.port, topics=["pets/#"]) as client:
        await client.until("connected")
        await node.happen(1)
        event = await client.until("event")
        assert await client.until("pong") == {"cursor": event["cursor"]}


async def test_resuming_goes_across_doors(node: Live, kind: str) -> None:
    async with node.stream("pets/#") as stream:
        await node.happen(1, 2)
        assert await stream.numbers(1) == [1]
        place = stream.last_id
    await node.happen(3)
    async with connected(node.port, kind, topics=["pets/+"], cursor=place) as client:
        await node.happen(4)
        seen = [await client.until("event") for _ in range(3)]
        assert [event["data"]["number"] for event in seen] == [2, 3, 4]
        place = seen[1]["cursor"]
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["#"], cursor=place)
        event = (await socket.until("event"))["data"]
        assert (event["data"]["number"], event) == (4, seen[2])


async def subscribed(client: Client, node: Live) -> None:
    """Subscribe to everything over a raw connection."""
    before = node.store.hub.statistics().subscriptions
    await client.upgrade(SOCKET)
    client.send(masked(b'40{"topics":["#"]}'))
    await eventually(lambda: node.store.hub.statistics().subscriptions > before)


async def numbers(client: Client, count: int) -> list[int]:
    """What the next events tell a raw connection."""
    found: list[int] = []
    while len(found) < count:
        _, payload = await client.read_frame()
        if payload.startswith(b'42["event"'):
            found.append(json.loads(payload[2:])[1]["data"]["number"])
    return found


async def test_a_reader_that_stops_is_evicted_and_harms_nobody(tmp_path: Path) -> None:
    async with (
        live(tmp_path, stall_limit=1.0) as node,
        node.raw(receive_buffer=4096) as stalled,
        node.raw() as reader,
    ):
        await subscribed(stalled, node)
        await subscribed(reader, node)
        for first in range(0, 3000, 100):
            await node.happen(*range(first, first + 100), filling=3000)
            assert await numbers(reader, 100) == list(range(first, first + 100))
        await eventually(lambda: node.store.hub.statistics().subscriptions == 1)
        await eventually(lambda: len(node.sessions) == 1)
        await node.happen(9999)
        assert await numbers(reader, 1) == [9999]


async def test_a_slow_reader_catches_up_with_each_event_once(tmp_path: Path) -> None:
    async with live(tmp_path) as node, node.raw(receive_buffer=4096) as slow:
        await subscribed(slow, node)
        for first in range(0, 12_000, 500):
            await node.happen(*range(first, first + 500), filling=2500)
        assert await numbers(slow, 12_000) == list(range(12_000))
        assert node.store.hub.statistics().page_reads > 0


async def test_a_reset_frees_everything(node: Live) -> None:
    async with node.raw() as one, node.raw() as other:
        await subscribed(one, node)
        await subscribed(other, node)
        plain = one.writer.get_extra_info("socket")
        plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        one.writer.transport.abort()
        await node.happen(1)
        assert await numbers(other, 1) == [1]
        await eventually(lambda: node.store.hub.statistics().subscriptions == 1)


async def test_a_client_who_leaves_in_the_midst_of_a_poll_is_gone(node: Live) -> None:
    for killed in (True, False):
        client = NodeClient()
        await client.start(
            f"http://127.0.0.1:{node.port}", {"transports": ["polling"], "auth": {"topics": ["#"]}}
        )
        await client.until("connected")
        await node.happen(1)
        await client.until("event")
        await client.ask("ping")
        # The next poll is under way when the door watches whether its client leaves.
        await eventually(lambda: any("SocketIoDoor._watch" in repr(task) for task in asyncio.all_tasks()))
        if killed:
            client.kill()
        await client.stop()
        await eventually(lambda: not len(node.sessions))


async def test_a_poller_who_never_polls_is_dropped(tmp_path: Path) -> None:
    async with (
        live(tmp_path, stall_limit=0.5) as node,
        http_client(base_url=f"http://127.0.0.1:{node.port}") as client,
    ):
        sid = json.loads((await client.get(POLL)).text[1:])["sid"]
        await client.post(f"{POLL}&sid={sid}", content='40{"topics":["#"]}')
        for first in range(0, 3000, 500):
            await node.happen(*range(first, first + 500), filling=1000)
        await eventually(lambda: not len(node.sessions))


async def test_an_upgrade_that_fails_leaves_the_client_where_he_was(tmp_path: Path) -> None:
    async with (
        live(tmp_path, login_seconds=30, ping_seconds=1000) as node,
        http_client(base_url=f"http://127.0.0.1:{node.port}") as client,
    ):
        sid = json.loads((await client.get(POLL)).text[1:])["sid"]
        address = f"{POLL}&sid={sid}"
        await client.post(address, content='40{"topics":["#"]}')
        await client.get(address)
        for sent in ([], ["2probe"], ["2probe", "3"], ["garbage"]):
            async with node.socket(f"{SOCKET}&sid={sid}") as socket:
                for packet in sent:
                    await socket.raw(packet)
                skip(30)
                await socket.connection.wait_closed()
        await node.happen(1)
        seen = ""
        while '"number":1' not in seen:
            answer = await client.get(address)
            assert answer.status_code == 200
            seen += answer.text
        await client.post(address, content="41\x1e1")


async def test_a_served_node_sends_its_clients_off_and_stops_in_time(tmp_path: Path) -> None:
    with Gateway(tmp_path, "--demo", drain_seconds="1000") as gateway:
        async with (
            connected(gateway.port, "python-websocket", topics=["pets/#"]) as one,
            connected(gateway.port, "node-polling", topics=["pets/#"]) as other,
        ):
            for client in (one, other):
                await client.until("connected")
            gateway.send(signal.SIGTERM)
            for client in (one, other):
                assert (await client.until("error"))["code"] == "service-unavailable"
                await client.until("disconnect")
            assert await asyncio.to_thread(gateway.wait) == 0


async def test_much_coming_and_going_leaves_nothing(node: Live) -> None:
    async def come_and_go(number: int) -> None:
        async with node.raw() as client:
            await client.upgrade(SOCKET)
            client.send(masked(b'40{"topics":["#"],"cursor":"earliest"}'))
            if number % 3:
                await numbers(client, 5)
            if number % 2:
                client.writer.transport.abort()

    async def poll_and_go(number: int) -> None:
        async with http_client(base_url=f"http://127.0.0.1:{node.port}") as client:
            sid = json.loads((await client.get(POLL)).text[1:])["sid"]
            address = f"{POLL}&sid={sid}"
            await client.post(address, content='40{"topics":["#"]}')
            await client.get(address)
            poll = asyncio.create_task(client.get(address))
            await node.happen(number)
            if number % 2:
                poll.cancel()
            await asyncio.wait((poll,))
            await client.post(address, content="1")

    await node.happen(*range(10))
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(come_and_go(number))
            group.create_task(poll_and_go(number))
    await node.empty()
