"""The REST door as an ASGI application: one request in, one call of the store, one response out."""

import logging
from collections.abc import Sequence
from typing import ClassVar, Protocol

from starlette.types import Receive, Scope, Send

from core.kernel.caller import Caller
from core.kernel.errors import Internal, NotFound, StoreError
from core.store.store import Store
from protocols.http.cors import Cors
from protocols.http.credentials import read_credentials
from protocols.http.headers import Header, rate_limit_headers, read_headers, request_id_of
from protocols.rest.bindings import BINDINGS
from protocols.rest.endpoint import Endpoint
from protocols.rest.errors import HttpError, answer_of, method_not_allowed
from protocols.rest.pages import Pages
from protocols.rest.routing import Place, Routes
from protocols.rest.wire import (
    JSON,
    MERGE_PATCH,
    Answer,
    ClientGone,
    Request,
)

log = logging.getLogger(__name__)


class Target(Protocol):
    """What answers requests. ``cost``: how much of his budget a request takes from the caller."""

    cost: ClassVar[int]

    async def __call__(self, caller: Caller, request: Request) -> Answer:
        """Answer one request of a caller who may go on."""
        ...


_VARY: Header = (b"vary", b"Accept, Authorization, Origin, X-API-Key, X-Tenant-ID")


class RestDoor:
    """Everything under ``/v1`` that is answered with one response; what is unknown there is a 404 of this door.

    For logs, ``scope["state"]`` holds ``request_id`` from the start, and ``route`` (the path template), ``caller``
    (his key) and ``tenant`` once they are known. ``origins``: of which web pages may use it.
    """

    def __init__(self, store: Store, pages: Pages, *, origins: Sequence[str] = ()) -> None:
        self._store = store
        self._cors = Cors(origins) if origins else None
        self._routes: Routes[Target] = Routes()
        for binding in BINDINGS:
            endpoint = Endpoint(store, binding)
            for path in binding.paths:
                self._routes.add(binding.method, path, endpoint)
        for path in pages.paths:
            self._routes.add("GET", path, pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        headers = read_headers(scope["headers"])
        request_id = request_id_of(headers)
        request = Request(scope, receive, headers, request_id.decode())
        scope.setdefault("state", {})["request_id"] = request.request_id
        common: list[Header] = [(b"x-request-id", request_id), _VARY]
        if self._cors is not None:
            common += self._cors.headers(scope["method"], headers)
        try:
            answer = await self._answer(request, common)
        except ClientGone:
            return
        except (StoreError, HttpError) as error:
            answer = answer_of(error, scope["path"])
        except Exception:  # the door's boundary: a fault of ours is told as a problem, too
            log.exception("a request failed", extra={"request_id": request.request_id})
            answer = answer_of(Internal(), scope["path"])
        common.append((b"cache-control", answer.cache))
        if answer.media_type is not None:
            common.append((b"content-type", answer.media_type))
        if answer.status not in (204, 304):
            common.append((b"content-length", b"%d" % len(answer.body)))
        common.extend(answer.headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": common})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, request: Request, common: list[Header]) -> Answer:
        """Answer a request, and put what goes with every answer into ``common``."""
        scope = request.scope
        method: str = scope["method"]
        place = self._routes.find(scope["path"], request.values)
        target = None if place is None else place.methods.get(method)
        looks_only = target.cost == 0 if target is not None else place is not None and method == "OPTIONS"
        credentials = read_credentials(scope, request.headers)
        admission = await self._store.admit(credentials, cost=0 if looks_only else 1)
        state = scope["state"]
        state["caller"] = admission.caller.key
        state["tenant"] = admission.caller.tenant
        state["tenant"] = admission.caller.tenant
        if place is not None:
            state["route"] = place.template
            if "QUERY" in place.methods:
                common.append((b"accept-query", JSON))
        if admission.allowance is not None:
            common += rate_limit_headers(admission.allowance)
        if admission.refusal is not None and not looks_only:
            token_given = credentials.token is not None or credentials.api_key is not None
            return answer_of(admission.refusal, scope["path"], token_given=token_given)
        if place is None:
            raise NotFound("There is nothing at this path.")
        if target is not None:
            return await target(admission.caller, request)
        if method == "OPTIONS":
            return Answer(204, headers=_options(place))
        raise method_not_allowed(place.allow)


def _options(place: Place[Target]) -> tuple[Header, ...]:
    """What a path takes (RFC 9110, section 9.3.7; RFC 5789, section 3.1)."""
    allow = (b"allow", place.allow)
    return (allow, (b"accept-patch", MERGE_PATCH + b", " + JSON)) if "PATCH" in place.methods else (allow,)
