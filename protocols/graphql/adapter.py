"""GraphQL over HTTP as an ASGI application: queries, mutations, and subscriptions as event streams (graphql-sse)."""

from collections.abc import Sequence

from graphql import OperationType
from starlette.types import Receive, Scope, Send

from core.kernel.errors import BadRequest, StoreError, UnsupportedMediaType
from protocols.graphql.completions import COMPLETION
from protocols.graphql.context import RequestContext
from protocols.graphql.door import Door
from protocols.graphql.errors import error_entry
from protocols.graphql.execution import Refused, encode
from protocols.graphql.pages import GRAPHIQL, wants_page
from protocols.graphql.stream import serve_answer, serve_completion, serve_stream
from protocols.graphql.wire import (
    EVENT_STREAM,
    JSON,
    RESPONSE_JSON,
    accepts_stream,
    answer_type,
    request_of_body,
    request_of_query,
)
from protocols.http.connection import RESOURCE_METADATA
from protocols.http.content import check_charset, media_type_of
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.problems import METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, PROBLEMS, HttpError, error_headers
from protocols.http.response import Response

_METHODS = ("GET", "HEAD", "POST", "OPTIONS")


class GraphqlDoor:
    """``/v1/graphql`` over HTTP, as the GraphQL-over-HTTP specification has it.

    A browser that asks for a page gets GraphiQL. ``origins``: whose web pages may use it.
    """

    def __init__(self, door: Door, *, origins: Sequence[str] = ()) -> None:
        self._door = door
        self._cors = Cors(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send, self._cors)
        await exchange.run(self._answer, methods=_METHODS, tell=_refused, store=self._door.store)

    async def _answer(self, exchange: Exchange) -> Response | None:
        """Answer a request; None when that has been done already."""
        headers, query_string = exchange.headers, exchange.scope["query_string"]
        if wants_page(exchange.method, headers, query_string):
            return GRAPHIQL.response()
        kind = answer_type(headers.get(b"accept"))
        if kind is None or (kind == EVENT_STREAM and exchange.method == "HEAD"):
            raise HttpError(NOT_ACCEPTABLE, f"Answers are {RESPONSE_JSON.decode()} or {JSON.decode()}.")
        caller = await exchange.admit(self._door.store)
        reads_only = exchange.method != "POST"
        if reads_only:
            request = request_of_query(query_string)
        else:
            _check_media_type(headers)
            request = request_of_body(await exchange.body(self._door.limits.body_bytes))
        try:
            prepared = await self._door.engine.prepare(request, caller.address)
            if reads_only and prepared.kind is OperationType.MUTATION:
                raise HttpError(METHOD_NOT_ALLOWED, "Mutations are for POST.", [(b"allow", b"POST")])
            if prepared.kind is OperationType.SUBSCRIPTION:
                if not accepts_stream(headers.get(b"accept")) or exchange.method == "HEAD":
                    raise BadRequest("Subscriptions are for text/event-stream, or for graphql-transport-ws.")
                context = RequestContext(self._door.store, caller, exchange.request_id)
                bound = self._door.engine.bind(prepared, context)
                if bound.node.name.value == COMPLETION:
                    await serve_completion(self._door, bound, exchange)
                else:
                    await serve_stream(self._door, prepared, bound, exchange)
                return None
            context = RequestContext(self._door.store, caller, exchange.request_id)
            status = 200
            body = encode(await self._door.engine.run(self._door.engine.build(prepared, context)))
        except Refused as refused:
            status = 400 if kind == RESPONSE_JSON else 200
            body = encode({"errors": refused.errors})
        if kind == EVENT_STREAM:
            await serve_answer(body, exchange)
            return None
        return Response(status, body, _in_utf8(kind))


def _check_media_type(headers: dict[bytes, bytes]) -> None:
    """Only what a page of another origin cannot send without asking first."""
    if media_type_of(headers) != JSON:
        raise UnsupportedMediaType(f"The body must be {JSON.decode()}.")
    check_charset(headers)


def _refused(exchange: Exchange, error: StoreError | HttpError) -> Response:
    """An error as GraphQL tells it, in the media type that the client takes."""
    if isinstance(error, HttpError):
        status, headers, error = error.kind.status, error.headers, BadRequest(error.detail)
    else:
        status = PROBLEMS[error.code][0]
        headers = error_headers(
            error,
            credentials_refused=exchange.credentials_refused,
            resource_metadata=exchange.state.get(RESOURCE_METADATA),
        )
    kind = answer_type(exchange.headers.get(b"accept"))
    body = encode({"errors": [error_entry(error)]})
    return Response(status, body, _in_utf8(RESPONSE_JSON if kind == RESPONSE_JSON else JSON), headers)


def _in_utf8(media_type: bytes) -> bytes:
    return media_type + b"; charset=utf-8"
