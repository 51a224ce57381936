"""One HTTP request and its response: what is the same at every door on HTTP."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.types import Message, Receive, Scope, Send

from core.kernel.caller import Caller, Credentials
from core.kernel.errors import Internal, PayloadTooLarge, RateLimited, StoreError
from core.store.store import Store
from protocols.http.connection import REFUSAL, RESOURCE_METADATA
from protocols.http.content import check_coding
from protocols.http.cors import Cors
from protocols.http.credentials import address_of, read_credentials
from protocols.http.headers import Header, rate_limit_headers, read_headers, request_id_of
from protocols.http.problems import HttpError, method_not_allowed, problem_response
from protocols.http.response import Response

log = logging.getLogger(__name__)

#: The fields on which some response of the gateway depends.
_VARY: Header = (b"vary", b"Accept, Authorization, Origin, X-API-Key, X-Tenant-ID")
#: What is wrong with a request without the body that it needs.
EMPTY_BODY = "The request has no body, and needs one."
#: Longer ones take a millisecond or more to read: several at once would hold the loop.
_SHORT_BODY_BYTES = 16 * 1024
_NOSNIFF: Header = (b"x-content-type-options", b"nosniff")


class ClientGone(ConnectionResetError):
    """The client left before it had sent its whole request: nobody waits for a response."""


class Exchange:
    """One request: its id, its credentials, its body, and the way of its response.

    Every response carries ``common``: X-Request-ID, Vary, X-Content-Type-Options, CORS, and the caller's budget once it
    is known. For logs, ``scope["state"]`` holds ``request_id`` from the start, and ``caller`` (their key) and
    ``tenant`` after `admit`.
    """

    __slots__ = (
        "_send", "_store", "common", "credentials", "credentials_refused", "headers", "method", "path", "receive",
        "request_id", "scope", "started", "state",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, cors: Cors) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        headers = self.headers = read_headers(scope["headers"])
        self.state = scope.setdefault("state", {})
        request_id = self.state.get("request_id")
        if request_id is None:
            request_id = self.state["request_id"] = request_id_of(headers).decode()
        self.request_id: str = request_id
        self.common: list[Header] = [(b"x-request-id", request_id.encode()), _VARY, _NOSNIFF]
        if b"origin" in headers:
            self.common += cors.headers(self.method, headers)
        #: Set by `admit`.
        self._store: Store | None = None
        self.credentials: Credentials | None = None
        #: Whether the client sent credentials, and they are why it is refused.
        self.credentials_refused = False
        #: Whether the response has begun.
        self.started = False

    async def run(
        self,
        answer: "Callable[[Exchange], Awaitable[Response | None]]",
        *,
        methods: tuple[str, ...] = (),
        tell: "Callable[[Exchange, StoreError | HttpError], Response] | None" = None,
        store: Store | None = None,
    ) -> None:
        """Respond with what ``answer`` gives, or with what went wrong in it; None when it has responded itself.

        ``methods``: those that the path takes; OPTIONS is answered here, and others are refused. Without them that is
        left to ``answer``. ``tell`` makes the response to an error, without it a problem document. ``store``: whose
        budgets pay for requests that are refused before anybody was admitted; without it those cost nothing.
        """
        tell = tell or problem_for
        try:
            if not methods:
                response = await answer(self)
            elif self.method == "OPTIONS":
                response = options_response(methods)
            elif self.method in methods:
                response = await answer(self)
            else:
                tell = problem_for  # Not for the door to tell: the request is none of its protocol.
                raise method_not_allowed(", ".join(methods).encode())
        except ClientGone:
            return
        except (StoreError, HttpError) as error:
            response = tell(self, await self._counted(error, store))
        except Exception:  # The boundary of every door: an error of the server's own is told as one.
            log.exception("a request failed", extra={"request_id": self.request_id})
            response = tell(self, Internal())
        if response is None and REFUSAL in self.state:
            response = tell(self, self.state[REFUSAL])
        if response is not None and not self.started:
            await self.respond(response)

    async def admit(
        self,
        store: Store,
        *,
        cost: int = 1,
        in_query: bool = False,
        tenant_in_query: bool = False,
        credentials: Credentials | None = None,
    ) -> Caller:
        """Find out who calls. ``cost`` is taken from their budget; what costs nothing is for everybody.

        ``credentials`` are those of a door that finds them elsewhere; the two flags are those of `read_credentials`.

        Raises:
            StoreError: the request costs something, and they may not go on.
        """
        if credentials is None:
            credentials = read_credentials(
                self.scope, self.headers, in_query=in_query, tenant_in_query=tenant_in_query
            )
        self._store, self.credentials = store, credentials
        caller, allowance, refusal = await store.admit(credentials, cost=cost)
        state = self.state
        state["caller"] = caller.key
        state["tenant"] = caller.tenant
        if allowance is not None:
            self.common += rate_limit_headers(allowance)
        if refusal is not None and cost:
            self.credentials_refused = credentials.token is not None or credentials.api_key is not None
            raise refusal
        return caller

    async def _counted(self, error: StoreError | HttpError, store: Store | None) -> StoreError | HttpError:
        """The error of a refused request, which counts as any other does; another where they have come too often."""
        if store is not None and self._store is None:
            try:
                await self.admit(store)
            except RateLimited as over:
                return over
            except StoreError:  # Whoever they are, what was wrong first is told.
                return error
        return error

    async def chunks(self, limit: int) -> AsyncGenerator[bytes, None]:
        """The body in the parts in which it comes, of at most ``limit`` bytes in all.

        Raises:
            PayloadTooLarge: it has more, or says that it will.
            HttpError: it is compressed.
            StoreError, HttpError: its parts are not marked off as HTTP has it.
            ClientGone: it did not come to its end.
        """
        announced = self.headers.get(b"content-length", b"")
        size = 0
        more = True
        check_coding(self.headers)
        if announced.isdigit() and int(announced[:20]) > limit:
            raise body_too_large(limit)
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise self.state.get(REFUSAL) or ClientGone
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise body_too_large(limit)
            yield chunk
            more = message.get("more_body", False)

    async def body(self, limit: int, *, short_bytes: int = _SHORT_BODY_BYTES) -> bytes:
        """The whole body; the errors are those of `chunks`.

        Behind one of more than ``short_bytes`` the caller is alone in this turn of the loop, to read it.

        Raises:
            Unavailable: too many long bodies at once.
        """
        body = b"".join([chunk async for chunk in self.chunks(limit)])
        if len(body) > short_bytes and self._store is not None:
            await self._store.begin_long_work(address_of(self.scope))
        return body

    async def respond(self, response: Response) -> None:
        """Send the response; to HEAD without its body (RFC 9110, section 9.3.2)."""
        status, body, media_type, headers, cache = response
        fields = self.common
        fields.append((b"cache-control", cache))
        if media_type is not None:
            fields.append((b"content-type", media_type))
        if status not in (204, 304):
            fields.append((b"content-length", b"%d" % len(body)))
        fields.extend(headers)
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def send(self, message: Message) -> None:
        """ASGI's ``send``, for a response of more than one part; the common headers are for its sender to add."""
        self.started = True
        await self._send(message)


def body_too_large(limit: int) -> PayloadTooLarge:
    """The error of a body of more bytes than the limit."""
    return PayloadTooLarge(f"The request body has more than {limit} bytes.")


def options_response(methods: tuple[str, ...], *more: Header) -> Response:
    """What a path takes (RFC 9110, section 9.3.7)."""
    return Response(204, headers=((b"allow", ", ".join(methods).encode()), *more))


def problem_for(exchange: Exchange, error: StoreError | HttpError) -> Response:
    """An error as a problem document."""
    return problem_response(
        error,
        exchange.path,
        credentials_refused=exchange.credentials_refused,
        resource_metadata=exchange.state.get(RESOURCE_METADATA),
    )
