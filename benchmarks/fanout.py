"""Fan-out: how many messages of about 300 bytes a second one server core delivers to a thousand subscribers."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import servers
from benchmarks.process import Failed, Server, serving, subscribed
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.servers import Contender

SUBSCRIBERS = 1000
WARMUP = 1.0
"""Seconds after the first message that do not count: compilers warm up, windows open."""

BURST = 100
"""Messages that the sink and the corked Node server gather per write: about what the gateway gathers."""

NATS_WINDOW = 500
"""How many messages the publisher may be ahead of the subscribers; among 200 to 20,000 it makes no difference."""

TOPIC = "inventory/+/stock"

GATEWAY_WS = "gateway, WebSocket"
GATEWAY_SSE = "gateway, SSE"
NODE = "Node ws"
NATS = "nats-server"
CEILING_WS = "ceiling, WebSocket"
CEILING_SSE = "ceiling, SSE"
CEILING_NATS = "ceiling, NATS"

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One server in one round. Rates are deliveries a second; loads are shares of a core.

    `per_cpu`: deliveries for each second of processor time that the server used, all of the run counted. Where others
    work on the same machine it says more than the rate, which it equals when the server has its core to itself.
    """

    contender: str
    rate: float
    per_cpu: float
    events: int
    lost: int
    payload: float
    client_load: float
    server_load: float


def contenders(data: Path) -> list[Contender]:
    """Everyone who takes part, in the order of a round."""
    gateway, starlette = servers.gateway(data), servers.starlette()
    return [
        Contender(GATEWAY_WS, gateway, "ws", servers.subscribe_ws(TOPIC)),
        Contender(NATS, servers.nats(), "nats", publishes=False),
        Contender(NODE, servers.node(), "ws"),
        Contender(GATEWAY_SSE, gateway, "sse", servers.subscribe_sse(TOPIC)),
        Contender("Node ws, corked", servers.node("--cork", str(BURST)), "ws"),
        Contender("Starlette, queues, WebSocket", starlette, "ws", {"path": "/ws", "ready": "ready"}),
        Contender("Starlette, queues, SSE", starlette, "sse", {"path": "/sse", "ready": "ready"}),
        Contender(CEILING_WS, servers.sink("ws", BURST), "ws"),
        Contender(CEILING_SSE, servers.sink("sse", BURST), "sse"),
        Contender(CEILING_NATS, servers.sink("nats", BURST), "nats"),
    ]


def run(rounds: int, seconds: float, announce: Announce, only: Sequence[str] = ()) -> Outcome:
    """Measures all contenders, or those whose names begin with one of `only`, interleaved."""

    def chosen(folder: Path) -> list[Contender]:
        return [c for c in contenders(folder) if not only or c.name.startswith(tuple(only))]

    return outcome(compete("fan-out", chosen, rounds, seconds, announce))


