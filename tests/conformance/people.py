"""Who comes to the doors: each scenario has a private tenant of its own, made by being named."""

import contextlib
import uuid
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from tests.conformance.target import Node, Target
from tests.http_clients import http_client

PASSWORD = "a password for conformance"


@dataclass(frozen=True)
class Person:
    """Somebody in a tenant; a visitor has no token. ``tenant`` None is the shared pool."""

    tenant: str | None = None
    token: str | None = None
    user_id: str | None = None
    username: str | None = None
    refresh_token: str | None = None


@dataclass
class World:
    """A tenant on the target, its people, and a way to let things happen in it; at the end it is emptied."""

    target: Target
    tenant: str = field(default_factory=lambda: str(uuid.uuid4()))
    _people: dict[str, Person] = field(default_factory=dict)
    _client: httpx.AsyncClient = field(default_factory=lambda: http_client())

    @property
    def visitor(self) -> Person:
        """Somebody without a token."""
        return Person(self.tenant)

    async def staff(self) -> Person:
        """The tenant's owner: the first who registered."""
        return await self._person("staff")

    async def customer(self, name: str = "customer") -> Person:
        """A customer; another name is somebody else."""
        await self.staff()
        return await self._person(name)

    async def _person(self, name: str) -> Person:
        if name not in self._people:
            username = f"{name}-{uuid.uuid4().hex[:12]}"
            body = {
                "username": username, "email": f"{username}@example.com", "password": PASSWORD,
                "firstName": name.capitalize(), "lastName": "Conformance",
            }  # fmt: skip
            await self.ask("POST", "/v1/users", self.visitor, body)
            self._people[name] = await self.log_in(username)
        return self._people[name]

    async def log_in(self, username: str) -> Person:
        """Log somebody in, once more."""
        tokens = await self.ask(
            "POST", "/v1/auth/tokens", self.visitor, {"username": username, "password": PASSWORD}
        )
        return Person(
            self.tenant, tokens["accessToken"], tokens["user"]["id"], username, tokens["refreshToken"]
        )

    async def ask(
        self, method: str, path: str, person: Person, body: Any = None, *, node: Node | None = None
    ) -> Any:
        """Arrange something over REST that isn't what the scenario is about; it must work."""
        url = (node or self.target.first).url + path
        answer = await self._client.request(method, url, json=body, headers=headers_of(person))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def program(self, *scopes: str) -> Person:
        """An OAuth client that acts of its own accord."""
        body = {"name": "till", "grantTypes": ["CLIENT_CREDENTIALS"], "scopes": scopes, "confidential": True}
        made = await self.ask("POST", "/v1/oauth/clients", await self.staff(), body)
        answer = await self._client.post(
            f"{self.target.first.url}/v1/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=(made["id"], made["secret"]),
        )
        return Person(self.tenant, answer.raise_for_status().json()["access_token"])

    async def pet(self, **members: Any) -> dict[str, Any]:
        """A new pet."""
        draft = {"name": "Rex", "species": "DOG", "ageMonths": 12, "price": "75.00", **members}
        made: dict[str, Any] = await self.ask("POST", "/v1/pets", await self.staff(), draft)
        return made

    async def order(self, person: Person) -> dict[str, Any]:
        """A new order of a new pet."""
        pet = await self.pet()
        made: dict[str, Any] = await self.ask("POST", "/v1/orders", person, {"petId": pet["id"]})
        return made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Empty the tenant."""
        async with contextlib.aclosing(self._client):
            if "staff" in self._people:
                await self.ask("DELETE", f"/v1/tenant?confirm={self.tenant}", self._people["staff"])


def headers_of(person: Person) -> dict[str, str]:
    """How HTTP names a person."""
    headers = {} if person.tenant is None else {"X-Tenant-ID": person.tenant}
    return headers if person.token is None else {**headers, "Authorization": f"Bearer {person.token}"}
