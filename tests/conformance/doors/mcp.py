"""MCP, with the official Python client at the protocol of 2026-07-28: each operation that has a tool, and resources."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import anyio
import httpx2
from mcp.client import Client
from mcp.client.session import MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ResourceUpdatedNotification, TextResourceContents

from core.services.advisor.completions import COMPLETE_CHAT
from core.services.catalogue import OPERATIONS
from core.services.recent_events import RECENT_EVENTS
from protocols.mcp.bindings import TOOLS
from tests.conformance.door import UNTOLD, Ability, Answer, Cues, Driver, End, Refused, Shown, Stream, Told
from tests.conformance.doors.rest import error_of_problem
from tests.conformance.people import headers_of
from tests.http_clients import TLS
from tests.waiting import TIMEOUT_SECONDS, within

VERSION = "2026-07-28"
#: How long somebody who follows waits before they ask again.
ASK_AGAIN_SECONDS = 0.2
_META = "petstoreapi.com/"
_TOOLS = {tool.operation.name: tool for tool in TOOLS}

T = TypeVar("T")


class McpDriver(Driver):
    """An assistant at work for somebody. They follow topics by asking again and again what has changed since."""

    operations = frozenset(_TOOLS) & {operation.name for operation in OPERATIONS}
    abilities = frozenset(
        {
            Ability.FOLLOW,
            Ability.RESUME,
            Ability.IDEMPOTENCY,
            Ability.ECHO,
            Ability.ASK,
            Ability.RESOURCES,
        }
    )

    async def call(
        self,
        operation: str,
        /,
        *,
        body: Any = None,
        if_match: str | None = None,
        key: str | None = None,
        **params: Any,
    ) -> Answer:
        assert if_match is None
        result = await self._once(lambda client: _use(client, operation, body, params, key))
        return Answer(result.structured_content, replayed=bool(_meta(result, "idempotentReplayed")))

    async def ask(self, body: dict[str, Any]) -> Told:
        result = await self._once(lambda client: _use(client, COMPLETE_CHAT.name, body))
        told = result.structured_content
        assert told is not None
        usage = {name: told[name] for name in ("promptTokens", "completionTokens")}
        usage["totalTokens"] = sum(usage.values())
        return Told(told["text"], "length" if told["truncated"] else "stop", usage, 1)

    async def read_resource(self, uri: str) -> Shown:
        (content,) = (await self._once(lambda client: client.read_resource(uri))).contents
        assert isinstance(content, TextResourceContents)
        return Shown(json.loads(content.text), _meta(content, "cursor"))

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        stream = Stream()
        begun: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
        # The client ends its tasks in the task that began them.
        reader = asyncio.create_task(self._read(stream, {"topics": list(topics)}, cursor, begun))
        try:
            if (refused := await within(begun)) is not None:
                raise refused
            yield stream
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    async def _read(
        self,
        stream: Stream,
        topics: dict[str, Any],
        cursor: str | None,
        begun: asyncio.Future[Refused | None],
    ) -> None:
        """Ask what has changed since, again and again."""
        after: dict[str, Any] = {"limit": 1} if cursor is None else {"after": cursor}
        end = UNTOLD
        try:
            async with self._connected() as client:
                while not isinstance(page := await _outcome(_events(client, {**topics, **after})), Refused):
                    if not begun.done():
                        stream.cursor = page["cursor"]
                        begun.set_result(None)
                    for event in page["events"] if "after" in after else ():
                        stream.put(event)
                    after = {"after": page["cursor"]}
                    if not page["more"]:
                        await asyncio.sleep(ASK_AGAIN_SECONDS)
                    await stream.reading.wait()
                end = page.code
                if not begun.done():
                    begun.set_result(page)
        except* httpx2.TransportError as errors:
            if not begun.done():
                begun.set_exception(errors)
        stream.end(End(end, after.get("after")))

    @classmethod
    def says(cls, code: str) -> frozenset[str]:
        # Who asks again at a node that has stopped gets no answer.
        return frozenset({code, UNTOLD} if code == "service-unavailable" else {code})

    @contextlib.asynccontextmanager
    async def listen(self, *uris: str) -> AsyncIterator[Cues]:
        cues = Cues()

        async def hear(message: Any) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                cues.put(message.params.uri, _meta(message.params, "cursor"))

        async with self._connected(hear) as client, contextlib.AsyncExitStack() as stack:
            heard = await _outcome(stack.enter_async_context(client.listen(resource_subscriptions=uris)))
            if not isinstance(heard, Refused):
                assert heard.honored.resource_subscriptions == list(uris)
                yield cues
        if isinstance(heard, Refused):
            raise heard

    async def _once(self, request: Callable[[Client], Awaitable[T]]) -> T:
        """One request of a client of its own.

        Raises:
            Refused: it was refused.
        """
        async with self._connected() as client:
            outcome = await _outcome(request(client))
        # Raised within, it would become part of a group.
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    @contextlib.asynccontextmanager
    async def _connected(self, hear: MessageHandlerFnT | None = None) -> AsyncIterator[Client]:
        headers = headers_of(self.person)
        left: BaseExceptionGroup[anyio.BrokenResourceError] | None = None
        async with httpx2.AsyncClient(headers=headers, verify=TLS, timeout=TIMEOUT_SECONDS) as http:
            transport = streamable_http_client(f"{self.node.url}/mcp", http_client=http)
            try:
                async with Client(transport, mode=VERSION, message_handler=hear, cache=None) as client:
                    yield client
            except* anyio.BrokenResourceError as errors:
                # An answer came to somebody who was just leaving: the client says that, and no more that they left.
                left = errors
        if left is not None:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise left
            raise asyncio.CancelledError


async def _use(
    client: Client, operation: str, body: Any, params: dict[str, Any] | None = None, key: str | None = None
) -> CallToolResult:
    """Call the tool of an operation.

    Raises:
        Refused: it could not be done.
        MCPError: the request came no further than the protocol.
    """
    tool = _TOOLS[operation]
    given = {name: value for name, value in (body or {}).items() if name not in tool.fixed}
    assert not tool.fixed or body == tool.fixed, f"{tool.name} is for nothing but {tool.fixed}"
    meta: Any = None if key is None else {f"{_META}idempotencyKey": key}
    result = await client.call_tool(tool.name, {**given, **(params or {})}, meta=meta)
    if result.is_error:
        raise _refused(result.structured_content)
    return result


async def _events(client: Client, query: dict[str, Any]) -> dict[str, Any]:
    """A page of events."""
    found: dict[str, Any] | None = (await _use(client, RECENT_EVENTS.name, None, query)).structured_content
    assert found is not None
    return found


async def _outcome(request: Awaitable[T]) -> T | Refused:
    """What a request gave, or why it was refused."""
    try:
        return await request
    except MCPError as error:
        return _refused(error.data)
    except Refused as error:
        return error


def _refused(problem: Any) -> Refused:
    """What a problem says; what is none was made by the client itself, for want of an answer."""
    if not isinstance(problem, dict):
        return Refused(UNTOLD)
    return error_of_problem(problem, problem.get("retryAfter"))


def _meta(found: Any, name: str) -> Any:
    """A member of the store's own that came beside something."""
    return (found.meta or {}).get(f"{_META}{name}")
