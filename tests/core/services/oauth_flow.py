"""What tests of OAuth share: clients, requests, and the way from consent to tokens."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from core.models.oauth import OAuthClient
from core.services.oauth import authorization, pages
from core.services.oauth.clients import CREATE_OAUTH_CLIENT, find_client
from core.services.oauth.grant_types import TokenResponse, challenge_of, get_tokens
from tests.core.accounts import ADDRESS, PASSWORD, known
from tests.core.stores import Shop

CALLBACK = "https://blog.example/callback"
DRAFT: dict[str, Any] = {
    "name": "Paws & Claws blog",
    "redirectUris": [CALLBACK],
    "grantTypes": ["AUTHORIZATION_CODE", "REFRESH_TOKEN"],
    "scopes": ["read:pets", "read:orders", "chat:write"],
    "confidential": True,
}


async def client_of(shop: Shop, **changed: Any) -> OAuthClient:
    """Register a client."""
    made = await shop.call(CREATE_OAUTH_CLIENT, shop.staff, {**DRAFT, **changed})
    client = await find_client(shop.store, made.id)
    assert client is not None
    return client


@dataclass
class Flow:
    """One authorization of a client by a user."""

    shop: Shop
    client: OAuthClient
    username: str = "maria"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    redirect_uri: str | None = CALLBACK

    def parameters(self, **changed: str | None) -> dict[str, str]:
        """The authorization request; None leaves a parameter out."""
        request: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            "state": "xyz",
            **changed,
        }
        return {name: value for name, value in request.items() if value is not None}

    async def request(self, **changed: str | None) -> authorization.AuthorizationRequest:
        """The request, checked."""
        return await authorization.read_request(self.shop.store, self.parameters(**changed).items())

    async def visit(self) -> pages.Visit:
        """The user, logged in at the pages."""
        cookie = await pages.log_in(self.shop.store, self.shop.tenant, ADDRESS, self.username, PASSWORD)
        visit = await pages.find_visit(self.shop.store, self.shop.tenant, cookie)
        assert visit is not None
        return visit

    async def code(self, visit: pages.Visit | None = None, **changed: str | None) -> str:
        """A code, with the user's consent."""
        request = await self.request(**changed)
        visit = visit or await self.visit()
        return await authorization.issue_code(self.shop.store, request, visit, ADDRESS)

    def form(self, code: str, **changed: str | None) -> dict[str, str]:
        """What redeems a code."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            **changed,
        }
        return {name: value for name, value in form.items() if value is not None}

    async def redeem(self, code: str, **changed: str | None) -> TokenResponse:
        """The tokens for a code."""
        return await self.tokens(**self.form(code, **changed))

    async def tokens(self, **form: str) -> TokenResponse:
        """What the client gets for a form."""
        return await get_tokens(self.shop.store, self.client, form, ADDRESS)

    async def all_at_once(self) -> TokenResponse:
        """Tokens, from the beginning."""
        return await self.redeem(await self.code())


async def flow_of(shop: Shop, **changed: Any) -> Flow:
    """A client, and a customer who may allow it."""
    await known(shop, "owner")  # The first of a tenant is STAFF.
    await known(shop)
    return Flow(shop, await client_of(shop, **changed))
