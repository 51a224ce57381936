"""Where a client puts their credentials in an HTTP request."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.types import Scope

from core.kernel.caller import Credentials


def bearer_of(authorization: str) -> str | None:
    """The token of an Authorization header (RFC 6750, section 2.1), or None."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def address_of(scope: Scope) -> str:
    """The client's network address, as the server knows it."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def read_credentials(
    scope: Scope, headers: Mapping[bytes, bytes], *, in_query: bool = False, tenant_in_query: bool = False
) -> Credentials:
    """Collect the credentials of a request, unchecked.

    ``in_query``: the query parameters ``token`` and ``tenant`` count too, behind the headers. It is for doors that
    browsers open without being able to send headers (WebSocket, EventSource), and for no others, since addresses
    end up in logs. ``tenant_in_query``: of them ``tenant`` alone, for what web pages show.
    """
    authorization = headers.get(b"authorization")
    token = None if authorization is None else bearer_of(authorization.decode("latin-1"))
    tenant = _text(headers.get(b"x-tenant-id"))
    if in_query or tenant_in_query:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if in_query:
            token = token or next(iter(query.get("token", [])), None)
        tenant = tenant or next(iter(query.get("tenant", [])), None)
    return Credentials(address_of(scope), tenant, token, _text(headers.get(b"x-api-key")))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
