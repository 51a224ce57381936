"""``AdvisorService.Complete``: the advisor's answer as it comes."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from core.kernel.errors import Close, Closed, CloseReason
from core.models.advisor import MAX_MESSAGES, Completion
from core.services.advisor.completions import STREAM_CHAT, CompletionStream
from core.store.store import Call
from protocols.grpc._generated.petstore.v1 import advisor_pb2
from protocols.grpc.rpc import CallContext, Context, Rpc
from protocols.grpc.wire import read, write

T = TypeVar("T")


class Completions:
    """Answers the calls."""

    def __init__(self, calls: CallContext) -> None:
        self._calls = calls

    async def answer(self, data: bytes, context: Context) -> None:
        """Answer one call, until the client has it all, goes, or the store ends it."""
        calls = self._calls
        async with Rpc(calls, "AdvisorService/Complete", context, streams=True) as rpc:
            caller = await calls.admit(rpc)
            request = rpc.read(advisor_pb2.CompleteRequest, data)
            del request.messages[
                MAX_MESSAGES + 1 :
            ]  # The store says that they are too many; to read all takes long.
            session = calls.sessions.open(rpc.credentials, caller)
            try:
                call = Call(STREAM_CHAT, body=read(request), request_id=rpc.request_id)
                work = calls.store.execute(caller, call)
                async with (await _while_open(session.closed, work)).value as stream:
                    await context.send_initial_metadata((("x-request-id", rpc.request_id),))
                    await self._write(context, stream, session.closed)
            finally:
                session.leave()

    async def _write(self, context: Context, stream: CompletionStream, closed: asyncio.Future[Close]) -> None:
        """Write the answer as it comes, at the client's pace.

        Raises:
            Closed: the store ends the stream, or the client reads nothing for too long.
            StoreError: the answer goes no further.
        """
        part = advisor_pb2.CompleteResponse()
        write(part, {"id": stream.id, "model": stream.model, "createdAt": stream.created_at})
        while texts := await _while_open(closed, stream.next()):
            for text in texts:
                part.text = text
                await self._send(context, part, closed)
        await self._send(context, _last(part, stream.completion), closed)

    async def _send(
        self, context: Context, part: advisor_pb2.CompleteResponse, closed: asyncio.Future[Close]
    ) -> None:
        try:
            async with asyncio.timeout(self._calls.limits.stall_seconds):
                await _while_open(closed, context.write(part.SerializeToString()))
        except TimeoutError:
            close = Close(CloseReason.STALLED, "The client has read nothing for too long.")
            raise Closed(close) from None


async def _while_open(closed: asyncio.Future[Close], work: Awaitable[T]) -> T:
    """What work comes to; it is cancelled when the store ends the stream before.

    Raises:
        Closed: it does.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, closed), return_when=asyncio.FIRST_COMPLETED)
        if closed.done():
            raise Closed(closed.result())
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))


def _last(part: advisor_pb2.CompleteResponse, completion: Completion) -> advisor_pb2.CompleteResponse:
    part.ClearField("text")
    part.finish_reason = "length" if completion.truncated else "stop"
    part.usage.prompt_tokens = completion.prompt_tokens
    part.usage.completion_tokens = completion.completion_tokens
    part.usage.total_tokens = completion.prompt_tokens + completion.completion_tokens
    return part
