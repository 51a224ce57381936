"""The client's connection, which the server puts into the scope of each request and WebSocket."""

from typing import Protocol, cast

from starlette.types import Scope

from core.live.connection import ClientConnection

#: Key of the connection in ``scope["extensions"]``.
EXTENSION = "petstore.connection"
#: Key of the error in ``scope["state"]`` for which the server itself refuses a request, or its rest.
REFUSAL = "petstore.refusal"
#: Key of the address in ``scope["state"]`` that tells clients who issues tokens (RFC 9728).
RESOURCE_METADATA = "petstore.resource_metadata"


class HttpConnection(ClientConnection, Protocol):
    """A client's connection during one HTTP request. ``status``: of the response, once it has begun."""

    status: int | None


def http_connection_of(scope: Scope) -> HttpConnection:
    """The connection of a request."""
    return cast(HttpConnection, scope["extensions"][EXTENSION])


def connection_of(scope: Scope) -> ClientConnection:
    """The connection of a request or a WebSocket; it must not be kept beyond the call.

    Over HTTP each ``write`` is one chunk of the response's body (RFC 9112, section 7.1), in order with what ``send``
    gives. It is a RuntimeError before the response has started, and where the response announced its length.

    Over a WebSocket ``write`` takes one or more whole frames of a server (RFC 6455, section 5.2: unmasked, without
    extensions); the server's own frames go between calls. It is a RuntimeError before the handshake is accepted.
    """
    return cast(ClientConnection, scope["extensions"][EXTENSION])
