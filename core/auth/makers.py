"""Who made something that outlives their login, and what they may see today."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import combinations

from core.auth.authorization import STAFF_GRANTS, viewer_of
from core.hub import Viewer
from core.kernel.caller import SCOPES_OF, Caller, Role, Scope
from core.kernel.ids import TenantId
from core.models.api_keys import ApiKey
from core.models.oauth import OAuthClient, OAuthGrant
from core.models.users import User
from core.models.webhooks import WebhookMaker
from core.ports.records import Transaction


def maker_of(caller: Caller) -> WebhookMaker:
    """What is kept of a caller."""
    return WebhookMaker(
        key=caller.key,
        user_id=caller.user_id,
        client_id=caller.client_id,
        grant_id=caller.grant_id,
        scopes=tuple(sorted(caller.scopes)),
    )


#: The reach of a member of the staff who sees everything.
_EVERYTHING = "*"


def reach_of(caller: Caller) -> str:
    """What a member of the staff, or a program of theirs, may see of events: a text that can be compared."""
    viewer = viewer_of(caller)
    return _EVERYTHING if viewer.kind == "staff" else " ".join(sorted(viewer.grants))


def reaches_within(caller: Caller) -> tuple[str, ...] | None:
    """Each reach that is the caller's or less than it; None when that is every one."""
    if reach_of(caller) == _EVERYTHING:
        return None
    granting = sorted(caller.scopes & STAFF_GRANTS.keys())
    subsets: Iterable[tuple[Scope, ...]] = (
        chosen for count in range(len(granting) + 1) for chosen in combinations(granting, count)
    )
    # As a program: nobody else with fewer scopes sees more.
    return tuple(reach_of(replace(caller, client_id="any", scopes=frozenset(chosen))) for chosen in subsets)


async def viewer_of_maker(
    tx: Transaction, tenant: TenantId, maker: WebhookMaker, now: datetime
) -> Viewer | None:
    """What a maker of webhooks may see at present; None when they may no longer have any.

    That is when their account, API key, OAuth client or consent is gone, or when they are no longer STAFF.
    """
    scopes = await _present_scopes(tx, maker, now)
    if scopes is None or Scope.WRITE_WEBHOOKS not in scopes:
        return None
    if maker.user_id is not None:
        user = await tx.get(User, maker.user_id)
        if user is None or Role.STAFF not in user.roles:
            return None
    return viewer_of(
        Caller(
            tenant, Role.STAFF, maker.key, scopes,
            user_id=maker.user_id, client_id=maker.client_id, grant_id=maker.grant_id,
        )
    )  # fmt: skip


async def caller_of_maker(
    tx: Transaction, tenant: TenantId, maker: WebhookMaker, now: datetime
) -> Caller | None:
    """A user who made something, or the program that did it for them, with the rights they have at present.

    None when their account, or what the program had of them, is gone.
    """
    scopes = await _present_scopes(tx, maker, now)
    user = None if maker.user_id is None else await tx.get(User, maker.user_id)
    if scopes is None or user is None:
        return None
    role = Role.STAFF if Role.STAFF in user.roles else Role.CUSTOMER
    return Caller(
        tenant, role, maker.key, scopes & SCOPES_OF[role],
        user_id=user.id, client_id=maker.client_id, grant_id=maker.grant_id, username=user.username,
    )  # fmt: skip


async def _present_scopes(tx: Transaction, maker: WebhookMaker, now: datetime) -> frozenset[Scope] | None:
    """The scopes of then that the credential still has; None when it is gone."""
    scopes = frozenset(maker.scopes)
    kind, _, name = maker.key.partition(":")
    if kind == "key":
        key = await tx.get(ApiKey, name)
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            return None
        return scopes & frozenset(key.scopes)
    if maker.grant_id is not None:
        grant = await tx.get(OAuthGrant, maker.grant_id)
        return None if grant is None else scopes & frozenset(grant.scopes)
    if kind == "client":
        client = await tx.get(OAuthClient, name)
        return None if client is None else scopes & frozenset(client.scopes)
    return scopes
