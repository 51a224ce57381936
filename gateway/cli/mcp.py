"""``petstore mcp``: the MCP door of a server for clients that start a program and talk to it (stdio)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
from mcp.server.stdio import stdio_server
from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value
from mcp.shared.message import SessionMessage
from mcp.types import (
    CONNECTION_CLOSED,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from gateway.cli.client import headers_for
from gateway.cli.event_sources import read_blocks
from gateway.cli.logins import access_token
from gateway.startup_errors import CannotStart

_CONNECT_TIMEOUT_SECONDS = 10.0
#: Without a byte for so long a connection counts as dead; the server sends something every 15 seconds.
_READ_TIMEOUT_SECONDS = 45.0
#: How long what was asked may still be answered when the client has nothing more to say.
_LAST_ANSWERS_SECONDS = 30.0

Token = Callable[[], str | None]


def run(url: str, *, token: str | None, tenant: str | None) -> None:
    """Carry messages between standard input and output and the server, until the client closes its end.

    Without a token it uses the login that is kept, renewed when need be; without a login it is a visitor.
    """
    try:
        asyncio.run(_carry(url, (lambda: token) if token else (lambda: access_token(url, tenant)), tenant))
    except BaseExceptionGroup as group:
        # The client has closed the end that it reads: no more than with any other command.
        if group.subgroup(BrokenPipeError) is None:
            raise
        raise BrokenPipeError from None


async def _carry(url: str, token: Token, tenant: str | None) -> None:
    timeout = httpx.Timeout(_CONNECT_TIMEOUT_SECONDS, read=_READ_TIMEOUT_SECONDS, pool=None)
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits) as client,
        stdio_server() as (incoming, outgoing),
        outgoing,
    ):
        carrier = Carrier(client, token, tenant, outgoing.send)
        async for message in incoming:
            if isinstance(message, Exception):
                await carrier.tell(
                    ErrorData(code=PARSE_ERROR, message="This is no message of JSON-RPC."), None
                )
            else:
                carrier.take(message.message)
        await carrier.finish()


class Carrier:
    """Posts each message of the client, and hands on what the server answers; ``send`` takes what is for the client."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        token: Token,
        tenant: str | None,
        send: Callable[[SessionMessage], Any],
    ) -> None:
        self._client = client
        self._token = token
        self._tenant = tenant
        self._send = send
        #: The version that messages without one of their own are in.
        self._version: str | None = None
        #: What is on its way, with the id of the request.
        self._tasks: dict[asyncio.Task[None], RequestId | None] = {}

    def take(self, message: Any) -> None:
        """Take a message of the client. A request that it cancels is no longer answered."""
        if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            cancelled = (message.params or {}).get("requestId")
            for task, request_id in self._tasks.items():
                if request_id is not None and request_id == cancelled:
                    task.cancel()
            return
        request_id = message.id if isinstance(message, JSONRPCRequest) else None
        task = asyncio.create_task(self._post(message, request_id), name=getattr(message, "method", ""))
        self._tasks[task] = request_id
        task.add_done_callback(self._tasks.pop)

    async def finish(self) -> None:
        """Wait for the last answers, since the client has nothing more to say; streams just end."""
        tasks = list(self._tasks)
        if asked := [task for task in tasks if task.get_name() != "subscriptions/listen"]:
            await asyncio.wait(asked, timeout=_LAST_ANSWERS_SECONDS)
        for task in tasks:
            task.cancel()

    async def tell(self, error: ErrorData, request_id: RequestId | None) -> None:
        """Tell the client of an error."""
        await self._send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error)))

    async def _post(self, message: Any, request_id: RequestId | None) -> None:
        headers = self._headers(message)
        body = message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            headers |= headers_for(await asyncio.to_thread(self._token), self._tenant)
            async with self._client.stream("POST", "/mcp", content=body, headers=headers) as answer:
                lost = f"it answered {answer.status_code}"
                with suppress(ValidationError):  # It is no message: something before the server has answered.
                    async for text in _messages(answer):
                        if await self._hand_on(text, request_id):
                            return
        except (httpx.TransportError, httpx.InvalidURL, CannotStart) as error:
            lost = str(error) or type(error).__name__
        if request_id is not None:
            error_data = ErrorData(code=CONNECTION_CLOSED, message=f"{self._client.base_url}: {lost}")
            await self.tell(error_data, request_id)

    async def _hand_on(self, text: str, request_id: RequestId | None) -> bool:
        """Hand a message of the server on; whether it is the answer to the request."""
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
        answers = isinstance(message, JSONRPCResponse | JSONRPCError)
        if answers:
            if request_id is None:  # A notification is refused: nobody waits for it.
                return True
            message = message.model_copy(update={"id": request_id})
        if isinstance(message, JSONRPCResponse) and "protocolVersion" in message.result:
            self._version = message.result["protocolVersion"]
        await self._send(SessionMessage(message))
        return answers

    def _headers(self, message: Any) -> dict[str, str]:
        """What HTTP says of a message beside its body (MCP 2026-07-28, "Streamable HTTP")."""
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        params = getattr(message, "params", None) or {}
        if version := (params.get("_meta") or {}).get(PROTOCOL_VERSION_META_KEY):
            self._version = version
            headers["Mcp-Method"] = message.method
            name = params.get(NAME_BEARING_METHODS.get(message.method, ""))
            if isinstance(name, str):
                headers["Mcp-Name"] = encode_header_value(name)
        elif isinstance(message, JSONRPCRequest) and message.method == "initialize":
            self._version = None
        if isinstance(self._version, str):
            headers["MCP-Protocol-Version"] = encode_header_value(self._version)
        return headers


async def _messages(answer: httpx.Response) -> AsyncIterator[str]:
    """The messages of an answer, one or a stream of them."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        async for data in _blocks(answer):
            yield data
    elif text := (await answer.aread()).decode(errors="replace"):
        yield text


async def _blocks(answer: httpx.Response) -> AsyncIterator[str]:
    """The data of an event stream's blocks."""
    lines: list[str] = []
    async for line in answer.aiter_lines():
        lines.append(line)
        if not line:
            for block in read_blocks(iter(lines)):
                if block.data is not None:
                    yield block.data
            lines.clear()
