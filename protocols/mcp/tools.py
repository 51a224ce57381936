"""The tools: what there is, and one call of one of them."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

import orjson
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    ListToolsResult,
    PaginatedRequestParams,
    ToolAnnotations,
)
from mcp.types import Tool as ListedTool

from core.kernel.errors import StoreError, ValidationFailed, Violation, ViolationCode
from core.kernel.model import Resource, encode
from core.store.idempotency import KEY_NAME
from core.store.store import Call, Outcome, Store
from protocols.http.problems import KEY_HEADER
from protocols.mcp.bindings import TOOLS, Tool
from protocols.mcp.errors import META, META_KEY, tool_error
from protocols.mcp.schemas import ToolSchemas
from protocols.mcp.visits import RequestContext, answering, scope_of, visit_of

_PROGRESS_SECONDS = 1.0


class Tools:
    """Every tool. All are shown to everybody: what a caller may not do with one, its answer says."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tools = {tool.name: tool for tool in TOOLS}
        schemas = ToolSchemas(tool.operation for tool in TOOLS)
        # Of tens of kilobytes: the SDK would write a model anew for each request.
        self._listed = ListToolsResult(tools=[_listed(tool, schemas) for tool in TOOLS]).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        self.list = answering(self._list)
        self.call = answering(self._call)

    async def _list(self, _: RequestContext, params: PaginatedRequestParams) -> dict[str, Any]:
        refuse_page(params)
        return self._listed

    async def _call(self, ctx: RequestContext, params: CallToolRequestParams) -> dict[str, Any]:
        tool = self._tools.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool '{params.name[:64]}'.")
        visit = visit_of(ctx)
        meta: Mapping[str, Any] = ctx.meta or {}
        try:
            key = _key_of(visit.key, meta.get(META_KEY))
            given, body = _sorted_out(tool, params.arguments or {})
            call = Call(tool.operation, given, body, visit.request_id, key)
            work = self._store.execute(visit.caller, call)
            outcome = await (_telling_progress(ctx, work) if tool.lasting else work)
        except StoreError as error:
            return tool_error(error, scope_of(ctx), key_in_header=META_KEY not in meta)
        return _result(outcome)


def refuse_page(params: PaginatedRequestParams | None) -> None:
    """Pass when it is the first page that is asked for: there is no other.

    Raises:
        MCPError: it is another.
    """
    if params is not None and params.cursor is not None:
        raise MCPError(INVALID_PARAMS, "There is no such page.")


def _listed(tool: Tool, schemas: ToolSchemas) -> ListedTool:
    return ListedTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schemas.arguments(tool.operation, (*tool.fixed, *tool.hidden)),
        output_schema=schemas.answer(tool.operation),
        annotations=ToolAnnotations.model_validate({"title": tool.title, **tool.annotations}),
    )


def _key_of(in_header: str | None, in_meta: object) -> str | None:
    """The key that makes a second attempt harmless, which may be at either place.

    Raises:
        ValidationFailed: it is no text, or another at either.
    """
    if in_meta is None:
        return in_header
    if not isinstance(in_meta, str):
        raise ValidationFailed((Violation(KEY_NAME, "must be a string", ViolationCode.INVALID_TYPE),))
    if in_header not in (None, in_meta):
        message = f"is another than that of the header field {KEY_HEADER}"
        raise ValidationFailed((Violation(KEY_NAME, message, ViolationCode.INVALID_FORMAT),))
    return in_meta


def _sorted_out(tool: Tool, arguments: Mapping[str, Any]) -> tuple[dict[str, object], object]:
    """The parameters and the body of the call; an argument that is null counts as absent where it is a parameter.

    Raises:
        ValidationFailed: there are arguments that the tool does not take.
    """
    given = {name: arguments[name] for name in tool.params if arguments.get(name) is not None}
    rest = {name: value for name, value in arguments.items() if name not in tool.params}
    if unknown := tool.fixed.keys() & rest if tool.operation.body is not None else rest.keys():
        raise ValidationFailed(tuple(_unknown(unknown)))
    return given, None if tool.operation.body is None else {**rest, **tool.fixed}


def _unknown(names: Iterable[str]) -> Iterable[Violation]:
    for name in sorted(names)[:100]:
        yield Violation(name[:64], "is unknown", ViolationCode.UNKNOWN_FIELD)


def _result(outcome: Outcome) -> dict[str, Any]:
    """The answer as data, and as text for assistants that know no data."""
    value = outcome.value
    encoded = value.encoded if isinstance(value, Resource) else encode(value)
    result: dict[str, Any] = {
        "resultType": "complete",
        "content": [{"type": "text", "text": encoded.decode()}],
        "structuredContent": orjson.loads(encoded),
    }
    if outcome.replayed:
        result["_meta"] = {f"{META}idempotentReplayed": True}
    return result


async def _telling_progress(ctx: RequestContext, work: Awaitable[Outcome]) -> Outcome:
    """Tell a client who asked for it that the work goes on; one who leaves ends the work."""
    task = asyncio.ensure_future(work)
    try:
        seconds = 0.0
        while not task.done():
            await ctx.session.report_progress(seconds, message="The advisor is at work.")
            await asyncio.wait({task}, timeout=_PROGRESS_SECONDS)
            seconds += _PROGRESS_SECONDS
        return task.result()
    finally:
        task.cancel()
