"""The page that asks a user whether a client may act for them: login, consent, and the way back to the client.

The request stays in the address of the page, and is checked again at each step; nothing of it is kept.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from core.kernel.caller import Scope
from core.kernel.errors import StoreError
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
from protocols.http.exchange import Exchange
from protocols.http.problems import HttpError, error_headers
from protocols.http.response import Response
from protocols.oauth.browser import Browser
from protocols.oauth.consent import ConsentPage, Page
from protocols.oauth.errors import code_of, describe, status_of
from protocols.oauth.metadata import AUTHORIZE
from protocols.oauth.pages import render
from protocols.oauth.wire import invalid, read_pairs, token_members

_MAX_QUERY_BYTES = 16 * 1024


class Authorize(ConsentPage[AuthorizationRequest]):
    """Answers browsers."""

    path = AUTHORIZE
    template = "consent.html"

    async def __call__(self, exchange: Exchange) -> Response:
        """Show what is next, or take what the user sent."""
        await exchange.admit(self._store)
        query: bytes = exchange.scope["query_string"]
        if len(query) > _MAX_QUERY_BYTES:
            raise invalid("The request is too long.")
        request = await read_request(self._store, read_pairs(query))
        browser = Browser.of(exchange, self._store)
        page = await self._page(exchange, browser, request, query.decode("latin-1"))
        if exchange.method == "POST":
            return await self._take(page)
        if page.visit is not None and await is_remembered(self._store, request, page.visit):
            return await self._allow(page, page.visit)
        return self._show(page)

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

    # --- what the user decides ---

    async def _allow(self, page: Page[AuthorizationRequest], visit: Visit) -> Response:
        request = page.request
        if request.is_implicit:
            tokens = await issue_by_browser(self._store, request, visit, page.address)
            given = {**token_members(tokens), "state": request.state}
            return _redirect(self._way_back(request.redirect_uri, given, in_fragment=True))
        code = await issue_code(self._store, request, visit, page.address)
        return _redirect(self._way_back(request.redirect_uri, {"code": code, "state": request.state}))

    async def _deny(self, page: Page[AuthorizationRequest]) -> Response:
        request = page.request
        raise RefusedAuthorization(
            OAuthErrorCode.ACCESS_DENIED,
            "The user said no.",
            request.redirect_uri,
            request.state,
            trusted=True,
            in_fragment=request.is_implicit,
        )

    # --- answers ---

    def _way_back(
        self, redirect_uri: str, parameters: Mapping[str, object], *, in_fragment: bool = False
    ) -> str:
        """The client's address, with ``iss`` so that the answer is not taken for another server's (RFC 9207)."""
        given = {name: value for name, value in parameters.items() if value is not None}
        query = urlencode(given | {"iss": self._store.public_url})
        mark = "#" if in_fragment else "&" if "?" in redirect_uri else "?"
        return f"{redirect_uri}{mark}{query}"

    def _scopes(self, request: AuthorizationRequest, visit: Visit) -> frozenset[Scope]:
        return within_reach(request, visit)

    def _details(self, request: AuthorizationRequest) -> Mapping[str, object]:
        return {"destination": request.redirect_uri.partition("?")[0]}

    def _leads_to(self, request: AuthorizationRequest) -> str:
        return request.redirect_uri


def _redirect(location: str) -> Response:
    """To the client. 303, so that no browser sends the form on (RFC 9700, section 4.12)."""
    headers = ((b"location", location.encode("ascii")), (b"referrer-policy", b"no-referrer"))
    return Response(303, headers=headers)
