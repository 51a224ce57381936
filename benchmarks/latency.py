"""Latency: from POST /v1/orders to the event on the last of a thousand subscribers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.process import Server, serving, subscribed
from benchmarks.report import Outcome, percentile
from benchmarks.store import Store

SUBSCRIBERS = 1000
WARMUP = 10
"""Orders that do not count."""

EVENT = '"eventType":"order.created"'
TOPIC = "orders/+/status"


@dataclass(frozen=True)
class Run:
    """One door: milliseconds from the request until the answer, and until the last subscriber has the event."""

    door: str
    answered: list[float]
    delivered: list[float]
    lost: int


def run(orders: int, announce: Callable[[str], None]) -> Outcome:
    """Places orders one after the other, each once all subscribers have the one before."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as data, serving(servers.gateway(Path(data))) as server:
        store = Store(server.port)
        token = {"header": f"Authorization: Bearer {store.token}"}
        doors = {
            "WebSocket": ("ws", servers.subscribe_ws(TOPIC) | token),
            "SSE": ("sse", servers.subscribe_sse(TOPIC) | token),
        }
        for door, (protocol, options) in doors.items():
            found = _measure(door, server, store, protocol, options, orders)
            p50, p99 = percentile(found.delivered, 0.5), percentile(found.delivered, 0.99)
            announce(f"latency: {door}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, lost {found.lost}")
            runs.append(found)
    return outcome(runs, orders)


def _measure(
    door: str, server: Server, store: Store, protocol: str, options: dict[str, str], orders: int
) -> Run:
    pets = [store.create_pet(f"Bench {number}") for number in range(WARMUP + orders)]
    answered, delivered = [], []
    with subscribed(server.port, protocol, count=SUBSCRIBERS, match=EVENT, **options) as subscribers:
        for pet in pets:
            begin = time.monotonic_ns()
            store.order(pet)
            answered.append((time.monotonic_ns() - begin) / 1e6)
            delivered.append((subscribers.everybody_has_it() - begin) / 1e6)
        counted = subscribers.stop()
    lost = counted["missing"] + counted["repeated"]
    return Run(door, answered[WARMUP:], delivered[WARMUP:], lost)


def outcome(runs: list[Run], orders: int) -> Outcome:
    """The percentiles."""

    def cells(values: list[float]) -> tuple[str, str]:
        return (f"{percentile(values, 0.5):.1f}", f"{percentile(values, 0.99):.1f}")

    return Outcome(
        title=f"From order to the last of {SUBSCRIBERS:,} subscribers",
        note=f"Milliseconds, {orders} orders for each door. An event is sent after its transaction is on disk.",
        columns=("door", "answer p50", "answer p99", "last event p50", "last event p99", "lost"),
        rows=tuple((r.door, *cells(r.answered), *cells(r.delivered), str(r.lost)) for r in runs),
        goals=(),
        lost=sum(r.lost for r in runs),
        measurements=runs,
    )
