"""Writes go on to their end without whoever asked for them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.kernel.errors import StillRunning
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.models import examples
from core.ports.records import Transaction
from core.services.api_keys import CREATE_API_KEY, DELETE_API_KEY
from core.services.pets import CREATE_PET, GET_PET
from tests.core.stores import Shop, open_store
from tests.waiting import within


class Listener:
    """Hears of every event on the node."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        self.heard += [event.event_type for event in events]

    def on_lost(self, tenant: TenantId | None) -> None:
        pass


class Gate:
    """Holds the node up where a write has just been committed, or has just begun; before it, some go through."""

    def __init__(self, shop: Shop, *, after_commit: bool, passing: int = 0) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        storage, write = shop.store.storage, shop.store.storage.write

        async def wait() -> None:
            self.reached.set()
            await self.go_on.wait()

        @asynccontextmanager
        async def held(tenant: TenantId) -> AsyncIterator[Transaction]:
            nonlocal passing
            holds = passing == 0
            passing -= 1
            if holds and not after_commit:
                await wait()
            async with write(tenant) as tx:
                yield tx
            if holds and after_commit:
                await wait()

        storage.write = held  # type: ignore[method-assign]


@pytest.mark.parametrize("after_commit", [False, True], ids=["begun", "committed"])
async def test_what_a_client_began_before_they_left_is_done_and_announced(
    tmp_path: Path, *, after_commit: bool
) -> None:
    async with open_store(tmp_path) as store:
        shop, listener = Shop(store), Listener()
        store.hub.observers.add(listener)
        gate = Gate(shop, after_commit=after_commit)
        asked = asyncio.create_task(shop.call(CREATE_PET, body=examples.PET_DRAFT))
        await within(gate.reached.wait())
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        gate.go_on.set()
        await store.finish()
        assert "pet.created" in listener.heard


async def test_rights_end_though_who_ended_them_has_left(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        key = await shop.call(CREATE_API_KEY, body={"name": "till", "scopes": ["read:pets"]})
        ended: list[tuple[str, ...]] = []
        revoke = store.revocations.revoke

        async def noted(subjects: Sequence[str]) -> None:
            ended.append(tuple(subjects))
            await revoke(subjects)

        store.revocations.revoke = noted  # type: ignore[method-assign]
        gate = Gate(shop, after_commit=True)
        asked = asyncio.create_task(shop.call(DELETE_API_KEY, id=key.id))
        await within(gate.reached.wait())
        asked.cancel()
        gate.go_on.set()
        await asyncio.gather(asked, return_exceptions=True)
        await store.finish()
        assert ended == [(f"key:{key.id}",)]


async def test_the_same_key_says_what_became_of_a_write_that_was_cut_off(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        # The key is reserved in a write of its own.
        gate = Gate(shop, after_commit=False, passing=1)
        first = asyncio.create_task(shop.outcome(CREATE_PET, body=examples.PET_DRAFT, key="k"))
        await within(gate.reached.wait())
        first.cancel()
        await shop.refusal(StillRunning, CREATE_PET, body=examples.PET_DRAFT, key="k")
        gate.go_on.set()
        await store.finish()
        again = await shop.outcome(CREATE_PET, body=examples.PET_DRAFT, key="k")
        assert again.replayed
        assert await shop.call(GET_PET, id=again.value.id) == again.value
