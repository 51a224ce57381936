"""The page on which a user allows a device without a browser to act for them (RFC 8628, section 3.3).

The code is in the address of the page, and is looked up again at each step; nothing else is kept.
"""

from typing import NamedTuple
from urllib.parse import urlencode

from core.kernel.caller import Role
from core.kernel.errors import RateLimited, StoreError, Unauthorized
from core.services.oauth import pages as logins
from core.services.oauth.device import DeviceRequest, decide, find_request, read_user_code, shown
from core.services.oauth.grant_types import Form
from core.services.oauth.pages import Visit
from core.store.store import Store
from protocols.http.credentials import address_of
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.problems import HttpError, error_headers
from protocols.http.response import Response
from protocols.oauth.browser import Browser
from protocols.oauth.errors import status_of
from protocols.oauth.metadata import DEVICE
from protocols.oauth.pages import in_words, render
from protocols.oauth.wire import invalid, read_form, read_pairs

_MAX_QUERY_BYTES = 1024
_NO_SUCH_CODE = (
    "No device waits with this code. Look at it once more: a code counts for ten minutes, and once."
)


class _Page(NamedTuple):
    """One request for the page: who has it, and the device that it is about."""

    exchange: Exchange
    browser: Browser
    address: str
    request: DeviceRequest
    user_code: str
    visit: Visit | None


class DevicePage:
    """Answers browsers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, exchange: Exchange) -> Response:
        """Show what is next, or take what the user sent."""
        await exchange.admit(self._store)
        query: bytes = exchange.scope["query_string"]
        if len(query) > _MAX_QUERY_BYTES:
            raise invalid("The request is too long.")
        browser = Browser.of(exchange, self._store)
        typed = dict(read_pairs(query)).get("user_code")
        if typed is None:
            return _ask_for_code(browser)
        address = address_of(exchange.scope)
        # Browsers that come without a cookie share their guesses: whoever throws theirs away gets no more of them.
        known = "" if browser.is_new else browser.cookie
        try:
            request = await find_request(self._store, typed, known, address)
        except RateLimited as error:
            message = f"Too many wrong codes. Try again in {error.retry_after} seconds."
            return _ask_for_code(
                browser, typed, message, status=status_of(error), headers=error_headers(error)
            )
        user_code = read_user_code(typed)
        if request is None or user_code is None:
            return _ask_for_code(browser, typed, _NO_SUCH_CODE, status=404)
        exchange.state["tenant"] = request.tenant
        visit = await logins.find_visit(self._store, request.tenant, browser.cookie)
        page = _Page(exchange, browser, address, request, user_code, visit)
        return await self._take(page) if exchange.method == "POST" else self._show(page)

    def tell(self, _: Exchange, error: StoreError | HttpError) -> Response:
        """Show an error."""
        headers = error.headers if isinstance(error, HttpError) else error_headers(error)
        return render("error.html", {"detail": error.detail}, status=status_of(error), headers=tuple(headers))

    # --- forms ---

    async def _take(self, page: _Page) -> Response:
        form = await read_form(page.exchange)
        if not page.browser.sent(self._store, _about(page), form.get("form_token", "")):
            return self._show(page, "This page had expired. Please try again.", status=403)
        match form.get("action"), page.visit:
            case "login", _:
                return await self._log_in(page, form)
            case "logout", _:
                await logins.log_out(self._store, page.request.tenant, page.address, page.browser.cookie)
                return _again(page, page.browser.now_with(logins.new_cookie()))
            case "deny", _:
                await decide(self._store, page.request, page.visit, page.address, allowed=False)
                return _done(page, "denied")
            case "allow", Visit():
                noted = await decide(self._store, page.request, page.visit, page.address, allowed=True)
                return _done(page, "allowed") if noted else self._show(page, _NO_SUCH_CODE, status=409)
            case "allow", None:
                return self._show(page, "Please log in again.", status=403)
        raise invalid("The form has no such action.")

    async def _log_in(self, page: _Page, form: Form) -> Response:
        username, password = form.get("username", ""), form.get("password", "")
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
        return _again(page, page.browser.now_with(cookie))

    # --- answers ---

    def _show(
        self,
        page: _Page,
        message: str = "",
        username: str = "",
        *,
        status: int = 200,
        headers: tuple[Header, ...] = (),
    ) -> Response:
        """The login, or what the device asks for."""
        client, code, visit = page.request.client, page.request.code, page.visit
        values: dict[str, object] = {
            "application": client.name,
            "registered_itself": client.dynamic,
            "action": f"{DEVICE}?{_about(page)}",
            "form_token": page.browser.form_token(self._store, _about(page)),
            "message": message,
        }
        all_headers = (*page.browser.headers, *headers)
        if visit is None:
            values["username"] = username[:100]
            return render("login.html", values, status=status, headers=all_headers)
        scopes = page.request.within_reach(visit)
        values |= {
            "username": visit.account.username,
            "acts_for_store": visit.role is Role.STAFF,
            "scopes": [in_words(scope, visit.role) for scope in sorted(scopes)],
            "user_code": shown(page.user_code),
            "address": code.address,
            "asked_at": f"{code.created_at:%H:%M} UTC on {code.created_at:%d %B %Y}",
        }
        return render("device.html", values, status=status, headers=all_headers)


def _ask_for_code(
    browser: Browser,
    typed: str = "",
    message: str = "",
    *,
    status: int = 200,
    headers: tuple[Header, ...] = (),
) -> Response:
    values = {"action": DEVICE, "user_code": typed[:20], "message": message}
    return render("device_code.html", values, status=status, headers=(*browser.headers, *headers))


def _done(page: _Page, decision: str) -> Response:
    values = {"application": page.request.client.name, "decision": decision}
    return render("device_done.html", values, headers=page.browser.headers)


def _about(page: _Page) -> str:
    """The address of the page says which code it is about, in one spelling."""
    return urlencode({"user_code": shown(page.user_code)})


def _again(page: _Page, browser: Browser) -> Response:
    """To the same page, now that something has changed."""
    location = f"{DEVICE}?{_about(page)}".encode()
    return Response(303, headers=((b"location", location), *browser.headers))
