"""The machine: which core does what, and the programs that must be there before anything is measured."""

import importlib.metadata
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "build"
NODE = HERE / "peers" / "node"

SERVER_CORE = 0
CLIENT_CORE = 1

_NATS = BUILD / "nats-server"
_CLIENTS = ("subscribers", "requests", "sink")
_COMPILE = ("gcc", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror")
_OPEN_FILES = 16_384


class Unfit(Exception):
    """The machine lacks something; the text says what."""


def prepare() -> None:
    """Compiles the clients, installs the peers, and lifts the limit of open files. Raises Unfit."""
    if len(os.sched_getaffinity(0)) < 2:
        raise Unfit("two cores are needed: one for the server, one for the client")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _OPEN_FILES:
        raise Unfit(f"at least {_OPEN_FILES} open files are needed, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, hard))
    for tool in ("gcc", "node", "npm", "taskset"):
        if shutil.which(tool) is None:
            raise Unfit(f"{tool} is not installed")
    if not mosquitto().exists():
        raise Unfit("mosquitto is not installed")
    compile_clients()
    if not all((NODE / "node_modules" / name).is_dir() for name in ("socket.io", "ws")):
        subprocess.run(("npm", "ci", "--ignore-scripts", "--silent"), cwd=NODE, check=True)
    if not nats_server().exists():
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        wanted = ("--no-deps", "--require-hashes", "--requirement", HERE / "requirements.txt")
        subprocess.run((*pip, "--target", _NATS, *wanted), check=True)


def compile_clients() -> None:
    """Compiles the clients that are older than their source."""
    BUILD.mkdir(exist_ok=True)
    for name in _CLIENTS:
        source, target = HERE / "client" / f"{name}.c", client(name)
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run((*_COMPILE, "-o", target, source), check=True)


def client(name: str) -> Path:
    """A compiled client."""
    return BUILD / name


def nats_server() -> Path:
    """The server's binary, out of its wheel."""
    return _NATS / "bin" / "nats-server"


def mosquitto() -> Path:
    """Mosquitto, which Debian puts where only root looks."""
    return Path(shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto")


def pinned(core: int, *command: str | Path) -> tuple[str, ...]:
    """The command line that runs a program on one core."""
    return ("taskset", "--cpu-list", str(core), *map(str, command))


def versions() -> dict[str, str]:
    """What was measured on what."""
    packages = ("starlette", "fastapi", "uvicorn", "uvloop")
    return {
        "processor": next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            "unknown",
        ),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        **{package: importlib.metadata.version(package) for package in packages},
        "node": _output("node", "--version").strip().removeprefix("v"),
        "ws": _output("node", "--print", "require('ws/package.json').version", cwd=NODE).strip(),
        "mosquitto": _output(str(mosquitto()), "-h", wrong=True).split()[2],
        "nats-server": _output(str(nats_server()), "--version").split()[-1].removeprefix("v"),
    }


def _output(*command: str, cwd: Path | None = None, wrong: bool = False) -> str:
    """What a program says; ``wrong``: it ends with an error when it is asked this."""
    return subprocess.run(command, cwd=cwd, check=not wrong, capture_output=True, text=True).stdout
