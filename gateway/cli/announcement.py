"""What `petstore serve` prints at its start: each door and its address, in demo mode with a command to try it."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from gateway.demo import ACCOUNTS, API_KEY, SERVICE_ID, SERVICE_SECRET
from gateway.serving import BoundPorts
from gateway.settings import Settings

#: Lines are broken where the shell allows it, below; the terminal must not break them elsewhere.
_WIDTH_COLUMNS = 400


@dataclass(frozen=True, slots=True)
class Entry:
    """A door, its address, and a shell command that runs after `make run`, in lines that fit 80 columns."""

    door: str
    address: str
    command: tuple[str, ...] = ()


def announce(settings: Settings, ports: BoundPorts) -> None:
    """Print the doors on standard output."""
    console = Console(width=_WIDTH_COLUMNS, highlight=False)
    console.print("The pet store is open.\n", style="bold green")
    for entry in entries(ports):
        console.print(f" [bold]{entry.door:<20}[/] {entry.address}")
        if settings.demo:
            for line in entry.command:
                console.print(f"   {line}", style="cyan", markup=False)
    console.print()
    if settings.demo:
        people = ", ".join(f"{name} / {password} ({role})" for name, password, _, role in ACCOUNTS)
        console.print(f"Accounts: {people}\nAPI key: {API_KEY} (STAFF). Stop with Ctrl-C.\n")
    # A pipe is not flushed line by line, and a supervisor may wait for this.
    sys.stdout.flush()


def entries(ports: BoundPorts) -> Iterator[Entry]:
    """The doors, in the order in which they are shown."""
    http, ws, grpc = ports.http.url(), ports.http.url("ws"), ports.grpc.url("grpc")
    petstore, websockets, python = (_program(name) for name in ("petstore", "websockets", "python"))
    name, password, *_ = ACCOUNTS[0]
    yield Entry("Console", f"{http}/")
    yield Entry("REST", f"{http}/v1", (f"curl '{http}/v1/pets?limit=3'",))
    yield Entry("Classic Petstore", f"{http}/api/v3", (f"curl {http}/api/v3/pet/1",))
    yield Entry("Swagger UI", f"{http}/v1/swagger-ui.html")
    yield Entry("AsyncAPI UI", f"{http}/v1/asyncapi-ui.html")
    yield Entry("Server-Sent Events", f"{http}/v1/events", (f"curl -N '{http}/v1/events?topics=%23'",))
    yield Entry(
        "WebSocket, events",
        f"{ws}/v1/ws/events",
        (
            """(echo '{"type":"subscribe","data":{"topics":["#"]}}'; cat) |""",
            f"  {websockets} {ws}/v1/ws/events",
        ),
    )
    yield Entry(
        "WebSocket, chat",
        f"{ws}/v1/ws/chat",
        (
            f"TOKEN=$(echo {password} | {petstore} token {name} \\",
            f"  --url {http})",
            f'{websockets} "{ws}/v1/ws/chat?token=$TOKEN"',
        ),
    )
    yield Entry(
        "Socket.IO",
        f"{http}/socket.io/",
        (
            """(echo '40{"topics":["#"]}'; while sleep 20; do echo 3; done) |""",
            f"  {websockets} \\",
            f"  '{ws}/socket.io/?EIO=4&transport=websocket'",
        ),
    )
    yield Entry(
        "GraphQL, GraphiQL",
        f"{http}/v1/graphql",
        (
            f"curl -N {http}/v1/graphql -H 'Accept: text/event-stream' \\",
            """ --json '{"query":"subscription { events(topics: [\\"#\\"]) { topic data } }"}'""",
        ),
    )
    yield Entry("gRPC", ports.grpc.authority, (f"{petstore} watch '#' --url {grpc}",))
    yield Entry(
        "MQTT",
        f"mqtt://{ports.mqtt.authority}",
        (
            # The length before each topic begins with a zero byte, which curl writes to no terminal by itself.
            f"curl -N -o - mqtt://{name}:{password}@{ports.mqtt.authority}/orders/%23",
        ),
    )
    yield Entry(
        "MQTT over WebSocket",
        f"{ws}/mqtt",
        (
            f"{python} -c 'import paho.mqtt.subscribe as mqtt; mqtt.callback(",
            """  lambda client, data, message: print(message.payload), "pets/#",""",
            f"""  hostname="{ports.http.reachable_host}", port={ports.http.port}, transport="websockets")'""",
        ),
    )
    yield Entry(
        "MCP",
        f"{http}/mcp",
        (
            """echo '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' |""",
            f"  {petstore} mcp --url {http}",
        ),
    )
    yield Entry(
        "Advisor",
        f"{http}/v1/chat/completions",
        (
            f"curl {http}/v1/chat/completions \\",
            f"  -H 'X-API-Key: {API_KEY}' --json \\",
            """  '{"messages":[{"role":"user","content":"A dog for children?"}]}'""",
        ),
    )
    yield Entry(
        "Webhooks",
        f"{http}/v1/webhooks",
        (f"curl {http}/v1/webhooks -H 'X-API-Key: {API_KEY}'",),
    )
    yield Entry(
        "OAuth 2.0",
        f"{http}/v1/oauth",
        (
            f"curl {http}/v1/oauth/token \\",
            f"  -u {SERVICE_ID}:{SERVICE_SECRET} \\",
            "  -d grant_type=client_credentials",
        ),
    )
    if ports.mqtts is not None:
        yield Entry("MQTT, TLS", f"mqtts://{ports.mqtts.authority}")
    yield Entry("Command line", http, (f"{petstore} watch '#' --url {http}",))
    yield Entry("Health, metrics", f"{http}/readyz", (f"curl {http}/readyz",))


def _program(name: str) -> str:
    """How a program of this installation is called from here."""
    beside = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found is not None and beside.samefile(found):
        return name
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)
