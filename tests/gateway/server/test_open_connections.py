"""How many connections one network may hold."""

import asyncio
import gc

import pytest
from starlette.types import Receive, Scope, Send

from core.kernel.addresses import TrustedProxies
from gateway.server import open_connections
from gateway.server.open_connections import OpenConnections
from tests.gateway.server.serving import connected, serving
from tests.waiting import eventually


class Ended(asyncio.Transport):
    """A transport that may have ended."""

    ended = False

    def is_closing(self) -> bool:
        return self.ended


def test_a_network_has_so_many_until_they_end() -> None:
    counts = OpenConnections(2)
    first, second, third = Ended(), Ended(), Ended()
    assert [counts.admits(one, "2001:db8::1") for one in (first, second)] == [True, True]
    assert not counts.admits(third, "2001:db8::2")
    assert counts.admits(Ended(), "192.0.2.1")
    first.ended = True
    assert counts.admits(third, "2001:db8::2")
    assert not counts.admits(Ended(), "2001:db8::2")
    del second
    gc.collect()
    assert counts.admits(Ended(), "2001:db8::3")
    assert counts.refused == 2


def test_a_trusted_proxy_connects_for_many_and_no_bound_is_none() -> None:
    kept = [Ended() for _ in range(5)]
    counts = OpenConnections(1, TrustedProxies(["192.0.2.1"]))
    assert all(counts.admits(one, "192.0.2.1") for one in kept)
    assert all(OpenConnections().admits(one, "198.51.100.1") for one in kept)


def test_networks_without_connections_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_connections, "_MAX_NETWORKS", 3)
    counts, kept = OpenConnections(1), Ended()
    assert counts.admits(kept, "192.0.2.1")
    for number in range(20):
        assert counts.admits(Ended(), f"198.51.100.{number}")
        gc.collect()
    assert len(counts._open) <= 4
    assert not counts.admits(Ended(), "192.0.2.1")


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
    else:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def test_idle_connections_and_websockets_count_alike() -> None:
    async with serving(_app, most_of_network=2) as running:
        async with connected(running.port) as idle, connected(running.port) as socket:
            idle.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await idle.read_head()
            await socket.upgrade()
            async with connected(running.port) as third:
                assert await third.read_to_end() == b""
            # The first is served on.
            idle.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await idle.read_head()
        await eventually(lambda: not running.connections())
        assert running.server.statistics().refused == 1
        async with connected(running.port) as later:
            await later.upgrade()


async def test_connections_of_a_trusted_proxy_are_not_counted() -> None:
    async with (
        serving(_app, most_of_network=1, trusted_proxies=("127.0.0.1",)) as running,
        connected(running.port) as one,
        connected(running.port) as other,
    ):
        for client in (one, other):
            client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await client.read_head()).startswith(b"HTTP/1.1 204")
