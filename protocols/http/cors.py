"""Which web pages may use the doors on HTTP (the CORS protocol of the Fetch standard)."""

from collections.abc import Mapping, Sequence

from protocols.http.headers import Header

#: Every method that some path takes.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY", "OPTIONS")
_METHODS = ", ".join(METHODS).encode()
_REQUEST_HEADERS = (
    b"Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Mcp-Method, "
    b"Mcp-Name, MCP-Protocol-Version, X-API-Key, X-Request-ID, X-Tenant-ID"
)
_EXPOSED = (
    b"Accept-Patch, Accept-Query, Allow, ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Limit, "
    b"RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, WWW-Authenticate, X-Cursor, X-Request-ID"
)


class Cors:
    """Lets pages of some origins in, of any (``*``), or of none.

    Cookies play no part: credentials are headers here. Still there are clients that always ask to send them, which only
    origins that are named may do.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)

    def headers(self, method: str, headers: Mapping[bytes, bytes]) -> list[Header]:
        """What to add to the response; a preflight request gets to know what it may send."""
        origin = headers.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return []
        allowed: list[Header] = [(b"access-control-allow-origin", origin)]
        if origin in self._origins:
            allowed.append((b"access-control-allow-credentials", b"true"))
        if method != "OPTIONS":
            allowed.append((b"access-control-expose-headers", _EXPOSED))
        elif b"access-control-request-method" in headers:
            allowed += [
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _REQUEST_HEADERS),
                (b"access-control-max-age", b"600"),
            ]
        return allowed

    def admits(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a WebSocket may be opened: by who is no page, by the store's own pages, by those let in.

        Browsers leave that to the server (RFC 6455, section 10.2). Where no origin is named, nobody is kept out.
        """
        origin = headers.get(b"origin")
        if origin is None or self._any or not self._origins or origin in self._origins:
            return True
        return origin.lower().partition(b"://")[2] == headers.get(b"host", b"").lower()


#: For responses that are for no web page.
NO_PAGES = Cors(())
