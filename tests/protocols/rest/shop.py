"""Private tenants of a running REST door, each with one of everything, made over HTTP."""

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from core.kernel.caller import visitor
from core.kernel.ids import TenantId
from core.models import examples
from core.models.webhooks import DeliveryRecord
from core.ports.records import Equal
from core.services.oauth.authorization import allow
from core.services.oauth.clients import CREATE_OAUTH_CLIENT, find_client
from core.store.context import Context
from core.store.store import Store
from protocols.rest.bindings import Binding
from tests.http_clients import http_client
from tests.openapi import check
from tests.pictures import PNG

PASSWORD = "correct horse battery"


@dataclass
class Shop:
    """One tenant: clients for its owner (STAFF), a customer, a visitor and, in a full shop, a device; and the ids of
    what is there."""

    tenant: str
    staff: httpx.AsyncClient
    customer: httpx.AsyncClient
    visitor: httpx.AsyncClient
    device: httpx.AsyncClient
    ids: dict[str, str] = field(default_factory=dict)
    refresh_token: str = ""

    async def add_pet(self, **changes: Any) -> str:
        pet = await self.staff.post("/v1/pets", json={**examples.PET_DRAFT, **changes})
        assert pet.status_code == 201, pet.text
        return str(pet.json()["id"])

    async def add_order(self, client: httpx.AsyncClient | None = None) -> str:
        order = await (client or self.customer).post("/v1/orders", json={"petId": await self.add_pet()})
        assert order.status_code == 201, order.text
        return str(order.json()["id"])

    async def pay(self, order: str) -> dict[str, Any]:
        payment = await self.customer.post(f"/v1/orders/{order}/payment", json=examples.PAYMENT_DRAFT)
        assert payment.status_code == 201, payment.text
        found: dict[str, Any] = payment.json()
        return found


@dataclass
class Door:
    """A running server, and how to reach it; it closes its clients at the end."""

    url: str
    store: Store
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A client that holds every answer against the document."""
        self.clients.append(http_client(base_url=self.url, headers=headers))
        self.clients[-1].event_hooks["response"].append(check)
        return self.clients[-1]

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()

    async def log_in(self, tenant: str, username: str) -> tuple[httpx.AsyncClient, str]:
        login = {"username": username, "password": PASSWORD}
        answer = await self.client(**{"X-Tenant-ID": tenant}).post("/v1/auth/tokens", json=login)
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        return self.client(Authorization=f"Bearer {tokens['accessToken']}"), tokens["refreshToken"]

    async def open_shop(self) -> Shop:
        """A private tenant with its people, and nothing else."""
        tenant = str(uuid.uuid4())
        visitor = self.client(**{"X-Tenant-ID": tenant})
        ids = {}
        for name in ("owner", "customer"):
            draft = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            user = await visitor.post("/v1/users", json={**draft, "firstName": "A", "lastName": "B"})
            assert user.status_code == 201, user.text
            ids[name] = user.json()["id"]
        staff, refresh_token = await self.log_in(tenant, "owner")
        customer, _ = await self.log_in(tenant, "customer")
        return Shop(tenant, staff, customer, visitor, visitor, ids, refresh_token)

    async def open_full_shop(self) -> Shop:
        """A private tenant with one of everything."""
        shop = await self.open_shop()
        ids = shop.ids
        ids["users"] = ids["customer"]
        ids["pets"] = await shop.add_pet()
        ids["free pet"] = await shop.add_pet()
        image = await shop.staff.post(f"/v1/pets/{ids['pets']}/images", files={"file": ("a.png", PNG)})
        assert image.status_code == 201, image.text
        ids["imageId"] = image.json()["id"]
        ids["orders"] = await shop.add_order()
        ids["paid order"] = await shop.add_order()
        ids["receipts"] = (await shop.pay(ids["paid order"]))["receiptId"]
        for name, maker, draft in (
            ("api-keys", shop.staff, {"name": "Key", "scopes": ["read:pets"]}),
            ("devices", shop.staff, {"name": "Collar", "petIds": [ids["pets"]]}),
            ("chats", shop.customer, {"subject": "Food"}),
            ("webhooks", shop.staff, examples.WEBHOOK_DRAFT),
            ("adoptions", shop.customer, {**examples.ADOPTION_DRAFT, "petId": ids["pets"]}),
            ("oauth/clients", shop.staff, CREATE_OAUTH_CLIENT.body_example),
        ):
            made = await maker.post(f"/v1/{name}", json=draft)
            assert made.status_code == 201, made.text
            ids[name.rpartition("/")[2]] = made.json()["id"]
            if name == "devices":
                login = {"username": made.json()["username"], "password": made.json()["password"]}
                tokens = (await shop.visitor.post("/v1/auth/tokens", json=login)).json()
                shop.device = self.client(Authorization=f"Bearer {tokens['accessToken']}")
        sent = await shop.staff.post(f"/v1/webhooks/{ids['webhooks']}/test")
        assert sent.status_code == 201, sent.text
        ids["deliveryId"] = sent.json()["id"]
        async with self.store.storage.write(TenantId(shop.tenant)) as tx:
            ended = {"status": "SUCCEEDED", "next_attempt_at": None}
            await tx.update_all(DeliveryRecord, (Equal("id", ids["deliveryId"]),), ended)
        said = await shop.customer.post(f"/v1/chats/{ids['chats']}/messages", json={"text": "Hello"})
        assert said.status_code == 201, said.text
        ids["messageId"] = said.json()["id"]
        ids["grants"] = await self._allow(ids["clients"], ids["owner"], shop.tenant)
        return shop

    async def _allow(self, client_id: str, user_id: str, tenant: str) -> str:
        """A user allows an application everything that it may ask for, as they would on its consent page."""
        client = await find_client(self.store, client_id)
        assert client is not None

        async def work(ctx: Context) -> str:
            return (await allow(await ctx.tx(), client, user_id, frozenset(client.scopes), ctx)).id

        return await self.store.write(visitor(TenantId(tenant), "127.0.0.1"), work)


def caller_for(binding: Binding, shop: Shop) -> httpx.AsyncClient:
    """Who may do everything, or, for what only a device may, a device."""
    return shop.device if binding.operation.name == "reportPetHealth" else shop.staff


def request_for(binding: Binding, shop: Shop, path: str | None = None) -> dict[str, Any]:
    """A request that succeeds once in a full shop, made of the operation's own example."""
    name, operation = binding.operation.name, binding.operation
    path = path or binding.path
    subject = "paid order" if name == "updateOrder" else path.partition("/{")[0].rpartition("/")[2]
    request: dict[str, Any] = {
        "method": binding.method,
        "url": re.sub(
            r"{(\w+)}", lambda name: shop.ids.get(subject if name[1] == "id" else name[1], ""), path
        ),
    }
    assert "//" not in request["url"], f"open_full_shop makes nothing for {path}"
    if binding.upload:
        return {**request, "files": {"file": ("a.png", PNG)}, "data": {"additionalMetadata": "front"}}
    if name == "resetTenant":
        request["params"] = {"confirm": shop.tenant}
    if operation.body is not None:
        special: dict[str, dict[str, Any]] = {
            "placeOrder": {"petId": shop.ids["free pet"]},
            "createAdoption": {"petId": shop.ids["free pet"]},
            "login": {"username": "owner", "password": PASSWORD},
            "refreshToken": {"refreshToken": shop.refresh_token},
            "createDevice": {"petIds": [shop.ids["pets"]], "orderIds": [shop.ids["orders"]]},
        }
        request["json"] = {**(operation.body_example or {}), **special.get(name, {})}
    return request
