"""GraphQL: a thousand subscribers of one document, and queries for a pet, beside strawberry as it comes."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from benchmarks import servers
from benchmarks.fanout import SUBSCRIBERS, measure
from benchmarks.process import requests, serving
from benchmarks.reads import CONNECTIONS, WARMUP
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.servers import Contender
from benchmarks.store import Store

TOPIC = "inventory/+/stock"
GATEWAY, STRAWBERRY, CACHED = "gateway", "strawberry", "strawberry, with caches"
_QUERY = '{ pet(id: "%s") { id name species breed ageMonths size price currency status createdAt } }'


def events(rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measure both, interleaved."""
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        data = Path(folder)
        gateway = stack.enter_context(serving(servers.gateway(data / "data")))
        (data / "pet.json").write_bytes(Store(gateway.port).a_pet())
        launch = servers.strawberry(data / "pet.json")
        pairs = (
            (
                Contender(GATEWAY, servers.gateway(data / "data"), "ws", servers.subscribe_graphql(TOPIC)),
                gateway,
            ),
            (
                Contender(STRAWBERRY, launch, "ws", servers.subscribe_graphql(TOPIC)),
                stack.enter_context(serving(launch)),
            ),
        )
        runs = []
        for number in range(1, rounds + 1):
            for contender, server in pairs:
                found = measure(contender, server, seconds)
                announce(f"GraphQL events {number}/{rounds}: {found.contender}: {found.rate:,.0f} a second")
                runs.append(found)
    rates = {name: [run.rate for run in runs if run.contender == name] for name in (GATEWAY, STRAWBERRY)}
    rows = []
    for name, found_rates in rates.items():
        mine = [run for run in runs if run.contender == name]
        rows.append(
            (
                name,
                f"{median(found_rates) / 1e6:.3f}",
                f"{min(found_rates) / 1e6:.3f}–{max(found_rates) / 1e6:.3f}",
                f"{median(run.per_cpu for run in mine) / 1e6:.3f}",
                f"{median(run.payload for run in mine):.0f}",
                f"{median(run.server_load for run in mine):.0%}",
                f"{median(run.client_load for run in mine):.0%}",
                f"{sum(run.lost for run in mine)}",
            )
        )
    return Outcome(
        title=f"GraphQL: {SUBSCRIBERS:,} subscribers of one document",
        note="Millions of deliveries a second over graphql-transport-ws. The gateway executes once an event.",
        columns=("server", "M/s", "range", "M/CPU s", "bytes", "server load", "client load", "lost"),
        rows=tuple(rows),
        goals=(Goal(f"{GATEWAY} : {STRAWBERRY}", 10.0, ratio(rates[GATEWAY], rates[STRAWBERRY])),),
        lost=sum(run.lost for run in runs),
        measurements=runs,
    )


def queries(rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measure both, interleaved."""
    rates: dict[str, list[float]] = {GATEWAY: [], STRAWBERRY: [], CACHED: []}
    errors = 0
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        data = Path(folder)
        gateway = stack.enter_context(serving(servers.gateway(data / "data")))
        store = Store(gateway.port)
        (data / "pet.json").write_bytes(store.a_pet())
        running = {
            GATEWAY: gateway,
            STRAWBERRY: stack.enter_context(serving(servers.strawberry(data / "pet.json"))),
            CACHED: stack.enter_context(serving(servers.strawberry(data / "pet.json", "--cache"))),
        }
        path = f"{servers.GRAPHQL_PATH}?query={quote(_QUERY % store.a_pet_id())}"
        for number in range(1, rounds + 1):
            for name, server in running.items():
                counted = requests(
                    server.port,
                    path,
                    connections=CONNECTIONS,
                    seconds=seconds,
                    warmup=WARMUP,
                    header="Accept: application/json",
                )
                rates[name].append(counted["rate"])
                errors += counted["errors"]
                announce(f"GraphQL queries {number}/{rounds}: {name}: {counted['rate']:,.0f} a second")
    return Outcome(
        title="GraphQL: queries for one pet",
        note=f"Ten members of a pet over {CONNECTIONS} keep-alive connections. The gateway asks its store, in the "
        "caller's rights and budget; strawberry's resolver has the pet at hand, and the same types. As it comes, "
        "strawberry parses and validates each time; its extensions remember what is valid, as the gateway does.",
        columns=("server", "requests/s", "range"),
        rows=tuple(
            (name, f"{median(found):,.0f}", f"{min(found):,.0f}–{max(found):,.0f}")
            for name, found in rates.items()
        ),
        goals=tuple(
            Goal(f"{GATEWAY} : {peer}", 1.0, ratio(rates[GATEWAY], rates[peer]))
            for peer in (STRAWBERRY, CACHED)
        ),
        lost=errors,
        measurements=rates,
    )
