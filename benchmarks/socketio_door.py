"""Socket.IO: messages of about 300 bytes a second from one server core to a thousand clients, beside Node's server."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import servers
from benchmarks.fanout import BURST, TOPIC, Run, columns, compete, rates_of, row
from benchmarks.report import Goal, Outcome, ratio
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
    return outcome(compete("Socket.IO", contenders, rounds, seconds, announce))


def outcome(runs: Sequence[Run]) -> Outcome:
    """The medians of the rounds, and the goal."""
    rates = rates_of(runs)
    return Outcome(
        title="Socket.IO: fan-out to 1,000 clients",
        note="Millions of deliveries a second by the WebSocket transport; medians of the rounds. The ceiling is a "
        "server that only writes ready-made frames.",
        columns=columns("× Node"),
        rows=tuple(row(name, runs, f"{ratio(rates[name], rates[NODE]):.1f}") for name in rates),
        goals=(
            Goal(f"{GATEWAY} : {NODE}", 20.0, ratio(rates[GATEWAY], rates[NODE])),
            Goal(f"{CEILING} : {GATEWAY}", 1.5, ratio(rates[CEILING], rates[GATEWAY])),
        ),
        lost=sum(r.lost for r in runs),
        measurements=runs,
    )
