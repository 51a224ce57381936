"""Memory: what an idle, subscribed WebSocket costs the server."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.process import serving, subscribed
from benchmarks.report import Outcome, median
from benchmarks.servers import Contender

CONNECTIONS = 5000
PRIMED = 100
"""Connections opened and closed before the first look, so that code and caches are not taken for connections."""

SETTLE = 1.0
"""Seconds between the last handshake and the look."""


@dataclass(frozen=True)
class Run:
    """Bytes that one connection added to the server's resident memory."""

    server: str
    bytes_each: float


def contenders(data: Path) -> list[Contender]:
    """Those compared."""
    return [
        Contender("gateway", servers.gateway(data), "ws", servers.subscribe_ws("pets/#")),
        Contender("Node ws", servers.node(), "ws"),
        Contender("Starlette, queues", servers.starlette(), "ws", {"path": "/ws", "ready": "ready"}),
    ]


def run(rounds: int, announce: Callable[[str], None]) -> Outcome:
    """Measures each in a fresh process, every round."""
    runs: list[Run] = []
    for number in range(1, rounds + 1):
        with TemporaryDirectory(prefix="petstore-bench-") as data:
            for contender in contenders(Path(data)):
                found = Run(contender.name, _measure(contender))
                announce(f"memory {number}/{rounds}: {found.server}: {found.bytes_each / 1024:.1f} KiB")
                runs.append(found)
    names = list(dict.fromkeys(r.server for r in runs))
    each = {name: [r.bytes_each / 1024 for r in runs if r.server == name] for name in names}
    return Outcome(
        title="Memory of an idle WebSocket",
        note=f"Growth of the server's resident memory with {CONNECTIONS:,} subscribed connections, per connection.",
        columns=("server", "KiB", "range"),
        rows=tuple((n, f"{median(each[n]):.1f}", f"{min(each[n]):.1f}–{max(each[n]):.1f}") for n in names),
        goals=(),
        lost=0,
        measurements=runs,
    )


def _measure(contender: Contender) -> float:
    with serving(contender.launch) as server:
        with subscribed(server.port, contender.protocol, count=PRIMED, **contender.subscribe):
            pass
        time.sleep(SETTLE)
        before = server.memory()
        with subscribed(server.port, contender.protocol, count=CONNECTIONS, **contender.subscribe):
            time.sleep(SETTLE)
            return (server.memory() - before) / CONNECTIONS
