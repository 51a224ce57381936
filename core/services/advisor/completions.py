"""The advisor's operations. They belong to the doors that speak of completions, and are not in the catalogue."""

import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Self

from core.kernel.caller import Scope
from core.kernel.errors import Internal, StoreError
from core.kernel.ids import new_id
from core.kernel.model import NoParams
from core.models.advisor import AdvisorModel, Completion, CompletionDraft
from core.services.advisor.answering import texts
from core.services.advisor.conversation import instructions, model_pieces
from core.services.advisor.embedded import embedded_pieces
from core.services.advisor.pieces import Ending, Piece
from core.services.advisor.tools import tools
from core.services.advisor.understanding import understand
from core.store.context import Context
from core.store.operation import Operation

log = logging.getLogger(__name__)


def prepare() -> None:
    """Read what the advisor knows, so that no request waits for it."""
    understand(("A dog",))
    texts()
    instructions()
    tools()


class CompletionStream:
    """An answer on its way: its next texts, and what it comes to.

    Whoever has it closes it; as an asynchronous context manager it sees to that itself.
    """

    def __init__(self, ctx: Context, draft: CompletionDraft) -> None:
        self.id = f"chatcmpl_{new_id()}"
        self.created_at = ctx.now
        self.model = draft.model
        self._request_id = ctx.request_id
        model = ctx.store.language_model
        self._pieces: AsyncGenerator[Piece, None] = (
            embedded_pieces(ctx, draft) if model is None else model_pieces(ctx, draft, model)
        )
        self._first: Piece | None = None
        self._said: list[str] = []
        self._ending: Ending | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def begin(self) -> None:
        """Wait for the first of it: until then all that goes wrong is an error of the call.

        Raises:
            StoreError: there is no answer.
        """
        self._first = await self._next()

    @property
    def ended(self) -> bool:
        """Whether there are no more texts than those that were given."""
        return self._ending is not None

    def ready(self) -> Sequence[str]:
        """The next texts, as far as they are there already."""
        piece, self._first = self._first, None
        return () if piece is None else self._give(piece)

    async def next(self) -> Sequence[str]:
        """The next texts, as many as there are; none at the end.

        Raises:
            StoreError: it goes no further.
        """
        texts = self.ready()
        while not texts and self._ending is None:
            texts = self._give(await self._next())
        return texts

    def _give(self, piece: Piece) -> Sequence[str]:
        self._said += piece.texts
        self._ending = piece.ending
        return piece.texts

    async def _next(self) -> Piece:
        try:
            return await anext(self._pieces)
        except StoreError:
            raise
        except Exception:  # The boundary of what answers: none of its defects is told to clients.
            log.exception("an answer of the advisor failed", extra={"request_id": self._request_id})
            raise Internal from None

    @property
    def completion(self) -> Completion:
        """What it has come to, at its end."""
        assert self._ending is not None, "the answer has not come to its end"
        return Completion(
            id=self.id,
            created_at=self.created_at,
            model=self.model,
            text="".join(self._said),
            truncated=self._ending.truncated,
            prompt_tokens=self._ending.prompt_tokens,
            completion_tokens=self._ending.completion_tokens,
        )

    async def close(self) -> None:
        """Ask for no more of it; a second time has no effect."""
        await self._pieces.aclose()


async def _begin(ctx: Context, _: NoParams, draft: CompletionDraft) -> CompletionStream:
    stream = CompletionStream(ctx, draft)
    try:
        await stream.begin()
    except BaseException:
        await stream.close()
        raise
    return stream


async def _complete(ctx: Context, _: NoParams, draft: CompletionDraft) -> Completion:
    async with CompletionStream(ctx, draft) as stream:
        while await stream.next():
            pass
        return stream.completion


async def _list_models(_ctx: Context, _params: NoParams, _body: None) -> list[AdvisorModel]:
    return list(AdvisorModel)


COMPLETE_CHAT = Operation(
    name="completeChat",
    tag="Advisor",
    summary="Ask the advisor",
    description=(
        "The advisor answers from the store as it is, in the caller's rights: it names pets that are there, with id "
        "and price."
    ),
    params=NoParams,
    body=CompletionDraft,
    handler=_complete,
    result=Completion,
    scope=Scope.CHAT_WRITE,
)

#: Its value is a `CompletionStream`, which whoever has called closes.
STREAM_CHAT = Operation(
    name="streamChat",
    tag=COMPLETE_CHAT.tag,
    summary=COMPLETE_CHAT.summary,
    params=NoParams,
    body=CompletionDraft,
    handler=_begin,
    scope=COMPLETE_CHAT.scope,
)

LIST_MODELS = Operation(
    name="listModels",
    tag="Advisor",
    summary="List the advisor's models",
    params=NoParams,
    handler=_list_models,
    result=list[AdvisorModel],
    scope=Scope.CHAT_WRITE,
)
