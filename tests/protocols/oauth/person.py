"""A person with a browser that knows no scripts, and clients that they meet."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from core.services.oauth.grant_types import challenge_of
from tests.http_clients import TLS, ask
from tests.waiting import TIMEOUT_SECONDS

CALLBACK = "https://app.example/callback"
DRAFT: dict[str, Any] = {
    "name": "Paws & <b>Claws</b>",
    "redirectUris": [CALLBACK],
    "grantTypes": ["AUTHORIZATION_CODE", "REFRESH_TOKEN"],
    "scopes": ["read:pets", "read:orders", "write:orders", "chat:write"],
    "confidential": True,
}


def log_in(url: str, name: str = "demo-staff") -> dict[str, str]:
    """The header of one of the demo accounts."""
    answer = ask("POST", f"{url}/v1/auth/tokens", json={"username": name, "password": f"{name}-password"})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


@dataclass
class App:
    """An OAuth client, as its makers see it."""

    url: str
    id: str
    secret: str | None = None
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @classmethod
    def register(cls, url: str, **changed: Any) -> "App":
        """Have STAFF register a client."""
        draft = DRAFT | changed
        made = ask("POST", f"{url}/v1/oauth/clients", json=draft, headers=log_in(url))
        assert made.status_code == 201, made.text
        shown = made.json()
        uris = draft["redirectUris"]
        return cls(url, shown["id"], shown.get("secret"), uris[0] if uris else "")

    def query(self, **changed: str | None) -> dict[str, str]:
        """The parameters of an authorization request; None leaves one out."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            "state": "s-1",
            **changed,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def post(self, endpoint: str, **form: str) -> httpx.Response:
        """A request of the client, which says who it is in the form."""
        who = {"client_id": self.id, **({"client_secret": self.secret} if self.secret else {})}
        return ask("POST", f"{self.url}/v1/oauth/{endpoint}", data=who | form)

    def redeem(self, code: str, **changed: str) -> httpx.Response:
        """Redeem a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }
        return self.post("token", **(form | changed))


@dataclass
class Page:
    """What the browser shows: an answer, and how to send its form."""

    answer: httpx.Response
    browser: httpx.Client

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def text(self) -> str:
        return self.answer.text

    @property
    def heading(self) -> str:
        """The page's heading, without its marks."""
        found = re.search(r"<h1>(.*?)</h1>", self.text, re.DOTALL)
        assert found is not None, self.text
        return unescape(re.sub(r"<[^>]+>", "", found[1]))

    def field(self, name: str) -> str:
        """The value of a hidden field."""
        found = re.search(f'name="{name}" value="([^"]*)"', self.text)
        assert found is not None, self.text
        return unescape(found[1])

    def send(self, **fields: str) -> "Page":
        """Send the form, with a button pressed; the browser follows where it stays with the gateway."""
        found = re.search(r'<form method="post" action="([^"]+)"', self.text)
        assert found is not None, self.text
        form = {"form_token": self.field("form_token"), **fields}
        return Page(self.browser.post(unescape(found[1]), data=form), self.browser).followed()

    def followed(self) -> "Page":
        """Where the gateway leads the browser, as long as that is itself."""
        page = self
        while page.status == 303 and page.answer.headers["location"].startswith("/"):
            page = Page(self.browser.get(page.answer.headers["location"]), self.browser)
        return page

    def allowed(self, name: str = "demo") -> "Page":
        """Log in, and allow what is asked."""
        page = self
        if page.status == 200 and page.heading == "Log in":
            page = page.send(action="login", username=name, password=f"{name}-password")
        return page.send(action="allow") if page.status == 200 else page

    @property
    def led_to(self) -> dict[str, str]:
        """The parameters with which the browser is led back to the client."""
        assert self.status == 303, self.text
        parts = urlsplit(self.answer.headers["location"])
        return {name: value for name, [value] in parse_qs(parts.query).items()}


@contextmanager
def browser(url: str) -> Iterator[httpx.Client]:
    """A browser with a jar of its own."""
    with httpx.Client(base_url=url, verify=TLS, timeout=TIMEOUT_SECONDS) as client:
        yield client


def visit(client: httpx.Client, app: App, **changed: str | None) -> Page:
    """Begin an authorization."""
    return Page(client.get("/v1/oauth/authorize", params=app.query(**changed)), client).followed()


def code_for(app: App, name: str = "demo", **changed: str | None) -> str:
    """A code, by way of a browser of its own."""
    with browser(app.url) as client:
        return visit(client, app, **changed).allowed(name).led_to["code"]
