"""Requests that are for no door: what the server refuses, what is about no path, and WebSockets that are none."""

from collections.abc import Sequence

from starlette.types import Message, Receive, Scope, Send

from core.kernel.errors import StoreError
from core.store.store import Store
from protocols.http.connection import REFUSAL
from protocols.http.cors import METHODS, NO_PAGES, Cors
from protocols.http.exchange import Exchange, options_response, problem_for
from protocols.http.problems import UPGRADE_REQUIRED, HttpError
from protocols.http.response import Response


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that the server has refused, as `protocols.http.connection.REFUSAL` says."""
    await Exchange(scope, receive, send, NO_PAGES).run(raise_refusal)


async def raise_refusal(exchange: Exchange) -> None:
    """Raise the error of a request that the server has refused: for doors that tell errors in their own way."""
    raise exchange.state[REFUSAL]


async def tell_methods(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``OPTIONS *`` (RFC 9110, section 9.3.7)."""

    async def answer(_: Exchange) -> Response:
        return options_response(METHODS)

    await Exchange(scope, receive, send, NO_PAGES).run(answer)


async def refuse_socket(
    scope: Scope, receive: Receive, send: Send, error: StoreError | HttpError, cors: Cors = NO_PAGES
) -> None:
    """Answer a WebSocket's handshake with an error, so that whoever looks at the response sees why."""

    async def deny(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    exchange = Exchange({**scope, "method": "GET"}, receive, deny, cors)
    await exchange.respond(problem_for(exchange, error))


class WebSocketsOnly:
    """What plain requests find where there are only WebSockets. ``origins``: whose web pages may read it."""

    def __init__(self, store: Store, *, origins: Sequence[str] = ()) -> None:
        self._store = store
        self._cors = Cors(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (RFC 9110, section 15.5.22)."""
        exchange = Exchange(scope, receive, send, self._cors)
        await exchange.run(self._answer, methods=("GET", "HEAD", "OPTIONS"), store=self._store)

    async def _answer(self, _: Exchange) -> Response:
        upgrade = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
        raise HttpError(UPGRADE_REQUIRED, "This path takes WebSockets only.", upgrade)
