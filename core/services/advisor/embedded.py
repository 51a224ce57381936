"""The embedded engine as one that answers completions."""

from collections.abc import AsyncGenerator
from itertools import islice

from core.models.advisor import CompletionDraft, SpeakerRole
from core.services.advisor.answering import answer
from core.services.advisor.pieces import Ending, Piece, count_tokens, tokens_of
from core.services.advisor.understanding import understand
from core.store.context import Context


async def embedded_pieces(ctx: Context, draft: CompletionDraft) -> AsyncGenerator[Piece, None]:
    """The answer of the embedded engine, all at once."""
    said = [turn.content for turn in draft.messages if turn.role is SpeakerRole.USER]
    told = next((turn.content for turn in reversed(draft.messages) if turn.role is SpeakerRole.ASSISTANT), "")
    await ctx.store.begin_long_work(ctx.caller.address)
    wish = understand(said)
    prompt_tokens = sum(count_tokens(turn.content) for turn in draft.messages)
    tokens = tokens_of(await answer(ctx, wish, told))
    texts = tuple(islice(tokens, draft.max_tokens))
    yield Piece(texts, Ending(len(tokens) > len(texts), prompt_tokens, len(texts)))
