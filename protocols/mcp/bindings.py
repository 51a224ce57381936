"""The tools and the resources: one row of a table an operation of the store."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from core.services import adoptions, inventory, orders, payments, pets
from core.services.advisor.completions import COMPLETE_CHAT
from core.services.recent_events import RECENT_EVENTS
from core.store.operation import AnyOperation

#: What hides what is for other doors alone, or always the same here.
_NO_STREAM = frozenset({"stream", "streamOptions", "n"})


@dataclass(frozen=True)
class Tool:
    """An operation as a tool: its arguments are the operation's parameters and the members of its body.

    ``fixed`` are members of the body that are the tool's own, ``hidden`` those that nobody needs here. ``lasting``: it
    may take a while, and its progress is told.
    """

    operation: AnyOperation
    name: str
    title: str
    description: str
    fixed: Mapping[str, Any]
    hidden: frozenset[str]
    lasting: bool

    @cached_property
    def params(self) -> frozenset[str]:
        """The arguments that are parameters; the others are the body's."""
        return frozenset(info.alias or name for name, info in self.operation.params.model_fields.items())

    @property
    def annotations(self) -> dict[str, bool]:
        """Hints on what it does. What creates something takes nothing away; what does not is the same done twice."""
        writes, creates = self.operation.writes, self.operation.creates
        return {
            "readOnlyHint": not writes,
            "destructiveHint": writes and not creates,
            "idempotentHint": not creates,
            "openWorldHint": False,
        }


@dataclass(frozen=True)
class ResourceKind:
    """An operation that reads, as resources. ``uri`` is where they are, a template (RFC 6570) of one level.

    ``topic_filter`` matches what happens to one; ``unseen`` are last levels of topics that change nothing in it.
    """

    operation: AnyOperation
    uri: str
    name: str
    topic_filter: str
    unseen: frozenset[str] = frozenset()

    @property
    def one_of_many(self) -> bool:
        """Whether there are many, each with an id."""
        return "{id}" in self.uri


def _tool(
    operation: AnyOperation,
    name: str | None = None,
    *,
    title: str | None = None,
    description: str | None = None,
    fixed: Mapping[str, Any] = MappingProxyType({}),
    hidden: frozenset[str] = frozenset(),
    lasting: bool = False,
) -> Tool:
    """A row of the table; what it does not say the operation does."""
    return Tool(
        operation,
        name or re.sub("([A-Z])", r"_\1", operation.name).lower(),
        title or operation.summary,
        description or operation.description or f"{operation.summary}.",
        fixed,
        hidden,
        lasting,
    )


TOOLS: tuple[Tool, ...] = (
    _tool(pets.SEARCH_PETS),
    _tool(pets.GET_PET),
    _tool(inventory.GET_INVENTORY),
    _tool(orders.PLACE_ORDER),
    _tool(orders.GET_ORDER),
    _tool(orders.LIST_ORDERS),
    _tool(payments.PAY_ORDER),
    _tool(orders.CANCEL_ORDER),
    _tool(adoptions.CREATE_ADOPTION, "apply_for_adoption"),
    _tool(adoptions.GET_ADOPTION),
    _tool(adoptions.LIST_ADOPTIONS),
    _tool(
        adoptions.UPDATE_ADOPTION,
        "withdraw_adoption",
        title="Withdraw an application",
        description="The applicant withdraws it, until it is decided on.",
        fixed={"status": "WITHDRAWN"},
    ),
    _tool(COMPLETE_CHAT, "ask_advisor", hidden=_NO_STREAM, lasting=True),
    _tool(RECENT_EVENTS),
)

RESOURCES: tuple[ResourceKind, ...] = (
    ResourceKind(pets.GET_PET, "petstore://pets/{id}", "pet", "pets/{id}/#", frozenset({"health"})),
    ResourceKind(
        orders.GET_ORDER, "petstore://orders/{id}", "order", "orders/{id}/#", frozenset({"payment"})
    ),
    ResourceKind(inventory.GET_INVENTORY, "petstore://inventory", "inventory", "inventory/+/stock"),
)
