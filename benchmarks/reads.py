"""Reads of one pet, by id and at the classic door by number, on one server core.

Beside ready bytes on Starlette and FastAPI without a database.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.process import Server, requests, serving
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.store import Store

CONNECTIONS = 32
WARMUP = 0.5

GATEWAY = "gateway"
CLASSIC = "gateway, classic door"
STARLETTE = "Starlette, ready bytes"
FASTAPI = "FastAPI, Pydantic model"


@dataclass(frozen=True)
class Run:
    """One server in one round: requests a second, latency in microseconds, the client's share of its core.

    `per_cpu`: requests for each second of processor time that the server used, those of the warm-up too.
    """

    server: str
    rate: float
    per_cpu: float
    errors: int
    p50: float
    p99: float
    client_load: float


def run(rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measures all of them, interleaved, with the same client and the same bytes of body."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        data = Path(folder)
        gateway = stack.enter_context(serving(servers.gateway(data / "data")))
        store = Store(gateway.port)
        body = store.a_pet()
        (data / "pet.json").write_bytes(body)
        pet = json.loads(body)
        path, classic = f"/v1/pets/{pet['id']}", f"/api/v3/pet/{pet['number']}"
        sizes = {CLASSIC: len(store.read(classic))}
        running = {
            GATEWAY: gateway,
            CLASSIC: gateway,
            STARLETTE: stack.enter_context(serving(servers.reads_starlette(data / "pet.json"))),
            FASTAPI: stack.enter_context(serving(servers.reads_fastapi(data / "pet.json"))),
        }
        for number in range(1, rounds + 1):
            for name, server in running.items():
                asked = classic if name == CLASSIC else path
                found = _measure(name, server, asked, seconds, sizes.get(name, len(body)))
                announce(
                    f"reads {number}/{rounds}: {name}: {found.rate:,.0f} a second, errors {found.errors}"
                )
                runs.append(found)
    return outcome(runs)


def _measure(name: str, server: Server, path: str, seconds: float, body: int) -> Run:
    # FastAPI writes the same pet without the members' order or the spelling of times, so its size may differ.
    wanted: dict[str, int] = {} if name == FASTAPI else {"body": body}
    used = server.cpu()
    counted = requests(server.port, path, connections=CONNECTIONS, seconds=seconds, warmup=WARMUP, **wanted)
    used = server.cpu() - used
    return Run(
        server=name,
        rate=counted["rate"],
        per_cpu=counted["all"] / used if used else 0.0,
        errors=counted["errors"],
        p50=counted["p50_us"],
        p99=counted["p99_us"],
        client_load=counted["cpu"],
    )


def outcome(runs: list[Run]) -> Outcome:
    """The medians of the rounds."""
    names = (GATEWAY, CLASSIC, STARLETTE, FASTAPI)
    rates = {name: [r.rate for r in runs if r.server == name] for name in names}

    def row(name: str) -> tuple[str, ...]:
        mine = [r for r in runs if r.server == name]
        return (
            name,
            f"{median(rates[name]):,.0f}",
            f"{min(rates[name]):,.0f}–{max(rates[name]):,.0f}",
            f"{median(r.per_cpu for r in mine):,.0f}",
            f"{median(r.p50 for r in mine) / 1000:.2f}",
            f"{median(r.p99 for r in mine) / 1000:.2f}",
            f"{median(r.client_load for r in mine):.0%}",
            f"{sum(r.errors for r in mine)}",
        )

    return Outcome(
        title="Reads of one pet",
        note=(
            "`GET /v1/pets/{id}`, at the classic door `GET /api/v3/pet/{petId}`, over "
            f"{CONNECTIONS} keep-alive connections, one request in flight on each."
        ),
        columns=("server", "requests/s", "range", "per CPU s", "p50 ms", "p99 ms", "client load", "errors"),
        rows=tuple(row(name) for name in names),
        goals=(
            Goal(f"{GATEWAY} : {STARLETTE}", 0.7, ratio(rates[GATEWAY], rates[STARLETTE])),
            Goal(f"{CLASSIC} : {STARLETTE}", 0.7, ratio(rates[CLASSIC], rates[STARLETTE])),
            Goal(f"{GATEWAY} : {FASTAPI}", 2.0, ratio(rates[GATEWAY], rates[FASTAPI])),
        ),
        lost=sum(r.errors for r in runs),
        measurements=runs,
    )
