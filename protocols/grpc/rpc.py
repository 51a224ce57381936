"""One call: who makes it, and how it ends."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from time import perf_counter
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import unquote

from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from grpc._cython.cygrpc import ExecuteBatchError
from grpc.aio import ServicerContext

from core.kernel.addresses import TrustedProxies
from core.kernel.caller import Caller, Credentials
from core.kernel.errors import BadRequest, Closed, Internal, StoreError
from core.kernel.limits import Limits
from core.live.sessions import Sessions
from core.store.store import Admission
from protocols.grpc.errors import Metadata, status_of, status_of_close
from protocols.grpc.wire import field_path

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
Context = ServicerContext[bytes, bytes]
#: Told of each call that has ended, with the number of its status.
OnEnd = Callable[["Rpc", int], None]
_OK: int = StatusCode.OK.value[0]
_MAX_REQUEST_ID_CHARACTERS = 128


class CallContext:
    """What all calls share, and where they are counted: ``open`` are being served, ``streams`` of them are streams."""

    def __init__(self, sessions: Sessions, limits: Limits, on_end: OnEnd, proxies: Sequence[str]) -> None:
        self.sessions = sessions
        self.store = sessions.store
        self.limits = limits
        self.on_end = on_end
        self.proxies = TrustedProxies(proxies)
        self.open = 0
        self.streams = 0
        self._streams_ended = asyncio.Event()
        # The request ids made here: random for the process, counted within it.
        self._process = secrets.token_hex(8)
        self._numbers = count(1)

    def request_id(self) -> str:
        """A new request id."""
        return f"{self._process}-{next(self._numbers):x}"

    async def admit(self, rpc: "Rpc", *, cost: int = 1) -> Caller:
        """Say who calls, in the call's turn of the loop: many at once let others in between.

        Raises:
            StoreError: they may not go on.
        """
        await self.store.slices.begun()
        return rpc.take(await self.store.admit(rpc.credentials, cost=cost))

    def begin(self, rpc: "Rpc") -> None:
        """Note that a call has come."""
        self.open += 1
        self.streams += rpc.streams

    def end(self, rpc: "Rpc", status: int) -> None:
        """Note that a call has ended."""
        self.open -= 1
        if rpc.streams:
            self.streams -= 1
            self._streams_ended.set()
        self.on_end(rpc, status)

    async def streams_ended(self) -> None:
        """Wait until there is no stream."""
        while self.streams:
            self._streams_ended.clear()
            await self._streams_ended.wait()


class Rpc:
    """A call from its metadata to its status: it ends with ``succeed`` or ``fail``.

    As an asynchronous context manager around the serving, it sees to that itself; where serving may take no longer than
    that would, it is written out. An error, or the Closed of a stream, is told by status and details. ``trailing`` is
    metadata for the end of whatever kind; ``message`` is the request, once it is read, so that errors can be told in
    its own names, and ``names`` are its fields that the store calls otherwise, by the store's names.
    """

    __slots__ = (
        "_calls", "_context", "caller", "credentials", "idempotency_key", "message", "method", "names", "request_id",
        "started", "streams", "trailing",
    )  # fmt: skip

    def __init__(self, calls: CallContext, method: str, context: Context, *, streams: bool = False) -> None:
        self._calls = calls
        self._context = context
        self.started = perf_counter()
        self.method = method
        self.streams = streams
        self.caller: Caller | None = None
        self.message: Message | None = None
        self.names: Mapping[str, str] = {}
        # Values are bytes only under names that end in -bin.
        metadata: Any = context.invocation_metadata()
        given: dict[str, str] = dict(metadata)
        request_id = given.get("x-request-id")
        if request_id is None or not _is_sane(request_id):
            request_id = calls.request_id()
        self.request_id = request_id
        self.trailing: Metadata = (("x-request-id", request_id),)
        self.idempotency_key = given.get("idempotency-key")
        authorization, token = given.get("authorization"), None
        if authorization is not None:
            scheme, _, text = authorization.partition(" ")
            token = text.strip() if scheme.lower() == "bearer" else None
        address, forwarded = address_of(context.peer()), given.get("x-forwarded-for")
        if forwarded is not None:
            forwarded = ",".join(value for name, value in metadata if name == "x-forwarded-for")
            address = calls.proxies.client_of(address, forwarded)
        self.credentials = Credentials(address, given.get("x-tenant-id"), token, given.get("x-api-key"))
        calls.begin(self)

    @property
    def is_known(self) -> bool:
        """Whether there are credentials, good or bad."""
        return self.credentials.token is not None or self.credentials.api_key is not None

    def take(self, admission: Admission) -> Caller:
        """Take what the store made of the credentials.

        Raises:
            StoreError: the caller may not go on.
        """
        self.caller = admission.caller
        if admission.refusal is not None:
            raise admission.refusal
        return admission.caller

    def read(self, kind: type[M], data: bytes) -> M:
        """Read the request.

        Raises:
            BadRequest: it is not of this kind.
        """
        self.message = message = parse(kind, data)
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.succeed()
        else:
            await self.fail(error)

    def succeed(self) -> None:
        """End well."""
        self._context.set_trailing_metadata(self.trailing)
        self._calls.end(self, _OK)

    async def fail(self, error: BaseException) -> None:
        """End with what the serving raised: tell an error, and raise grpc's mark of that; note a cancellation.

        A write that fails is one too: the client went while it was under way, and grpc says so first by that.
        """
        if isinstance(error, Exception) and not isinstance(error, ExecuteBatchError):
            status, text, details = self._explain(error)
            # It counts as ended, for a client that reads nothing can keep the status waiting.
            self._calls.end(self, status.value[0])
            # Many may fail in one moment: those who waited for the same.
            await self._calls.store.slices.begun()
            await self._context.abort(status, text, (*self.trailing, *details))
        else:
            left: float | None = self._context.time_remaining()
            late = left is not None and left <= 0
            status = StatusCode.DEADLINE_EXCEEDED if late else StatusCode.CANCELLED
            self._calls.end(self, status.value[0])

    def _explain(self, error: Exception) -> tuple[StatusCode, str, Metadata]:
        if isinstance(error, Closed):
            return status_of_close(error.close)
        if not isinstance(error, StoreError):
            log.error("a call failed", exc_info=error, extra={"request_id": self.request_id})
            error = Internal()
        message = self.message
        names = self.names
        return status_of(
            error, lambda path: path if message is None else field_path(names.get(path, path), message)
        )


def parse(kind: type[M], data: bytes) -> M:
    """Read a message.

    Raises:
        BadRequest: it is not of this kind.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise BadRequest(f"The request is no {kind.DESCRIPTOR.full_name}.") from None


def _is_sane(request_id: str) -> bool:
    return (
        0 < len(request_id) <= _MAX_REQUEST_ID_CHARACTERS
        and request_id.isascii()
        and request_id.isprintable()
    )


@lru_cache(maxsize=4096)
def address_of(peer: str) -> str:
    """The network address in gRPC's name of a peer (``ipv4:10.0.0.1:4711``, ``ipv6:%5B::1%5D:4711``)."""
    scheme, _, rest = peer.partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return "unknown"
    return unquote(rest).rpartition(":")[0].strip("[]")
