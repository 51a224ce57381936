"""What a server may offer for writing past ASGI."""

from typing import Protocol, cast

from starlette.types import Scope

from core.live.delivery import Sink


class Transport(Sink, Protocol):
    """The client's connection as a sink (``extensions["petstore.transport"]``)."""

    def abort(self) -> None:
        """Drop the connection now."""


def transport_of(scope: Scope) -> Transport | None:
    """What the server offers for this request; None where it is not ours."""
    return cast(Transport | None, scope.get("extensions", {}).get("petstore.transport"))
