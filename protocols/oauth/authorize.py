"""The page that asks a user whether a client may act for them: login, consent, and the way back to the client.

The request stays in the address of the page, and is checked again at each step; nothing of it is kept.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from core.kernel.caller import Role
from core.kernel.errors import RateLimited, StoreError, Unauthorized
from core.services.oauth import pages as logins
from core.services.oauth.authorization import (
    AuthorizationRequest,
    is_remembered,
    issue_code,
    read_request,
    within_reach,
)
from core.services.oauth.errors import OAuthErrorCode, RefusedAuthorization
from core.services.oauth.grant_types import issue_by_browser
from core.services.oauth.pages import Visit
from core.store.store import Store
from protocols.http.credentials import address_of
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.problems import HttpError, error_headers
from protocols.http.response import Response
from protocols.oauth.browser import Browser
from protocols.oauth.errors import code_of, describe, status_of
from protocols.oauth.metadata import AUTHORIZE
from protocols.oauth.pages import in_words, render
from protocols.oauth.wire import invalid, read_form, read_pairs, token_members

_MAX_QUERY_BYTES = 16 * 1024


class Authorize:
    """Answers browsers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, exchange: Exchange) -> Response:
        """Show what is next, or take what the user sent."""
        await exchange.admit(self._store)
        query: bytes = exchange.scope["query_string"]
        if len(query) > _MAX_QUERY_BYTES:
            raise invalid("The request is too long.")
        request = await read_request(self._store, read_pairs(query))
        exchange.state["tenant"] = request.tenant
        browser = Browser.of(exchange, self._store)
        visit = await logins.find_visit(self._store, request.tenant, browser.cookie)
        if exchange.method == "POST":
            return await self._take(exchange, request, browser, visit)
        if visit is None:
            return self._login_page(exchange, request, browser)
        if await is_remembered(self._store, request, visit):
            return await self._allow(exchange, request, visit)
        return self._consent_page(exchange, request, browser, visit)

    def tell(self, _: Exchange, error: StoreError | HttpError) -> Response:
        """Lead the browser back with an error, or show it where the client is not to be told."""
        back = None
        if isinstance(error, RefusedAuthorization):
            said = {
                "error": code_of(error),
                "error_description": describe(error.detail),
                "state": error.state,
            }
            back = self._way_back(error.redirect_uri, said, in_fragment=error.in_fragment)
            if error.trusted:
                return _redirect(back)
        headers = error.headers if isinstance(error, HttpError) else error_headers(error)
        status = status_of(error)
        # How a client authenticates is nothing for a browser, which would ask its user for a password.
        return render(
            "error.html",
            {"detail": error.detail, "back": back},
            status=400 if status == 401 else status,
            headers=tuple(headers),
        )

    # --- forms ---

    async def _take(
        self, exchange: Exchange, request: AuthorizationRequest, browser: Browser, visit: Visit | None
    ) -> Response:
        form = await read_form(exchange)
        if not browser.sent(self._store, _about(exchange), form.get("form_token", "")):
            message = "This page had expired. Please try again."
            if visit is None:
                return self._login_page(exchange, request, browser, message, status=403)
            return self._consent_page(exchange, request, browser, visit, message, status=403)
        match form.get("action"), visit:
            case "login", _:
                return await self._log_in(exchange, request, browser, form)
            case "logout", _:
                await logins.log_out(self._store, request.tenant, address_of(exchange.scope), browser.cookie)
                return _again(exchange, browser.now_with(logins.new_cookie()).headers)
            case "deny", _:
                raise RefusedAuthorization(
                    OAuthErrorCode.ACCESS_DENIED,
                    "The user said no.",
                    request.redirect_uri,
                    request.state,
                    trusted=True,
                    in_fragment=request.is_implicit,
                )
            case "allow", Visit():
                return await self._allow(exchange, request, visit)
            case "allow", None:
                return self._login_page(exchange, request, browser, "Please log in again.", status=403)
        raise invalid("The form has no such action.")

    async def _log_in(
        self, exchange: Exchange, request: AuthorizationRequest, browser: Browser, form: Mapping[str, str]
    ) -> Response:
        username, password = form.get("username", ""), form.get("password", "")
        if not username or not password:
            return self._login_page(
                exchange, request, browser, "Enter your user name and your password.", username, status=400
            )
        try:
            cookie = await logins.log_in(
                self._store, request.tenant, address_of(exchange.scope), username[:100], password[:256]
            )
        except Unauthorized as error:
            return self._login_page(exchange, request, browser, error.detail, username, status=403)
        except RateLimited as error:
            return self._login_page(
                exchange,
                request,
                browser,
                f"{error.detail} Try again in {error.retry_after} seconds.",
                username,
                status=status_of(error),
                headers=error_headers(error),
            )
        return _again(exchange, browser.now_with(cookie).headers)

    async def _allow(self, exchange: Exchange, request: AuthorizationRequest, visit: Visit) -> Response:
        address = address_of(exchange.scope)
        if request.is_implicit:
            tokens = await issue_by_browser(self._store, request, visit, address)
            given = {**token_members(tokens), "state": request.state}
            return _redirect(self._way_back(request.redirect_uri, given, in_fragment=True))
        code = await issue_code(self._store, request, visit, address)
        return _redirect(self._way_back(request.redirect_uri, {"code": code, "state": request.state}))

    # --- answers ---

    def _way_back(
        self, redirect_uri: str, parameters: Mapping[str, object], *, in_fragment: bool = False
    ) -> str:
        """The client's address, with ``iss`` so that the answer is not taken for another server's (RFC 9207)."""
        given = {name: value for name, value in parameters.items() if value is not None}
        query = urlencode(given | {"iss": self._store.public_url})
        mark = "#" if in_fragment else "&" if "?" in redirect_uri else "?"
        return f"{redirect_uri}{mark}{query}"

    def _login_page(
        self,
        exchange: Exchange,
        request: AuthorizationRequest,
        browser: Browser,
        message: str = "",
        username: str = "",
        *,
        status: int = 200,
        headers: tuple[Header, ...] = (),
    ) -> Response:
        values = self._values(exchange, request, browser, message) | {"username": username[:100]}
        return render(
            "login.html",
            values,
            status=status,
            headers=(*browser.headers, *headers),
            leads_to=request.redirect_uri,
        )

    def _consent_page(
        self,
        exchange: Exchange,
        request: AuthorizationRequest,
        browser: Browser,
        visit: Visit,
        message: str = "",
        *,
        status: int = 200,
    ) -> Response:
        values = self._values(exchange, request, browser, message) | {
            "username": visit.account.username,
            "acts_for_store": visit.role is Role.STAFF,
            "scopes": [in_words(scope, visit.role) for scope in sorted(within_reach(request, visit))],
            "destination": request.redirect_uri.partition("?")[0],
        }
        return render(
            "consent.html", values, status=status, headers=browser.headers, leads_to=request.redirect_uri
        )

    def _values(
        self, exchange: Exchange, request: AuthorizationRequest, browser: Browser, message: str
    ) -> dict[str, object]:
        about = _about(exchange)
        return {
            "application": request.client.name,
            "registered_itself": request.client.dynamic,
            "action": f"{AUTHORIZE}?{about}",
            "form_token": browser.form_token(self._store, about),
            "message": message,
        }


def _about(exchange: Exchange) -> str:
    """The request, as the address of the page has it."""
    query: bytes = exchange.scope["query_string"]
    return query.decode("latin-1")


def _redirect(location: str) -> Response:
    """To the client. 303, so that no browser sends the form on (RFC 9700, section 4.12)."""
    headers = ((b"location", location.encode("ascii")), (b"referrer-policy", b"no-referrer"))
    return Response(303, headers=headers)


def _again(exchange: Exchange, headers: tuple[Header, ...]) -> Response:
    """To the same page, now that something has changed."""
    location = f"{AUTHORIZE}?{_about(exchange)}".encode("latin-1")
    return Response(303, headers=((b"location", location), *headers))
