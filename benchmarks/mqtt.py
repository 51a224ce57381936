"""MQTT: messages of about 300 bytes a second from one server core to a thousand subscribers, beside Mosquitto."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import servers
from benchmarks.fanout import BURST, Run, columns, compete, rates_of, row
from benchmarks.report import Goal, Outcome, ratio
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
    return outcome(compete("MQTT", contenders, rounds, seconds, announce))


def outcome(runs: Sequence[Run]) -> Outcome:
    """The medians of the rounds, and the goal."""
    rates = rates_of(runs)
    peers = {GATEWAY: MOSQUITTO, GATEWAY_1: MOSQUITTO_1}

    def versus(name: str) -> str:
        return f"{ratio(rates[name], rates[peers[name]]):.1f}" if name in peers else ""

    return Outcome(
        title="MQTT: fan-out to 1,000 subscribers",
        note="Millions of deliveries a second, version 3.1.1; medians of the rounds. With QoS 1 every message is "
        "acknowledged by every subscriber. The ceiling is a server that only writes ready-made frames.",
        columns=columns("× Mosquitto"),
        rows=tuple(row(name, runs, versus(name)) for name in rates),
        goals=(
            Goal(f"{GATEWAY} : {MOSQUITTO}", 20.0, ratio(rates[GATEWAY], rates[MOSQUITTO])),
            Goal(f"{CEILING} : {GATEWAY}", 1.5, ratio(rates[CEILING], rates[GATEWAY])),
        ),
        lost=sum(r.lost for r in runs),
        measurements=runs,
    )
