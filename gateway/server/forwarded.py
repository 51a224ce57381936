"""Whose request a proxy forwards (``X-Forwarded-For``)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from core.kernel.addresses import TrustedProxies


class ForwardedClients:
    """Puts the client that a trusted proxy names in the proxy's place, for the application behind it.

    It stands for uvicorn's own, which trusts nobody where ``*`` is one of several, or a peer is an IPv4 one on a socket
    of both families; gRPC goes by these rules too.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket, or the life of the application."""
        if scope["type"] != "lifespan":
            forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            peer = scope.get("client")
            if forwarded and peer:
                named = b",".join(forwarded).decode("latin-1")
                scope["client"] = (self._proxies.client_of(peer[0], named), 0)
        await self._app(scope, receive, send)
