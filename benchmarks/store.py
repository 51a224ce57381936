"""A person's view of the gateway under test: the few calls that the benchmarks make beside the load."""

import http.client
import json
from typing import Any


class _Connection:
    """One keep-alive connection to the gateway, of somebody who logs in."""

    def __init__(self, port: int, tenant: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._tenant = tenant
        self.token: str = ""

    def _log_in(self, username: str, password: str) -> None:
        login = {"username": username, "password": password}
        self.token = json.loads(self._call("POST", "/v1/auth/tokens", login))["accessToken"]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self._tenant is not None:
            headers["X-Tenant-ID"] = self._tenant
        self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content!r}")
        return content


class Owner(_Connection):
    """The owner of a new tenant."""

    def __init__(self, port: int, tenant: str) -> None:
        super().__init__(port, tenant)
        name = {"username": "owner", "password": "owner-password"}
        person = {"email": "owner@example.com", "firstName": "O", "lastName": "W"}
        self._call("POST", "/v1/users", name | person)
        self._log_in(**name)

    def webhook(self, url: str, event_type: str) -> None:
        """A webhook for one kind of event."""
        self._call("POST", "/v1/webhooks", {"url": url, "events": [event_type]})

    def seed(self) -> int:
        """Fills the tenant with the pets of the demo, in one transaction; how many there are."""
        return int(json.loads(self._call("POST", "/v1/tenant/seed"))["pets"])

    def reset(self) -> None:
        """Removes everything."""
        self._call("DELETE", f"/v1/tenant?confirm={self._tenant}")


class Store(_Connection):
    """The demo store's staff."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._log_in("demo-staff", "demo-staff-password")

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
