"""Stock clients that come back by themselves: nothing is lost, and nothing is told twice."""

import asyncio
import dataclasses
import json
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.kernel.caller import Role
from tests.clock import skip
from tests.http_clients import ask
from tests.process import Gateway
from tests.protocols.graphql.clients import subscribed
from tests.protocols.live import Live
from tests.waiting import eventually

SCRIPT = Path(__file__).parents[2] / "node" / "reconnect.mjs"
CLIENTS = frozenset({"graphql-ws", "apollo", "urql", "graphql-sse", "eventsource"})
#: Those that can be told where they stand before there is any event.
TOLD = CLIENTS - {"graphql-sse"}


class Stock:
    """All of them in one process: ``answers`` and ``places`` are what each was told, ``ends`` what ended for good."""

    def __init__(self, process: asyncio.subprocess.Process, told: Callable[[Any], Any]) -> None:
        self._process = process
        self._told = told
        self.answers: dict[str, list[Any]] = defaultdict(list)
        self.places: dict[str, list[str]] = defaultdict(list)
        self.ends: list[Any] = []

    async def read(self) -> None:
        """Note what they tell."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "answer" in told:
                self.answers[told["client"]].append(self._told(told["answer"]["data"]["events"]["data"]))
            elif "place" in told:
                self.places[told["client"]].append(told["place"])
            else:
                self.ends.append(told)

    async def gate(self, *, opened: bool, token: str | None = None) -> None:
        """Let them connect, with this token, or keep them from it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"open": opened, "token": token}).encode() + b"\n")
        await self._process.stdin.drain()

    async def have(self, *expected: Any, clients: frozenset[str] = CLIENTS) -> None:
        """Wait until each of these has been told just this."""
        await eventually(lambda: self.ends or all(len(self.answers[one]) >= len(expected) for one in clients))
        assert self.ends == []
        assert {one: self.answers[one] for one in clients} == {one: [*expected] for one in clients}


@asynccontextmanager
async def stock_clients(url: str, topic: str, told: Callable[[Any], Any]) -> AsyncIterator[Stock]:
    """All of them, following a topic; ``told`` is what matters of an event's data."""
    query = "subscription($topics: [String!]!) { events(topics: $topics) { eventType data } }"
    request = json.dumps({"query": query, "variables": {"topics": [topic]}})
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), url, request, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    clients = Stock(process, told)
    reading = asyncio.create_task(clients.read())
    try:
        yield clients
    finally:
        process.kill()
        await process.wait()
        await reading


def _followers(gateway: Gateway) -> float:
    lines = ask("GET", f"{gateway.url}/metrics").text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("petstore_graphql_subscribers "))


async def test_stock_clients_lose_nothing_through_restarts(tmp_path: Path) -> None:
    names: list[str] = []

    def add(gateway: Gateway, name: str) -> None:
        pet = {"name": name, "species": "CAT", "ageMonths": 1, "price": "1.00"}
        made = ask("POST", f"{gateway.url}/v1/pets", json=pet, headers={"X-API-Key": "special-key"})
        assert made.status_code == 201
        names.append(name)

    with Gateway(tmp_path, "--demo") as gateway:
        url = f"{gateway.url}/v1/graphql"
        async with stock_clients(url, "pets/+", lambda data: data["pet"]["name"]) as clients:
            await clients.gate(opened=True)
            await eventually(lambda: _followers(gateway) == len(CLIENTS))
            add(gateway, "at first")
            await clients.have(*names)
            for how in (signal.SIGTERM, signal.SIGKILL):
                await clients.gate(opened=False)
                gateway.send(how)
                gateway.wait()
                gateway.start()
                add(gateway, f"away after {how.name}")
                await clients.gate(opened=True)
                await clients.have(*names)
                add(gateway, f"live after {how.name}")
                await clients.have(*names)


@pytest.mark.parametrize("quiet", [False, True])
async def test_stock_clients_lose_nothing_when_their_token_expires(node: Live, quiet: bool) -> None:
    staff = node.member(Role.STAFF, lasts=20)
    url = f"http://127.0.0.1:{node.port}/v1/graphql"
    who = TOLD if quiet else CLIENTS
    numbers: list[int] = []

    async def happen() -> None:
        numbers.append(len(numbers))
        await node.happen_to(None, numbers[-1])

    async with stock_clients(url, "orders/+/status", lambda data: data["number"]) as clients:
        await clients.gate(opened=True, token=node.token(staff))
        await subscribed(node, len(CLIENTS))
        await eventually(lambda: all(clients.places[one] for one in TOLD))
        if not quiet:
            await happen()
            await clients.have(*numbers)
        await clients.gate(opened=False)
        skip(20)
        await subscribed(node, 0)
        await happen()
        lasting = dataclasses.replace(staff, expires_at=node.store.clock() + timedelta(hours=1))
        await clients.gate(opened=True, token=node.token(lasting))
        await clients.have(*numbers, clients=who)
        await subscribed(node, len(CLIENTS))
        await happen()
        await clients.have(*numbers, clients=who)
