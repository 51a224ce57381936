"""/healthz, /readyz and /metrics: what machines ask a node about itself."""

from collections.abc import Sequence
from urllib.parse import parse_qs

import orjson
from starlette.types import Receive, Scope, Send

from gateway.health import Health
from gateway.observability.metrics import CONTENT_TYPE, Metrics
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.response import Response

_JSON = b"application/json"
_METHODS = ("GET", "HEAD", "OPTIONS")


class Probes:
    """One ASGI application for the three paths. ``origins``: whose web pages may read them."""

    paths = ("/healthz", "/readyz", "/metrics")

    def __init__(self, health: Health, metrics: Metrics, *, origins: Sequence[str] = ()) -> None:
        self._health = health
        self._metrics = metrics
        self._cors = Cors(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one probe."""
        await Exchange(scope, receive, send, self._cors).run(self._answer, methods=_METHODS)

    async def _answer(self, exchange: Exchange) -> Response:
        match exchange.path:
            case "/healthz":
                return Response(200, b'{"status":"alive"}', _JSON)
            case "/readyz":
                return await self._readiness(exchange.scope["query_string"])
            case _:
                return Response(200, self._metrics.render(), CONTENT_TYPE.encode())

    async def _readiness(self, query_string: bytes) -> Response:
        """``?exclude=redis``: a proxy asks so, since without Redis a node is slower, but not wrong."""
        excluded = frozenset(parse_qs(query_string.decode("latin-1")).get("exclude", []))
        readiness = await self._health.readiness()
        body = orjson.dumps(
            {"status": readiness.status, "doors": readiness.doors, "servers": readiness.servers}
        )
        if readiness.without(excluded):
            return Response(200, body, _JSON)
        return Response(503, body, _JSON, ((b"retry-after", b"1"),))
