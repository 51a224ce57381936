"""What every storage promises of records and transactions."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from core.kernel.ids import new_id
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.devices import Device
from core.models.idempotency import IdempotencyRecord
from core.models.images import Image
from core.models.pets import Pet
from core.models.users import User
from core.ports.records import Between, Equal, Query, Record, Taken, TransientFailure
from core.ports.storage import Storage
from gateway.storage.tables import METADATA
from tests.gateway.storage import records
from tests.gateway.storage.records import NOW, a_pet, a_tenant, an_event, announce, later, put

TENANT = a_tenant()


class ChangedMindError(Exception):
    """Raised in the middle of a transaction."""


@pytest.mark.parametrize(
    "record",
    [
        a_pet(TENANT, 1),
        a_pet(
            TENANT, 2, medical_info=None, photos=(), owner_id="o", price="999999999.99", good_with_kids=False
        ),
        a_pet(
            TENANT, 3, price="0.01", name="\U0001f436 ﬂuﬀy İß ÄÖ 你好 %_\\'\"\n\t", description="", breed="  "
        ),
        a_pet(
            TENANT,
            4,
            created_at=NOW.replace(microsecond=1),
            updated_at=NOW.replace(year=1970, microsecond=999_999),
        ),
        records.an_order(TENANT),
        records.an_order(TENANT, 2, user_id=None),
        records.a_receipt(TENANT),
        records.a_user(TENANT),
        records.a_login(TENANT, "ada"),
        records.a_login(TENANT, "collar", email_key=None),
        records.a_session(TENANT),
        records.an_api_key(TENANT, "hash"),
        records.a_device(TENANT, "collar"),
        records.a_message(TENANT, text="a" * 100_000),
        records.an_answer(TENANT, response='{"a":"\\u0000 é"}'),
    ],
    ids=lambda record: type(record).__name__,
)
async def test_a_record_comes_back_as_it_was_stored(storage: Storage, record: Any) -> None:
    mine = record.model_copy(update={"tenant_id": a_tenant(), "id": new_id()})
    if isinstance(mine, ApiKey):
        mine = mine.model_copy(update={"key_hash": new_id()})
    if isinstance(mine, Device):
        mine = mine.model_copy(update={"username": new_id()})
    await put(storage, mine)
    async with storage.read(mine.tenant_id) as tx:
        found = await tx.get(type(mine), mine.id)
    assert found == mine
    assert found.model_dump_json() == mine.model_dump_json()


async def test_an_update_replaces_every_field(storage: Storage) -> None:
    tenant = a_tenant()
    pet = a_pet(tenant)
    await put(storage, pet)
    changed = a_pet(
        tenant, 9, id=pet.id, name="Rex", species="CAT", medical_info=None, photos=(), price="1.50"
    )
    async with storage.write(tenant) as tx:
        assert await tx.get(Pet, pet.id, lock=True) == pet
        await tx.update(changed)
        assert await tx.get(Pet, pet.id) == changed
    async with storage.read(tenant) as tx:
        assert await tx.get(Pet, pet.id) == changed
        assert await tx.count(Query(Pet)) == 1


async def test_many_records_are_added_and_replaced_like_each_of_them(storage: Storage) -> None:
    tenant = a_tenant()
    pets = [
        a_pet(tenant, number, medical_info=None if number % 2 else a_pet(tenant).medical_info)
        for number in range(5)
    ]
    changed = [a_pet(tenant, pet.number, id=pet.id, name="Rex", owner_id="o") for pet in pets[:3]]
    async with storage.write(tenant) as tx:
        await tx.insert_many(pets)
        await tx.insert_many([])
    async with storage.write(tenant) as tx:
        assert sorted(await tx.find(Query(Pet), lock=True), key=lambda pet: pet.number) == pets
        await tx.update_many(changed)
        await tx.update_many([])
    async with storage.read(tenant) as tx:
        assert sorted(await tx.find(Query(Pet)), key=lambda pet: pet.number) == [*changed, *pets[3:]]
    with pytest.raises(Taken):
        async with storage.write(tenant) as tx:
            await tx.insert_many([a_pet(tenant, 7), pets[0]])
    with pytest.raises(ValueError, match="tenant"):
        async with storage.write(tenant) as tx:
            await tx.insert_many([a_pet(tenant, 8), a_pet(a_tenant(), 8)])
    async with storage.read(tenant) as tx:
        assert await tx.count(Query(Pet)) == len(pets)


async def test_an_update_of_what_is_gone_asks_for_another_try(storage: Storage) -> None:
    with pytest.raises(TransientFailure):
        async with storage.write(TENANT) as tx:
            await tx.update(a_pet(TENANT))


async def test_a_record_of_another_tenant_is_refused(storage: Storage) -> None:
    with pytest.raises(ValueError, match="tenant"):
        async with storage.write(a_tenant()) as tx:
            await tx.insert(a_pet(a_tenant()))


async def test_what_is_not_there_is_none(storage: Storage) -> None:
    async with storage.read(a_tenant()) as tx:
        assert await tx.get(Pet, new_id()) is None
        assert await tx.get(Pet, "") is None


@pytest.mark.parametrize("strange", ["\0", "a\0b", "\ud800", "x" * 100_000, "'; DROP TABLE pets; --"])
async def test_a_strange_id_finds_nothing(storage: Storage, strange: str) -> None:
    async with storage.write(a_tenant()) as tx:
        assert await tx.get(Pet, strange) is None
        assert await tx.get(Pet, strange, lock=True) is None
        await tx.delete(Pet, strange)
        assert await tx.find(Query(Pet, (Equal("id", strange),))) == []
    assert await storage.locate(ApiKey, "key_hash", strange) is None


async def test_a_deleted_record_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    tenant = a_tenant()
    pet = a_pet(tenant)
    await put(storage, pet)
    async with storage.write(tenant) as tx:
        await tx.delete(Pet, pet.id)
        await tx.delete(Pet, pet.id)
    async with storage.read(tenant) as tx:
        assert await tx.get(Pet, pet.id) is None


async def test_delete_all_removes_what_the_conditions_select_and_counts_it(storage: Storage) -> None:
    tenant = a_tenant()
    await put(storage, *(a_pet(tenant, number) for number in range(1, 6)))
    async with storage.write(tenant) as tx:
        assert await tx.delete_all(Pet, (Between("number", 2, 3),)) == 2
        assert await tx.count(Query(Pet)) == 3
        assert await tx.delete_all(Pet) == 3
        assert await tx.delete_all(Pet) == 0
        assert await tx.delete_all(Image) == 0


async def test_a_transaction_that_raises_leaves_nothing_behind(storage: Storage) -> None:
    tenant = a_tenant()
    kept = a_pet(tenant, 1)
    await put(storage, kept)

    async def change_mind() -> None:
        async with storage.write(tenant) as tx:
            await tx.insert(a_pet(tenant, 2))
            await tx.update(kept.model_copy(update={"name": "Rex"}))
            assert await tx.next_number("pets") == 1
            await tx.append([an_event(tenant).at(1, await tx.hold_log() + 1)])
            raise ChangedMindError

    with pytest.raises(ChangedMindError):
        await change_mind()
    async with storage.write(tenant) as tx:
        assert await tx.find(Query(Pet)) == [kept]
        assert await tx.next_number("pets") == 1
    page = await storage.read_log(tenant, 0, 10)
    assert (page.events, page.head) == ([], 0)


async def test_a_change_and_its_events_are_seen_together(nodes: tuple[Storage, Storage]) -> None:
    storage, other = nodes
    tenant = a_tenant()
    pet = a_pet(tenant)
    async with storage.write(tenant) as tx:
        await tx.insert(pet)
        await tx.append([an_event(tenant).at(1, await tx.hold_log() + 1)])
        async with other.read(tenant) as reader:
            assert await reader.get(Pet, pet.id) is None
        assert (await other.read_log(tenant, 0, 10)).head == 0
    async with other.read(tenant) as reader:
        assert await reader.get(Pet, pet.id) == pet
    assert (await other.read_log(tenant, 0, 10)).head == 1


async def test_a_reading_transaction_sees_one_moment(nodes: tuple[Storage, Storage]) -> None:
    storage, other = nodes
    tenant = a_tenant()
    pet = a_pet(tenant)
    await put(storage, pet)
    async with storage.read(tenant) as reader:
        assert await reader.count(Query(Pet)) == 1
        # Neither waits for the other.
        async with other.write(tenant) as tx:
            await tx.insert(a_pet(tenant, 2))
            await tx.update(pet.model_copy(update={"name": "Rex"}))
        assert await reader.count(Query(Pet)) == 1
        assert await reader.get(Pet, pet.id) == pet


async def test_a_reading_transaction_cannot_write(storage: Storage) -> None:
    tenant = a_tenant()
    with pytest.raises(Exception, match=r"(?i)read"):
        async with storage.read(tenant) as tx:
            await tx.insert(a_pet(tenant))
    async with storage.read(tenant) as tx:
        assert await tx.count(Query(Pet)) == 0


async def test_tenants_never_mix(storage: Storage) -> None:
    mine, theirs = a_tenant(), a_tenant()
    pet = a_pet(theirs)
    await put(storage, pet)
    await announce(storage, an_event(theirs))
    async with storage.write(mine) as tx:
        assert await tx.get(Pet, pet.id) is None
        assert await tx.find(Query(Pet)) == []
        assert await tx.count(Query(Pet, (Equal("tenant_id", theirs),))) == 0
        assert await tx.tally(Pet, ("status",)) == {}
        await tx.delete(Pet, pet.id)
        assert await tx.delete_all(Pet) == 0
        assert await tx.next_number("pets") == 1
        assert await tx.hold_log() == 0
        # The same id and number are somebody else's there.
        await tx.insert(pet.model_copy(update={"tenant_id": mine}))
    async with storage.read(theirs) as tx:
        assert await tx.get(Pet, pet.id) == pet
    async with storage.write(theirs) as tx:
        assert await tx.next_number("pets") == 1
    assert (await storage.read_log(mine, 0, 10)).head == 0
    assert await storage.heads([mine, theirs]) == {mine: 0, theirs: 1}


def _pairs() -> list[Any]:
    tenant, other = a_tenant(), a_tenant()
    message = records.a_message(tenant, client_message_id="m1")
    return [
        pytest.param(a_pet(tenant, 1), a_pet(tenant, 1), "number", id="pet number"),
        pytest.param(records.an_order(tenant), records.an_order(tenant), "number", id="order number"),
        pytest.param(records.a_receipt(tenant), records.a_receipt(tenant), "number", id="receipt number"),
        pytest.param(a_pet(tenant, 2, id="same"), a_pet(tenant, 3, id="same"), "id", id="id"),
        pytest.param(
            records.a_login(tenant, "ada"),
            records.a_login(tenant, "ada", email_key="x"),
            "username_key",
            id="name",
        ),
        pytest.param(
            records.a_login(tenant, "bob", email_key="e"),
            records.a_login(tenant, "eve", email_key="e"),
            "email_key",
            id="email",
        ),
        pytest.param(
            message,
            records.a_message(tenant, client_message_id="m1", text="?"),
            "client_message_id",
            id="message",
        ),
        pytest.param(
            records.an_api_key(tenant, "h" + tenant),
            records.an_api_key(other, "h" + tenant),
            "key_hash",
            id="key of all tenants",
        ),
        pytest.param(
            records.a_device(tenant, "d" + tenant),
            records.a_device(other, "d" + tenant),
            "username",
            id="device of all tenants",
        ),
    ]


@pytest.mark.parametrize(("first", "second", "field"), _pairs())
async def test_what_is_unique_is_taken_once(
    storage: Storage, first: Record, second: Record, field: str
) -> None:
    tenant = a_tenant()

    def mine(record: Any) -> Any:
        return record.model_copy(
            update={"tenant_id": tenant if record.tenant_id == first.tenant_id else a_tenant()}
        )

    mine_first, mine_second = mine(first), mine(second)
    await put(storage, mine_first)
    with pytest.raises(Taken) as caught:
        await put(storage, mine_second)
    assert caught.value.field == field
    # An update is not in its own way, but in another one's.
    async with storage.write(tenant) as tx:
        await tx.update(mine_first)
    if field != "id" and mine_second.tenant_id == tenant:
        free = {"number": 99, "username_key": "free", "email_key": "free", "client_message_id": "free"}
        harmless = mine_second.model_copy(
            update={name: value for name, value in free.items() if hasattr(second, name)}
        )
        await put(storage, harmless)
        with pytest.raises(Taken):
            async with storage.write(tenant) as tx:
                await tx.update(mine_second)


async def test_missing_values_are_not_taken(storage: Storage) -> None:
    tenant = a_tenant()
    await put(storage, records.a_message(tenant), records.a_message(tenant))
    await put(
        storage,
        records.a_message(tenant, sender_id=None, client_message_id="m"),
        records.a_message(tenant, sender_id=None, client_message_id="m"),
    )
    await put(
        storage, records.a_login(tenant, "a", email_key=None), records.a_login(tenant, "b", email_key=None)
    )


async def test_a_unique_thing_is_free_again_once_it_is_deleted(storage: Storage) -> None:
    tenant = a_tenant()
    login = records.a_login(tenant, "ada")
    await put(storage, login)
    async with storage.write(tenant) as tx:
        await tx.delete(type(login), login.id)
        await tx.insert(records.a_login(tenant, "ada"))


async def test_numbers_have_no_gaps_and_can_be_raised(storage: Storage) -> None:
    tenant = a_tenant()
    async with storage.write(tenant) as tx:
        assert [await tx.next_number("pets") for _ in range(3)] == [1, 2, 3]
        assert await tx.next_number("orders") == 1
        await tx.raise_number("pets", 10)
        await tx.raise_number("pets", 5)
        await tx.raise_number("receipts", 7)
        assert await tx.next_number("pets") == 11
        assert await tx.next_number("receipts") == 8


async def test_several_numbers_are_added_to_and_read_at_once(storage: Storage) -> None:
    tenant = a_tenant()
    async with storage.write(tenant) as tx:
        assert await tx.add_numbers({"a": 3, "b": 0, "c": -2}) == {"a": 3, "b": 0, "c": -2}
        assert await tx.add_numbers({"a": -1, "d": 1}) == {"a": 2, "d": 1}
        assert await tx.numbers(["a", "c", "x"]) == {"a": 2, "c": -2, "x": 0}
        assert await tx.numbers([]) == {}
    async with storage.read(tenant) as tx:
        assert await tx.numbers(["d"]) == {"d": 1}
    async with storage.read(a_tenant()) as tx:
        assert await tx.numbers(["d"]) == {"d": 0}


async def test_found_records_are_locked(nodes: tuple[Storage, Storage]) -> None:
    tenant = a_tenant()
    pet = records.a_pet(tenant)
    await put(nodes[0], pet)
    order = []

    async def rename() -> None:
        async with nodes[1].write(tenant) as tx:
            found = await tx.get(Pet, pet.id, lock=True)
            assert found is not None
            order.append(found.name)

    async with nodes[0].write(tenant) as tx:
        assert await tx.find(Query(Pet), lock=True) == [pet]
        waiting = asyncio.create_task(rename())
        for _ in range(20):
            await asyncio.sleep(0)
        order.append("first")
        await tx.update(pet.model_copy(update={"name": "changed"}))
    await waiting
    assert order == ["first", "changed"]


async def test_a_credential_is_located_in_whatever_tenant(storage: Storage) -> None:
    key = records.an_api_key(a_tenant(), new_id())
    device = records.a_device(a_tenant(), new_id())
    await put(storage, key)
    await put(storage, device)
    assert await storage.locate(ApiKey, "key_hash", key.key_hash) == key
    assert await storage.locate(Device, "username", device.username) == device
    assert await storage.locate(Device, "username", new_id()) is None


async def test_numbers_are_added_to_exactly_by_many_at_once(nodes: tuple[Storage, Storage]) -> None:
    tenant = a_tenant()

    async def add(node: Storage, amount: int) -> int:
        async with node.write(tenant) as tx:
            return await tx.add_number("bytes", amount)

    sums = await asyncio.gather(*(add(nodes[turn % 2], 5) for turn in range(10)))
    assert sorted(sums) == [5 * turn for turn in range(1, 11)]
    assert await add(nodes[0], -30) == 20
    assert await add(nodes[1], 0) == 20


async def test_sweeping_removes_what_has_expired(storage: Storage) -> None:
    tenant = a_tenant()
    old, young = records.an_answer(tenant, expires_at=NOW), records.an_answer(tenant, expires_at=later(1))
    ended, open_ = records.a_session(tenant, expires_at=NOW), records.a_session(tenant, expires_at=later(1))
    user = records.a_user(tenant)
    await put(storage, old, young, ended, open_, user)
    await storage.sweep(later(0.5))
    async with storage.read(tenant) as tx:
        assert await tx.find(Query(IdempotencyRecord)) == [young]
        assert await tx.find(Query(LoginSession)) == [open_]
        assert await tx.find(Query(User)) == [user]


async def test_sweeping_says_what_it_removed_and_goes_in_batches(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.sql._SWEPT_ROWS", 2)
    tenant = a_tenant()
    await storage.sweep(NOW)
    await put(storage, *(records.a_session(tenant, expires_at=later(1)) for _ in range(5)))
    await put(storage, records.an_answer(tenant, expires_at=later(1)))
    swept = await storage.sweep(later(2))
    # Other tests share the database.
    assert swept["sessions"] >= 5
    assert swept["idempotency"] >= 1
    assert set(swept) == {table.name for table in METADATA.tables.values() if "expires_at" in table.c} - {
        "api_keys", "leases",
    }  # fmt: skip
    async with storage.read(tenant) as tx:
        assert not await tx.count(Query(LoginSession))


async def test_revocations_are_found_by_their_time_until_they_expire(storage: Storage) -> None:
    user, key = f"user:{new_id()}", f"key:{new_id()}"

    async def noted(since: float) -> dict[str, datetime]:
        found = await storage.revocations(later(since))
        return {item.subject: item.revoked_at for item in found if item.subject in (user, key)}

    await storage.revoke([user, key, user], later(0), later(100))
    await storage.revoke([], later(0), later(100))
    assert await noted(0) == {user: later(0), key: later(0)}
    assert await noted(0.001) == {}
    await storage.revoke([user], later(10), later(110))
    # An older note takes nothing back.
    await storage.revoke([user], later(5), later(6))
    assert await noted(1) == {user: later(10)}
    await storage.sweep(later(105))
    assert await noted(0) == {user: later(10)}
    await storage.sweep(later(110))
    assert await noted(0) == {}


async def test_it_answers_a_ping(storage: Storage) -> None:
    await storage.ping()


async def test_the_epoch_is_a_positive_number_of_32_bits_that_stays(nodes: tuple[Storage, Storage]) -> None:
    one, other = nodes
    epoch = await one.epoch()
    assert 0 < epoch < 2**32
    assert await other.epoch() == epoch
