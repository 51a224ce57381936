"""The page on which a user allows a device without a browser to act for them (RFC 8628, section 3.3).

The code is in the address of the page, and is looked up again at each step; nothing else is kept.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from core.kernel.caller import Scope
from core.kernel.errors import RateLimited, StoreError
from core.services.oauth.device import DeviceRequest, decide, find_request
from core.services.oauth.pages import Visit
from protocols.http.credentials import address_of
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.problems import HttpError, error_headers
from protocols.http.response import Response
from protocols.oauth.browser import Browser
from protocols.oauth.consent import ConsentPage, Page
from protocols.oauth.errors import status_of
from protocols.oauth.metadata import DEVICE
from protocols.oauth.pages import render
from protocols.oauth.wire import invalid, read_pairs

_MAX_QUERY_BYTES = 1024
_NO_SUCH_CODE = (
    "No device waits with this code. Look at it once more: a code counts for ten minutes, and once."
)


class DevicePage(ConsentPage[DeviceRequest]):
    """Answers browsers."""

    path = DEVICE
    template = "device.html"

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
        # Browsers that come without a cookie share their guesses: whoever throws theirs away gets no more of them.
        known = "" if browser.is_new else browser.cookie
        try:
            request = await find_request(self._store, typed, known, address_of(exchange.scope))
        except RateLimited as error:
            message = f"Too many wrong codes. Try again in {error.retry_after} seconds."
            return _ask_for_code(
                browser, typed, message, status=status_of(error), headers=error_headers(error)
            )
        if request is None:
            return _ask_for_code(browser, typed, _NO_SUCH_CODE, status=404)
        # The address of the page says which code it is about, in one spelling.
        about = urlencode({"user_code": request.user_code})
        page = await self._page(exchange, browser, request, about)
        return await self._take(page) if exchange.method == "POST" else self._show(page)

    def tell(self, _: Exchange, error: StoreError | HttpError) -> Response:
        """Show an error."""
        headers = error.headers if isinstance(error, HttpError) else error_headers(error)
        return render("error.html", {"detail": error.detail}, status=status_of(error), headers=tuple(headers))

    # --- what the user decides ---

    async def _allow(self, page: Page[DeviceRequest], visit: Visit) -> Response:
        if await decide(self._store, page.request, visit, page.address, allowed=True):
            return _done(page, "allowed")
        return self._show(page, _NO_SUCH_CODE, status=409)

    async def _deny(self, page: Page[DeviceRequest]) -> Response:
        await decide(self._store, page.request, page.visit, page.address, allowed=False)
        return _done(page, "denied")

    # --- answers ---

    def _scopes(self, request: DeviceRequest, visit: Visit) -> frozenset[Scope]:
        return request.within_reach(visit)

    def _details(self, request: DeviceRequest) -> Mapping[str, object]:
        code = request.code
        return {
            "user_code": request.user_code,
            "address": code.address,
            "asked_at": f"{code.created_at:%H:%M} UTC on {code.created_at:%d %B %Y}",
        }


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


def _done(page: Page[DeviceRequest], decision: str) -> Response:
    values = {"application": page.request.client.name, "decision": decision}
    return render("device_done.html", values, headers=page.browser.headers)
