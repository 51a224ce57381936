"""Users: registering, profiles, and their end."""

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import Conflict, ErrorCode, Forbidden, NotFound
from core.kernel.ids import SHARED_TENANT, new_id
from core.kernel.model import ById, NoParams, Page
from core.kernel.validation import MergePatch
from core.models import examples
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.users import (
    Login,
    LoginKind,
    Password,
    Preferences,
    User,
    UserChange,
    UserDraft,
    UserFilter,
    name_key,
)
from core.ports.records import Condition, Equal, OneOf, Query, Taken, Transaction
from core.services.paging import page_of
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

_PASSWORD: TypeAdapter[Password] = TypeAdapter(Password)


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


async def _hash_password(ctx: Context, _: NoParams, body: UserDraft) -> str:
    return await ctx.store.hasher.hash(body.password.get_secret_value())


async def _register(ctx: Context, _: NoParams, body: UserDraft) -> User:
    tx = await ctx.tx()
    # Whoever takes a number waits for others who register in this tenant, so only one can find it empty.
    await tx.next_number("users")
    first = ctx.tenant != SHARED_TENANT and not await tx.count(Query(User))
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


async def _hash_new_password(
    ctx: Context, params: ById, body: UserChange | MergePatch[UserChange]
) -> str | None:
    """Hash a new password outside the transaction; a bad one is left for the check of the whole body."""
    _check_own(ctx.caller, params.id)
    given = body.patch.get("password") if isinstance(body, MergePatch) else body.password
    try:
        password = None if given is None else _PASSWORD.validate_python(given)
    except ValidationError:
        return None
    return None if password is None else await ctx.store.hasher.hash(password.get_secret_value())


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
        update["password_hash"] = str(ctx.prepared)
        await _end_other_sessions(ctx, tx, user.id)
    try:
        await tx.update(login.model_copy(update=update))
        await tx.update(changed)
    except Taken as taken:
        raise _conflict(taken) from None
    return changed


async def _end_other_sessions(ctx: Context, tx: Transaction, user_id: str) -> None:
    """Whoever knew the old password is logged out; the login that changed it goes on."""
    for session in await tx.find(Query(LoginSession, (Equal("owner_id", user_id),))):
        if session.id != ctx.caller.session_id:
            await tx.delete(LoginSession, session.id)
            ctx.revoke(f"session:{session.id}")


async def _delete(ctx: Context, params: ById, _: None) -> None:
    user = await _locked(ctx, params.id)
    tx = await ctx.tx()
    owned = (Equal("owner_id", user.id),)
    for key in await tx.find(Query(ApiKey, owned)):
        ctx.revoke(f"key:{key.id}")
    await tx.delete_all(ApiKey, owned)
    # The login is deleted first: a concurrent login holds its lock, and the session it creates must go too.
    await tx.delete(Login, user.id)
    await tx.delete_all(LoginSession, owned)
    await tx.delete(User, user.id)
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
    description="Creates an account. The first user of a private tenant is its owner and becomes STAFF; all "
    "others are CUSTOMERs. User names and e-mail addresses are unique in a tenant, ignoring case.",
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
    description="Without a password the current one is kept. A new one ends the user's other logins.",
    params=ById,
    body=UserChange,
    result=User,
    handler=_replace,
    prepare=_hash_new_password,
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
    description="A JSON merge patch. A new password ends the user's other logins.",
    params=ById,
    body=UserChange,
    patch=True,
    result=User,
    handler=_patch,
    prepare=_hash_new_password,
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
    description="Ends the user's logins and API keys at once; their orders remain.",
    params=ById,
    handler=_delete,
    scope=Scope.WRITE_USER,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
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
