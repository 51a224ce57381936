"""API keys: made, listed and ended by STAFF."""

import secrets

from core.auth.authentication import hash_key
from core.kernel.caller import Scope
from core.kernel.errors import ErrorCode, Forbidden, NotFound, ValidationFailed, Violation, ViolationCode
from core.kernel.ids import new_id
from core.kernel.model import ById, NoParams, Page, Paged
from core.models import examples
from core.models.api_keys import ApiKey, ApiKeyDraft, ApiKeyInfo, NewApiKey
from core.services.paging import page_of
from core.services.quotas import count_one, uncount
from core.services.users import user_id_of
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


async def _create(ctx: Context, _: NoParams, body: ApiKeyDraft) -> NewApiKey:
    scopes = frozenset(body.scopes)
    if not scopes <= ctx.caller.scopes:
        raise Forbidden("You do not have all of these scopes yourself.")
    if body.expires_at is not None and body.expires_at <= ctx.now:
        raise ValidationFailed(
            (Violation("expiresAt", "must lie in the future", ViolationCode.OUT_OF_RANGE),)
        )
    key = f"psk_{secrets.token_urlsafe(32)}"
    record = ApiKey(
        id=new_id(),
        tenant_id=ctx.tenant,
        name=body.name,
        owner_id=user_id_of(ctx.caller),
        scopes=tuple(sorted(scopes)),
        key_hash=hash_key(key),
        created_at=ctx.now,
        expires_at=body.expires_at,
    )
    await count_one(ctx, ApiKey)
    await (await ctx.tx()).insert(record)
    return NewApiKey(**dict(ApiKeyInfo.of(record)), key=key)


async def _list(ctx: Context, params: Paged, _: None) -> Page[ApiKeyInfo]:
    return (await page_of(ctx, ApiKey, (), params)).of(ApiKeyInfo.of)


async def _delete(ctx: Context, params: ById, _: None) -> None:
    tx = await ctx.tx()
    key = await tx.get(ApiKey, params.id, lock=True)
    if key is None:
        raise NotFound(f"There is no API key '{params.id}'.")
    ctx.check_match(ApiKeyInfo.of(key))
    await tx.delete(ApiKey, key.id)
    await uncount(ctx, ApiKey)
    ctx.revoke(f"key:{key.id}")


_EXAMPLE = {
    "id": "019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20",
    "tenantId": examples.TENANT_ID,
    "name": "Nightly stock report",
    "ownerId": examples.USER_ID,
    "scopes": ["read:orders", "read:pets"],
    "createdAt": "2026-03-02T09:30:00.125Z",
}

CREATE_API_KEY = Operation(
    name="createApiKey",
    tag="API keys",
    summary="Create an API key",
    description="For STAFF who have logged in. The key has the chosen scopes, which must be among their own, and no "
    "others: it changes no password and makes no keys. It is shown in this response only.",
    params=NoParams,
    body=ApiKeyDraft,
    result=NewApiKey,
    handler=_create,
    scope=Scope.WRITE_USER,
    staff=True,
    in_person=True,
    writes=True,
    creates=True,
    errors=frozenset({ErrorCode.CONFLICT}),
    body_example={"name": "Nightly stock report", "scopes": ["read:pets", "read:orders"]},
    result_example={**_EXAMPLE, "key": "psk_…"},
)
LIST_API_KEYS = Operation(
    name="listApiKeys",
    tag="API keys",
    summary="List the API keys",
    description="For STAFF. The keys themselves are not shown.",
    params=Paged,
    result=Page[ApiKeyInfo],
    handler=_list,
    scope=Scope.READ_USER,
    staff=True,
    result_example=examples.page(_EXAMPLE),
)
DELETE_API_KEY = Operation(
    name="deleteApiKey",
    tag="API keys",
    summary="Delete an API key",
    description="For STAFF who have logged in. The key stops working at once, on every node.",
    params=ById,
    handler=_delete,
    scope=Scope.WRITE_USER,
    staff=True,
    in_person=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
)

OPERATIONS: tuple[AnyOperation, ...] = (CREATE_API_KEY, LIST_API_KEYS, DELETE_API_KEY)
