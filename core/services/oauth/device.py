"""A device without a browser asks for tokens, and its user decides on another one (RFC 8628).

The device shows a short code and polls with a long one. Both are kept as hashes, for ten minutes, and redeemed once.
"""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from core.auth.authentication import hash_key
from core.kernel.addresses import network_of
from core.kernel.caller import SCOPES_OF, Scope, visitor
from core.kernel.errors import RateLimited
from core.kernel.ids import TenantId
from core.models.oauth import DeviceCode, DeviceCodeStatus, GrantType, OAuthClient, OAuthGrant
from core.ports.records import Equal, Query, Taken, TransientFailure
from core.services.oauth.authorization import allow, read_scopes
from core.services.oauth.clients import find_client
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.oauth.pages import Visit, hold_login
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.store import Store

#: How long a user has to decide; and how long it is known after that.
CODE_LIFE = timedelta(minutes=10)
_CODE_MEMORY = timedelta(minutes=10)
#: How long a device waits between two polls; and by how much longer when it did not (section 3.5).
INTERVAL_SECONDS = 5
_MAX_INTERVAL_SECONDS = 600
#: A poll that comes early by so little is in time: networks hurry some on.
_EARLY = timedelta(seconds=1)
#: Consonants, so that no words come of it, and none that are mistaken for digits (section 6.1).
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LETTERS = 8
#: Devices of a client that may wait at once; and requests of a network in a minute.
_MAX_WAITING = 10_000
_MAX_OF_NETWORK = 30


class DeviceAuthorization(NamedTuple):
    """What a device gets (section 3.2): the codes, and the seconds that they count."""

    device_code: str
    user_code: str
    expires_in: int
    interval: int


class DeviceRequest(NamedTuple):
    """What a user is asked: which client, and for what. ``user_code`` is what the device shows."""

    code: DeviceCode
    client: OAuthClient
    user_code: str

    @property
    def tenant(self) -> TenantId:
        """The tenant whose users are asked."""
        return TenantId(self.code.tenant_id)

    def within_reach(self, visit: Visit) -> frozenset[Scope]:
        """Those of the scopes asked for that the user has to give."""
        return SCOPES_OF[visit.role].intersection(self.code.scopes)


# --- the device ---


async def begin(store: Store, client: OAuthClient, scope: str | None, address: str) -> DeviceAuthorization:
    """Answer a device that asks for codes; ``scope`` is what it asks for, all of the client's without it.

    Raises:
        OAuthError: the client may not.
        RateLimited: too many devices ask, from this network or of this client.
    """
    if GrantType.DEVICE_CODE not in client.grant_types:
        raise OAuthError(OAuthErrorCode.UNAUTHORIZED_CLIENT, "The client is not registered for this.")
    scopes = read_scopes(client, scope)
    if not scopes:
        raise OAuthError(OAuthErrorCode.INVALID_SCOPE, "The client may not ask for such a scope.")
    if store.limits.requests_per_minute:
        allowance = await store.limiter.hit(f"devices:{network_of(address)}", _MAX_OF_NETWORK, 60)
        if not allowance.allowed:
            raise RateLimited(allowance.reset, "Too many devices ask from this network address.")
    device_code = secrets.token_urlsafe(32)

    async def work(ctx: Context) -> str:
        tx = await ctx.tx()
        if await tx.count(Query(DeviceCode, (Equal("client_id", client.id),))) >= _MAX_WAITING:
            raise RateLimited(60, "Too many devices of this client wait for their users.")
        user_code = "".join(secrets.choice(LETTERS) for _ in range(_LETTERS))
        try:
            await tx.insert(
                DeviceCode(
                    id=hash_key(device_code),
                    tenant_id=client.tenant_id,
                    user_code_hash=_hash_user_code(store, user_code),
                    client_id=client.id,
                    scopes=tuple(sorted(scopes)),
                    address=address,
                    status=DeviceCodeStatus.WAITING,
                    interval_seconds=INTERVAL_SECONDS,
                    created_at=ctx.now,
                    redeemable_until=ctx.now + CODE_LIFE,
                    expires_at=ctx.now + CODE_LIFE + _CODE_MEMORY,
                )
            )
        except Taken:
            raise TransientFailure("another device has the same code") from None
        return user_code

    user_code = await store.write(visitor(TenantId(client.tenant_id), address), work)
    seconds = CODE_LIFE // timedelta(seconds=1)
    return DeviceAuthorization(device_code, shown(user_code), seconds, INTERVAL_SECONDS)


class Allowed(NamedTuple):
    """What a user has allowed a device."""

    grant: OAuthGrant
    scopes: frozenset[Scope]


