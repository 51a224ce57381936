"""The official client has its user log in with a browser, by what it finds out itself."""

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.http_clients import ask
from tests.process import Gateway
from tests.protocols.oauth.person import Page, browser

CALLBACK = "http://127.0.0.1:33418/callback"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway where clients register themselves."""
    with Gateway(tmp_path_factory.mktemp("oauth"), demo="true", oauth_registration="true") as running:
        yield running


class Kept(TokenStorage):
    """What a client keeps, for as long as it runs."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Logs in as the customer of the demo, and allows what is asked."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._led_to: dict[str, str] = {}
        self.address = ""

    async def open(self, address: str) -> None:
        """What a client opens in the browser."""
        self.address = address
        self._led_to = await asyncio.to_thread(self._allow)

    def _allow(self) -> dict[str, str]:
        with browser(self._gateway.url) as client:
            return Page(client.get(self.address), client).followed().allowed().led_to

    async def come_back(self) -> AuthorizationCodeResult:
        """What the browser brings back."""
        led_to = self._led_to
        return AuthorizationCodeResult(code=led_to["code"], state=led_to.get("state"), iss=led_to.get("iss"))


async def test_a_client_registers_logs_in_and_orders_for_its_user(gateway: Gateway) -> None:
    person, kept, url = Person(gateway), Kept(), f"{gateway.url}/mcp/login"
    login = OAuthClientProvider(
        url,
        OAuthClientMetadata(client_name="An assistant", redirect_uris=[AnyUrl(CALLBACK)]),
        kept,
        person.open,
        person.come_back,
    )
    async with (
        httpx2.AsyncClient(auth=login, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), cache=None) as client,
    ):
        found = await client.call_tool("search_pets", {"criteria": {"status": ["AVAILABLE"]}})
        pet_id = found.structured_content["data"][0]["id"]
        order = (await client.call_tool("place_order", {"petId": pet_id})).structured_content
        mine = (await client.call_tool("list_orders", {})).structured_content["data"]
    assert order["userId"]
    assert order["id"] in [one["id"] for one in mine]
    asked = parse_qs(urlsplit(person.address).query)
    assert asked["resource"] == [url]
    assert kept.tokens is not None
    assert kept.client is not None


def test_a_visitor_is_told_to_log_in_there_and_not_at_the_other_address(gateway: Gateway) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Accept": "application/json, text/event-stream"}
    assert ask("POST", f"{gateway.url}/mcp", json=ping, headers=headers).status_code == 200
    refused = ask("POST", f"{gateway.url}/mcp/login", json=ping, headers=headers)
    assert refused.status_code == 401
    metadata = f"{gateway.url}/.well-known/oauth-protected-resource/mcp/login"
    assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{metadata}"'
    assert ask("GET", metadata).json()["resource"] == f"{gateway.url}/mcp/login"
