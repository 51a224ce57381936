"""The official Python client, in both generations of the protocol; and requests as no client of the SDK sends them."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import httpx2
from mcp.client import Client
from mcp.client.client import ConnectMode
from mcp.client.streamable_http import streamable_http_client

from core.kernel.ids import SHARED_TENANT, TenantId
from core.models import examples
from core.services.pets import CREATE_PET
from core.services.users import REGISTER
from tests.core.stores import Shop
from tests.protocols.live import Live

NEW, OLD = "2026-07-28", "2025-11-25"
MODES: tuple[ConnectMode, ...] = ("auto", "legacy")
CARD = {
    "object": "card",
    "name": "Sam",
    "number": "4242424242424242",
    "cvc": "123",
    "expMonth": 12,
    "expYear": 2099,
}


def headers_of(token: str | None = None, tenant: str | None = None, **more: str) -> dict[str, str]:
    """Header fields of a request."""
    headers = dict(more)
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    if tenant is not None:
        headers["x-tenant-id"] = tenant
    return headers


@contextlib.asynccontextmanager
async def connected(
    port: int, mode: ConnectMode = "auto", token: str | None = None, tenant: str | None = None, **more: str
) -> AsyncIterator[Client]:
    """A client that has found out what it talks to."""
    async with (
        httpx2.AsyncClient(headers=headers_of(token, tenant, **more), timeout=30) as http,
        Client(
            streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http), mode=mode, cache=None
        ) as client,
    ):
        yield client


async def add_pet(node: Live, tenant: TenantId = SHARED_TENANT, **members: Any) -> str:
    """A pet in the store; gives its id."""
    shop = Shop(node.store, tenant)
    pet = (await shop.outcome(CREATE_PET, body={**examples.PET_DRAFT, **members})).value
    return str(pet.id)


async def account(node: Live) -> str:
    """Somebody with an account; gives an access token."""
    login = {"username": "sam", "password": "a password of sam"}
    await node.get("/v1/users", "POST", json={**(REGISTER.body_example or {}), **login})
    answer = await node.get("/v1/auth/tokens", "POST", json=login)
    return str(answer.json()["accessToken"])


def message(method: str, params: Mapping[str, Any] | None = None, version: str = NEW) -> dict[str, Any]:
    """A request of a generation of the protocol."""
    found: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": method, "params": dict(params or {})}
    if version >= NEW:
        meta = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        found["params"]["_meta"] = meta | found["params"].get("_meta", {})
    return found


async def post(node: Live, body: Mapping[str, Any] | bytes, **headers: str) -> httpx.Response:
    """Send something to the door; headers that a client of the newest generation sends are there."""
    fields = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if isinstance(body, bytes):
        content = body
    else:
        content = json.dumps(body).encode()
        params = body.get("params") or {}
        fields |= {"mcp-protocol-version": NEW, "mcp-method": str(body.get("method"))}
        if name := params.get("name", params.get("uri")):
            fields["mcp-name"] = name
    return await node.get("/mcp", "POST", content=content, headers=fields | headers)
