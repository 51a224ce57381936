"""Writes go on to their end without whoever asked for them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.kernel.errors import StillRunning
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.models import examples
from core.services.api_keys import CREATE_API_KEY, DELETE_API_KEY
from core.services.pets import CREATE_PET, GET_PET
from tests.core.gate import Gate
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


@pytest.mark.parametrize("after_commit", [False, True], ids=["begun", "committed"])
async def test_what_a_client_began_before_they_left_is_done_and_announced(
    tmp_path: Path, *, after_commit: bool
) -> None:
    async with open_store(tmp_path) as store:
        shop, listener = Shop(store), Listener()
        store.hub.observers.add(listener)
        gate = Gate(store, after_commit=after_commit)
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
        gate = Gate(store, after_commit=True)
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
        gate = Gate(store, after_commit=False, passing=1)
        first = asyncio.create_task(shop.outcome(CREATE_PET, body=examples.PET_DRAFT, key="k"))
        await within(gate.reached.wait())
        first.cancel()
        await shop.refusal(StillRunning, CREATE_PET, body=examples.PET_DRAFT, key="k")
        gate.go_on.set()
        await store.finish()
        again = await shop.outcome(CREATE_PET, body=examples.PET_DRAFT, key="k")
        assert again.replayed
        assert await shop.call(GET_PET, id=again.value.id) == again.value
