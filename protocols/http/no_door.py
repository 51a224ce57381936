"""Requests that are for no door: those that the server refuses, and the one that is about no path."""

from starlette.types import Receive, Scope, Send

from protocols.http.connection import REFUSAL
from protocols.http.cors import METHODS, NO_PAGES
from protocols.http.exchange import Exchange, options_response
from protocols.http.response import Response


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that the server has refused, as `protocols.http.connection.REFUSAL` says."""

    async def answer(_: Exchange) -> None:
        raise scope["state"][REFUSAL]

    await Exchange(scope, receive, send, NO_PAGES).run(answer)


async def tell_methods(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``OPTIONS *`` (RFC 9110, section 9.3.7)."""

    async def answer(_: Exchange) -> Response:
        return options_response(METHODS)

    await Exchange(scope, receive, send, NO_PAGES).run(answer)
