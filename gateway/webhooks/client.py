"""Requests to endpoints: each to an address that was checked a moment ago, whatever the name server says next."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from core.ports.webhooks import Answer, TargetRefused
from gateway.webhooks.targets import Resolve, SystemResolver, addresses_of, parse_target, port_of

#: A request may take so long in all, looking up its host included.
TIMEOUT_SECONDS = 5.0
#: Connections that are kept for the next request: of one origin, how many origins have any, and for how long.
_MAX_IDLE, MAX_IDLE_ORIGINS, _IDLE_SECONDS = 8, 64, 20.0
#: So much of an answer is read, for the connection to be used again; nothing of it is kept.
_MAX_ANSWER_BYTES = 16 * 1024
_MAX_ERROR_LENGTH = 200
#: Addresses of a host that are tried.
_MAX_ADDRESSES = 3


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to addresses that it has looked up and checked itself; TLS and ``Host`` go by the name, as always."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers."""
        addresses = await addresses_of(host, port, self._resolve, allow_private=self._allow_private)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class _Origin:
    """The connections to one origin; ``users`` are the requests under way, ``used_at`` is when the last one ended."""

    pool: httpcore.AsyncConnectionPool
    users: int = 0
    used_at: float = 0.0


class _Origins:
    """A pool of connections for each origin. One pool for all looks at every connection, several times over and down to
    the socket, whenever a request begins or ends: with a hundred endpoints it does nothing else.

    How many connections are in use is bounded by whoever posts.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend
        self._tls = httpx.create_ssl_context(trust_env=False)
        #: Those that were not used for longest first.
        self._open: OrderedDict[tuple[bytes, bytes, int], _Origin] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def pool(self, target: httpx.URL) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """The pool of a URL's origin, which stays open while the block runs."""
        key = (target.raw_scheme, target.raw_host, port_of(target))
        origin = self._open.get(key)
        if origin is None:
            origin = self._open[key] = _Origin(
                httpcore.AsyncConnectionPool(
                    ssl_context=self._tls,
                    max_connections=None,
                    max_keepalive_connections=_MAX_IDLE,
                    keepalive_expiry=_IDLE_SECONDS,
                    network_backend=self._backend,
                )
            )
        origin.users += 1
        try:
            yield origin.pool
        finally:
            origin.users -= 1
            origin.used_at = asyncio.get_running_loop().time()
            self._open.move_to_end(key)
            await self._close_idle(origin.used_at)

    async def _close_idle(self, now: float) -> None:
        while self._open:
            key, origin = next(iter(self._open.items()))
            unused = now - origin.used_at > _IDLE_SECONDS or len(self._open) > MAX_IDLE_ORIGINS
            if origin.users or not unused:
                return
            del self._open[key]
            await origin.pool.aclose()

    async def close(self) -> None:
        """Close every connection."""
        while self._open:
            await self._open.popitem()[1].pool.aclose()


class HttpWebhookSender:
    """A core.ports.webhooks.WebhookSender. It goes through no proxy, follows no redirect and keeps no answer."""

    def __init__(self, *, allow_private: bool = False, resolve: Resolve | None = None) -> None:
        self._system = SystemResolver()
        self._resolve = resolve or self._system
        self._allow_private = allow_private
        self.origins = _Origins(_Pinned(self._resolve, allow_private=allow_private))

    async def close(self) -> None:
        """Close every connection."""
        await self.origins.close()
        self._system.close()

    async def admit(self, url: str) -> str:
        """See core.ports.webhooks.WebhookSender."""
        parsed = parse_target(url)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await addresses_of(
                    parsed.raw_host.decode(),
                    port_of(parsed),
                    self._resolve,
                    allow_private=self._allow_private,
                )
        except TimeoutError:
            raise TargetRefused("must be of a host whose address can be looked up") from None
        return str(parsed)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See core.ports.webhooks.WebhookSender."""
        status: int | None = None
        error = ""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                target = parse_target(url)
                origin = httpcore.URL(
                    scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path
                )
                sent = [("user-agent", "petstore-gateway"), ("accept", "*/*"), *headers.items()]
                async with (
                    self.origins.pool(target) as pool,
                    pool.stream("POST", origin, headers=sent, content=body) as response,
                ):
                    status = response.status
                    await _read_some(response)
        except TimeoutError:
            error = f"no answer within {TIMEOUT_SECONDS:.0f} seconds"
        except TargetRefused as refusal:
            error = f"the URL {refusal}"
        except Exception as failure:  # noqa: BLE001 - whatever an endpoint does, it is that endpoint's failure
            error = f"{type(failure).__name__}: {failure}".splitlines()[0][:_MAX_ERROR_LENGTH]
        # An endpoint that has said how it went has answered, however the rest of its answer ends.
        return Answer(error=error) if status is None else Answer(status)


async def _read_some(response: httpcore.Response) -> None:
    size = 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        if size > _MAX_ANSWER_BYTES:
            return
