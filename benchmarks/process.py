"""The driver's side of the programs it runs: servers under test on their core, clients on theirs."""

import json
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.machine import CLIENT_CORE, HERE, SERVER_CORE, client, pinned

_START_LIMIT = 60.0
#: For a line of a program: the longest run, and more.
_ANSWER_SECONDS = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A program ended, or said something else than was expected; the text holds what it said."""


@dataclass(frozen=True)
class Launch:
    """How to start a server. It prints "port <n>", unless it is told a free one as `port` and prints nothing."""

    command: tuple[str | Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None


@dataclass(frozen=True)
class Server:
    """A server under test that runs."""

    process: subprocess.Popen[str]
    port: int
    errors: Path

    def feed(self, seconds: float) -> None:
        """Tells it to send messages to its clients for so many seconds."""
        _write(self.process, f"feed {seconds}\n")

    def fed(self) -> int:
        """Waits until it has fed its clients; how many messages went to each."""
        return int(self._answer("fed"))

    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE

    def _answer(self, word: str) -> str:
        line = _read(self.process)
        if not line.startswith(word + " "):
            raise Failed(f"expected {word!r}, got {line!r}\n{self.errors.read_text()[-4000:]}")
        return line.removeprefix(word).strip()


@contextmanager
def serving(launch: Launch) -> Iterator[Server]:
    """A server on the servers' core, until the block ends. Raises Failed when it does not start."""
    with tempfile.NamedTemporaryFile("w", suffix=".log") as errors:
        process = _start(SERVER_CORE, launch.command, errors, launch.environment)
        server = Server(process, launch.port or 0, Path(errors.name))
        try:
            if launch.port is None:
                server = Server(process, int(server._answer("port")), server.errors)
            else:
                _wait_for(launch.port)
            yield server
        finally:
            _stop(process)


@contextmanager
def subscribed(port: int, protocol: str, **options: str | float) -> Iterator["Subscribers"]:
    """Clients that are subscribed, from the beginning of the block on. Options: see client/subscribers.c."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command: tuple[str | Path, ...] = (
        client("subscribers"),
        "--port",
        str(port),
        "--protocol",
        protocol,
        *words,
    )
    with subscribed_by(command) as subscribers:
        yield subscribers


@contextmanager
def subscribed_by(command: tuple[str | Path, ...]) -> Iterator["Subscribers"]:
    """The same for another client, which says "ready", and at the end what it counted."""
    process = _start(CLIENT_CORE, command, None, {})
    try:
        if (line := _read(process)) != "ready":
            raise Failed(f"the subscribers did not get ready: {line}")
        yield Subscribers(process)
    finally:
        _stop(process)


@dataclass(frozen=True)
class Subscribers:
    """The counting client, subscribed."""

    process: subprocess.Popen[str]

    def everybody_has_it(self) -> int:
        """Waits until each subscriber has one more matching message; when that was, on the monotonic clock, in ns."""
        word, _, clock = _read(self.process).split()
        if word != "all":
            raise Failed("the subscribers ended early")
        return int(clock)

    def result(self) -> dict[str, Any]:
        """Waits for the end of the messages, and gives what was counted."""
        return dict(json.loads(_read(self.process)))

    def stop(self) -> dict[str, Any]:
        """Ends the run, and gives what was counted."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.result()


def requests(port: int, path: str, **options: str | float) -> dict[str, Any]:
    """Runs the request client. Options and result: see client/requests.c."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return counted_by((client("requests"), "--port", str(port), "--path", path, *words))


def counted_by(command: tuple[str | Path, ...]) -> dict[str, Any]:
    """Runs a client to its end; what it counted."""
    command = pinned(CLIENT_CORE, *command)
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode != 0 or done.stderr:
        raise Failed(done.stderr)
    return dict(json.loads(done.stdout))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _start(
    core: int, command: tuple[str | Path, ...], errors: IO[str] | None, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        pinned(core, *command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        cwd=HERE.parent,
        env={**os.environ, **environment},
    )


def _read(process: subprocess.Popen[str]) -> str:
    """A line of the process; each comes alone, when it was asked for."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], _ANSWER_SECONDS)[0]:
        raise Failed(f"{process.args!r} said nothing for {_ANSWER_SECONDS} seconds")
    return process.stdout.readline().strip()


def _write(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def _wait_for(port: int) -> None:
    end = time.monotonic() + _START_LIMIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise Failed(f"nobody listens on port {port}") from None
            time.sleep(0.02)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None and not stream.closed:
            stream.close()
