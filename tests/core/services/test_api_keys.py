"""API keys: who may make which, and what is shown of them."""

from dataclasses import replace
from datetime import timedelta

from core.kernel.caller import Scope
from core.kernel.clock import rfc3339, utc_now
from core.kernel.errors import Forbidden, NotFound, PreconditionFailed, Unauthorized
from core.kernel.ids import new_id
from core.models.api_keys import ApiKey
from core.ports.records import Query
from core.services.api_keys import CREATE_API_KEY, DELETE_API_KEY, LIST_API_KEYS
from core.services.tenant import RESET_TENANT, SEED_TENANT
from core.services.users import GET_ME, UPDATE_USER
from core.store.store import Store
from tests.core.accounts import by_key, known
from tests.core.stores import Shop

BODY = {"name": "Nightly report", "scopes": ["read:pets", "write:user"]}


async def test_a_key_is_shown_once_and_kept_as_a_hash(shop: Shop) -> None:
    made = await shop.call(CREATE_API_KEY, body=BODY)
    assert made.key.startswith("psk_")
    assert len(made.key) > 40
    assert made.key not in repr(made)
    listed = await shop.call(LIST_API_KEYS)
    assert listed.data[0].model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "id": made.id,
        "tenantId": shop.tenant,
        "name": "Nightly report",
        "ownerId": shop.staff.user_id,
        "scopes": ["read:pets", "write:user"],
        "createdAt": rfc3339(made.created_at),
    }
    async with shop.store.storage.read(shop.tenant) as tx:
        [kept] = await tx.find(Query(ApiKey))
    assert made.key not in str(kept.model_dump())
    assert kept.key_hash not in repr(kept)


async def test_keys_are_listed_by_page(shop: Shop) -> None:
    made = [await shop.call(CREATE_API_KEY, body={**BODY, "name": f"key {number}"}) for number in range(3)]
    page = await shop.call(LIST_API_KEYS, page=2, limit=2)
    assert [key.id for key in page.data] == [made[2].id]
    assert page.pagination.total_pages == 2


async def test_nobody_gives_a_key_more_than_they_have(shop: Shop) -> None:
    limited = replace(
        await known(shop), scopes=frozenset({Scope.READ_PETS, Scope.READ_USER, Scope.WRITE_USER})
    )
    await shop.refusal(Forbidden, CREATE_API_KEY, limited, {"name": "k", "scopes": ["write:pets"]})
    made = await shop.call(CREATE_API_KEY, limited, {"name": "k", "scopes": ["read:pets"]})
    program = await by_key(shop, made.key)
    await shop.refusal(Forbidden, GET_ME, program)


async def test_a_key_is_its_scopes_and_never_its_owner(shop: Shop) -> None:
    owner = await known(shop)
    everything = sorted(scope for scope in Scope if scope is not Scope.ADMIN_TENANT)
    made = await shop.call(CREATE_API_KEY, owner, {"name": "k", "scopes": everything})
    program = await by_key(shop, made.key)
    await shop.refusal(Forbidden, CREATE_API_KEY, program, {"name": "k", "scopes": ["read:pets"]})
    await shop.refusal(Forbidden, DELETE_API_KEY, program, id=made.id)
    assert owner.user_id is not None
    for body in ({"password": "another good one"}, {"password": "another good one", "currentPassword": "x"}):
        await shop.refusal(Forbidden, UPDATE_USER, program, body, id=owner.user_id)
    await shop.refusal(Forbidden, RESET_TENANT, program, confirm=shop.tenant)
    await shop.refusal(Forbidden, SEED_TENANT, program)
    made = await shop.call(CREATE_API_KEY, owner, {"name": "k", "scopes": ["admin:tenant"]})
    await shop.call(RESET_TENANT, await by_key(shop, made.key), confirm=shop.tenant)


async def test_keys_are_for_staff(shop: Shop) -> None:
    for operation, body in ((CREATE_API_KEY, BODY), (LIST_API_KEYS, None), (DELETE_API_KEY, None)):
        await shop.refusal(Forbidden, operation, shop.customer, body, id=new_id())
        await shop.refusal(Unauthorized, operation, shop.visitor, body, id=new_id())


async def test_who_may_not_is_not_told_what_is_wrong_with_his_request(shop: Shop) -> None:
    await shop.refusal(Forbidden, CREATE_API_KEY, shop.customer, {"bogus": 1})
    await shop.refusal(Forbidden, DELETE_API_KEY, shop.customer, id="nonsense")


async def test_a_key_of_another_tenant_does_not_exist(store: Store, shop: Shop) -> None:
    made, other = await shop.call(CREATE_API_KEY, body=BODY), Shop(store)
    await other.refusal(NotFound, DELETE_API_KEY, id=made.id)
    assert (await other.call(LIST_API_KEYS)).data == []
    await shop.call(DELETE_API_KEY, id=made.id)
    await shop.refusal(NotFound, DELETE_API_KEY, id=made.id)


async def test_a_stale_deletion_is_refused(shop: Shop) -> None:
    made = await shop.call(CREATE_API_KEY, body=BODY)
    await shop.refusal(PreconditionFailed, DELETE_API_KEY, id=made.id, if_match="another")
    [shown] = (await shop.call(LIST_API_KEYS)).data
    await shop.call(DELETE_API_KEY, id=made.id, if_match=shown.etag)


async def test_every_violation_of_a_key_is_told(shop: Shop) -> None:
    odd = {"name": " ", "scopes": ["all", "read:pets", 1], "key": "psk_mine"}
    assert await shop.violations(CREATE_API_KEY, body=odd) == {
        "name": "INVALID_LENGTH",
        "scopes[0]": "INVALID_ENUM_VALUE",
        "scopes[2]": "INVALID_TYPE",
        "key": "UNKNOWN_FIELD",
    }
    assert await shop.violations(CREATE_API_KEY, body={"name": "k", "scopes": []}) == {
        "scopes": "INVALID_LENGTH"
    }
    assert await shop.violations(CREATE_API_KEY, body={"name": "k", "scopes": ["all"]}) == {
        "scopes[0]": "INVALID_ENUM_VALUE"
    }
    past = rfc3339(utc_now() - timedelta(seconds=1))
    assert await shop.violations(CREATE_API_KEY, body={**BODY, "expiresAt": past}) == {
        "expiresAt": "OUT_OF_RANGE"
    }
    assert await shop.violations(CREATE_API_KEY, body={**BODY, "expiresAt": "2026-01-31"}) == {
        "expiresAt": "INVALID_FORMAT"
    }
