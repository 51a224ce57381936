"""One operation at one method of one path: from a request to a call, and from its outcome to a response."""

from typing import Any, ClassVar

from core.kernel.caller import Caller
from core.kernel.errors import UnsupportedMediaType
from core.kernel.ids import SHARED_TENANT
from core.kernel.model import Page, Resource, encode
from core.ports.images import StoredImage
from core.store.store import Call, Outcome, Store
from protocols.http.exchange import Exchange
from protocols.http.headers import Header, accepts
from protocols.http.json_body import JSON, read_json
from protocols.http.multipart import read_upload
from protocols.http.problems import NOT_ACCEPTABLE, HttpError, problem_type
from protocols.http.query import read_query
from protocols.http.response import Response
from protocols.rest.bindings import SHOWN, Binding
from protocols.rest.wire import (
    MERGE_PATCH,
    entity_tags,
    link_header,
    on_page,
)

_PATCH_TYPES = (MERGE_PATCH, JSON)
#: A shared cache must ask again each time, for the answer depends on who asks.
_ASK_AGAIN = b"private, no-cache"
#: An image never changes: a new one has a new id. Those of a private tenant are for no cache that others share.
_FOR_EVER = b"public, max-age=31536000, immutable"
_FOR_EVER_OF_TENANT = b"private, max-age=31536000, immutable"
#: What somebody uploaded is shown as an image or not at all.
_IMAGE_POLICY: Header = (b"content-security-policy", b"default-src 'none'; sandbox")
_REPLAYED: Header = (b"idempotent-replayed", b"true")


class Endpoint:
    """Answers the requests of one binding."""

    cost: ClassVar[int] = 1

    def __init__(self, store: Store, binding: Binding) -> None:
        self._store = store
        self._binding = binding
        self._operation = binding.operation
        self._reads = binding.method in ("GET", "QUERY")
        self._path_names = binding.path_names
        self._query_names = binding.query_names
        self.tenant_in_query = binding.linked
        if self.tenant_in_query:
            self._query_names["tenant"] = False
        self._ok = binding.status
        self._tagged = binding.operation.result in SHOWN

    async def __call__(self, caller: Caller, exchange: Exchange, values: list[str]) -> Response:
        """Run the operation for one request."""
        self._check_accept(exchange.headers.get(b"accept"))
        query: bytes = exchange.scope["query_string"]
        params: dict[str, object] = read_query(query, self._query_names) if query else {}
        params.update(zip(self._path_names, values, strict=True))
        body = None
        if self._operation.body is not None:
            # The store asks again; this spares reading megabytes for somebody who may not send them.
            self._operation.authorise(caller)
            body = await self._read_body(exchange)
            if self._binding.paged_by_body:
                body = on_page(params, body)
        if self._reads:
            call = Call(self._operation, params, body, exchange.request_id)
        else:
            key = exchange.headers.get(b"idempotency-key")
            if_match = exchange.headers.get(b"if-match")
            if_none_match = exchange.headers.get(b"if-none-match")
            call = Call(
                self._operation,
                params,
                body,
                exchange.request_id,
                None if key is None else key.decode("latin-1"),
                None if if_match is None else entity_tags(if_match, weak=False),
                None if if_none_match is None else entity_tags(if_none_match, weak=True),
            )
        return self._render(exchange, values, await self._store.execute(caller, call))

    def _check_accept(self, accept: bytes | None) -> None:
        if accept is None or accept == b"*/*" or self._operation.result is None:
            return
        if self._binding.serves_image:
            if not any(
                accepts(accept, kind) for kind in (b"image/png", b"image/jpeg", b"image/webp", b"image/gif")
            ):
                raise HttpError(NOT_ACCEPTABLE, "The answer is an image.")
        elif not accepts(accept, JSON):
            raise HttpError(NOT_ACCEPTABLE, "The answer is application/json.")

    async def _read_body(self, exchange: Exchange) -> object:
        limits = self._store.limits
        if self._binding.upload:
            return await read_upload(exchange, limits.image_bytes)
        required = self._operation.body_required
        if not self._operation.patch:
            return await read_json(exchange, limits.body_bytes, required=required)
        try:
            return await read_json(exchange, limits.body_bytes, required=required, accepted=_PATCH_TYPES)
        except UnsupportedMediaType as error:
            accepted = (b"accept-patch", b", ".join(_PATCH_TYPES))
            raise HttpError(problem_type(error.code), error.detail, [accepted]) from None

    def _render(self, exchange: Exchange, values: list[str], outcome: Outcome) -> Response:
        value: Any = outcome.value
        headers: list[Header] = [_REPLAYED] if outcome.replayed else []
        if self._ok == 204:
            return Response(204, headers=tuple(headers))
        cache = _ASK_AGAIN if self._reads else b"no-store"
        if isinstance(value, Resource):
            if self._tagged:
                headers.append((b"etag", b'"%b"' % value.etag.encode()))
                if self._reads and _is_known(exchange, value.etag):
                    return Response(304, headers=tuple(headers), cache=cache)
            encoded = value.encoded
        elif isinstance(value, StoredImage):
            shared = exchange.scope["state"]["tenant"] == SHARED_TENANT
            cache = _FOR_EVER if shared else _FOR_EVER_OF_TENANT
            return self._render_image(exchange, values[-1].lower(), value, cache)
        else:
            encoded = encode(value)
            if isinstance(value, Page) and "page" in self._query_names:
                link = link_header(exchange.path, exchange.scope["query_string"], value.pagination)
                headers.append((b"link", link))
        if self._binding.location is not None:
            headers.append((b"location", self._binding.location(value).encode()))
        return Response(self._ok, encoded, JSON, tuple(headers), cache)

    def _render_image(self, exchange: Exchange, tag: str, image: StoredImage, cache: bytes) -> Response:
        etag = (b"etag", b'"%b"' % tag.encode())
        if _is_known(exchange, tag):
            return Response(304, headers=(etag,), cache=cache)
        return Response(self._ok, image.content, image.media_type.encode(), (etag, _IMAGE_POLICY), cache)


def _is_known(exchange: Exchange, tag: str) -> bool:
    """Whether the client has what it would get (RFC 9110, section 13.1.2)."""
    condition = exchange.headers.get(b"if-none-match")
    if condition is None:
        return False
    tags = entity_tags(condition, weak=True)
    return tag in tags or "*" in tags
