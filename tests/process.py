"""The gateway as people run it: a real ``petstore serve`` in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import httpx

from tests.forking import ForkedProcess, forks
from tests.http_clients import ask
from tests.servers import Server
from tests.waiting import TIMEOUT_SECONDS

PROGRAM = Path(sys.executable).with_name("petstore")


def environment(**settings: str) -> dict[str, str]:
    """The environment of this process, with these settings and no others; ports not named are any free ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PETSTORE_")}
    given = {"grpc_port": "0", "mqtt_port": "0", "mqtt_tls_port": "0", **settings}
    return kept | {f"PETSTORE_{name.upper()}": value for name, value in given.items()}


def petstore(
    *arguments: str, cwd: Path, stdin: str = "", **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [PROGRAM, *arguments],
        input=stdin, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS, cwd=cwd,
        env=environment(**settings),
    )  # fmt: skip


class Gateway(Server):
    """One node on a free port, in a folder of its own; settings are keyword arguments."""

    def __init__(self, directory: Path, *options: str, **settings: str) -> None:
        super().__init__()
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._options = options
        self._settings = {
            "data_dir": str(directory / "data"),
            "rate_limit": "0",
            "insecure_password_hash": "true",
            "log_format": "json",
        } | settings

    @property
    def url(self) -> str:
        """The address of the HTTP port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self._directory / f"gateway-{self.port}.log"

    def command(self) -> list[str]:
        return [str(PROGRAM), "serve", "--port", str(self.port), *self._options]

    def popen_options(self) -> Mapping[str, Any]:
        return {"cwd": self._directory, "env": environment(**self._settings)}

    def launch(self, log: IO[bytes]) -> subprocess.Popen[bytes] | ForkedProcess:
        program, *arguments = self.command()
        # Workers want to know by which program they were started; and only Linux has what forks are watched by.
        if program != str(PROGRAM) or "--workers" in arguments or sys.platform != "linux":
            return super().launch(log)
        return forks().start(arguments, log=log, **self.popen_options())

    def answers(self) -> bool:
        try:
            return ask("GET", f"{self.url}/readyz", timeout=TIMEOUT_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal, and wait for nothing."""
        assert self._process is not None, "the gateway isn't running"
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until the process has ended by itself; its exit status."""
        assert self._process is not None, "the gateway isn't running"
        status = self._process.wait(TIMEOUT_SECONDS)
        self._process = None
        return status

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None, "the gateway isn't running"
        return self._process.pid
