"""Users: registering, profiles, and their end."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from core.auth.callers import password_login
from core.kernel.addresses import network_of
from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    RateLimited,
    Unauthorized,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.ids import SHARED_TENANT, new_id
from core.kernel.model import ById, NoParams, Page
from core.kernel.validation import MergePatch
from core.models import examples
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.oauth import AuthorizationCode, DeviceCode, OAuthGrant
from core.models.users import (
    ExternalIdentity,
    Login,
    LoginKind,
    Password,
    Preferences,
    Secret,
    User,
    UserChange,
    UserDraft,
    UserFilter,
    name_key,
)
from core.ports.records import Condition, Equal, OneOf, Query, Taken, Transaction
from core.services.applications import remove_all
from core.services.paging import page_of
from core.services.quotas import count_one, uncount
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.parts import StoreParts

T = TypeVar("T")

_PASSWORD: TypeAdapter[Password] = TypeAdapter(Password)
_SECRET: TypeAdapter[Secret] = TypeAdapter(Secret)


def user_id_of(caller: Caller) -> str:
    """The user for whom the caller acts.

    Raises:
        Forbidden: the caller is not a user.
    """
    if caller.user_id is None:
        raise Forbidden("This is for users.")
    return caller.user_id


def _check_own(caller: Caller, user_id: str) -> None:
    """Another user looks like a missing one to all but STAFF."""
    if not caller.is_staff and caller.user_id != user_id:
        raise NotFound(f"There is no user '{user_id[:64]}'.")


# --- registering ---


async def count_registrations(store: StoreParts, address: str, registrations: int = 1) -> None:
    """Take registrations, of users or of OAuth clients, from the budget of the network of an address.

    Raises:
        RateLimited: it is spent.
    """
    limits = store.limits
    if limits.requests_per_minute and (most := limits.network_registrations_per_minute):
        allowance = await store.limiter.hit(f"registrations:{network_of(address)}", most, 60, registrations)
        if not allowance.allowed:
            raise RateLimited(allowance.reset, "Too many registrations from this network address.")


async def _hash_password(ctx: Context, _: NoParams, body: UserDraft) -> str:
    await count_registrations(ctx.store, ctx.caller.address)
    return await ctx.store.hasher.hash(body.password.get_secret_value(), network_of(ctx.caller.address))


async def _register(ctx: Context, _: NoParams, body: UserDraft) -> User:
    tx = await ctx.tx()
    # The first who ever registers, and not the first of those who are there: what a tenant holds stays its people's.
    first = await tx.next_number("users") == 1 and ctx.tenant != SHARED_TENANT
    user = User(
        id=new_id(),
        tenant_id=ctx.tenant,
        username=body.username,
        email=body.email,
        first_name=body.first_name,
        last_name=body.last_name,
        phone=body.phone,
        preferences=Preferences.model_validate(body.preferences.model_dump(by_alias=True)),
        roles=(Role.STAFF,) if first else (Role.CUSTOMER,),
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    login = Login(
        id=user.id,
        tenant_id=ctx.tenant,
        kind=LoginKind.USER,
        username_key=name_key(user.username),
        email_key=name_key(user.email),
        password_hash=str(ctx.prepared),
    )
    await count_one(ctx, User)
    try:
        await tx.insert(login)
        await tx.insert(user)
    except Taken as taken:
        raise _conflict(taken) from None
    return user


def _conflict(taken: Taken) -> Conflict:
    what = "e-mail address" if taken.field.startswith("email") else "user name"
    return Conflict(f"This {what} is taken.", taken=True)


# --- reading ---


async def _get(ctx: Context, params: ById, _: None) -> User:
    _check_own(ctx.caller, params.id)
    return await ctx.get(User, params.id)


async def _get_me(ctx: Context, _: NoParams, __: None) -> User:
    return await ctx.get(User, user_id_of(ctx.caller))


async def _list(ctx: Context, params: UserFilter, _: None) -> Page[User]:
    wanted = {"username_key": params.username, "email_key": params.email}
    keys = tuple(Equal(field, name_key(text)) for field, text in wanted.items() if text is not None)
    where: tuple[Condition, ...] = ()
    if keys:
        logins = await (await ctx.tx()).find(Query(Login, keys))
        where = (OneOf("id", tuple(login.id for login in logins)),)
    return await page_of(ctx, User, where, params)


# --- changing ---


class _Prepared(NamedTuple):
    """The hash of a new password, and what is wrong with the current one."""

    password_hash: str | None = None
    violation: Violation | None = None


async def _prepare_change(ctx: Context, params: ById, body: UserChange | MergePatch[UserChange]) -> _Prepared:
    """Check the current password and hash a new one, outside the transaction since both are slow.

    A member that is malformed is left for the check of the whole body.
    """
    _check_own(ctx.caller, params.id)
    given = body.patch if isinstance(body, MergePatch) else dict(body)
    password = _valid(_PASSWORD, given.get("password"))
    if password is not None:
        check_person(ctx.caller)
    if params.id == ctx.caller.user_id and not ctx.caller.is_program:
        user = await (await ctx.tx()).get(User, params.id)
        await ctx.close()
        if user is not None and (password is not None or _other_email(user, given.get("email"))):
            violation = await _check_current_password(ctx, user, given)
            if violation is not None:
                return _Prepared(violation=violation)
    if password is None:
        return _Prepared()
    network = network_of(ctx.caller.address)
    return _Prepared(await ctx.store.hasher.hash(password.get_secret_value(), network))


def _valid(kind: TypeAdapter[T], value: object) -> T | None:
    try:
        return None if value is None else kind.validate_python(value)
    except ValidationError:
        return None


def _other_email(user: User, email: object) -> bool:
    return isinstance(email, str) and name_key(email) != name_key(user.email)


async def _check_current_password(ctx: Context, user: User, given: Mapping[str, Any]) -> Violation | None:
    """Whoever finds somebody's session open must not be able to take the account over.

    Raises:
        RateLimited: the password was wrong too often.
    """
    current = given.get("currentPassword", given.get("current_password"))
    field = "currentPassword"
    if current is None:
        message = "is needed to change your own password or e-mail address"
        return Violation(field, message, ViolationCode.REQUIRED_FIELD)
    if (secret := _valid(_SECRET, current)) is None:
        return None
    try:
        await ctx.store.passwords.check(
            ctx.tenant, ctx.caller.address, user.username, secret.get_secret_value()
        )
    except Unauthorized:
        return Violation(field, "is wrong", ViolationCode.INVALID_FORMAT)
    return None


def check_person(caller: Caller) -> None:
    """Pass when the caller may change what a user logs in with: no program takes an account over, whosever it is.

    Raises:
        Forbidden: an API key or an OAuth client calls.
    """
    if caller.is_program:
        raise Forbidden(
            "Neither an API key nor an OAuth client changes a password, an e-mail address or a user name."
        )


async def _replace(ctx: Context, params: ById, body: UserChange) -> User:
    return await _change(ctx, await _locked(ctx, params.id), body)


async def _patch(ctx: Context, params: ById, body: MergePatch[UserChange]) -> User:
    user = await _locked(ctx, params.id)
    current = UserChange.model_validate(to_jsonable_python(user, by_alias=True))
    return await _change(ctx, user, body.apply(UserChange, current))


async def _locked(ctx: Context, user_id: str) -> User:
    _check_own(ctx.caller, user_id)
    user = await ctx.get(User, user_id)
    ctx.check_match(user)
    return user


async def _change(ctx: Context, user: User, body: UserChange) -> User:
    assert isinstance(ctx.prepared, _Prepared)
    if (body.username, body.email) != (user.username, user.email):
        check_person(ctx.caller)
    if ctx.prepared.violation is not None:
        raise ValidationFailed((ctx.prepared.violation,))
    tx = await ctx.tx()
    changed = user.model_copy(
        update={
            "username": body.username,
            "email": body.email,
            "first_name": body.first_name,
            "last_name": body.last_name,
            "phone": body.phone,
            "preferences": Preferences.model_validate(body.preferences.model_dump(by_alias=True)),
            "updated_at": ctx.now,
        }
    )
    login = await tx.get(Login, user.id, lock=True)
    assert login is not None
    update = {"username_key": name_key(body.username), "email_key": name_key(body.email)}
    if body.password is not None:
        update["password_hash"] = str(ctx.prepared.password_hash)
        await end_other_logins(ctx, tx, user.id)
    try:
        await tx.update(login.model_copy(update=update))
        await tx.update(changed)
    except Taken as taken:
        raise _conflict(taken) from None
    return changed


async def end_other_logins(ctx: Context, tx: Transaction, user_id: str) -> None:
    """Whoever knew the old password is logged out, at every door; the login that changed it goes on.

    The transaction holds the lock of the user's ``Login``, so that nobody allows anything meanwhile.
    """
    ctx.revoke(password_login(user_id))
    grants = await tx.find(Query(OAuthGrant, (Equal("user_id", user_id),)))
    of_grants = OneOf("grant_id", tuple(grant.id for grant in grants))
    # The codes first: whoever redeems one holds its lock, and the session that comes of it must go too.
    await tx.delete_all(AuthorizationCode, (of_grants,))
    await tx.delete_all(DeviceCode, (of_grants,))
    found = await tx.find(Query(LoginSession, (Equal("owner_id", user_id),)))
    others = tuple(session.id for session in found if session.id != ctx.caller.session_id)
    await tx.delete_all(LoginSession, (OneOf("id", others),))
    ctx.revoke(*(f"session:{session_id}" for session_id in others))


async def _delete(ctx: Context, params: ById, _: None) -> None:
    await remove_user(ctx, await _locked(ctx, params.id))


async def remove_user(ctx: Context, user: User) -> None:
    """Remove a locked user, and end their logins and API keys.

    Raises:
        Conflict: they are the last STAFF of the tenant.
    """
    tx = await ctx.tx()
    if Role.STAFF in user.roles:
        # Whoever takes a number waits for others who do, so that no two of the STAFF can leave together.
        await tx.next_number("users")
        if await tx.count(Query(User, (Equal("roles", user.roles),)), 2) == 1:
            raise Conflict("The last STAFF of a tenant stays: nobody else could act for it.")
    owned = (Equal("owner_id", user.id),)
    for key in await tx.find(Query(ApiKey, owned)):
        ctx.revoke(f"key:{key.id}")
    await uncount(ctx, ApiKey, await tx.delete_all(ApiKey, owned))
    # The login is deleted first: a concurrent login holds its lock, and the session it creates must go too.
    await tx.delete(Login, user.id)
    # The codes of what the user allowed are worth nothing without it; whoever redeems one holds its lock.
    await tx.delete_all(OAuthGrant, (Equal("user_id", user.id),))
    await tx.delete_all(LoginSession, owned)
    await tx.delete_all(ExternalIdentity, owned)
    await remove_all(ctx, user.id)
    await tx.delete(User, user.id)
    await uncount(ctx, User)
    ctx.revoke(f"user:{user.id}")


_PROFILE_EXAMPLE = {
    "username": "maria",
    "email": "maria@example.com",
    "firstName": "Maria",
    "lastName": "Lopez",
    "phone": "+4930901820",
    "preferences": {"newsletter": False, "notifications": True},
}
_USER_EXAMPLE = {
    "id": examples.USER_ID,
    "tenantId": examples.TENANT_ID,
    **_PROFILE_EXAMPLE,
    "roles": ["CUSTOMER"],
    "createdAt": "2026-01-31T08:15:00.250Z",
    "updatedAt": "2026-01-31T08:15:00.250Z",
}

REGISTER = Operation(
    name="registerUser",
    tag="Users",
    summary="Register",
    description="Creates an account. The first who ever registers in a private tenant is its owner and becomes STAFF; "
    "all others are CUSTOMERs. User names and e-mail addresses are unique in a tenant, ignoring case.",
    params=NoParams,
    body=UserDraft,
    result=User,
    handler=_register,
    prepare=_hash_password,
    anonymous=True,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.CONFLICT}),
    body_example={**_PROFILE_EXAMPLE, "password": "correct horse battery"},
    result_example=_USER_EXAMPLE,
)
LIST_USERS = Operation(
    name="listUsers",
    tag="Users",
    summary="List users",
    description="For STAFF. In the order in which they registered.",
    params=UserFilter,
    result=Page[User],
    handler=_list,
    scope=Scope.READ_USER,
    staff=True,
    result_example=examples.page(_USER_EXAMPLE),
)
GET_ME = Operation(
    name="getMe",
    tag="Users",
    summary="Get your own account",
    description="The user for whom the token or API key acts.",
    params=NoParams,
    result=User,
    handler=_get_me,
    scope=Scope.READ_USER,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=_USER_EXAMPLE,
)
GET_USER = Operation(
    name="getUser",
    tag="Users",
    summary="Get a user",
    description="Users see their own account, STAFF sees any; to anybody else the user does not exist.",
    params=ById,
    result=User,
    handler=_get,
    scope=Scope.READ_USER,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=_USER_EXAMPLE,
)
REPLACE_USER = Operation(
    name="replaceUser",
    tag="Users",
    summary="Replace a user's profile",
    description="Without a password the current one is kept. A new one ends the user's other logins. To change your "
    "own password or e-mail address, give your `currentPassword`. API keys and OAuth clients change no password, no "
    "e-mail address and no user name of anybody.",
    params=ById,
    body=UserChange,
    result=User,
    handler=_replace,
    prepare=_prepare_change,
    scope=Scope.WRITE_USER,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED}),
    body_example=_PROFILE_EXAMPLE,
    result_example=_USER_EXAMPLE,
)
UPDATE_USER = Operation(
    name="updateUser",
    tag="Users",
    summary="Change a user's profile",
    description="A JSON merge patch. A new password ends the user's other logins. To change your own password or "
    "e-mail address, give your `currentPassword`. API keys and OAuth clients change no password, no e-mail address and "
    "no user name of anybody.",
    params=ById,
    body=UserChange,
    patch=True,
    result=User,
    handler=_patch,
    prepare=_prepare_change,
    scope=Scope.WRITE_USER,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED}),
    body_example={"phone": "+4930901820"},
    result_example=_USER_EXAMPLE,
)
DELETE_USER = Operation(
    name="deleteUser",
    tag="Users",
    summary="Delete a user",
    description="Ends the user's logins and API keys at once. Their applications for pets are withdrawn and removed; "
    "their orders remain. The last STAFF of a tenant stays.",
    params=ById,
    handler=_delete,
    scope=Scope.WRITE_USER,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED}),
)

OPERATIONS: tuple[AnyOperation, ...] = (
    REGISTER,
    LIST_USERS,
    GET_ME,
    GET_USER,
    REPLACE_USER,
    UPDATE_USER,
    DELETE_USER,
)
