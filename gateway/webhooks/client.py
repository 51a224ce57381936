"""Requests to endpoints: each to an address that was checked a moment ago, whatever the name server says next."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore
import httpx

from core.ports.webhooks import Answer, TargetRefused
from gateway.webhooks.targets import Resolve, SystemResolver, addresses_of, parse_target, port_of

#: A request may take so long in all, looking up its host included.
TIMEOUT_SECONDS = 5.0
_MAX_CONNECTIONS, _MAX_IDLE, _IDLE_SECONDS = 512, 100, 20.0
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


class HttpWebhookSender:
    """A core.ports.webhooks.WebhookSender. It goes through no proxy, follows no redirect and keeps no answer."""

    def __init__(self, *, allow_private: bool = False, resolve: Resolve | None = None) -> None:
        self._system = SystemResolver()
        self._resolve = resolve or self._system
        self._allow_private = allow_private
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=_Pinned(self._resolve, allow_private=allow_private),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
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
                async with self._pool.stream("POST", origin, headers=sent, content=body) as response:
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
