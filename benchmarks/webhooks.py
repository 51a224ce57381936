"""Webhooks: deliveries a second to a hundred local endpoints, one of them dead, beside a plain httpx loop."""

import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.peers.endpoints import address
from benchmarks.process import Server, free_port, serving, subscribed_by
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.store import Owner, Store

ENDPOINTS = 100
GATEWAY = "gateway"
HTTPX = "httpx loop, from memory"


@dataclass(frozen=True)
class Run:
    """One server in one round: deliveries a second to the live endpoints, and for each second of processor time."""

    server: str
    rate: float
    per_cpu: float
    lost: int


def run(rounds: int, announce: Callable[[str], None]) -> Outcome:
    """Measures both, interleaved."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        data, port = Path(folder), free_port()
        gateway = stack.enter_context(serving(servers.gateway_webhooks(data / "data")))
        (data / "body.json").write_bytes(Store(gateway.port).a_pet())
        httpx = stack.enter_context(serving(servers.webhooks_httpx(port, ENDPOINTS, data / "body.json")))
        events = _owner(gateway).seed()
        for number in range(1, rounds + 1):
            owner = _owner(gateway)
            for endpoint in range(ENDPOINTS):
                owner.webhook(f"http://{address(endpoint)}:{port}/hook", "pet.created")
            for name, server, begin in (
                (GATEWAY, gateway, owner.seed),
                (HTTPX, httpx, lambda: _feed(httpx, events)),
            ):
                found = _measure(name, server, begin, port, events)
                announce(f"webhooks {number}/{rounds}: {name}: {found.rate:,.0f} a second, lost {found.lost}")
                runs.append(found)
            owner.reset()
    return outcome(runs)


def _owner(gateway: Server) -> Owner:
    return Owner(gateway.port, str(uuid.uuid4()))


def _feed(server: Server, events: int) -> int:
    server.feed(events)
    return server.fed()


def _measure(name: str, server: Server, begin: Callable[[], int], port: int, events: int) -> Run:
    command = (
        sys.executable, "-m", "benchmarks.peers.endpoints",
        "--port", str(port), "--endpoints", str(ENDPOINTS), "--events", str(events),
    )  # fmt: skip
    with subscribed_by(command) as endpoints:
        used = server.cpu()
        begin()
        endpoints.everybody_has_it()
        used = server.cpu() - used
        counted = endpoints.stop()
    return Run(
        server=name,
        rate=counted["deliveries"] / counted["seconds"],
        per_cpu=counted["deliveries"] / used if used else 0.0,
        lost=counted["lost"] + counted["repeated"],
    )


def outcome(runs: list[Run]) -> Outcome:
    """The medians of the rounds, and the goal."""
    rates = {name: [r.rate for r in runs if r.server == name] for name in (GATEWAY, HTTPX)}

    def row(name: str) -> tuple[str, ...]:
        mine = [r for r in runs if r.server == name]
        return (
            name,
            f"{median(rates[name]):,.0f}",
            f"{min(rates[name]):,.0f}–{max(rates[name]):,.0f}",
            f"{median(r.per_cpu for r in mine):,.0f}",
            f"{sum(r.lost for r in mine)}",
        )

    return Outcome(
        title="Webhooks: deliveries to 100 endpoints, one of them dead",
        note="Deliveries to the live ones, signed alike. The gateway reads its log, makes each delivery durable, keeps "
        "the order of each resource and writes down each attempt; the loop posts what it has in memory, one after "
        "another to each endpoint, and keeps nothing.",
        columns=("server", "a second", "range", "per CPU s", "lost"),
        rows=tuple(row(name) for name in rates),
        goals=(Goal(f"{GATEWAY} : {HTTPX}", 1.0, ratio(rates[GATEWAY], rates[HTTPX])),),
        lost=sum(r.lost for r in runs),
        measurements=runs,
    )
