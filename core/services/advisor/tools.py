"""What a language model may call: operations of the store, run in the rights of the caller who asks."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from core.kernel.errors import BadRequest, Internal, StoreError, ValidationFailed
from core.kernel.model import encode
from core.kernel.validation import check_body, check_params
from core.ports.language_model import Tool, ToolCall
from core.services.advisor.search import ask
from core.services.inventory import GET_INVENTORY
from core.services.orders import LIST_ORDERS
from core.services.pets import GET_PET, SEARCH_PETS
from core.store.context import Context
from core.store.operation import AnyOperation

#: The operations, by the names of the tools. None of them writes.
_OPERATIONS: dict[str, AnyOperation] = {
    operation.name: operation for operation in (SEARCH_PETS, GET_PET, GET_INVENTORY, LIST_ORDERS)
}
#: Arguments that are read, and what the model is given back: more than that it would hardly look at.
_MOST_ARGUMENTS_CHARACTERS = 10_000
_MOST_RESULT_BYTES = 24_000


@cache
def tools() -> tuple[Tool, ...]:
    """The tools, with the schemas of the operations' own models."""
    return tuple(
        Tool(name, f"{operation.summary}. {operation.description}".strip(), _parameters(operation))
        for name, operation in _OPERATIONS.items()
    )


def _parameters(operation: AnyOperation) -> dict[str, Any]:
    """An operation that has a body takes no parameters beside it, and the other way round."""
    model = operation.body or operation.params
    assert operation.body is None or not operation.params.model_fields
    schema = model.model_json_schema()
    members = schema["properties"]
    schema["properties"] = {name: one for name, one in members.items() if not one.get("readOnly")}
    return schema


async def run(ctx: Context, call: ToolCall) -> str:
    """What a call comes to, in JSON: the operation's result, or why there is none. No transaction is left open."""
    try:
        operation = _OPERATIONS.get(call.name)
        if operation is None:
            raise BadRequest(f"There is no tool of this name; there are {', '.join(_OPERATIONS)}.")
        arguments = _arguments_of(call)
        try:
            if operation.body is None:
                value = await ask(ctx, operation, check_params(operation.params, arguments), None)
            else:
                checked = check_body(operation.body, arguments, ctx.store.context)
                value = await ask(ctx, operation, operation.params(), checked)
        finally:
            await ctx.close()
        result = encode(value)
        if len(result) > _MOST_RESULT_BYTES:
            raise BadRequest("The result is too long: ask for fewer, by the limit.")
    except Internal:
        raise
    except StoreError as error:
        return json.dumps({"error": {"code": error.code.value, "message": _message_of(error)}})
    return result.decode()


def _arguments_of(call: ToolCall) -> Mapping[str, Any]:
    """The arguments; none at all are an empty object.

    Raises:
        BadRequest: they are no JSON object.
    """
    if len(call.arguments) > _MOST_ARGUMENTS_CHARACTERS:
        raise BadRequest("The arguments are too long.")
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        raise BadRequest("The arguments are no JSON.") from None
    if not isinstance(arguments, dict):
        raise BadRequest("The arguments are no JSON object.")
    return arguments


def _message_of(error: StoreError) -> str:
    if not isinstance(error, ValidationFailed):
        return error.detail
    return "; ".join(f"{one.field or 'the arguments'} {one.message}" for one in error.violations)
