"""A language model as an engine that answers completions: it is asked, what it calls is run, and it is asked again."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack, aclosing
from functools import cache
from importlib import resources
from typing import TypeVar

from core.kernel.errors import BadRequest, Unavailable
from core.models.advisor import CompletionDraft, SpeakerRole
from core.ports.language_model import (
    LanguageModel,
    ModelFailed,
    Question,
    Reply,
    Said,
    Speaker,
    ToolCall,
    ToolResult,
)
from core.services.advisor.answering import texts
from core.services.advisor.pieces import Ending, Piece, count_tokens
from core.services.advisor.tools import run, tools
from core.services.advisor.understanding import INFORMATION
from core.store.context import Context

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How often the model is asked for one answer; the last time it may call nothing. And calls that are run each time.
_MOST_ROUNDS = 6
_MOST_CALLS = 8
#: How long an answer may take in all, its turn included.
_LONGEST_SECONDS = 180.0
#: No token is longer on average: what a server sends beyond is more than it was asked for.
_MOST_CHARACTERS_OF_TOKEN = 16
#: Whose words the messages have that the model is shown; results of a client's own tools are not for it.
_SPEAKERS = {
    SpeakerRole.SYSTEM: Speaker.PROGRAM,
    SpeakerRole.DEVELOPER: Speaker.PROGRAM,
    SpeakerRole.USER: Speaker.USER,
    SpeakerRole.ASSISTANT: Speaker.MODEL,
}


@cache
def instructions() -> str:
    """What the model is told before any conversation, read once: its task, and what the store says of itself."""
    path = resources.files("core.services.advisor") / "instructions.txt"
    told = [texts()[name] for name in INFORMATION if name in texts()]
    return "\n".join([path.read_text(encoding="utf-8"), *(f"- {text}" for text in told)])


async def model_pieces(
    ctx: Context, draft: CompletionDraft, model: LanguageModel
) -> AsyncGenerator[Piece, None]:
    """The model's answer as it comes.

    Raises:
        StoreError: the model fails, or is asked by too many.
    """
    deadline = asyncio.get_running_loop().time() + _LONGEST_SECONDS
    try:
        async with AsyncExitStack() as stack:
            await _before(deadline, stack.enter_async_context(ctx.store.model_turns.turn(ctx.caller)))
            answer = _Answer(ctx, draft, model, deadline)
            pieces = await stack.enter_async_context(aclosing(answer.pieces()))
            async for piece in pieces:
                yield piece
    except ModelFailed as failure:
        log.warning("the language model failed: %s", failure, extra={"request_id": ctx.request_id})
        if failure.too_long:
            raise BadRequest("The conversation is too long for the advisor's language model.") from None
        raise _failed(failure.retry_after) from None
    except TimeoutError:
        log.warning(
            "the language model took longer than %g s", _LONGEST_SECONDS, extra={"request_id": ctx.request_id}
        )
        raise _failed() from None


def _failed(retry_after: int = 5) -> Unavailable:
    return Unavailable("The advisor's language model does not answer as it should.", retry_after)


async def _before(deadline: float, work: Awaitable[T]) -> T:
    async with asyncio.timeout_at(deadline):
        return await work


class _Answer:
    """One answer on its way."""

    def __init__(self, ctx: Context, draft: CompletionDraft, model: LanguageModel, deadline: float) -> None:
        self._ctx = ctx
        self._draft = draft
        self._model = model
        self._deadline = deadline
        self._conversation: list[Said | ToolResult] = [Said(Speaker.PROGRAM, instructions())]
        self._conversation += [
            Said(_SPEAKERS[turn.role], turn.content)
            for turn in draft.messages
            if turn.role in _SPEAKERS and turn.content
        ]
        self._room = draft.max_tokens * _MOST_CHARACTERS_OF_TOKEN
        self._prompt_tokens = self._completion_tokens = 0

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Ask until the model calls nothing more, and give its texts as they come."""
        for number in range(1, _MOST_ROUNDS + 1):
            question = Question(
                self._conversation,
                tools(),
                self._draft.max_tokens,
                self._draft.temperature,
                may_call=number < _MOST_ROUNDS,
            )
            said: list[str] = []
            async with aclosing(self._model.ask(question)) as asking:
                reply: Reply | None = None
                # Not one time-out around it all: while whoever reads is busy, none may strike.
                while (part := await _before(self._deadline, anext(asking, None))) is not None:
                    if isinstance(part, Reply):
                        reply = part
                    elif part:
                        said.append(part[: self._room])
                        self._room -= len(part)
                        yield Piece((said[-1],))
                        if self._room <= 0:
                            break
            text = "".join(said)
            self._count(reply or Reply(truncated=True), text)
            if reply is None or reply.truncated or not reply.calls:
                truncated = reply is None or reply.truncated
                yield Piece((), Ending(truncated, self._prompt_tokens, self._completion_tokens))
                return
            await self._run(reply.calls, text)
        raise ModelFailed(f"it went on calling tools after it was asked {_MOST_ROUNDS} times")

    def _count(self, reply: Reply, text: str) -> None:
        """Add the tokens that the server tells; where it tells none, those of the embedded engine's rule."""
        prompt, told = reply.prompt_tokens, reply.completion_tokens
        if prompt is None:
            prompt = sum(count_tokens(one.text) for one in self._conversation)
        self._prompt_tokens += prompt
        self._completion_tokens += count_tokens(text) if told is None else told

    async def _run(self, calls: tuple[ToolCall, ...], text: str) -> None:
        """Run what the model calls; its message is put down with as many calls as are answered."""
        calls = calls[:_MOST_CALLS]
        self._conversation.append(Said(Speaker.MODEL, text, calls))
        for call in calls:
            result = await _before(self._deadline, run(self._ctx, call))
            self._conversation.append(ToolResult(call.id, result))
