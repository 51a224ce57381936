"""User names and passwords: checked slowly on purpose, and more slowly for whoever guesses."""

import asyncio
import hashlib
import hmac
from weakref import WeakValueDictionary

from core.auth.attempts import Attempts
from core.kernel.addresses import network_of
from core.kernel.caller import Role
from core.kernel.errors import Unauthorized
from core.kernel.ids import TenantId
from core.models.auth import LoggedIn
from core.models.devices import Device
from core.models.users import Login, LoginKind, User, is_strong, name_key
from core.ports.coordination import RateLimiter
from core.ports.records import Equal, Query, RecordStorage, Transaction
from core.ports.security import PasswordHasher

#: Failures with one name from anywhere, after which each attempt with it is slowed. It is never refused for others'
#: failures: whoever guesses must not be able to keep its owner out.
_SLOWING_FAILURES = 20
_SLOWED_SECONDS = 1.0
_WINDOW_SECONDS = 60


class Passwords:
    """Checks passwords. Failures are counted by name and network, on all nodes together."""

    def __init__(
        self, storage: RecordStorage, hasher: PasswordHasher, limiter: RateLimiter, attempts: Attempts
    ) -> None:
        self._storage = storage
        self._hasher = hasher
        self._limiter = limiter
        self._attempts = attempts
        #: Attempts of a network at one name take turns, so that a burst of guesses cannot outrun the count of failures.
        self._turns: WeakValueDictionary[tuple[TenantId, str, str], asyncio.Lock] = WeakValueDictionary()

    async def check(
        self, tenant: TenantId, address: str, username: str, password: str, *, weak: bool = False
    ) -> Login:
        """The login of that name, when the password is its own. ``address`` is where the attempt comes from.

        A password that the store would not take as a new one is refused as a wrong one unless ``weak``: only classic
        clients give their users such, and only they log in with it.

        Raises:
            Unauthorized: wrong name or password; which of them is not told.
            RateLimited: too many failed attempts from this network: with this name, or with any.
        """
        name, network = name_key(username), network_of(address)
        async with self._turns.setdefault((tenant, name, network), asyncio.Lock()):
            return await self._attempt(tenant, network, name, password, weak=weak)

    async def _attempt(
        self, tenant: TenantId, network: str, name: str, password: str, *, weak: bool
    ) -> Login:
        await self._attempts.check(f"{tenant}:{name}", network)
        slowing = (f"login:{tenant}:{name}", _SLOWING_FAILURES)
        if (await self._limiter.hit(*slowing, _WINDOW_SECONDS, cost=0)).remaining <= 0:
            await asyncio.sleep(_SLOWED_SECONDS)
        async with self._storage.read(tenant) as tx:
            found = await tx.find(Query(Login, (Equal("username_key", name),)))
        login = found[0] if found else None
        if login is not None and login.kind is LoginKind.DEVICE:
            good = hmac.compare_digest(hash_device_password(password), login.password_hash)
        else:
            # Who logs in with another issuer has no password, and that is not to be told either.
            hashed = (login.password_hash or None) if login else None
            good = await self._hasher.verify(password, hashed, network) and (weak or is_strong(password))
        if login is None or not good:
            await self._attempts.failed(f"{tenant}:{name}", network)
            await self._limiter.hit(*slowing, _WINDOW_SECONDS)
            raise Unauthorized("The user name or the password is wrong.")
        return login


async def account_of(tx: Transaction, login: Login) -> tuple[LoggedIn, Role]:
    """Whose login it is, and their role.

    Raises:
        Unauthorized: the account was removed meanwhile.
    """
    if login.kind is LoginKind.DEVICE:
        device = await tx.get(Device, login.id)
        if device is None:
            raise Unauthorized("The login has ended.")
        return LoggedIn(id=device.id, username=device.username), Role.DEVICE
    user = await tx.get(User, login.id)
    if user is None:
        raise Unauthorized("The login has ended.")
    role = Role.STAFF if Role.STAFF in user.roles else Role.CUSTOMER
    return LoggedIn(id=user.id, username=user.username, email=user.email), role


def hash_device_password(password: str) -> str:
    """The form in which a device's password is kept. A fast hash will do: the password is random and long."""
    return hashlib.sha256(password.encode()).hexdigest()
