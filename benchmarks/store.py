"""A person's view of the gateway under test: the few calls that the benchmarks make beside the load."""

import http.client
import json
from typing import Any


class Store:
    """One keep-alive connection to the gateway, as the demo store's staff."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        login = {"username": "demo-staff", "password": "demo-staff-password"}
        self.token: str = ""
        self.token = json.loads(self._call("POST", "/v1/auth/tokens", login))["accessToken"]

    def a_pet(self) -> bytes:
        """The body of one pet, as GET answers it."""
        first = json.loads(self._call("GET", "/v1/pets?limit=1"))["data"][0]["id"]
        return self._call("GET", f"/v1/pets/{first}")

    def read(self, path: str) -> bytes:
        """The body of any answer."""
        return self._call("GET", path)

    def a_pet_id(self) -> str:
        """The id of that pet."""
        return str(json.loads(self.a_pet())["id"])

    def create_pet(self, name: str) -> str:
        """A new pet that can be ordered; its id."""
        pet = {"name": name, "species": "DOG", "ageMonths": 12, "price": "75.00"}
        return str(json.loads(self._call("POST", "/v1/pets", pet))["id"])

    def order(self, pet_id: str) -> None:
        """Orders a pet."""
        self._call("POST", "/v1/orders", {"petId": pet_id})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content!r}")
        return content
