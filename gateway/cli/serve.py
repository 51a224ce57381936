"""``petstore serve``."""

import asyncio
import os
import shutil
import sys
from collections.abc import Coroutine
from pathlib import Path

import uvloop
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.demo import ACCOUNTS, API_KEY
from gateway.observability.logs import configure_logs
from gateway.preflight import prepare
from gateway.serving import BoundPorts, bind, serve
from gateway.settings import Settings, load_settings

#: Commands must not be broken up, however narrow the terminal is.
_WIDTH_COLUMNS = 400


def run(*, host: str | None, port: int | None, workers: int | None, demo: bool | None) -> None:
    """Serve; options of the command line take precedence over the environment."""
    settings = load_settings(host=host, port=port, workers=workers, demo=demo or None)
    access = configure_logs(settings.log_level, settings.log_format)
    ports = bind(settings)
    on_loop(prepare(settings))
    if settings.workers > 1:
        from gateway.workers import supervise

        asyncio.run(supervise(settings, ports, lambda: announce(settings, ports)))
    else:
        on_loop(serve(settings, ports, access, lambda: announce(settings, ports)))


def on_loop(work: Coroutine[object, object, None]) -> None:
    """Run on the event loop that servers run on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def announce(settings: Settings, ports: BoundPorts) -> None:
    """Print each door's address on standard output, in demo mode with a command to try it."""
    console = Console(width=_WIDTH_COLUMNS, highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Door", style="bold")
    table.add_column("Address", no_wrap=True)
    if settings.demo:
        table.add_column("Try it", style="cyan", no_wrap=True)
    for row in _doors(ports):
        table.add_row(*(row if settings.demo else row[:2]))
    console.print("The pet store is open.", style="bold green")
    console.print(table)
    if settings.demo:
        people = ", ".join(f"{name} / {password} ({role})" for name, password, _, role in ACCOUNTS)
        console.print(f"Accounts: {people}; API key {API_KEY} (STAFF). Stop with Ctrl-C.\n")
    # A pipe is not flushed line by line, and a supervisor may wait for this.
    sys.stdout.flush()


def _doors(ports: BoundPorts) -> list[tuple[str, str, str]]:
    http, ws, grpc = ports.http.url(), ports.http.url("ws"), ports.grpc.authority
    subscribe = """'{"type":"subscribe","data":{"topics":["#"]}}'"""
    return [
        ("REST", f"{http}/v1", f"curl '{http}/v1/pets?limit=3'"),
        ("Swagger UI", f"{http}/v1/swagger-ui.html", "open it in a browser"),
        ("Server-Sent Events", f"{http}/v1/events", f"curl -N '{http}/v1/events?topics=%23'"),
        (
            "WebSocket, events",
            f"{ws}/v1/ws/events",
            f"(echo {subscribe}; cat) | {_program('websockets')} {ws}/v1/ws/events",
        ),
        (
            "Socket.IO",
            f"{http}/socket.io/",
            f"""(echo '40{{"topics":["#"]}}'; while sleep 20; do echo 3; done)"""
            f""" | {_program("websockets")} '{ws}/socket.io/?EIO=4&transport=websocket'""",
        ),
        (
            "GraphQL",
            f"{http}/v1/graphql",
            f"curl -N {http}/v1/graphql -H 'Accept: text/event-stream' --json "
            """'{"query":"subscription { events(topics: [\\"#\\"]) { eventType topic cursor data } }"}'""",
        ),
        ("GraphiQL", f"{http}/v1/graphql", "open it in a browser"),
        ("WebSocket, chat", f"{ws}/v1/ws/chat", f'{_program("websockets")} "{ws}/v1/ws/chat?token=$TOKEN"'),
        (
            "gRPC",
            grpc,
            f"{_program('buf')} curl --protocol grpc {'' if ports.grpc.tls else '--http2-prior-knowledge '}"
            f"""-d '{{"topics":["#"]}}' {ports.grpc.url()}/petstore.v1.EventService/Subscribe""",
        ),
        (
            "MQTT",
            f"mqtt://{ports.mqtt.authority}",
            f"mosquitto_sub -p {ports.mqtt.port} -v -t 'orders/#' -u demo-staff -P demo-staff-password",
        ),
        ("MQTT over WebSocket", f"{ws}/mqtt", f"npx mqtt sub -v -t 'pets/#' -h {ws}/mqtt"),
        *([("MQTT, TLS", f"mqtts://{ports.mqtts.authority}", "")] if ports.mqtts is not None else []),
        ("Command line", http, f"{_program('petstore')} watch '#' --url {http}"),
        ("Health, metrics", f"{http}/readyz", f"curl {http}/readyz"),
    ]


def _program(name: str) -> str:
    """How a program of this installation is called from here."""
    if shutil.which(name) is not None:
        return name
    beside = Path(sys.executable).with_name(name)
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)
