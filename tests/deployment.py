"""What is deployed, as the tests read and run it: compose.yaml and the files under deploy/."""

import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers import MosquittoServer, Server, free_port, program

ROOT = Path(__file__).parent.parent
HAPROXY = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
MOSQUITTO = (ROOT / "deploy" / "mosquitto.conf").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
#: A value that whoever deploys has to give: ``${NAME:?what it is}``.
WANTED = re.compile(r"\$\{(\w+):\?[^}]+\}")
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Ports:
    """Where a node, or the proxy before it, listens."""

    http: int
    grpc: int
    mqtt: int


#: In the containers.
INSIDE = Ports(http=8080, grpc=50051, mqtt=1883)


def environment(service: str, **given: str) -> dict[str, str]:
    """The environment of a service, with the values that whoever deploys has to give."""
    variables: dict[str, object] = COMPOSE["services"][service]["environment"]
    return {name: WANTED.sub(lambda found: given[found[1]], str(value)) for name, value in variables.items()}


def adapted(deployed: str, here: Mapping[str, str]) -> str:
    """A file as it is deployed, with other words where this machine wants them.

    Raises:
        ValueError: such a word is not in the file, so that what runs would not be what is meant.
    """
    for there, instead in here.items():
        if there not in deployed:
            raise ValueError(f"no longer in the file that is deployed: {there}")
        deployed = deployed.replace(there, instead)
    return deployed


def deploy(server: MosquittoServer) -> None:
    """Let a guarded broker go on with deploy/mosquitto.conf; only port, user and folders are of this machine."""
    own = server.log_file.with_name("mosquitto.conf")
    plugin = re.search(r"^plugin (.*)$", own.read_text(), re.MULTILINE)
    assert plugin is not None, "not a guarded broker"
    here = {
        "listener 1883": f"listener {server.port} 127.0.0.1\nuser root",
        "/usr/lib/mosquitto_dynamic_security.so": plugin[1],
        "/mosquitto/data": str(own.parent),
    }
    own.write_text(adapted(MOSQUITTO, here))
    server.restart()


class HaproxyServer(Server):
    """HAProxy with deploy/haproxy.cfg, in front of the nodes of these names; only the addresses are of this machine.

    ``haste`` divides the time for which a connection may be quiet.
    """

    def __init__(self, directory: Path, nodes: Mapping[str, Ports], *, haste: int = 1) -> None:
        super().__init__()
        self.ports = Ports(self.port, free_port(), free_port())
        self._directory = directory / f"haproxy-{self.port}"
        self._directory.mkdir(parents=True)
        here = {
            f"bind :{port}": f"bind 127.0.0.1:{asdict(self.ports)[door]}"
            for door, port in asdict(INSIDE).items()
        }
        for name, ports in nodes.items():
            here |= {
                f"{name}:{port}": f"127.0.0.1:{asdict(ports)[door]}" for door, port in asdict(INSIDE).items()
            }
        text = adapted(HAPROXY, here)
        if haste > 1:
            text = re.sub(
                r"timeout (client|server|tunnel) (\d+)([smh])\b",
                lambda found: f"timeout {found[1]} {int(found[2]) * _UNITS[found[3]] * 1000 // haste}ms",
                text,
            )
        self._file.write_text(text)

    @property
    def url(self) -> str:
        """The address of the HTTP port."""
        return f"http://127.0.0.1:{self.ports.http}"

    @property
    def log_file(self) -> Path:
        return self._directory / "haproxy.log"

    @property
    def _file(self) -> Path:
        return self._directory / "haproxy.cfg"

    def command(self) -> list[str]:
        return [program("haproxy"), "-db", "-f", str(self._file)]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
