"""The classic door as an ASGI application: one request in, one call of the store, one response out."""

import asyncio
from collections.abc import Callable, Mapping
from typing import ClassVar

from starlette.types import Receive, Scope, Send

from core.kernel.caller import Caller, Credentials
from core.store.store import Store
from protocols.classic.bindings import BINDINGS
from protocols.classic.endpoint import Endpoint
from protocols.classic.errors import JSON, NOT_FOUND, YAML, tell
from protocols.http.cors import NO_PAGES
from protocols.http.credentials import address_of, read_credentials
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.no_door import raise_refusal
from protocols.http.problems import HttpError, method_not_allowed
from protocols.http.response import Response
from protocols.http.routing import Routes

BASE = "/api/v3"
#: Pages of all origins may call, as they may the original: no browser sends anybody's credentials by itself.
_PAGES: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, DELETE, PUT"),
    (b"access-control-allow-headers", b"Content-Type, api_key, Authorization, X-Tenant-ID"),
    (b"access-control-expose-headers", b"Content-Disposition, X-Rate-Limit, X-Expires-After"),
)


class ClassicDoor:
    """Everything under ``/api/v3``. ``documents`` are made when they are first asked for, by the ends of their paths.

    For logs, ``scope["state"]`` also holds ``route``, the path's template.
    """

    #: The first path and what all others begin with.
    prefix: ClassVar[str] = f"{BASE}/"

    def __init__(self, store: Store, documents: Mapping[str, Callable[[], bytes]]) -> None:
        self._store = store
        self._routes: Routes[Endpoint | _Document] = Routes()
        for binding in BINDINGS:
            self._routes.add(binding.method, BASE + binding.path, Endpoint(store, binding))
        for name, make in documents.items():
            self._routes.add("GET", f"{BASE}/{name}", _Document(make, YAML if "yaml" in name else JSON))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        await _exchange(scope, receive, send).run(self._answer, tell=tell)

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request that the server has refused."""
        await _exchange(scope, receive, send).run(raise_refusal, tell=tell)

    async def _answer(self, exchange: Exchange) -> Response:
        values: list[str] = []
        path, method = exchange.path, exchange.method
        place = self._routes.find(path[:-1] if path.endswith("/") else path, values)
        target = None if place is None else place.methods.get(method)
        if place is not None:
            exchange.state["route"] = place.template
        free = isinstance(target, _Document) or (place is not None and method == "OPTIONS")
        caller = await exchange.admit(
            self._store, cost=0 if free else 1, credentials=self._credentials(exchange)
        )
        if place is None:
            raise HttpError(
                NOT_FOUND, "There is nothing at this path: /v1/swagger-ui.html?classic shows what there is."
            )
        if target is not None:
            return await target(caller, exchange, values)
        if method == "OPTIONS":
            return Response(200, headers=((b"allow", place.allow),))
        raise method_not_allowed(place.allow)

    def _credentials(self, exchange: Exchange) -> Credentials:
        """Those of the request, its API key under the classic name; none where they do not count."""
        if self._store.classic_open:
            tenant = exchange.headers.get(b"x-tenant-id")
            return Credentials(
                address_of(exchange.scope), None if tenant is None else tenant.decode("latin-1")
            )
        found = read_credentials(exchange.scope, exchange.headers)
        key = exchange.headers.get(b"api_key")
        return found if key is None else found._replace(api_key=key.decode("latin-1"))


def _exchange(scope: Scope, receive: Receive, send: Send) -> Exchange:
    exchange = Exchange(scope, receive, send, NO_PAGES)
    exchange.common.extend(_PAGES)
    return exchange


class _Document:
    """A document, for everybody."""

    def __init__(self, make: Callable[[], bytes], media_type: bytes) -> None:
        self._make = make
        self._media_type = media_type
        self._made: bytes | None = None

    async def __call__(self, caller: Caller, exchange: Exchange, values: list[str]) -> Response:  # noqa: ARG002 - for everybody
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)
        return Response(200, self._made, self._media_type, cache=b"no-cache")
