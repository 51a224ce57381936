"""``AdvisorService.Complete``: the advisor's answer, token by token."""

import asyncio
from collections.abc import Iterator

from core.kernel.errors import Close, Closed, CloseReason
from core.models.advisor import MAX_MESSAGES, Completion
from core.services.advisor.completions import COMPLETE_CHAT, tokens_of
from core.store.store import Call
from protocols.grpc._generated.petstore.v1 import advisor_pb2
from protocols.grpc.rpc import CallContext, Context, Rpc
from protocols.grpc.wire import read, write


class Completions:
    """Answers the calls."""

    def __init__(self, calls: CallContext) -> None:
        self._calls = calls

    async def answer(self, data: bytes, context: Context) -> None:
        """Answer one call, until the client has it all, goes, or the store ends it."""
        calls = self._calls
        async with Rpc(calls, "AdvisorService/Complete", context, streams=True) as rpc:
            caller = rpc.take(await calls.store.admit(rpc.credentials))
            request = rpc.read(advisor_pb2.CompleteRequest, data)
            del request.messages[
                MAX_MESSAGES + 1 :
            ]  # The store says that they are too many; to read all takes long.
            session = calls.sessions.open(rpc.credentials, caller)
            try:
                call = Call(COMPLETE_CHAT, body=read(request), request_id=rpc.request_id)
                completion = (await calls.store.execute(caller, call)).value
                await context.send_initial_metadata((("x-request-id", rpc.request_id),))
                await self._write(context, completion, session.closed)
            finally:
                session.leave()

    async def _write(self, context: Context, completion: Completion, closed: asyncio.Future[Close]) -> None:
        """Write the answer at the client's pace.

        Raises:
            Closed: the store ends the stream, or the client reads nothing for too long.
        """
        for message in _parts(completion):
            writing = asyncio.ensure_future(context.write(message))
            try:
                await asyncio.wait(
                    (writing, closed),
                    timeout=self._calls.limits.stall_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if closed.done():
                    raise Closed(closed.result())
                if not writing.done():
                    raise Closed(Close(CloseReason.STALLED, "The client has read nothing for too long."))
                writing.result()
            finally:
                writing.cancel()


def _parts(completion: Completion) -> Iterator[bytes]:
    part = advisor_pb2.CompleteResponse()
    write(part, {"id": completion.id, "model": completion.model, "createdAt": completion.created_at})
    for token in tokens_of(completion.text):
        part.text = token
        yield part.SerializeToString()
    part.ClearField("text")
    part.finish_reason = "length" if completion.truncated else "stop"
    part.usage.prompt_tokens = completion.prompt_tokens
    part.usage.completion_tokens = completion.completion_tokens
    part.usage.total_tokens = completion.prompt_tokens + completion.completion_tokens
    yield part.SerializeToString()
