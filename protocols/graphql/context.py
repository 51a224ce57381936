"""What resolvers may use: the store, the caller, and what was looked up for this request."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from strawberry.dataloader import DataLoader

from core.kernel.caller import Caller
from core.kernel.events import Event
from core.models.pets import Pet
from core.models.users import User
from core.services.lookups import LOOK_UP_PETS, LOOK_UP_USERS
from core.store.operation import AnyOperation
from core.store.store import Call, Store


class RequestContext:
    """The context of one request, or of one event of a subscription (``event``)."""

    __slots__ = ("_began", "_pets", "_turn", "_users", "caller", "event", "request_id", "store")

    def __init__(
        self, store: Store, caller: Caller, request_id: str | None = None, event: Event | None = None
    ) -> None:
        self.store = store
        self.caller = caller
        self.request_id = request_id
        self.event = event
        self._turn = asyncio.Lock()
        self._began = False
        self._pets: DataLoader[str, Pet | None] | None = None
        self._users: DataLoader[str, User | None] | None = None

    async def execute(
        self,
        operation: AnyOperation,
        params: dict[str, Any],
        body: object = None,
        *,
        key: str | None = None,
        if_match: str | None = None,
    ) -> Any:
        """Run an operation; after a write nothing that was looked up before counts any more.

        The operations of one request take turns, each in a turn of the loop of its own: what is made of the results of
        many at once would hold up everybody else.
        """
        tags = None if if_match is None else frozenset({if_match})
        call = Call(operation, params, body, self.request_id, key, tags)
        async with self._turn:
            if self._began:
                await asyncio.sleep(0)
            self._began = True
            outcome = await self.store.execute(self.caller, call)
        if operation.writes:
            self._pets = self._users = None
        return outcome.value

    @property
    def pets(self) -> DataLoader[str, Pet | None]:
        """Finds the pets that one turn of the execution asks for with one read."""
        if self._pets is None:
            self._pets = DataLoader(load_fn=self._loading(LOOK_UP_PETS))
        return self._pets

    @property
    def users(self) -> DataLoader[str, User | None]:
        """Finds users likewise, as far as the caller may see them."""
        if self._users is None:
            self._users = DataLoader(load_fn=self._loading(LOOK_UP_USERS))
        return self._users

    def _loading(self, operation: AnyOperation) -> Callable[[list[str]], Awaitable[list[Any]]]:
        async def load(ids: list[str]) -> list[Any]:
            found = await self.execute(operation, {"ids": ids})
            return [found.get(one) for one in ids]

        return load
