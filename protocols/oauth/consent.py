"""What the pages that ask a user have in common: login, consent, and their forms.

What is asked for is in the address of the page, and is looked up again at each step; nothing of it is kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Protocol, TypeVar

from core.kernel.caller import Role, Scope
from core.kernel.errors import RateLimited, Unauthorized
from core.kernel.ids import TenantId
from core.models.oauth import OAuthClient
from core.services.oauth import pages as logins
from core.services.oauth.grant_types import Form
from core.services.oauth.pages import Visit
from core.store.store import Store
from protocols.http.credentials import address_of
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.problems import error_headers
from protocols.http.response import Response
from protocols.oauth.browser import Browser
from protocols.oauth.errors import status_of
from protocols.oauth.pages import in_words, render
from protocols.oauth.wire import invalid, read_form


class Request(Protocol):
    """Who asks a user, and whose users are asked."""

    @property
    def client(self) -> OAuthClient:
        """Who asks."""

    @property
    def tenant(self) -> TenantId:
        """The tenant whose users are asked."""


R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One request for a page: who has it, and what it is about. ``about`` is the query of its address."""

    exchange: Exchange
    browser: Browser
    request: R
    about: str
    visit: Visit | None

    @property
    def address(self) -> str:
        """Where the browser is."""
        return address_of(self.exchange.scope)


class ConsentPage(ABC, Generic[R]):
    """Asks a user to log in, then whether they allow it. ``path`` is where, ``template`` is what it looks like then."""

    path: ClassVar[str]
    template: ClassVar[str]

    def __init__(self, store: Store) -> None:
        self._store = store

    async def _page(self, exchange: Exchange, browser: Browser, request: R, about: str) -> Page[R]:
        exchange.state["tenant"] = request.tenant
        visit = await logins.find_visit(self._store, request.tenant, browser.cookie)
        return Page(exchange, browser, request, about, visit)

    # --- what differs ---

    @abstractmethod
    async def _allow(self, page: Page[R], visit: Visit) -> Response:
        """The user allows it."""

    @abstractmethod
    async def _deny(self, page: Page[R]) -> Response:
        """The user does not, or did not even log in."""

    @abstractmethod
    def _scopes(self, request: R, visit: Visit) -> frozenset[Scope]:
        """What the user would allow."""

    @abstractmethod
    def _details(self, request: R) -> Mapping[str, object]:
        """What the template needs beside what all pages have."""

    def _leads_to(self, request: R) -> str | None:  # noqa: ARG002 - for pages that lead elsewhere
        """The URI that the browser may be sent on to."""
        return None

    # --- forms ---

    async def _take(self, page: Page[R]) -> Response:
        form = await read_form(page.exchange)
        if not page.browser.sent(self._store, page.about, form.get("form_token", "")):
            return self._show(page, "This page had expired. Please try again.", status=403)
        match form.get("action"), page.visit:
            case "login", _:
                return await self._log_in(page, form)
            case "logout", _:
                await logins.log_out(self._store, page.request.tenant, page.address, page.browser.cookie)
                return self._again(page, logins.new_cookie())
            case "deny", _:
                return await self._deny(page)
            case "allow", Visit() as visit:
                return await self._allow(page, visit)
            case "allow", None:
                return self._show(page, "Please log in again.", status=403)
        raise invalid("The form has no such action.")

    async def _log_in(self, page: Page[R], form: Form) -> Response:
        username, password = form.get("username", ""), form.get("password", "")
        # What fails is shown on the page of the login, whoever has logged in before.
        page = replace(page, visit=None)
        if not username or not password:
            return self._show(page, "Enter your user name and your password.", username, status=400)
        try:
            cookie = await logins.log_in(
                self._store, page.request.tenant, page.address, username[:100], password[:256]
            )
        except Unauthorized as error:
            return self._show(page, error.detail, username, status=403)
        except RateLimited as error:
            message = f"{error.detail} Try again in {error.retry_after} seconds."
            return self._show(page, message, username, status=status_of(error), headers=error_headers(error))
        return self._again(page, cookie)

    # --- answers ---

    def _show(
        self,
        page: Page[R],
        message: str = "",
        username: str = "",
        *,
        status: int = 200,
        headers: tuple[Header, ...] = (),
    ) -> Response:
        """The login, or what is asked for."""
        client, visit = page.request.client, page.visit
        values: dict[str, object] = {
            "application": client.name,
            "registered_itself": client.dynamic,
            "action": f"{self.path}?{page.about}",
            "form_token": page.browser.form_token(self._store, page.about),
            "message": message,
        }
        if visit is None:
            template = "login.html"
            values["username"] = username[:100]
        else:
            template = self.template
            values |= {
                "username": visit.account.username,
                "acts_for_store": visit.role is Role.STAFF,
                "scopes": [
                    in_words(scope, visit.role) for scope in sorted(self._scopes(page.request, visit))
                ],
                **self._details(page.request),
            }
        return render(
            template,
            values,
            status=status,
            headers=(*page.browser.headers, *headers),
            leads_to=self._leads_to(page.request),
        )

    def _again(self, page: Page[R], cookie: str) -> Response:
        """To the same page, now that the browser has another cookie."""
        location = f"{self.path}?{page.about}".encode("latin-1")
        return Response(303, headers=((b"location", location), *page.browser.now_with(cookie).headers))
