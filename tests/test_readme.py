"""The README's commands work as printed, and its tables tell the truth."""

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
from tests.process import Gateway, environment
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(section: str) -> list[str]:
    """The shell blocks under a heading."""
    body = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", body, re.DOTALL)


def shell(script: str, gateway: Gateway, begin: str) -> list[str]:
    """How a reader runs a block in a terminal that he has begun as the README says."""
    begin = begin.replace(". .venv/bin/activate", f"export PATH={Path(sys.executable).parent}:$PATH")
    return ["bash", "-euc", f"{begin}\n{script}".replace("http://127.0.0.1:8080", gateway.url)
            .replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")]  # fmt: skip


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, "--demo") as running:
        yield running


@contextlib.contextmanager
def terminal(script: str, gateway: Gateway, begin: str, output: Path) -> Iterator[Path]:
    """A terminal in which a command goes on running; gives the file of what it shows."""
    with output.open("wb") as shown:
        process = subprocess.Popen(
            shell(script, gateway, begin),
            cwd=ROOT, env=environment(url=gateway.url), stdin=subprocess.PIPE, stdout=shown, stderr=shown,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            yield output
        finally:
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)


def shows(output: Path, text: str) -> None:
    """Wait until a terminal shows a text."""
    wait_until(lambda: text in output.read_text(), timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_commands_of_the_readme_show_the_same_events_on_every_door(
    gateway: Gateway, tmp_path: Path
) -> None:
    begin, watch, sse, websocket, socketio, graphql = blocks("Watch the same event arrive")
    with (
        terminal(watch, gateway, begin, tmp_path / "watch") as in_watch,
        terminal(sse, gateway, begin, tmp_path / "sse") as in_sse,
        terminal(websocket, gateway, begin, tmp_path / "ws") as in_websocket,
        terminal(socketio, gateway, begin, tmp_path / "socketio") as in_socketio,
        terminal(graphql, gateway, begin, tmp_path / "graphql") as in_graphql,
    ):
        for output, sign in (
            (in_watch, "watching"),
            (in_sse, "id: "),
            (in_websocket, '"ack"'),
            (in_socketio, '"connected"'),
            (in_graphql, ":"),
        ):
            shows(output, sign)
        sale = "".join(blocks("Sell a pet")) + '\necho "\norder $ORDER pet $PET"'
        done = subprocess.run(
            shell(sale, gateway, begin),
            cwd=ROOT, env=environment(url=gateway.url), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert '"status":"SUCCEEDED"' in done.stdout
        order, pet = re.findall(r"order (\S+) pet (\S+)", done.stdout)[0]
        for output in (in_watch, in_sse, in_websocket, in_socketio, in_graphql):
            shows(output, "payment.succeeded")
            text = output.read_text()
            for event, topic in (
                ("pet.created", f"pets/{pet}"),
                ("order.created", f"orders/{order}/status"),
                ("payment.succeeded", f"orders/{order}/payment"),
            ):
                assert event in text
                assert topic in text


def test_the_table_of_settings_is_the_code_s() -> None:
    listed = dict(re.findall(r"\| `(PETSTORE_\w+)` \| .+? \| (.+) \|", README))
    assert listed == {
        f"{PREFIX}{name.upper()}": field.description for name, field in Settings.model_fields.items()
    }


def test_every_file_the_documents_point_to_is_there() -> None:
    for document in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"