async def poll(ctx: Context, client: OAuthClient, device_code: str) -> Allowed | OAuthError:
    """What became of a device's request; what was allowed is given once. Errors that are given back keep what was done.

    Raises:
        OAuthError: the code is not one of this client, or it has expired.
    """
    tx = await ctx.tx()
    code = await tx.get(DeviceCode, hash_key(device_code), lock=True)
    if code is None or code.client_id != client.id:
        raise OAuthError(
            OAuthErrorCode.INVALID_GRANT, "The device_code is not one of this client, or was redeemed."
        )
    if code.redeemable_until <= ctx.now:
        raise OAuthError(OAuthErrorCode.EXPIRED_TOKEN, "The device_code has expired.")
    if code.status is DeviceCodeStatus.WAITING:
        return await _wait(ctx, code)
    await tx.delete(DeviceCode, code.id)
    grant = None if code.grant_id is None else await tx.get(OAuthGrant, code.grant_id, lock=True)
    if grant is None:
        return OAuthError(OAuthErrorCode.ACCESS_DENIED, "The user said no.")
    return Allowed(grant, frozenset(code.scopes))


async def _wait(ctx: Context, code: DeviceCode) -> OAuthError:
    interval = code.interval_seconds
    early = code.polled_at is not None and ctx.now - code.polled_at < timedelta(seconds=interval) - _EARLY
    if early:
        interval = min(interval + INTERVAL_SECONDS, _MAX_INTERVAL_SECONDS)
    await (await ctx.tx()).update(
        code.model_copy(update={"polled_at": ctx.now, "interval_seconds": interval})
    )
    if early:
        return OAuthError(OAuthErrorCode.SLOW_DOWN, f"Wait for {interval} seconds between two polls.")
    return OAuthError(OAuthErrorCode.AUTHORIZATION_PENDING, "The user has not decided yet.")


# --- the user ---


def shown(user_code: str) -> str:
    """A user code as people read it."""
    return f"{user_code[:4]}-{user_code[4:]}"


def read_user_code(text: str) -> str | None:
    """What somebody typed, without regard to case, blanks and hyphens; None when no code is like that."""
    letters = "".join(char for char in text[:64].upper() if char not in " -")
    return letters if len(letters) == _LETTERS and set(letters) <= set(LETTERS) else None


async def find_request(store: StoreParts, user_code: str, browser: str, address: str) -> DeviceRequest | None:
    """The request of the device that shows a code, while its user may decide; None when there is none.

    ``browser`` tells browsers of a network apart: each may guess a few times, and so may the network.

    Raises:
        RateLimited: too many wrong codes.
    """
    name, network = f"device:{hash_key(browser)}", network_of(address)
    await store.attempts.check(name, network)
    letters = read_user_code(user_code)
    if letters is not None:
        code = await store.storage.locate(DeviceCode, "user_code_hash", _hash_user_code(store, letters))
        if code is not None and _may_be_decided(code, store.clock()):
            client = await find_client(store, code.client_id, TenantId(code.tenant_id))
            if client is not None:
                return DeviceRequest(code, client, shown(letters))
    await store.attempts.failed(name, network)
    return None


async def decide(
    store: Store, request: DeviceRequest, visit: Visit | None, address: str, *, allowed: bool
) -> bool:
    """Note what the user decided; False when it was too late, or there is nothing for them to allow.

    Raises:
        Unauthorized: the login of who allows it has ended.
    """
    scopes = frozenset[Scope]() if visit is None else request.within_reach(visit)
    if allowed and not scopes:
        return False

    async def work(ctx: Context) -> bool:
        tx = await ctx.tx()
        if allowed and visit is not None:
            await hold_login(tx, visit)
        code = await tx.get(DeviceCode, request.code.id, lock=True)
        if code is None or not _may_be_decided(code, ctx.now):
            return False
        update: dict[str, object] = {"status": DeviceCodeStatus.DENIED}
        if allowed and visit is not None:
            grant = await allow(tx, request.client, visit.account.id, scopes, ctx)
            update = {
                "status": DeviceCodeStatus.ALLOWED,
                "grant_id": grant.id,
                "scopes": tuple(sorted(scopes)),
            }
        await tx.update(code.model_copy(update=update))
        return True

    return await store.write(visitor(request.tenant, address), work)


def _may_be_decided(code: DeviceCode, now: datetime) -> bool:
    return code.status is DeviceCodeStatus.WAITING and code.redeemable_until > now


def _hash_user_code(store: StoreParts, letters: str) -> str:
    """A keyed hash: whoever reads the table could try all codes against any other."""
    return store.signer.digest(b"user code\0" + letters.encode()).hex()
