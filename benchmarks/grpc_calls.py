"""gRPC: GetPet beside a bare grpc.aio server that answers the same bytes, and events to two hundred readers."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from benchmarks import servers
from benchmarks.process import Failed, Server, counted_by, serving, subscribed_by
from benchmarks.report import Goal, Outcome, median, ratio
from protocols.grpc._generated.petstore.v1.pets_pb2 import GetPetRequest, ListPetsRequest, Pet
from protocols.grpc._generated.petstore.v1.pets_pb2_grpc import PetServiceStub

CONNECTIONS = 4
IN_FLIGHT = 8
READERS = 200
WARMUP = 0.5

GATEWAY = "gateway"
BARE = "bare grpc.aio"
_CLIENT = (sys.executable, "-m", "benchmarks.grpc_client")


@dataclass(frozen=True)
class Run:
    """One server in one round: a second on the clock, and of the server's processor time; latency in microseconds."""

    server: str
    rate: float
    per_cpu: float
    lost: int
    client_load: float
    p50: float = 0.0
    p99: float = 0.0


def run(kind: str, rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measures "calls" or "events" of both, interleaved, with the same client."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        data = Path(folder)
        gateway = stack.enter_context(serving(servers.gateway_grpc(data / "data")))
        pet = _a_pet(gateway.port)
        (data / "pet").write_bytes(pet.SerializeToString())
        bare = stack.enter_context(serving(servers.grpc_aio(data / "pet")))
        for number in range(1, rounds + 1):
            for name, server in ((GATEWAY, gateway), (BARE, bare)):
                calls = kind == "calls"
                found = _calls(name, server, pet.id, seconds) if calls else _streams(name, server, seconds)
                announce(
                    f"gRPC {kind} {number}/{rounds}: {name}: {found.rate:,.0f} a second, "
                    f"{found.per_cpu:,.0f} per CPU s, lost {found.lost}"
                )
                runs.append(found)
    return _outcome(kind, runs)


def _a_pet(port: int) -> Pet:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = PetServiceStub(channel)
        first = stub.ListPets(ListPetsRequest(limit=1)).pets[0].id
        return stub.GetPet(GetPetRequest(id=first))


def _calls(name: str, server: Server, pet: str, seconds: float) -> Run:
    used = server.cpu()
    words = (server.port, pet, CONNECTIONS, IN_FLIGHT, seconds, WARMUP)
    counted = counted_by((*_CLIENT, "calls", *map(str, words)))
    used = server.cpu() - used
    return Run(
        name,
        counted["rate"],
        counted["all"] / used if used else 0.0,
        counted["errors"],
        counted["cpu"],
        counted["p50_us"],
        counted["p99_us"],
    )


def _streams(name: str, server: Server, seconds: float) -> Run:
    with subscribed_by((*_CLIENT, "streams", *map(str, (server.port, READERS, CONNECTIONS)))) as readers:
        used = server.cpu()
        server.feed(seconds)
        counted = readers.result()
        used = server.cpu() - used
        fed = server.fed()
    if fed != counted["events"]:
        raise Failed(f"{name} sent {fed} events, the last one that arrived is number {counted['events']}")
    per_cpu = counted["messages"] / used if used else 0.0
    return Run(name, counted["rate"], per_cpu, counted["wrong"], counted["cpu"])


def _outcome(kind: str, runs: list[Run]) -> Outcome:
    own = {name: [found for found in runs if found.server == name] for name in (GATEWAY, BARE)}
    per_cpu = {name: [found.per_cpu for found in found_runs] for name, found_runs in own.items()}

    def row(name: str) -> tuple[str, ...]:
        mine = own[name]
        cells = [
            name,
            f"{median(found.rate for found in mine):,.0f}",
            f"{median(per_cpu[name]):,.0f}",
            f"{median(found.client_load for found in mine):.0%}",
        ]
        if kind == "calls":
            cells += [f"{median(getattr(found, at) for found in mine) / 1000:.2f}" for at in ("p50", "p99")]
        return (*cells, str(sum(found.lost for found in mine)))

    latency = ("p50 ms", "p99 ms") if kind == "calls" else ()
    titles = {
        "calls": (
            "gRPC: reads of one pet",
            f"`GetPet` over {CONNECTIONS} connections, {IN_FLIGHT} calls in flight on each. The client is Python "
            "too and busy, so that calls for each second of the server's processor time say more than the "
            "rate; the aim is about them.",
            0.8,
        ),
        "events": (
            f"gRPC: events to {READERS} readers",
            "Deliveries; the peer has a queue for each reader and writes a message for each event.",
            1.0,
        ),
    }
    title, note, least = titles[kind]
    return Outcome(
        title=title,
        note=note,
        columns=("server", "a second", "per CPU s", "client load", *latency, "lost"),
        rows=tuple(row(name) for name in own),
        goals=(Goal(f"{GATEWAY} : {BARE}, per CPU s", least, ratio(per_cpu[GATEWAY], per_cpu[BARE])),),
        lost=sum(found.lost for found in runs),
        measurements=runs,
    )
