"""Starts gateways by forking: a process that has imported their code already is copied.

Importing takes seconds of processor time, and the tests start a gateway very often.
"""

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn


class Forks:
    """The process that is copied, for the tests of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Its own session, so that a Ctrl-C at the terminal is for pytest alone. It ends with its standard input.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def start(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: IO[bytes]
    ) -> "ForkedProcess":
        """Run a command of the gateway in a folder, with an environment and no other; ``log`` takes its output."""
        order = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "log": log.name}
        return ForkedProcess(self, self.ask(order))

    def ask(self, order: Mapping[str, Any]) -> int:
        """Send an order to the process; its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            return int(stdout.readline())

    def close(self) -> None:
        """End the process; its copies go on."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()


class ForkedProcess:
    """A copy that runs a command; what tests use of ``subprocess.Popen``."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forks = forks
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._handle], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; gives the exit status.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        if self.returncode is None:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("petstore", timeout or 0.0)
            self.returncode = self._forks.ask({"ended": self.pid})
            os.close(self._handle)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal; nobody gets it when the process has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """End it with no chance to say goodbye."""
        self.send_signal(signal.SIGKILL)


@cache
def forks() -> Forks:
    """The one of this process, started when it is first asked for."""
    found = Forks()
    atexit.register(found.close)
    return found


def _serve_orders() -> None:
    """Fork for each order; returns in the copies only, with the command to run as the program's arguments."""
    for line in sys.stdin:
        order = json.loads(line)
        if "ended" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["ended"], 0)[1])
        elif (answer := os.fork()) == 0:
            _become(order)
            return
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    sys.exit()


def _become(order: Mapping[str, Any]) -> None:
    """Be as a new process: a session, a folder, an environment, files, and arguments of its own."""
    os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    for place, file in enumerate((nothing, log, log)):
        os.dup2(file, place)
    os.closerange(3, max(nothing, log) + 1)
    sys.argv = ["petstore", *order["arguments"]]


def _main() -> NoReturn:
    # What `petstore serve` imports, whatever it serves.
    import gateway.cli.serve
    import gateway.node

    # So that the copies share the memory of what is there.
    gc.freeze()
    _serve_orders()
    gc.unfreeze()
    gateway.cli.main()
    sys.exit()


if __name__ == "__main__":
    _main()
