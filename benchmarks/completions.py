"""Completions of the embedded advisor, streamed to five hundred clients, beside sse-starlette with the same chunks."""

import http.client
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.process import Failed, Server, counted_by, serving
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.store import Store

STREAMS = 500
WARMUP = 1.0
QUESTION = "A small dog under $300 that is good with children?"

GATEWAY, PEER = "gateway", "sse-starlette"
_CLIENT = (sys.executable, "-m", "benchmarks.completions_client")


@dataclass(frozen=True)
class Run:
    """One server in one round: chunks a second on the clock, and of the server's processor time; the first word in
    microseconds."""

    server: str
    rate: float
    per_cpu: float
    chunks: int
    lost: int
    client_load: float
    p50: float
    p99: float


def run(rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measure both, interleaved, with the same client."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        data = Path(folder)
        gateway = stack.enter_context(serving(servers.gateway(data / "data")))
        token = Store(gateway.port).token
        (data / "chunks").write_text("\n".join(_chunks(gateway.port, token)))
        peer = stack.enter_context(serving(servers.sse_starlette(data / "chunks")))
        for number in range(1, rounds + 1):
            for name, server in ((GATEWAY, gateway), (PEER, peer)):
                found = _measure(name, server, token, seconds)
                announce(
                    f"completions {number}/{rounds}: {name}: {found.rate:,.0f} a second, "
                    f"{found.per_cpu:,.0f} per CPU s, first word {found.p99 / 1000:.0f} ms, lost {found.lost}"
                )
                runs.append(found)
    return outcome(runs)


def _chunks(port: int, token: str) -> list[str]:
    """The data of each block of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": QUESTION}]})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 201:
        raise Failed(f"the advisor answered {answer.status}: {text}")
    return [block.removeprefix("data: ") for block in text.split("\n\n") if block]


def _measure(name: str, server: Server, token: str, seconds: float) -> Run:
    used = server.cpu()
    counted = counted_by((*_CLIENT, *map(str, (server.port, STREAMS, seconds, WARMUP, token))))
    used = server.cpu() - used
    return Run(
        server=name,
        rate=counted["rate"],
        per_cpu=counted["all"] / used if used else 0.0,
        chunks=counted["chunks"],
        lost=counted["errors"],
        client_load=counted["cpu"],
        p50=counted["first_p50_us"],
        p99=counted["first_p99_us"],
    )


def outcome(runs: list[Run]) -> Outcome:
    """The medians of the rounds."""
    of = {name: [found for found in runs if found.server == name] for name in (GATEWAY, PEER)}

    def row(name: str) -> tuple[str, ...]:
        mine = of[name]
        rates = [found.rate for found in mine]
        return (
            name,
            f"{median(rates):,.0f}",
            f"{min(rates):,.0f}–{max(rates):,.0f}",
            f"{median(found.per_cpu for found in mine):,.0f}",
            f"{median(found.p50 for found in mine) / 1000:.0f}",
            f"{median(found.p99 for found in mine) / 1000:.0f}",
            f"{median(found.chunks for found in mine):.0f}",
            f"{median(found.client_load for found in mine):.0%}",
            f"{sum(found.lost for found in mine)}",
        )

    per_cpu = {name: [found.per_cpu for found in found_runs] for name, found_runs in of.items()}
    firsts = {name: [found.p99 for found in found_runs] for name, found_runs in of.items()}
    return Outcome(
        title=f"Completions to {STREAMS} clients",
        note="Chunks a second of answers by the embedded advisor: each client asks again as soon as it has its answer. "
        "The gateway finds out who asks, understands the question and searches the store each time; sse-starlette has "
        "the same chunks at hand. The first word is counted from the question.",
        columns=(
            "server",
            "chunks/s",
            "range",
            "per CPU s",
            "first p50 ms",
            "first p99 ms",
            "chunks",
            "client load",
            "lost",
        ),
        rows=tuple(row(name) for name in (GATEWAY, PEER)),
        goals=(
            Goal(f"{GATEWAY} : {PEER}, of processor time", 3.0, ratio(per_cpu[GATEWAY], per_cpu[PEER])),
            Goal(f"{PEER} : {GATEWAY}, first word p99", 3.0, ratio(firsts[PEER], firsts[GATEWAY])),
        ),
        lost=sum(found.lost for found in runs),
        measurements=runs,
    )
