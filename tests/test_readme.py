"""Commands work as printed, by the README and at the start; the README's tables tell the truth."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import PREFIX, Settings
from tests.http_clients import ask
from tests.process import Gateway, environment
from tests.servers import free_port
from tests.waiting import TIMEOUT_SECONDS, wait_until

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(section: str, document: str = README) -> list[str]:
    """The shell blocks under a heading."""
    body = document.split(f"\n## {section}\n")[1].split("\n## ", maxsplit=1)[0]
    return re.findall(r"```sh\n(.*?)```", body, re.DOTALL)


#: An event's place and name in whatever a terminal shows around them: its id, type, topic and cursor.
EVENT = re.compile(
    r'"id":\s*"([^"]+)",\s*"eventType":\s*"([^"]+)",[^{}]*?"topic":\s*"([^"]+)",\s*"cursor":\s*"([^"]+)"'
)


def shell(script: str, gateway: Gateway, ports: dict[str, str], begin: str) -> list[str]:
    """How a reader runs a block in a terminal that they have begun as the README says."""
    # The fixture has begun it as the first line says.
    begin = begin.replace(". .venv/bin/activate", "")
    script = f"{begin}\n{script}"
    for printed, taken in {"8080": str(gateway.port), **ports}.items():
        script = re.sub(rf"(127\.0\.0\.1(?::| -p )){printed}\b", rf"\g<1>{taken}", script)
    return ["bash", "-euc", script]


@pytest.fixture
def ports() -> dict[str, str]:
    """The ports of gRPC and MQTT by those that the README names."""
    return {"50051": str(free_port()), "1883": str(free_port())}


@pytest.fixture
def gateway(tmp_path: Path, ports: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    # A quiet gRPC stream shows that it is there only by its next cursor.
    settings = {"grpc_port": ports["50051"], "mqtt_port": ports["1883"], "heartbeat_seconds": "1"}
    with Gateway(tmp_path, "--demo", **settings) as running:
        yield running


@contextlib.contextmanager
def terminal(command: list[str], gateway: Gateway, output: Path) -> Iterator[Path]:
    """A terminal in which a command goes on running; gives the file of what it shows."""
    with output.open("wb") as shown:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(url=gateway.url), stdin=subprocess.PIPE, stdout=shown, stderr=shown,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            yield output
        finally:
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(TIMEOUT_SECONDS)


def shows(output: Path, text: str) -> None:
    """Wait until a terminal shows a text."""
    wait_until(lambda: text in output.read_text())


def shown(output: Path, kind: str, topic: str) -> list[tuple[str, str]]:
    """Ids and cursors of the events of a type and topic that a terminal shows, once there are any."""

    def found() -> list[tuple[str, str]]:
        events = EVENT.findall(output.read_text())
        return [(event_id, cursor) for event_id, *rest, cursor in events if rest == [kind, topic]]

    wait_until(lambda: bool(found()))
    return found()


#: What each terminal shows once it watches, in the order of the README.
WATCHING = {
    "command line": "watching",
    "SSE": "id: ",
    "WebSocket": '"ack"',
    "Socket.IO": '"connected"',
    "GraphQL": ":",
    "MQTT": "inventory/CAT/stock",
    "gRPC": '"cursor"',
}


@pytest.mark.slow
def test_the_commands_of_the_readme_show_the_same_event_at_the_same_cursor_on_every_door(
    gateway: Gateway, ports: dict[str, str], tmp_path: Path
) -> None:
    begin, *commands = blocks("Watch the same event arrive")
    with contextlib.ExitStack() as stack:
        terminals = {
            name: stack.enter_context(
                terminal(shell(command, gateway, ports, begin), gateway, tmp_path / name)
            )
            for name, command in zip(WATCHING, commands, strict=True)
        }
        for name, sign in WATCHING.items():
            shows(terminals[name], sign)
        deals = "".join(blocks("Sell a pet") + blocks("Give one away"))
        deals += "".join(blocks("Ask the advisor") + blocks("Connect an assistant"))
        deals += '\necho "\norder $ORDER pet $PET adoption $ADOPTION rabbit $RABBIT"'
        done = subprocess.run(
            shell(deals, gateway, ports, begin),
            cwd=ROOT, env=environment(url=gateway.url), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert '"status":"SUCCEEDED"' in done.stdout
        assert '"issuedAt":' in done.stdout
        assert '"object":"chat.completion"' in done.stdout
        assert '"structuredContent":' in done.stdout
        assert '"status":"APPROVED"' in done.stdout
        named = re.findall(r"order (\S+) pet (\S+) adoption (\S+) rabbit (\S+)", done.stdout)
        order, pet, adoption, rabbit = named[0]
        # The last event first: whoever has it has the others too, or lacks them for good.
        for kind, topic in (
            ("pet.adopted", f"pets/{rabbit}/adoption"),
            ("adoption.submitted", f"adoptions/{adoption}/status"),
            ("payment.succeeded", f"orders/{order}/payment"),
            ("order.created", f"orders/{order}/status"),
            ("pet.created", f"pets/{pet}"),
        ):
            seen = {name: shown(output, kind, topic) for name, output in terminals.items()}
            assert len(seen["SSE"]) == 1
            assert seen == dict.fromkeys(seen, seen["SSE"])


#: What a terminal shows once the command of a door works, by the door's name at the start.
WORKING = {
    "REST": '"pagination"',
    "Classic Petstore": '"Cat 1"',
    "Server-Sent Events": "id: ",
    "WebSocket, events": '"ack"',
    "WebSocket, chat": '"connected"',
    "Socket.IO": '"connected"',
    "GraphQL, GraphiQL": ":",
    "gRPC": "watching",
    "MQTT": '"order"',
    "MQTT over WebSocket": '"pet"',
    "MCP": '"search_pets"',
    "Advisor": '"chat.completion"',
    "Webhooks": '"pagination"',
    "OAuth 2.0": '"access_token"',
    "Command line": "watching",
    "Health, metrics": '"status"',
}
#: Those that go on, and show each pet that is made.
STREAMING = WORKING.keys() - {
    "REST",
    "Classic Petstore",
    "WebSocket, chat",
    "MQTT",
    "MCP",
    "Advisor",
    "Webhooks",
    "OAuth 2.0",
    "Health, metrics",
}


def printed_commands(lines: list[str]) -> dict[str, str]:
    """The commands that a start printed, by door."""
    commands: dict[str, str] = {}
    door = ""
    for line in lines:
        if line.startswith("   "):
            commands[door] = commands.get(door, "") + line + "\n"
        else:
            door = re.split("  +", line.strip())[0]
    return commands


@pytest.mark.slow
def test_each_command_that_a_start_prints_works_and_fits_the_terminal(
    gateway: Gateway, tmp_path: Path
) -> None:
    printed = gateway.log_file.read_text()
    lines = printed[printed.index("The pet store is open.") : printed.index("Accounts:")].splitlines()
    assert max(map(len, lines)) <= 80
    commands = printed_commands(lines)
    assert commands.keys() == WORKING.keys()
    with contextlib.ExitStack() as stack:
        for door, command in commands.items():
            stack.enter_context(terminal(["bash", "-euc", command], gateway, tmp_path / door))
        for door, sign in WORKING.items():
            shows(tmp_path / door, sign)
        pet = {"name": "Zarathustra", "species": "DOG", "ageMonths": 1, "price": "1.00"}
        made = ask("POST", f"{gateway.url}/v1/pets", json=pet, headers={"X-API-Key": "special-key"})
        assert made.status_code == 201
        for door in STREAMING:
            shows(tmp_path / door, "Zarathustra")


@pytest.mark.slow
def test_the_tenant_of_the_readme_is_its_owner_s(gateway: Gateway, ports: dict[str, str]) -> None:
    (script,) = blocks("A tenant of your own")
    done = subprocess.run(
        shell(script, gateway, ports, ""),
        cwd=ROOT, env=environment(url=gateway.url), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"name":"Pixel"' in done.stdout


#: What the terminals of docs/live.md show by themselves, by section, in the order of its commands.
LIVE = {
    "Events over SSE": ("id: ",),
    "Events over WebSocket": ("pet.created",),
    "A chat over WebSocket": ("We have two of them.", '"chatMessage"'),
    "A chat over Socket.IO": ("We have three of them.",),
}


@pytest.mark.slow
def test_the_commands_of_the_live_doors_work(gateway: Gateway, ports: dict[str, str], tmp_path: Path) -> None:
    document = (ROOT / "docs/live.md").read_text(encoding="utf-8")
    begin = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)[0]
    agent = tmp_path / "A chat over WebSocket 0"
    with contextlib.ExitStack() as stack:
        for section, signs in LIVE.items():
            for number, (command, sign) in enumerate(zip(blocks(section, document), signs, strict=True)):
                output = tmp_path / f"{section} {number}"
                stack.enter_context(terminal(shell(command, gateway, ports, begin), gateway, output))
                shows(output, "connected" if output == agent else sign)
        shows(agent, "We have two of them.")
        shows(agent, "We have three of them.")


def test_the_table_of_settings_is_the_code_s() -> None:
    listed = dict(re.findall(r"\| `(PETSTORE_\w+)` \| .+? \| (.+) \|", README))
    assert listed == {
        f"{PREFIX}{name.upper()}": field.description for name, field in Settings.model_fields.items()
    }


def test_every_file_the_documents_point_to_is_there() -> None:
    for document in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"
