"""/healthz, /readyz and /metrics: what machines ask a node about itself."""

from urllib.parse import parse_qs

import orjson
from starlette.types import Receive, Scope, Send

from gateway.health import Health
from gateway.observability.metrics import CONTENT_TYPE, Metrics
from protocols.http.headers import read_headers, request_id_of
from protocols.http.problems import MEDIA_TYPE, METHOD_NOT_ALLOWED, problem

_JSON = b"application/json"


class Probes:
    """One ASGI application for the three paths."""

    paths = ("/healthz", "/readyz", "/metrics")

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one probe."""
        request_id = request_id_of(read_headers(scope["headers"]))
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        status, media_type, more = 200, _JSON, []
        if scope["method"] not in ("GET", "HEAD"):
            status, media_type, more = 405, MEDIA_TYPE.encode(), [(b"allow", b"GET, HEAD")]
            detail = "This takes GET and HEAD only."
            body = problem(*METHOD_NOT_ALLOWED, detail, scope["path"])
        elif scope["path"] == "/healthz":
            body = b'{"status":"alive"}'
        elif scope["path"] == "/readyz":
            status, body = await self._ready(scope)
        else:
            media_type, body = CONTENT_TYPE.encode(), self._metrics.render()
        headers = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id),
            *more,
        ]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _ready(self, scope: Scope) -> tuple[int, bytes]:
        """``?exclude=redis``: a proxy asks so, since without Redis a node is slower, but not wrong."""
        excluded = frozenset(parse_qs(scope["query_string"].decode("latin-1")).get("exclude", []))
        found = await self._health.readiness()
        body = {"status": found.status, "doors": found.doors, "servers": found.servers}
        return 200 if found.without(excluded) else 503, orjson.dumps(body)
