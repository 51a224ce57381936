"""The advisor's operations. They belong to the doors that speak of completions, and are not in the catalogue."""

import re
from itertools import islice

from core.kernel.caller import Scope
from core.kernel.ids import new_id
from core.kernel.model import NoParams
from core.models.advisor import AdvisorModel, Completion, CompletionDraft, SpeakerRole
from core.services.advisor.answering import answer, texts
from core.services.advisor.language import language
from core.services.advisor.understanding import understand
from core.store.context import Context
from core.store.operation import Operation

#: A token: a word or a number, or one other character that is no white space.
_TOKEN = re.compile(r"\w+|[^\w\s]")


def prepare() -> None:
    """Read what the advisor knows, so that no request waits for it."""
    language()
    texts()


def count_tokens(text: str) -> int:
    """The tokens of a text, by the embedded engine's rule."""
    return len(_TOKEN.findall(text))


def tokens_of(text: str) -> list[str]:
    """A text token by token, each with the white space before it; joined they are the text without its end's."""
    return re.findall(r"\s*(?:\w+|[^\w\s])", text)


async def _complete(ctx: Context, _: NoParams, draft: CompletionDraft) -> Completion:
    said = [turn.content for turn in draft.messages if turn.role is SpeakerRole.USER]
    told = next((turn.content for turn in reversed(draft.messages) if turn.role is SpeakerRole.ASSISTANT), "")
    await ctx.store.begin_long_work(ctx.caller.address)
    wish = understand(said)
    prompt_tokens = sum(count_tokens(turn.content) for turn in draft.messages)
    text = await answer(ctx, wish, told)
    tokens = tokens_of(text)
    return Completion(
        id=f"chatcmpl_{new_id()}",
        created_at=ctx.now,
        model=draft.model,
        text="".join(islice(tokens, draft.max_tokens)),
        truncated=len(tokens) > draft.max_tokens,
        prompt_tokens=prompt_tokens,
        completion_tokens=min(len(tokens), draft.max_tokens),
    )


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

LIST_MODELS = Operation(
    name="listModels",
    tag="Advisor",
    summary="List the advisor's models",
    params=NoParams,
    handler=_list_models,
    result=list[AdvisorModel],
    scope=Scope.CHAT_WRITE,
)
