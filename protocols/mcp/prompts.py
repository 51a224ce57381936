"""Prompts: what people often ask assistants to do in a pet store."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    PromptArgument,
    PromptMessage,
    TextContent,
)
from mcp.types import Prompt as ListedPrompt

from protocols.mcp.tools import refuse_page
from protocols.mcp.visits import RequestContext, answering


@dataclass(frozen=True)
class Prompt:
    """A task. ``text`` is what the assistant is asked; an argument that is given adds its sentence to it.

    ``arguments`` are the required ones, as ``{name}`` in the text; ``choices`` are the others, each with its sentence.
    """

    name: str
    title: str
    description: str
    text: str
    arguments: Mapping[str, str]
    choices: Mapping[str, tuple[str, str]]

    def ask(self, given: Mapping[str, str]) -> str:
        """The text with the arguments in it."""
        sentences = [self.text.format_map({name: given[name] for name in self.arguments})]
        sentences += [
            sentence.format_map({name: given[name]})
            for name, (_, sentence) in self.choices.items()
            if given.get(name)
        ]
        return " ".join(sentences)


PROMPTS: tuple[Prompt, ...] = (
    Prompt(
        "find_a_pet",
        "Find a pet for my home",
        "Looks for pets that fit a home, and compares them.",
        "Find pets at this store that would fit my home: {home}. Search with search_pets among those that are "
        "AVAILABLE, compare at most five with their ids and prices, and say which fits best and why. Name no pet that "
        "you did not find.",
        {"home": "The home and who lives there: a flat, a garden, children, other pets."},
        {
            "species": ("The kind of animal.", "It should be a {species}."),
            "budget": ("The most to spend, in US dollars.", "It must not cost more than ${budget}."),
        },
    ),
    Prompt(
        "adopt_a_pet",
        "Apply to adopt a pet",
        "Applies for a pet in the name of the user who is logged in.",
        "I would like to adopt the pet {pet}. Find it (get_pet by its id, search_pets by its name), tell me about it, "
        "and ask me for what an application needs: my name, my e-mail address, the kind of my home, and whether it has "
        "a yard. When I have confirmed it send it with apply_for_adoption, and tell me the application's id and "
        "status.",
        {"pet": "The pet: its name or its id."},
        {},
    ),
    Prompt(
        "order_and_pay",
        "Order a pet and pay",
        "Reserves a pet with an order and pays it.",
        "I would like to buy the pet {pet}. Find it (get_pet by its id, search_pets by its name), and when I have "
        "confirmed the price reserve it with place_order. Then ask me how to pay, pay exactly the order's totalAmount "
        "and currency with pay_order, and tell me the order's id and status. If the payment fails say why; an order "
        "that is not paid may be cancelled with cancel_order.",
        {"pet": "The pet: its name or its id."},
        {},
    ),
    Prompt(
        "what_changed",
        "What has changed since",
        "Tells what has happened at the store.",
        "Tell me in a few sentences what has happened at the store. Ask recent_events, and keep the cursor of its "
        "answer to go on from there when I ask again.",
        {},
        {
            "topics": ("Topic filters, separated by commas.", "I am interested in these topics: {topics}."),
            "after": ("The cursor of an earlier answer.", "Begin after this cursor: {after}."),
        },
    ),
)


class Prompts:
    """Every prompt."""

    def __init__(self) -> None:
        self._prompts = {prompt.name: prompt for prompt in PROMPTS}
        self._listed = ListPromptsResult(prompts=[_listed(prompt) for prompt in PROMPTS])
        self.list = answering(self._list)
        self.get = answering(self._get)

    async def _list(self, _: RequestContext, params: PaginatedRequestParams | None) -> ListPromptsResult:
        refuse_page(params)
        return self._listed

    async def _get(self, _: RequestContext, params: GetPromptRequestParams) -> GetPromptResult:
        prompt = self._prompts.get(params.name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"There is no prompt '{params.name[:64]}'.")
        given = params.arguments or {}
        if missing := [name for name in prompt.arguments if not given.get(name)]:
            raise MCPError(INVALID_PARAMS, f"The prompt needs: {', '.join(missing)}.")
        content = TextContent(text=prompt.ask(given))
        return GetPromptResult(
            description=prompt.description, messages=[PromptMessage(role="user", content=content)]
        )


def _listed(prompt: Prompt) -> ListedPrompt:
    arguments = [
        PromptArgument(name=name, description=text, required=True) for name, text in prompt.arguments.items()
    ]
    arguments += [
        PromptArgument(name=name, description=text, required=False)
        for name, (text, _) in prompt.choices.items()
    ]
    return ListedPrompt(
        name=prompt.name, title=prompt.title, description=prompt.description, arguments=arguments
    )