def compete(
    what: str, contenders: Callable[[Path], list[Contender]], rounds: int, seconds: float, announce: Announce
) -> list[Run]:
    """The runs of all contenders, interleaved; they are given a folder for what they keep."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        chosen = contenders(Path(folder))
        # A server that waits costs nothing, so all stay up: what compiles itself while it runs stays compiled.
        launches = {id(c.launch): c.launch for c in chosen}
        running = {key: stack.enter_context(serving(launch)) for key, launch in launches.items()}
        for number in range(1, rounds + 1):
            for contender in chosen:
                found = measure(contender, running[id(contender.launch)], seconds)
                announce(
                    f"{what} {number}/{rounds}: {found.contender}: {found.rate / 1e6:.3f} million a second, "
                    f"lost {found.lost}, load of server {found.server_load:.0%}, client {found.client_load:.0%}"
                )
                runs.append(found)
    return runs


def measure(contender: Contender, server: Server, seconds: float) -> Run:
    """One run of one contender. Raises Failed when the counts of server and client do not agree at all."""
    length = WARMUP + seconds
    options: dict[str, str | float] = {"count": SUBSCRIBERS, "warmup": WARMUP, **contender.subscribe}
    if not contender.publishes:
        options |= {"publish": length, "window": NATS_WINDOW}
    with subscribed(server.port, contender.protocol, **options) as subscribers:
        used = server.cpu()
        if contender.publishes:
            server.feed(length)
        counted = subscribers.result()
        used = server.cpu() - used
    events = counted["events"]
    if contender.publishes and (fed := server.fed()) != events:
        raise Failed(f"{contender.name} sent {fed} messages, the last one that arrived is number {events}")
    return Run(
        contender=contender.name,
        rate=counted["rate"],
        per_cpu=counted["messages"] / used if used else 0.0,
        events=events,
        lost=_lost(counted),
        payload=counted["payload"],
        client_load=counted["cpu"],
        server_load=used / (counted["seconds"] + WARMUP),
    )


def _lost(counted: dict[str, Any]) -> int:
    lost = int(counted["missing"]) + int(counted["repeated"])
    unfinished = int(counted["subscribers"]) - int(counted["finished"])
    return max(lost, unfinished, abs(int(counted["events"]) * SUBSCRIBERS - int(counted["messages"])))


def rates_of(runs: Sequence[Run]) -> dict[str, list[float]]:
    """The rates of the rounds by contender, in the order of a round."""
    rates: dict[str, list[float]] = {}
    for found in runs:
        rates.setdefault(found.contender, []).append(found.rate)
    return rates


def columns(*versus: str) -> tuple[str, ...]:
    """The heads of the columns of `row`."""
    return ("server", "M/s", "range", "M/CPU s", *versus, "bytes", "server load", "client load", "lost")


def row(name: str, runs: Sequence[Run], *versus: str) -> tuple[str, ...]:
    """The medians of a contender's rounds, and how it compares with others."""
    mine = [r for r in runs if r.contender == name]
    rates = [r.rate for r in mine]
    return (
        name,
        f"{median(rates) / 1e6:.3f}",
        f"{min(rates) / 1e6:.3f}–{max(rates) / 1e6:.3f}",
        f"{median(r.per_cpu for r in mine) / 1e6:.3f}",
        *versus,
        f"{median(r.payload for r in mine):.0f}",
        f"{median(r.server_load for r in mine):.0%}",
        f"{median(r.client_load for r in mine):.0%}",
        f"{sum(r.lost for r in mine)}",
    )


def outcome(runs: Sequence[Run]) -> Outcome:
    """The medians of the rounds, and the goals for those contenders that took part."""
    rates = rates_of(runs)

    def versus(name: str) -> tuple[str, ...]:
        peers = (ratio(rates[name], rates[peer]) if peer in rates else 0.0 for peer in (NODE, NATS))
        return tuple(f"{value:.2f}" for value in peers)

    aims = [
        (door, peer, at_least)
        for door in (GATEWAY_WS, GATEWAY_SSE)
        for peer, at_least in ((NODE, 20.0), (NATS, 1.5))
        if door in rates and peer in rates
    ]
    ceilings = [
        (door, ceiling)
        for door, ceiling in ((GATEWAY_WS, CEILING_WS), (GATEWAY_SSE, CEILING_SSE), (NATS, CEILING_NATS))
        if door in rates and ceiling in rates
    ]
    goals = [Goal(f"{d} : {p}", least, ratio(rates[d], rates[p])) for d, p, least in aims]
    goals += [Goal(f"{c} : {d}", 1.5, ratio(rates[c], rates[d])) for d, c in ceilings]
    return Outcome(
        title=f"Fan-out to {SUBSCRIBERS:,} subscribers",
        note="Millions of deliveries a second, and for each second of the server's processor time; medians of the "
        "rounds. The ceilings are a server that only writes ready-made frames: more than that neither the client nor "
        "the kernel takes.",
        columns=columns("× Node", "× NATS"),
        rows=tuple(row(name, runs, *versus(name)) for name in rates),
        goals=tuple(goals),
        lost=sum(r.lost for r in runs),
        measurements=runs,
    )
