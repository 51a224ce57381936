"""Real Redis, PostgreSQL and Mosquitto servers for tests, on free loopback ports, in folders of their own.

`tests/setup_servers.sh` installs the programs. A missing one is an error, never a skipped test.
"""

import itertools
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.forking import ForkedProcess
from tests.waiting import TIMEOUT_SECONDS, wait_until


class MissingServerError(RuntimeError):
    """A server program that the tests need isn't on this machine."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} not found: run tests/setup_servers.sh, which installs it or says how")


class Server:
    """One server process that can be stopped and started again on the same port with the same data."""

    stop_signal = signal.SIGTERM
    # What the server prints when it can't start yet, though it soon can.
    passing_failure: str | None = None

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log_file(self) -> Path:
        """What the server printed."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        raise NotImplementedError

    def popen_options(self) -> Mapping[str, Any]:
        """Return what else the process needs, such as another user."""
        return {}

    def answers(self) -> bool:
        """Tell whether the server takes requests."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server and return when it answers; one that already runs is left alone."""
        if self._process is not None:
            return
        self._spawn()
        wait_until(self._up)

    def stop(self) -> None:
        """Ask the server to end, and wait for it."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server with no chance to say goodbye."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop, then start on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the process in its tracks: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server isn't running"
        self._process.send_signal(number)

    def _spawn(self) -> None:
        # A new file each time: what it holds is about this start.
        with self.log_file.open("wb") as log:
            self._process = self.launch(log)

    def launch(self, log: IO[bytes]) -> subprocess.Popen[bytes] | ForkedProcess:
        """Start the process, whose output the file takes."""
        # A session of its own keeps a Ctrl-C at the terminal for pytest, which then stops the server.
        return subprocess.Popen(
            self.command(), stdout=log, stderr=log, start_new_session=True, **self.popen_options()
        )

    def _up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is None:
            return self.answers()
        self._process = None
        printed = self.log_file.read_text()
        if self.passing_failure is None or self.passing_failure not in printed:
            raise RuntimeError(f"{self.command()[0]} ended at once:\n{printed[-2000:]}")
        self._spawn()
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class RedisServer(Server):
    """A Redis server that keeps nothing on disk."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    @property
    def url(self) -> str:
        """The address as REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log_file(self) -> Path:
        return self._directory / f"redis-{self.port}.log"

    def command(self) -> list[str]:
        return [
            program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory),
            "--save", "", "--appendonly", "no",
        ]  # fmt: skip

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class MosquittoServer(Server):
    """A Mosquitto broker that keeps sessions and retained messages, through a restart at least.

    Anybody may do anything there. With ``guarded`` the dynamic-security plugin decides, and knows one administrator,
    who is in the address, and nobody else. ``more`` are further lines of its configuration.
    """

    administrator = "gateway"

    def __init__(self, directory: Path, *, guarded: bool = False, more: Sequence[str] = ()) -> None:
        super().__init__()
        self._directory = directory / f"mosquitto-{self.port}"
        self._directory.mkdir(parents=True)
        self.password = secrets.token_urlsafe(12) if guarded else None
        lines = [
            # Root is not kept by itself; any other user stays who they are.
            f"listener {self.port} 127.0.0.1", "user root", "log_dest stderr",
            f"persistence_location {self._directory}/", "persistence true", "autosave_interval 1",
            "autosave_on_changes true", f"allow_anonymous {str(not guarded).lower()}",
        ]  # fmt: skip
        if self.password is not None:
            accounts = self._directory / "dynamic-security.json"
            subprocess.run(
                [
                    program("mosquitto_ctrl"),
                    *("dynsec", "init", str(accounts), self.administrator, self.password),
                ],
                check=True, capture_output=True,
            )  # fmt: skip
            lines += [f"plugin {_mosquitto_plugin()}", f"plugin_opt_config_file {accounts}"]
        (self._directory / "mosquitto.conf").write_text("\n".join([*lines, *more]) + "\n")

    @property
    def url(self) -> str:
        """The address as MQTT_BROKER_URL takes it, with the administrator's name and password if there is one."""
        account = f"{self.administrator}:{self.password}@" if self.password is not None else ""
        return f"mqtt://{account}127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self._directory / "mosquitto.log"

    def command(self) -> list[str]:
        return [program("mosquitto"), "-c", str(self._directory / "mosquitto.conf")]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


