"""Socket.IO: messages of about 300 bytes a second from one server core to a thousand clients, beside Node's server."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.fanout import BURST, TOPIC, Run, measure
from benchmarks.process import serving
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.servers import Contender

GATEWAY = "gateway, Socket.IO"
NODE = "Node socket.io"
CEILING = "ceiling, WebSocket"


def contenders(folder: Path) -> list[Contender]:
    """Everyone who takes part, in the order of a round; all by the WebSocket transport."""
    return [
        Contender(GATEWAY, servers.gateway(folder), "ws", servers.subscribe_socketio(TOPIC)),
        Contender(NODE, servers.node_socketio(), "ws", servers.subscribe_socketio()),
        Contender(CEILING, servers.sink("ws", BURST), "ws"),
    ]


def run(rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measure all contenders, interleaved."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        chosen = contenders(Path(folder))
        running = [stack.enter_context(serving(contender.launch)) for contender in chosen]
        for number in range(1, rounds + 1):
            for contender, server in zip(chosen, running, strict=True):
                found = measure(contender, server, seconds)
                announce(
                    f"Socket.IO {number}/{rounds}: {found.contender}: {found.rate / 1e6:.3f} million a second, "
                    f"lost {found.lost}, load of server {found.server_load:.0%}, client {found.client_load:.0%}"
                )
                runs.append(found)
    return outcome(runs)


def outcome(runs: Sequence[Run]) -> Outcome:
    """The medians of the rounds, and the goal."""
    names = list(dict.fromkeys(r.contender for r in runs))
    rates = {name: [r.rate for r in runs if r.contender == name] for name in names}

    def row(name: str) -> tuple[str, ...]:
        mine = [r for r in runs if r.contender == name]
        return (
            name,
            f"{median(rates[name]) / 1e6:.3f}",
            f"{min(rates[name]) / 1e6:.3f}–{max(rates[name]) / 1e6:.3f}",
            f"{median(r.per_cpu for r in mine) / 1e6:.3f}",
            f"{ratio(rates[name], rates[NODE]):.1f}",
            f"{median(r.payload for r in mine):.0f}",
            f"{median(r.server_load for r in mine):.0%}",
            f"{median(r.client_load for r in mine):.0%}",
            f"{sum(r.lost for r in mine)}",
        )

    return Outcome(
        title="Socket.IO: fan-out to 1,000 clients",
        note="Millions of deliveries a second by the WebSocket transport; medians of the rounds. The ceiling is a "
        "server that only writes ready-made frames.",
        columns=(
            "server",
            "M/s",
            "range",
            "M/CPU s",
            "× Node",
            "bytes",
            "server load",
            "client load",
            "lost",
        ),
        rows=tuple(row(name) for name in names),
        goals=(
            Goal(f"{GATEWAY} : {NODE}", 20.0, ratio(rates[GATEWAY], rates[NODE])),
            Goal(f"{CEILING} : {GATEWAY}", 1.5, ratio(rates[CEILING], rates[GATEWAY])),
        ),
        lost=sum(r.lost for r in runs),
        measurements=runs,
    )
