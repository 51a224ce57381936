"""MQTT: messages of about 300 bytes a second from one server core to a thousand subscribers, beside Mosquitto."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.fanout import BURST, Run, measure
from benchmarks.process import serving
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.servers import Contender

TOPIC = "inventory/+/stock"

GATEWAY = "gateway, QoS 0"
MOSQUITTO = "Mosquitto, QoS 0"
GATEWAY_1 = "gateway, QoS 1"
MOSQUITTO_1 = "Mosquitto, QoS 1"
CEILING = "ceiling"


def contenders(folder: Path) -> list[Contender]:
    """Everyone who takes part, in the order of a round."""
    gateway, mosquitto = servers.gateway_mqtt(folder / "gateway"), servers.mosquitto(folder)
    return [
        Contender(GATEWAY, gateway, "mqtt", {"topic": TOPIC}),
        Contender(MOSQUITTO, mosquitto, "mqtt", publishes=False),
        Contender(GATEWAY_1, gateway, "mqtt", {"topic": TOPIC, "qos": 1}),
        Contender(MOSQUITTO_1, mosquitto, "mqtt", {"qos": 1}, publishes=False),
        Contender(CEILING, servers.sink("mqtt", BURST), "mqtt"),
    ]


def run(rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measure all contenders, interleaved."""
    runs: list[Run] = []
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        chosen = contenders(Path(folder))
        launches = {id(c.launch): c.launch for c in chosen}
        running = {key: stack.enter_context(serving(launch)) for key, launch in launches.items()}
        for number in range(1, rounds + 1):
            for contender in chosen:
                found = measure(contender, running[id(contender.launch)], seconds)
                announce(
                    f"MQTT {number}/{rounds}: {found.contender}: {found.rate / 1e6:.3f} million a second, "
                    f"lost {found.lost}, load of server {found.server_load:.0%}, client {found.client_load:.0%}"
                )
                runs.append(found)
    return outcome(runs)


def outcome(runs: Sequence[Run]) -> Outcome:
    """The medians of the rounds, and the goal."""
    names = list(dict.fromkeys(r.contender for r in runs))
    rates = {name: [r.rate for r in runs if r.contender == name] for name in names}
    peers = {GATEWAY: MOSQUITTO, GATEWAY_1: MOSQUITTO_1}

    def row(name: str) -> tuple[str, ...]:
        mine = [r for r in runs if r.contender == name]
        return (
            name,
            f"{median(rates[name]) / 1e6:.3f}",
            f"{min(rates[name]) / 1e6:.3f}–{max(rates[name]) / 1e6:.3f}",
            f"{median(r.per_cpu for r in mine) / 1e6:.3f}",
            f"{ratio(rates[name], rates[peers[name]]):.1f}" if name in peers else "",
            f"{median(r.payload for r in mine):.0f}",
            f"{median(r.server_load for r in mine):.0%}",
            f"{median(r.client_load for r in mine):.0%}",
            f"{sum(r.lost for r in mine)}",
        )

    return Outcome(
        title="MQTT: fan-out to 1,000 subscribers",
        note="Millions of deliveries a second, version 3.1.1; medians of the rounds. With QoS 1 every message is "
        "acknowledged by every subscriber. The ceiling is a server that only writes ready-made frames.",
        columns=(
            "server",
            "M/s",
            "range",
            "M/CPU s",
            "× Mosquitto",
            "bytes",
            "server load",
            "client load",
            "lost",
        ),
        rows=tuple(row(name) for name in names),
        goals=(
            Goal(f"{GATEWAY} : {MOSQUITTO}", 20.0, ratio(rates[GATEWAY], rates[MOSQUITTO])),
            Goal(f"{CEILING} : {GATEWAY}", 1.5, ratio(rates[CEILING], rates[GATEWAY])),
        ),
        lost=sum(r.lost for r in runs),
        measurements=runs,
    )
