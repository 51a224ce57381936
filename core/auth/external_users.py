"""Users who log in with another issuer: each is an account of its own, made when they are first seen.

Nobody is ever taken for a user who registered here because they have the same name or e-mail address. Registering
proves neither, so that one of them would get into the account of the other.
"""

import hashlib
import secrets
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from core.auth.callers import of_external
from core.kernel.caller import Caller, Role
from core.kernel.contacts import Email
from core.kernel.errors import Unauthorized, Unavailable
from core.kernel.ids import SHARED_TENANT, new_id
from core.models.users import ExternalIdentity, Login, LoginKind, PersonName, User, Username, name_key
from core.ports.records import RecordStorage, Taken, Transaction, TransientFailure
from core.ports.security import ExternalToken

T = TypeVar("T")

_USERNAME: TypeAdapter[Username] = TypeAdapter(Username)
_EMAIL: TypeAdapter[Email] = TypeAdapter(Email)
_PERSON: TypeAdapter[PersonName] = TypeAdapter(PersonName)
#: Others may be first with the same identity, name or address.
_ATTEMPTS = 5


def identity_id(issuer: str, subject: str) -> str:
    """The id of an identity: no two issuers and subjects have the same."""
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode("utf-8", "surrogatepass")).hexdigest()


class ExternalUsers:
    """Finds the user of an external token, or makes them."""

    def __init__(self, storage: RecordStorage) -> None:
        self._storage = storage

    async def caller_of(self, token: ExternalToken, address: str, now: datetime) -> Caller:
        """The user, with those of the token's scopes that their role has.

        Raises:
            Unauthorized: their account was removed a moment ago.
            Unavailable: too many write at once.
        """
        return of_external(await self._user_of(token, now), token, address)

    async def _user_of(self, token: ExternalToken, now: datetime) -> User:
        for attempt in range(_ATTEMPTS):
            async with self._storage.read(token.tenant) as tx:
                identity = await tx.get(ExternalIdentity, identity_id(token.issuer, token.subject))
                if identity is not None:
                    user = await tx.get(User, identity.owner_id)
                    if user is None:
                        raise Unauthorized("The account has ended.")
                    return user
            try:
                async with self._storage.write(token.tenant) as tx:
                    return await _enrol(tx, token, now, as_they_say=attempt == 0)
            except (Taken, TransientFailure):
                continue
        raise Unavailable("Too many writers at once.")


async def _enrol(tx: Transaction, token: ExternalToken, now: datetime, *, as_they_say: bool) -> User:
    """Make the user. ``as_they_say``: with the name and address of the token, where they can be had."""
    # They count as one who registered, so that nobody becomes a tenant's owner after them; nor do they.
    await tx.next_number("users")
    said = token.profile if as_they_say else {}
    made_up = f"user-{secrets.token_hex(6)}"
    username = _valid(_USERNAME, said.get("preferred_username")) or made_up
    verified = said.get("email") if said.get("email_verified") is True else None
    # RFC 2606, section 2: nobody has an address there.
    email = _valid(_EMAIL, verified) or f"{made_up}@users.invalid"
    user = User(
        id=new_id(),
        tenant_id=token.tenant,
        username=username,
        email=email,
        first_name=_valid(_PERSON, token.profile.get("given_name")) or username,
        last_name=_valid(_PERSON, token.profile.get("family_name")) or username,
        roles=(Role.CUSTOMER,),
        created_at=now,
        updated_at=now,
    )
    if token.tenant != SHARED_TENANT:
        # See core.services.quotas; whom a trusted issuer vouches for is let in, however many there are.
        await tx.add_number("users kept", 1)
    await tx.insert(
        Login(
            id=user.id,
            tenant_id=token.tenant,
            kind=LoginKind.USER,
            username_key=name_key(username),
            email_key=name_key(email),
            password_hash="",  # No password has it.
        )
    )
    await tx.insert(user)
    await tx.insert(
        ExternalIdentity(
            id=identity_id(token.issuer, token.subject),
            tenant_id=token.tenant,
            owner_id=user.id,
            issuer=token.issuer,
            subject=token.subject,
            created_at=now,
        )
    )
    return user


def _valid(kind: TypeAdapter[T], value: object) -> T | None:
    try:
        return kind.validate_python(value)
    except ValidationError:
        return None
