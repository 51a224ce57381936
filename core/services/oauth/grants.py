"""What a user allowed OAuth clients: listed and ended by themselves."""

from collections.abc import Iterable

from core.auth.callers import grant_subject
from core.kernel.caller import Scope
from core.kernel.errors import ErrorCode, NotFound
from core.kernel.model import ById, Page, Paged
from core.models import examples
from core.models.auth import LoginSession
from core.models.oauth import AuthorizationCode, OAuthGrant, OAuthGrantInfo
from core.ports.records import Equal, OneOf, Transaction
from core.services.paging import page_of
from core.services.users import user_id_of
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


async def end_grants(tx: Transaction, grants: Iterable[OAuthGrant]) -> None:
    """Remove what was allowed, with what came of it; access tokens are left to be revoked."""
    ids = tuple(grant.id for grant in grants)
    # The grants first: whoever redeems a code holds its grant's lock, and the session that comes of it must go too.
    await tx.delete_all(OAuthGrant, (OneOf("id", ids),))
    await tx.delete_all(AuthorizationCode, (OneOf("grant_id", ids),))
    await tx.delete_all(LoginSession, (OneOf("grant_id", ids),))


async def _list(ctx: Context, params: Paged, _: None) -> Page[OAuthGrantInfo]:
    own = (Equal("user_id", user_id_of(ctx.caller)),)
    return (await page_of(ctx, OAuthGrant, own, params)).of(OAuthGrantInfo.of)


async def _end(ctx: Context, params: ById, _: None) -> None:
    tx = await ctx.tx()
    grant = await tx.get(OAuthGrant, params.id, lock=True)
    if grant is None or grant.user_id != user_id_of(ctx.caller):
        raise NotFound(f"There is no grant '{params.id}'.")
    ctx.check_match(OAuthGrantInfo.of(grant))
    await end_grants(tx, [grant])
    ctx.revoke(grant_subject(grant.id))


_EXAMPLE = {
    "id": "019e2d18-3c5d-7e6f-9a7b-8c9d0e1f2a3b",
    "tenantId": examples.TENANT_ID,
    "clientId": examples.CLIENT_ID,
    "clientName": "Paws & Claws blog",
    "scopes": ["read:orders", "read:pets"],
    "createdAt": "2026-03-02T09:30:00.125Z",
    "updatedAt": "2026-03-02T09:30:00.125Z",
}

LIST_GRANTS = Operation(
    name="listGrants",
    tag="OAuth",
    summary="List the applications you allowed",
    description="The OAuth clients that may act for the user who has logged in, and what they may do.",
    params=Paged,
    result=Page[OAuthGrantInfo],
    handler=_list,
    scope=Scope.READ_USER,
    in_person=True,
    result_example=examples.page(_EXAMPLE),
)
END_GRANT = Operation(
    name="endGrant",
    tag="OAuth",
    summary="End what you allowed an application",
    description="All tokens that the application has for the user who has logged in end at once, on every node, and so "
    "do its connections.",
    params=ById,
    handler=_end,
    scope=Scope.WRITE_USER,
    in_person=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
)

OPERATIONS: tuple[AnyOperation, ...] = (LIST_GRANTS, END_GRANT)
