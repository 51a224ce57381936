"""GraphQL over HTTP as an ASGI application: queries, mutations, and subscriptions as event streams (graphql-sse)."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from graphql import OperationType
from starlette.types import Receive, Scope, Send

from core.kernel.caller import Caller
from core.kernel.errors import (
    BadRequest,
    Internal,
    PayloadTooLarge,
    RateLimited,
    StoreError,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from protocols.graphql.context import RequestContext
from protocols.graphql.door import Door
from protocols.graphql.errors import error_entry
from protocols.graphql.execution import Prepared, Refused, encode
from protocols.graphql.pages import PAGE, PAGE_HEADERS, wants_page
from protocols.graphql.stream import serve_answer, serve_stream
from protocols.graphql.wire import (
    EVENT_STREAM,
    JSON,
    RESPONSE_JSON,
    accepts_stream,
    answer_type,
    request_of_body,
    request_of_query,
)
from protocols.http.cors import Cors
from protocols.http.credentials import read_credentials
from protocols.http.headers import Header, rate_limit_headers, read_headers, request_id_of
from protocols.http.problems import PROBLEMS

log = logging.getLogger(__name__)

_ALLOW = b"GET, HEAD, POST, OPTIONS"
_VARY: Header = (b"vary", b"Accept, Authorization, Origin, X-API-Key, X-Tenant-ID")


class _Gone(Exception):
    """The client left before it had sent its whole request."""


class _Answer(NamedTuple):
    status: int
    body: bytes
    media_type: bytes | None
    headers: tuple[Header, ...] = ()


class _Refusal(Exception):
    """A request of HTTP that is refused before GraphQL comes into it."""

    def __init__(self, status: int, error: StoreError, *headers: Header) -> None:
        super().__init__(error.detail)
        self.status = status
        self.error = error
        self.headers = headers


class GraphqlDoor:
    """``/v1/graphql`` over HTTP, as the GraphQL-over-HTTP specification has it.

    A browser that asks for a page gets GraphiQL. ``origins``: which web pages may use it. For logs,
    ``scope["state"]`` holds ``request_id``, ``caller`` (his key) and ``tenant``.
    """

    def __init__(self, door: Door, *, origins: Sequence[str] = ()) -> None:
        self._door = door
        self._cors = Cors(origins) if origins else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = read_headers(scope["headers"])
        request_id = request_id_of(headers)
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        common: list[Header] = [(b"x-request-id", request_id), _VARY, (b"x-content-type-options", b"nosniff")]
        if self._cors is not None:
            common += self._cors.headers(scope["method"], headers)
        kind = answer_type(headers.get(b"accept"))
        try:
            answer = await self._serve(scope, headers, kind, common, receive, send)
        except _Gone:
            return
        except _Refusal as refusal:
            answer = _refused(refusal.status, refusal.error, kind, refusal.headers)
        except StoreError as error:
            answer = _refused(PROBLEMS[error.code][0], error, kind)
        except Exception:  # The door's boundary: a fault of ours is told as one.
            log.exception("a request failed", extra={"request_id": request_id.decode()})
            answer = _refused(500, Internal(), kind)
        if answer is not None:
            await _send(send, answer, common, head=scope["method"] == "HEAD")

    async def _serve(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        kind: bytes | None,
        common: list[Header],
        receive: Receive,
        send: Send,
    ) -> _Answer | None:
        """Answer a request; None when that has been done already."""
        method = scope["method"]
        if method == "OPTIONS":
            return _Answer(204, b"", None, ((b"allow", _ALLOW),))
        if method not in ("GET", "HEAD", "POST"):
            raise _Refusal(405, BadRequest("This path is for GET and POST."), (b"allow", _ALLOW))
        if wants_page(method, headers, scope["query_string"]):
            return _Answer(200, PAGE, b"text/html; charset=utf-8", PAGE_HEADERS)
        if kind is None or (kind == EVENT_STREAM and method == "HEAD"):
            raise _Refusal(406, BadRequest(f"Answers are {RESPONSE_JSON.decode()} or {JSON.decode()}."))
        caller = await self._admit(scope, headers, common)
        reads_only = method != "POST"
        if reads_only:
            request = request_of_query(scope["query_string"])
        else:
            _check_media_type(headers)
            request = request_of_body(await self._body(headers, receive))
        try:
            prepared = self._door.engine.prepare(request)
            if reads_only and prepared.kind is OperationType.MUTATION:
                raise _Refusal(405, BadRequest("Mutations are for POST."), (b"allow", b"POST"))
            return await self._run(scope, prepared, caller, kind, common, receive, send)
        except Refused as refused:
            body = encode({"errors": refused.errors})
            if kind == EVENT_STREAM:
                await serve_answer(body, common, send)
                return None
            return _Answer(400 if kind == RESPONSE_JSON else 200, body, kind)

    async def _admit(self, scope: Scope, headers: dict[bytes, bytes], common: list[Header]) -> Caller:
        """Who calls, if he may go on."""
        credentials = read_credentials(scope, headers)
        admission = await self._door.store.admit(credentials)
        scope["state"].update(caller=admission.caller.key, tenant=admission.caller.tenant)
        if admission.allowance is not None:
            common += rate_limit_headers(admission.allowance)
        if admission.refusal is not None:
            raise admission.refusal
        return admission.caller

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._door.limits.body_bytes
        announced = headers.get(b"content-length", b"")
        body = b""
        more = not (announced.isdigit() and int(announced[:20]) > limit)
        if not more:
            raise PayloadTooLarge(f"The request body has more than {limit} bytes.")
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise _Gone
            body += message.get("body", b"")
            if len(body) > limit:
                raise PayloadTooLarge(f"The request body has more than {limit} bytes.")
            more = message.get("more_body", False)
        return body

    async def _run(
        self,
        scope: Scope,
        prepared: Prepared,
        caller: Caller,
        kind: bytes,
        common: list[Header],
        receive: Receive,
        send: Send,
    ) -> _Answer | None:
        door = self._door
        if prepared.kind is OperationType.SUBSCRIPTION:
            headers = read_headers(scope["headers"])
            if not accepts_stream(headers.get(b"accept")):
                raise _Refusal(
                    400, BadRequest("Subscriptions are for text/event-stream, or for graphql-transport-ws.")
                )
            credentials = read_credentials(scope, headers)
            await serve_stream(door, prepared, credentials, caller, scope, common, receive, send)
            return None
        context = RequestContext(door.store, caller, scope["state"]["request_id"])
        body = encode(await door.engine.run(door.engine.build(prepared, context)))
        if kind == EVENT_STREAM:
            await serve_answer(body, common, send)
            return None
        return _Answer(200, body, kind)


def _check_media_type(headers: dict[bytes, bytes]) -> None:
    """Only what a page of another origin cannot send without asking first."""
    kind, _, parameters = headers.get(b"content-type", b"").lower().partition(b";")
    if kind.strip() != JSON:
        raise UnsupportedMediaType(f"The body must be {JSON.decode()}.")
    for parameter in parameters.split(b";"):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"charset" and value.strip(b'" ') not in (b"utf-8", b"utf8"):
            raise UnsupportedMediaType("The body must be in UTF-8.")


def _refused(status: int, error: StoreError, kind: bytes | None, headers: tuple[Header, ...] = ()) -> _Answer:
    if isinstance(error, Unauthorized):
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    elif isinstance(error, RateLimited | Unavailable):
        headers = (*headers, (b"retry-after", b"%d" % max(1, error.retry_after)))
    body = encode({"errors": [error_entry(error)]})
    return _Answer(status, body, RESPONSE_JSON if kind == RESPONSE_JSON else JSON, headers)


async def _send(send: Send, answer: _Answer, common: list[Header], *, head: bool) -> None:
    headers = [*common, *answer.headers]
    if answer.media_type is not None:
        kind = answer.media_type
        headers.append((b"content-type", kind if b"charset" in kind else kind + b"; charset=utf-8"))
        headers.append((b"content-length", b"%d" % len(answer.body)))
    if not any(name == b"cache-control" for name, _ in answer.headers):
        headers.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
