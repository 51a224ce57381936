"""From credentials to a caller: tokens, API keys, user names with passwords, and nobody at all."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.auth import callers
from core.auth.authorization import order_topics
from core.auth.external_users import ExternalUsers
from core.auth.passwords import Passwords, account_of
from core.auth.revocations import Revocations
from core.kernel.caller import Caller, Credentials, Role, visitor
from core.kernel.clock import Clock
from core.kernel.errors import BadRequest, Forbidden, Unauthorized
from core.kernel.ids import SHARED_TENANT, TenantId, parse_tenant
from core.models.api_keys import ApiKey
from core.models.devices import Device
from core.models.users import Login, User
from core.ports.records import RecordStorage
from core.ports.security import TokenSigner, TrustedIssuers

_MAX_CALLERS = 10_000
#: How long a caller is taken from memory; far less than revocations are remembered.
_CACHE_TIME = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Known:
    """A caller, when their credential was made, and until when it need not be looked up again."""

    caller: Caller
    issued_at: datetime
    fresh_until: datetime


class KnownCallers:
    """Recent callers, so that a credential's signature or record is not looked up for each request.

    Expiry and revocation are checked every time. Bounded: the least recently used are forgotten.
    """

    def __init__(self) -> None:
        self._visitors: dict[tuple[TenantId, str], Caller] = {}
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()

    def visitor(self, tenant: TenantId, address: str) -> Caller:
        """The visitor from an address."""
        found = self._visitors.get((tenant, address))
        if found is None:
            if len(self._visitors) >= _MAX_CALLERS:
                self._visitors.clear()
            found = self._visitors[(tenant, address)] = visitor(tenant, address)
        return found

    def get(self, kind: str, credential: str, address: str, now: datetime) -> _Known | None:
        """Who used a credential from an address a moment ago."""
        name = (kind, credential, address)
        known = self._known.get(name)
        if known is None or known.fresh_until <= now:
            return None
        self._known.move_to_end(name)
        return known

    def put(self, kind: str, credential: str, known: _Known) -> None:
        """Remember who uses a credential."""
        name = (kind, credential, known.caller.address)
        self._known[name] = known
        self._known.move_to_end(name)
        if len(self._known) > _MAX_CALLERS:
            self._known.popitem(last=False)


def tenant_of(credentials: Credentials) -> TenantId | None:
    """The tenant that the client names; None when it names none, or something else."""
    return None if credentials.tenant is None else parse_tenant(credentials.tenant)


def device_topics(device: Device) -> frozenset[str]:
    """The topic filters of a device: those it was given, and all about its pets and orders."""
    pets = (f"pets/{pet_id}/#" for pet_id in device.pet_ids)
    return frozenset((*device.topics, *pets, *map(order_topics, device.order_ids)))


def hash_key(key: str) -> str:
    """The form in which an API key is kept. A fast hash will do: a key cannot be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Authenticator:
    """Finds out who calls, and in which tenant: the one that is named, else the credential's, else the shared pool.

    ``on_known`` is called with the tenant of each known caller, but not for each of their requests.
    """

    def __init__(
        self,
        storage: RecordStorage,
        signer: TokenSigner,
        revocations: Revocations,
        passwords: Passwords,
        clock: Clock,
        on_known: Callable[[TenantId], None],
        issuers: TrustedIssuers | None = None,
    ) -> None:
        self._storage = storage
        self._signer = signer
        self._revocations = revocations
        self._passwords = passwords
        self._clock = clock
        self._on_known = on_known
        self._callers = KnownCallers()
        self._issuers = issuers
        self._external = ExternalUsers(storage)

    def visitor(self, tenant: TenantId, address: str) -> Caller:
        """The visitor from a network address."""
        return self._callers.visitor(tenant, address)

    async def authenticate(self, credentials: Credentials) -> Caller:
        """Find out who calls.

        Raises:
            BadRequest: the tenant is not a UUID of version 4 or 7.
            Unauthorized: a bad, expired or revoked token or API key, or a wrong name or password; never taken for a
                visitor's.
            RateLimited: too many failed attempts with a name, or from an address.
            Forbidden: a good credential of another tenant than the named one.
            Unavailable: who issued the token cannot be asked for its keys.
        """
        caller = self.recall(credentials)
        if caller is not None:
            return caller
        found = await self._look_up(credentials)
        self._on_known(found.tenant)
        return found

    async def _look_up(self, credentials: Credentials) -> Caller:
        now = self._clock()
        if credentials.token is not None:
            known = await self._by_token(credentials.token, credentials.address, now)
        elif credentials.api_key is not None:
            known = await self._by_key(credentials.api_key, credentials.address, now)
        else:
            return await self._by_password(credentials, now)
        return self._still_good(known, tenant_of(credentials), now)

    def recall(self, credentials: Credentials) -> Caller | None:
        """Do what ``authenticate`` does for a visitor, or for a caller of a moment ago; None for others.

        Raises:
            BadRequest, Unauthorized, Forbidden: as ``authenticate``.
        """
        named = tenant_of(credentials)
        if named is None and credentials.tenant is not None:
            raise BadRequest("A tenant is named by a UUID of version 4 or 7.")
        if credentials.token is not None:
            kind, credential = "token", credentials.token
        elif credentials.api_key is not None:
            kind, credential = "key", credentials.api_key
        elif credentials.password is not None:
            return None
        else:
            return self.visitor(named or SHARED_TENANT, credentials.address)
        now = self._clock()
        known = self._callers.get(kind, credential, credentials.address, now)
        return None if known is None else self._still_good(known, named, now)

    def _still_good(self, known: _Known, named: TenantId | None, now: datetime) -> Caller:
        caller = known.caller
        if caller.expires_at is not None and caller.expires_at <= now:
            raise Unauthorized("The token or API key has expired.")
        if self._revocations.is_revoked(caller.subjects, known.issued_at):
            raise Unauthorized("The token or API key was revoked.")
        if named is not None and named != caller.tenant:
            raise Forbidden("The token or API key is of another tenant.")
        return caller

    async def _by_token(self, token: str, address: str, now: datetime) -> _Known:
        claims = self._signer.verify(token, now)
        if claims is None:
            return await self._by_external(token, address, now)
        try:
            caller, issued_at = callers.of_claims(claims, address)
        except (KeyError, ValueError, TypeError, IndexError, OverflowError):
            raise Unauthorized("The token is not an access token of this store.") from None
        if caller.role is Role.DEVICE:
            caller = await self._with_topics(caller)
        known = _Known(caller, issued_at, now + _CACHE_TIME)
        self._callers.put("token", token, known)
        return known

    async def _by_external(self, token: str, address: str, now: datetime) -> _Known:
        found = None if self._issuers is None else await self._issuers.verify(token, now)
        if found is None:
            raise Unauthorized("The token is invalid or has expired.")
        caller = await self._external.caller_of(found, address, now)
        known = _Known(caller, found.issued_at, now + _CACHE_TIME)
        self._callers.put("token", token, known)
        return known

    async def _with_topics(self, caller: Caller) -> Caller:
        """The caller with the topic filters that their device was provisioned with."""
        assert caller.device_id is not None
        async with self._storage.read(caller.tenant) as tx:
            device = await tx.get(Device, caller.device_id)
        if device is None:
            raise Unauthorized("The device is no longer known.")
        return replace(caller, topics=device_topics(device))

    async def _by_key(self, key: str, address: str, now: datetime) -> _Known:
        record = await self._storage.locate(ApiKey, "key_hash", hash_key(key))
        if record is None:
            raise Unauthorized("The API key is not known.")
        async with self._storage.read(TenantId(record.tenant_id)) as tx:
            owner = await tx.get(User, record.owner_id)
        if owner is None or Role.STAFF not in owner.roles:
            raise Unauthorized("The API key's owner is no longer of the staff.")
        known = _Known(callers.of_key(record, owner, address), record.created_at, now + _CACHE_TIME)
        self._callers.put("key", key, known)
        return known

    async def _by_password(self, credentials: Credentials, now: datetime) -> Caller:
        """Whoever has that name and password. A device is known by its name alone, in whatever tenant.

        A device's rights last as long as it does, a user's as long as a token would.
        """
        username, password, tenant = credentials.username, credentials.password, tenant_of(credentials)
        assert password is not None
        if username is None:
            raise Unauthorized("A password needs a user name.")
        if tenant is None:
            located = await self._storage.locate(Device, "username", username)
            tenant = SHARED_TENANT if located is None else TenantId(located.tenant_id)
        login = await self._passwords.check(tenant, credentials.address, username, password)
        async with self._storage.read(tenant) as tx:
            # Checking a password takes long: it may have been changed meanwhile, and nobody was there to be told.
            if await tx.get(Login, login.id) != login:
                raise Unauthorized("The user name or the password is wrong.")
            account, role = await account_of(tx, login)
            device = await tx.get(Device, account.id) if role is Role.DEVICE else None
        expires_at = now + callers.ACCESS_LIFE
        caller = callers.of_login(tenant, account, role, expires_at, address=credentials.address)
        if device is None:
            return caller
        return replace(caller, expires_at=None, topics=device_topics(device))
