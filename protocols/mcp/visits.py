"""Who calls, for the handlers of the protocol's methods."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from starlette.requests import Request
from starlette.types import Scope

from core.kernel.caller import Caller, Credentials
from core.kernel.errors import Internal, StoreError
from protocols.mcp.errors import protocol_error

log = logging.getLogger(__name__)

T = TypeVar("T")
P = TypeVar("P")

RequestContext = ServerRequestContext[Any, Request]
Handler = Callable[[RequestContext, P], Awaitable[T]]

_KEY = "petstore.mcp_visit"


class Visit(NamedTuple):
    """One request: who calls, with what, the id of the request, and the key that makes a second attempt harmless, where
    a header field has it."""

    caller: Caller
    credentials: Credentials
    request_id: str
    key: str | None


def keep_visit(scope: Scope, visit: Visit) -> None:
    """Keep it for the handlers."""
    scope["state"][_KEY] = visit


def scope_of(ctx: RequestContext) -> Scope:
    """The scope (ASGI) of the request that a handler answers."""
    assert ctx.request is not None, "this door is on HTTP alone"
    return ctx.request.scope


def visit_of(ctx: RequestContext) -> Visit:
    """Who calls in the request that a handler answers."""
    visit: Visit = scope_of(ctx)["state"][_KEY]
    return visit


def answering(handler: Handler[P, T]) -> Handler[P, T]:
    """Have a handler tell its errors as those of the protocol."""

    @wraps(handler)
    async def answer(ctx: RequestContext, params: P) -> T:
        try:
            return await handler(ctx, params)
        except MCPError:
            raise
        except StoreError as error:
            raise _told(error, ctx) from None
        except Exception:  # The boundary of the door: what went wrong is the server's own.
            log.exception("a request failed", extra={"request_id": visit_of(ctx).request_id})
            raise _told(Internal(), ctx) from None

    return answer


def _told(error: StoreError, ctx: RequestContext) -> MCPError:
    return protocol_error(error, ctx.protocol_version, scope_of(ctx)["path"])
