"""/healthz, /readyz and /metrics: what machines ask a node about itself."""

from collections.abc import Sequence
from hmac import compare_digest
from urllib.parse import parse_qs

import orjson
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from core.kernel.addresses import is_loopback
from core.kernel.errors import Forbidden, Unauthorized
from gateway.health import Health
from gateway.observability.metrics import CONTENT_TYPE, Metrics
from protocols.http.cors import Cors
from protocols.http.credentials import address_of, bearer_of
from protocols.http.exchange import Exchange
from protocols.http.response import Response

_JSON = b"application/json"
_METHODS = ("GET", "HEAD", "OPTIONS")
#: What proxies add to a request that they forward (RFC 7239; RFC 9110, section 7.6.3).
_SIGNS_OF_A_PROXY = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"})


class Probes:
    """One ASGI application for the three paths. ``origins``: whose web pages may read them.

    What is inside the node is for clients on its machine that call for nobody else, and for whoever has the ``token``.
    """

    paths = ("/healthz", "/readyz", "/metrics")

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        *,
        origins: Sequence[str] = (),
        token: SecretStr | None = None,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._cors = Cors(origins)
        self._token = None if token is None else token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one probe."""
        await Exchange(scope, receive, send, self._cors).run(self._answer, methods=_METHODS)

    async def _answer(self, exchange: Exchange) -> Response:
        match exchange.path:
            case "/healthz":
                return Response(200, b'{"status":"alive"}', _JSON)
            case "/readyz":
                return await self._readiness(exchange)
            case _:
                self._check_insider(exchange)
                return Response(200, self._metrics.render(), CONTENT_TYPE.encode())

    async def _readiness(self, exchange: Exchange) -> Response:
        """``?exclude=redis``: a proxy asks so, since without Redis a node is slower, but not wrong."""
        query_string: bytes = exchange.scope["query_string"]
        excluded = frozenset(parse_qs(query_string.decode("latin-1")).get("exclude", []))
        readiness = await self._health.readiness()
        told: dict[str, object] = {"status": readiness.status}
        if self._is_insider(exchange):
            told |= {"doors": readiness.doors, "servers": readiness.servers}
        body = orjson.dumps(told)
        if readiness.without(excluded):
            return Response(200, body, _JSON)
        return Response(503, body, _JSON, ((b"retry-after", b"1"),))

    def _is_insider(self, exchange: Exchange) -> bool:
        if is_loopback(address_of(exchange.scope)) and not _SIGNS_OF_A_PROXY & exchange.headers.keys():
            return True
        given = bearer_of(exchange.headers.get(b"authorization", b"").decode("latin-1"))
        return self._token is not None and given is not None and compare_digest(given.encode(), self._token)

    def _check_insider(self, exchange: Exchange) -> None:
        if self._is_insider(exchange):
            return
        if self._token is None:
            raise Forbidden("The metrics are for this machine alone.")
        exchange.credentials_refused = b"authorization" in exchange.headers
        raise Unauthorized("The metrics are for this machine, and for who has their token.")
