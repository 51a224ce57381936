"""The subscription that the advisor answers: it follows no events, and is one client's alone."""

from collections.abc import AsyncGenerator
from inspect import isawaitable
from typing import Any

from core.models.advisor import CompletionPart, CompletionUsage
from core.services.advisor.completions import STREAM_CHAT, CompletionStream
from core.store.store import Call, Store
from protocols.graphql.execution import Bound, encode, members_of

#: The name of the field, and the members of the request that are its arguments.
COMPLETION = "completion"
COMPLETION_ARGUMENTS = ("messages", "model", "max_tokens", "temperature")


async def completion_answers(store: Store, bound: Bound) -> AsyncGenerator[bytes, None]:
    """An answer for each part of the completion, encoded. Whoever stops reading closes the generator.

    Raises:
        StoreError: the completion cannot be had, or goes no further.
    """
    context = bound.executor.context_value
    call = Call(STREAM_CHAT, body=bound.arguments, request_id=context.request_id)
    async with (await store.execute(context.caller, call)).value as stream:
        while texts := await stream.next():
            # What is there at once goes out at once.
            yield await _answer(bound, _part(stream, text="".join(texts)))
        completion = stream.completion
        usage = CompletionUsage(
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            total_tokens=completion.prompt_tokens + completion.completion_tokens,
        )
        reason = "length" if completion.truncated else "stop"
        yield await _answer(bound, _part(stream, finish_reason=reason, usage=usage))


def _part(stream: CompletionStream, **more: Any) -> CompletionPart:
    return CompletionPart(id=stream.id, model=stream.model, created_at=stream.created_at, **more)


async def _answer(bound: Bound, part: CompletionPart) -> bytes:
    result = bound.executor.build_per_event_executor(part).execute_operation(False)
    return encode(members_of(await result if isawaitable(result) else result))
