"""The gateway that is attacked: one real process with a hundred pets, and the witness on its loop."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.hostile.inputs import Place
from tests.hostile.serve import Figures
from tests.http_clients import TLS
from tests.process import Gateway
from tests.waiting import TIMEOUT_SECONDS

_PETS = 100
_ROOT = Path(__file__).parents[2]


class Target(Gateway):
    """A node of which the witness tells."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "--demo", oauth_registration="true")
        self._figures_file = directory / "figures"
        self.figures = Figures(self._figures_file)
        self.place: Place

    def command(self) -> list[str]:
        program = [sys.executable, "-m", "tests.hostile.serve", str(self._figures_file)]
        return [*program, *super().command()[1:]]

    def popen_options(self) -> Mapping[str, Any]:
        options = super().popen_options()
        return {**options, "env": {**options["env"], "PYTHONPATH": str(_ROOT)}}

    def resident_bytes(self) -> int:
        """Memory that the process takes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])

    def processor_seconds(self) -> float:
        """Processor time that all its threads have used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def faults(self) -> list[str]:
        """What the log has of tracebacks and errors."""
        lines = self.log_file.read_text().splitlines()
        return [line for line in lines if '"level":"error"' in line.replace(" ", "") or "Traceback" in line]


@contextmanager
def target(directory: Path) -> Iterator[Target]:
    """Run the gateway."""
    gateway = Target(directory)
    gateway.start()
    try:
        gateway.place = _populate(gateway.url)
        yield gateway
    finally:
        gateway.stop()


def _populate(url: str) -> Place:
    with httpx.Client(base_url=url, verify=TLS, timeout=TIMEOUT_SECONDS) as client:

        def token(username: str) -> str:
            body = {"username": username, "password": f"{username}-password"}
            found: str = client.post("/v1/auth/tokens", json=body).raise_for_status().json()["accessToken"]
            return found

        staff, customer = token("demo-staff"), token("demo")
        as_staff = {"Authorization": f"Bearer {staff}"}
        there = (
            client.get("/v1/pets?status=ALL&limit=1").raise_for_status().json()["pagination"]["totalItems"]
        )
        pet = {"name": "Biscuit", "species": "DOG", "ageMonths": 12, "price": "75.00"}
        made = [
            client.post("/v1/pets", json=pet, headers=as_staff).raise_for_status().json()["id"]
            for _ in range(_PETS - there)
        ]
        as_customer = {"Authorization": f"Bearer {customer}"}
        chat = (
            client.post("/v1/chats", json={"subject": "?"}, headers=as_customer)
            .raise_for_status()
            .json()["id"]
        )
        doors = client.get("/readyz").raise_for_status().json()["doors"]
    ports = {name: int(door["address"].rpartition(":")[2]) for name, door in doors.items()}
    return Place(ports["http"], ports["grpc"], ports["mqtt"], staff, customer, made[0], chat)
