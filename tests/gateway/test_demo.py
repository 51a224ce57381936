"""Demo mode makes a store to look at, once."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from core.kernel.caller import Caller, Credentials, Role
from core.kernel.errors import Unavailable
from core.kernel.ids import SHARED_TENANT
from core.models.oauth import OAuthClient
from core.models.orders import Order
from core.models.pets import Pet, PetStatus
from core.models.users import User
from core.ports.records import Query
from core.store.store import Call, Outcome
from gateway.demo import API_KEY, APPLICATION_ID, open_demo
from gateway.node import open_node
from gateway.preflight import prepare
from gateway.settings import Settings


async def test_the_shared_pool_is_filled_once_however_often_and_by_however_many_it_is_opened(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path)
    await prepare(settings)
    async with open_node(settings) as one, open_node(settings) as other:
        await asyncio.gather(open_demo(one.store), open_demo(other.store))
        await open_demo(one.store)
        async with one.store.storage.read(SHARED_TENANT) as tx:
            pets = Counter(pet.status for pet in await tx.find(Query(Pet)))
            numbers = {pet.number for pet in await tx.find(Query(Pet))}
            orders = await tx.find(Query(Order))
            first = await tx.find(Query(Pet, order="id", limit=pets.total() - 10))
            newest = await tx.find(Query(Order, order="-id", limit=len(orders) - 3))
            classic = [pet for pet in await tx.find(Query(Pet)) if pet.number <= 10]
            people = {user.username: user.roles for user in await tx.find(Query(User))}
        assert pets.total() >= 60
        assert pets[PetStatus.AVAILABLE] >= 45
        made_here = {name: roles for name, roles in people.items() if not name.startswith("user")}
        assert made_here == {"demo-staff": (Role.STAFF,), "demo": (Role.CUSTOMER,)}
        # What a classic store holds at its start has the low numbers to itself.
        assert {number for number in numbers if number < 20_000} == set(range(1, 11))
        assert {order.number for order in orders if order.classic is not None} == {1, 2, 3}
        assert min(order.number for order in orders if order.classic is None) > 20_000
        # And is the last of what a newcomer lists.
        assert min(pet.number for pet in first) > 20_000
        assert all(order.classic is None for order in newest)
        assert all(pet.age_months and pet.price for pet in classic)
        assert people.keys() >= {f"user{number}" for number in range(1, 11)}
        caller = await other.store.authenticator.authenticate(Credentials("127.0.0.1", api_key=API_KEY))
        assert caller.role is Role.STAFF


async def test_the_application_that_an_older_version_made_learns_where_swagger_ui_is(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    await prepare(settings)
    async with open_node(settings) as node:
        await open_demo(node.store)
        async with node.store.storage.write(SHARED_TENANT) as tx:
            made = await tx.get(OAuthClient, APPLICATION_ID)
            assert made is not None
            await tx.update(made.model_copy(update={"redirect_uris": made.redirect_uris[:1]}))
        await open_demo(node.store)
        async with node.store.storage.read(SHARED_TENANT) as tx:
            assert await tx.get(OAuthClient, APPLICATION_ID) == made


async def test_a_node_waits_for_another_one_that_is_at_the_demo_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.demo._PAUSE_SECONDS", 0)
    settings = Settings(data_dir=tmp_path)
    await prepare(settings)
    async with open_node(settings) as node:
        execute, refusals = node.store.execute, iter([Unavailable("Too many writers at once.")] * 3)

        async def busy(caller: Caller, call: Call) -> Outcome:
            for refusal in refusals:
                raise refusal
            return await execute(caller, call)

        monkeypatch.setattr(node.store, "execute", busy)
        assert (await open_demo(node.store)).pets >= 60
        monkeypatch.setattr("gateway.demo._PATIENCE_SECONDS", -1.0)
        refusals = iter([Unavailable("Too many writers at once.")])
        with pytest.raises(Unavailable):
            await open_demo(node.store)