class PostgresServer(Server):
    """A PostgreSQL cluster in a temporary folder.

    Nothing is synced to disk. What is committed still outlives the death of any process, since it is in the
    kernel's memory; only the machine may not crash.
    """

    # Fast shutdown: sessions are ended, not waited for.
    stop_signal = signal.SIGINT
    # The sessions of a killed server need a moment to notice and end.
    passing_failure = "pre-existing shared memory block"

    def __init__(self) -> None:
        super().__init__()
        self._programs = _postgres_programs()
        self._user = _unprivileged_user()
        # Not pytest's folder: that is closed to the other user whom root needs here. The short path also
        # keeps the socket's name within the limit of the kernel.
        self._directory = Path(tempfile.mkdtemp(prefix="petstore-pg-"))
        self._numbers = itertools.count(1)
        if self._user is not None:
            os.chown(self._directory, self._user.pw_uid, self._user.pw_gid)
        try:
            self._run(
                "initdb", "--pgdata", str(self._directory / "data"), "--username", "petstore",
                "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync",
            )  # fmt: skip
        except BaseException:
            self.remove()
            raise

    @property
    def log_file(self) -> Path:
        return self._directory / "server.log"

    def command(self) -> list[str]:
        return [
            str(self._programs / "postgres"), "-D", str(self._directory / "data"),
            "-k", str(self._directory), "-h", "127.0.0.1", "-p", str(self.port),
            "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200",
        ]  # fmt: skip

    def popen_options(self) -> Mapping[str, Any]:
        if self._user is None:
            return {"cwd": self._directory}
        return {
            "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [], "cwd": self._directory,
        }  # fmt: skip

    def answers(self) -> bool:
        return self._tool("pg_isready", "--dbname", "postgres", "--quiet").returncode == 0

    def url(self, database: str) -> str:
        """The address of one database as DATABASE_URL takes it."""
        return f"postgresql://petstore@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"test_{next(self._numbers)}"
        self._sql(f'CREATE DATABASE "{name}"')
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def remove(self) -> None:
        """Stop for good and remove the folder."""
        self.stop()
        shutil.rmtree(self._directory)

    def _sql(self, statement: str) -> None:
        done = self._tool(
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--dbname",
            "postgres",
            "--set",
            "ON_ERROR_STOP=1",
            "--command",
            statement,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{statement}: {done.stderr}")

    def _tool(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--username", "petstore"]
        return subprocess.run(
            [str(self._programs / program), *where, *arguments], capture_output=True, text=True, check=False
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            capture_output=True, text=True, check=False, **self.popen_options(),
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


def free_port() -> int:
    """Find a port of the loopback address that nobody listens on.

    It lies below the range that the kernel hands to outgoing connections: a client that keeps calling a
    stopped server could otherwise be given the server's port as its own, connect to itself, and bar the
    restart.
    """
    while True:
        port = random.randint(15_000, 31_999)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def program(name: str) -> str:
    """Where a program is; Debian keeps some off the PATH of who isn't root.

    Raises:
        MissingServerError: it isn't on this machine.
    """
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise MissingServerError(name)
    return found


def _mosquitto_plugin() -> Path:
    """Find Mosquitto's dynamic-security plugin."""
    roots = [Path("/usr/lib"), Path("/usr/local/lib"), Path("/opt/homebrew/lib")]
    name = "mosquitto_dynamic_security.so"
    found = [path for root in roots for path in (*root.glob(name), *root.glob(f"*/{name}"))]
    if not found:
        raise MissingServerError(name)
    return found[0]


def _postgres_programs() -> Path:
    """Find the folder of initdb, postgres and psql; Debian keeps it off the PATH, one for each version."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    roots = [Path("/usr/lib/postgresql"), Path("/opt/homebrew/opt"), Path("/usr/local/opt")]
    found = [path.parent for root in roots for path in root.glob("*/bin/initdb")]
    if not found:
        raise MissingServerError("initdb (PostgreSQL)")
    return max(found, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.parent.name)])


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Name the user to run PostgreSQL as: it refuses root. None means whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
