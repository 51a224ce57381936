"""The REST door as an ASGI application: one request in, one call of the store, one response out."""

from collections.abc import Awaitable, Sequence
from typing import ClassVar, Protocol

from starlette.types import Receive, Scope, Send

from core.kernel.caller import Caller
from core.kernel.errors import NotFound
from core.store.store import Store
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.json_body import JSON
from protocols.http.problems import method_not_allowed
from protocols.http.response import Response
from protocols.http.routing import Place, Routes
from protocols.rest.bindings import BINDINGS
from protocols.rest.endpoint import Endpoint
from protocols.rest.pages import Pages
from protocols.rest.wire import MERGE_PATCH


class Target(Protocol):
    """What answers requests.

    ``cost``: how much of their budget a request takes from the caller; 0 is for everybody. ``tenant_in_query``: the
    tenant may be named in the address, for web pages that show what is there.
    """

    cost: ClassVar[int]
    tenant_in_query: bool

    async def __call__(self, caller: Caller, exchange: Exchange, values: list[str]) -> Response:
        """Answer one request; ``values`` are the parts of its path that stand for placeholders."""
        ...


class RestDoor:
    """Everything under ``/v1`` that is answered with one response; what is unknown there is a 404 of this door.

    For logs, ``scope["state"]`` also holds ``route``, the path's template. ``origins``: whose web pages may use it.
    """

    def __init__(self, store: Store, pages: Pages, *, origins: Sequence[str] = ()) -> None:
        self._store = store
        self._cors = Cors(origins)
        self._routes: Routes[Target] = Routes()
        for binding in BINDINGS:
            endpoint = Endpoint(store, binding)
            for path in binding.paths:
                self._routes.add(binding.method, path, endpoint)
        for path in pages.paths:
            self._routes.add("GET", path, pages)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one HTTP request."""
        return Exchange(scope, receive, send, self._cors).run(self._answer)

    async def _answer(self, exchange: Exchange) -> Response:
        method = exchange.method
        values: list[str] = []
        place = self._routes.find(exchange.path, values)
        target = None if place is None else place.methods.get(method)
        if place is not None:
            exchange.state["route"] = place.template
            if "QUERY" in place.methods:
                exchange.common.append((b"accept-query", JSON))
        cost = target.cost if target is not None else 0 if place is not None and method == "OPTIONS" else 1
        shown = target is not None and target.tenant_in_query
        caller = await exchange.admit(self._store, cost=cost, tenant_in_query=shown)
        if place is None:
            raise NotFound(f"There is nothing at this path: {_sign(exchange.path)}.")
        if target is not None:
            return await target(caller, exchange, values)
        if method == "OPTIONS":
            return _options(place)
        raise method_not_allowed(place.allow)


def _sign(path: str) -> str:
    """Where to look for what a wrong path may have meant."""
    if path.startswith("/v1/oauth"):
        return "/.well-known/oauth-authorization-server says what there is of OAuth"
    return "/v1/swagger-ui.html shows what there is"


def _options(place: Place[Target]) -> Response:
    """What a path takes (RFC 9110, section 9.3.7; RFC 5789, section 3.1)."""
    headers: tuple[Header, ...] = ((b"allow", place.allow),)
    if "PATCH" in place.methods:
        headers = (*headers, (b"accept-patch", MERGE_PATCH + b", " + JSON))
    return Response(204, headers=headers)
