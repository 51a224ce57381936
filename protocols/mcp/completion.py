"""Completion: values that an argument of a prompt or of a resource template may have."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ResourceTemplateReference,
)

from core.kernel.errors import StoreError
from core.models.catalogue import EVENTS
from core.models.pets import PetStatus, Species
from core.services.orders import LIST_ORDERS
from core.services.pets import SEARCH_PETS
from core.store.operation import AnyOperation
from core.store.store import Call, Store
from protocols.mcp.bindings import RESOURCES
from protocols.mcp.prompts import PROMPTS
from protocols.mcp.visits import RequestContext, Visit, answering, visit_of

#: Values of one answer, at most (MCP, "Completion").
_MOST_VALUES = 100
#: Of what somebody types, more than any name has.
_MOST_CHARACTERS = 100

Finder = Callable[[Visit, str], Awaitable[Iterable[str]]]
#: Topic filters of one kind of event each, such as ``orders/+/status``.
_TOPICS = sorted({re.sub(r"\{\w+\}", "+", topic) for kind in EVENTS.values() for topic in kind.topics})


class Completions:
    """Finds values in the caller's rights; where they may see none, there are none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        pet, order, _ = RESOURCES
        self._finders: Mapping[tuple[str, str], Finder] = {
            (pet.uri, "id"): self._pet_ids,
            (order.uri, "id"): self._order_ids,
            **{(prompt.name, "pet"): self._pet_names for prompt in PROMPTS if "pet" in prompt.arguments},
            ("find_a_pet", "species"): _species,
            ("what_changed", "topics"): _topics,
        }
        self._known = {kind.uri for kind in RESOURCES} | {prompt.name for prompt in PROMPTS}
        self.complete = answering(self._complete)

    async def _complete(self, ctx: RequestContext, params: CompleteRequestParams) -> CompleteResult:
        ref = params.ref
        name = ref.uri if isinstance(ref, ResourceTemplateReference) else ref.name
        if name not in self._known:
            raise MCPError(INVALID_PARAMS, f"There is no prompt or resource template '{name[:100]}'.")
        finder = self._finders.get((name, params.argument.name))
        written = params.argument.value[:_MOST_CHARACTERS].strip()
        found = [] if finder is None else list(dict.fromkeys(await finder(visit_of(ctx), written)))
        return CompleteResult(
            completion=Completion(values=found[:_MOST_VALUES], has_more=len(found) >= _MOST_VALUES)
        )

    async def _pet_ids(self, visit: Visit, written: str) -> Iterable[str]:
        """Ids of pets that are for sale: that begin so, or of those that are found by the words."""
        newest = [pet.id for pet in await self._pets(visit, "") if pet.id.startswith(written.lower())]
        return newest or [pet.id for pet in await self._pets(visit, written)]

    async def _pet_names(self, visit: Visit, written: str) -> Iterable[str]:
        names = [pet.name for pet in await self._pets(visit, written)]
        return sorted(names, key=lambda name: (not name.lower().startswith(written.lower()), name))

    async def _order_ids(self, visit: Visit, written: str) -> Iterable[str]:
        orders = await self._found(visit, LIST_ORDERS, {"limit": _MOST_VALUES})
        return [order.id for order in orders if order.id.startswith(written.lower())]

    async def _pets(self, visit: Visit, text: str) -> list[Any]:
        criteria: dict[str, object] = {"status": [PetStatus.AVAILABLE.value]}
        if text:
            criteria["text"] = text
        body = {
            "criteria": criteria,
            "sort": {"field": "createdAt", "order": "DESC"},
            "pagination": {"page": 1, "limit": _MOST_VALUES},
        }
        return await self._found(visit, SEARCH_PETS, {}, body)

    async def _found(
        self, visit: Visit, operation: AnyOperation, given: Mapping[str, object], body: object = None
    ) -> list[Any]:
        """The first page of a collection; nothing where the caller may not ask for it."""
        try:
            self._store.authorise(operation, visit.caller)
        except StoreError:
            return []
        outcome = await self._store.execute(
            visit.caller, Call(operation, given, body, request_id=visit.request_id)
        )
        found: list[Any] = outcome.value.data
        return found


async def _species(_: Visit, written: str) -> Iterable[str]:
    return [species.value for species in Species if species.value.startswith(written.upper())]


async def _topics(_: Visit, written: str) -> Iterable[str]:
    """Topic filters for the last of those written, behind the others."""
    before, comma, last = written.rpartition(",")
    return [f"{before}{comma}{topic}" for topic in _TOPICS if topic.startswith(last.strip())]
