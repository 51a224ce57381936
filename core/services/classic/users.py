"""Users of classic clients, by name. Those that were made here are all that these calls change."""

from pydantic import TypeAdapter, ValidationError

from core.kernel.addresses import network_of
from core.kernel.caller import Role, Scope
from core.kernel.contacts import Email
from core.kernel.errors import BadRequest, Conflict, ErrorCode, Forbidden, NotFound
from core.kernel.ids import new_id
from core.kernel.limits import Limits
from core.kernel.model import NoParams
from core.models.classic import ClassicUser
from core.models.classic_calls import ByName, Credentials, UserByName, UsersByName, UserView
from core.models.users import Login, LoginKind, User, name_key
from core.ports.records import Equal, Query, Taken, TransientFailure
from core.services.quotas import count_one
from core.services.users import check_person, count_registrations, end_other_logins, remove_user
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

#: What is shown in place of a password.
MASK = "XXXXXXXXXXX"
#: In place of a hash: no password has it.
_NO_PASSWORD = "!"  # noqa: S105 - the absence of one
_EMAIL: TypeAdapter[Email] = TypeAdapter(Email)


def view_of(user: User) -> UserView:
    """A user as classic clients see them."""
    classic = user.classic or ClassicUser(user_status=1, phone=user.phone)
    return UserView(
        id=classic.number,
        username=user.username,
        first_name=user.first_name or None,
        last_name=user.last_name or None,
        email=user.email or classic.email,
        password=MASK,
        phone=classic.phone,
        user_status=classic.user_status,
    )


async def find_user(ctx: Context, username: str, *, lock: bool = False) -> User | None:
    """The user of a name, wherever they were made, or None."""
    login = await _login_with(ctx, "username_key", username)
    if login is None or login.kind is not LoginKind.USER:
        return None
    return await (await ctx.tx()).get(User, login.id, lock=lock)


async def _login_with(ctx: Context, field: str, text: str) -> Login | None:
    found = await (await ctx.tx()).find(Query(Login, (Equal(field, name_key(text)),), limit=1))
    return found[0] if found else None


def _is_own(ctx: Context, user: User) -> bool:
    return ctx.caller.is_staff or user.id == ctx.caller.user_id


def _may_change(ctx: Context, user: User) -> bool:
    return user.classic is not None and (ctx.store.classic_open or _is_own(ctx, user))


def most_users(limits: Limits) -> int:
    """How many users one list may hold: more than a network may register in a minute could never be made at once.

    It is the default number where more may register, since to hash a password is slow on purpose.
    """
    most = Limits().network_registrations_per_minute
    return min(limits.network_registrations_per_minute or most, most)


def _new_password(body: UserByName) -> str | None:
    password = None if body.password is None else body.password.get_secret_value()
    return None if password in (None, "", MASK) else password


# --- writing ---


async def _hash_passwords(ctx: Context, *users: UserByName) -> dict[int, str]:
    """The hashes of new passwords by the places of their users; new users are counted as registrations."""
    new = [user for user in users if await find_user(ctx, user.username) is None]
    await ctx.close()
    if new:
        await count_registrations(ctx.store, ctx.caller.address, len(new))
    network = network_of(ctx.caller.address)
    given = {place: _new_password(user) for place, user in enumerate(users)}
    return {
        place: await ctx.store.hasher.hash(password, network)
        for place, password in given.items()
        if password is not None
    }


async def write_user(ctx: Context, body: UserByName, password_hash: str | None) -> User:
    """Write a whole user: the one of that name when there is one, else a new one.

    Raises:
        Conflict: the name belongs to a device, or to a user who was not made here.
        Forbidden: the user is somebody else.
    """
    user = await find_user(ctx, body.username, lock=True)
    if user is None and await _login_with(ctx, "username_key", body.username) is None:
        return await _add(ctx, body, password_hash)
    if user is None or user.classic is None:
        raise Conflict("This user name is taken.", taken=True)
    if not ctx.store.classic_open:
        for scope in UPDATE_USER.scopes:
            ctx.caller.require(scope)
    if not _may_change(ctx, user):
        raise Forbidden("This user is somebody else.")
    return await _replace(ctx, user, body, password_hash)


async def _add(ctx: Context, body: UserByName, password_hash: str | None) -> User:
    tx = await ctx.tx()
    blank = User(
        id=new_id(),
        tenant_id=ctx.tenant,
        username=body.username,
        email="",
        first_name="",
        last_name="",
        # Whoever registers first at another door owns a private tenant: nobody does by this one.
        roles=(Role.CUSTOMER,),
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    email = await _address_of(ctx, body, user_id=None)
    user = _written(blank, body, email)
    login = Login(
        id=user.id,
        tenant_id=ctx.tenant,
        kind=LoginKind.USER,
        username_key=name_key(user.username),
        email_key=None if email is None else name_key(email),
        password_hash=password_hash or _NO_PASSWORD,
    )
    await count_one(ctx, User)
    try:
        await tx.insert(login)
    except Taken:
        raise TransientFailure("the name or the address was taken meanwhile") from None
    await tx.insert(user)
    return user


async def _replace(ctx: Context, user: User, body: UserByName, password_hash: str | None) -> User:
    secure = not ctx.store.classic_open
    own = user.id == ctx.caller.user_id
    other_email = (body.email or None) != view_of(user).email
    if secure and (password_hash is not None or other_email or body.username != user.username):
        check_person(ctx.caller)
    if secure and own and password_hash is not None:
        raise Forbidden("Change your password at another door, where you give the present one.")
    if secure and own and other_email:
        raise Forbidden("Change your e-mail address at another door, where you give your password.")
    tx = await ctx.tx()
    login = await tx.get(Login, user.id, lock=True)
    assert login is not None
    email = await _address_of(ctx, body, user.id)
    update = {
        "username_key": name_key(body.username),
        "email_key": None if email is None else name_key(email),
    }
    if password_hash is not None:
        update["password_hash"] = password_hash
        await end_other_logins(ctx, tx, user.id)
    changed = _written(user, body, email).model_copy(update={"updated_at": ctx.now})
    try:
        await tx.update(login.model_copy(update=update))
    except Taken as taken:
        if taken.field.startswith("email"):
            raise TransientFailure("the address was taken meanwhile") from None
        raise Conflict("This user name is taken.", taken=True) from None
    await tx.update(changed)
    return changed


async def _address_of(ctx: Context, body: UserByName, user_id: str | None) -> str | None:
    """The e-mail address that is given, when it is one and no other account has it."""
    try:
        email = _EMAIL.validate_python(body.email)
    except ValidationError:
        return None
    holder = await _login_with(ctx, "email_key", email)
    return email if holder is None or holder.id == user_id else None


def _written(user: User, body: UserByName, email: str | None) -> User:
    """The user as the body has them, with an address that may be theirs; any other is kept as a text."""
    text = (body.email or None) if email is None else None
    return user.model_copy(
        update={
            "username": body.username,
            "email": email or "",
            "first_name": body.first_name or "",
            "last_name": body.last_name or "",
            "classic": ClassicUser(
                number=body.number, user_status=body.user_status, phone=body.phone, email=text
            ),
        }
    )


async def _prepare_one(ctx: Context, _: NoParams | ByName, body: UserByName) -> dict[int, str]:
    return await _hash_passwords(ctx, body)


async def _prepare_all(ctx: Context, _: NoParams, body: UsersByName) -> dict[int, str]:
    if len(body.users) > (most := most_users(ctx.store.limits)):
        raise BadRequest(f"A list has at most {most} users.")
    return await _hash_passwords(ctx, *body.users)


def _hashes(ctx: Context) -> dict[int, str]:
    assert isinstance(ctx.prepared, dict)
    return ctx.prepared


async def _create_user(ctx: Context, _: NoParams, body: UserByName) -> UserView:
    return view_of(await write_user(ctx, body, _hashes(ctx).get(0)))


async def _create_users(ctx: Context, _: NoParams, body: UsersByName) -> list[UserView]:
    hashes = _hashes(ctx)
    return [view_of(await write_user(ctx, user, hashes.get(place))) for place, user in enumerate(body.users)]


async def _update_user(ctx: Context, params: ByName, body: UserByName) -> UserView:
    user = await find_user(ctx, params.username, lock=True)
    if user is None or not _may_change(ctx, user):
        raise NotFound("User not found")
    return view_of(await _replace(ctx, user, body, _hashes(ctx).get(0)))


async def _delete_user(ctx: Context, params: ByName, _: None) -> None:
    user = await find_user(ctx, params.username, lock=True)
    if user is not None and _may_change(ctx, user):
        await remove_user(ctx, user)


# --- reading ---


async def _get_user(ctx: Context, params: ByName, _: None) -> UserView:
    user = await find_user(ctx, params.username)
    if user is None or not (_may_change(ctx, user) if ctx.store.classic_open else _is_own(ctx, user)):
        raise NotFound("User not found")
    return view_of(user)


# --- logging in ---


async def _log_in(ctx: Context, params: Credentials, _: None) -> None:
    """Check a password, unless the classic operations are for everybody; a classic login gives no token."""
    if ctx.store.classic_open:
        return
    if params.username is None or params.password is None:
        raise BadRequest("A login needs a user name and a password.")
    await ctx.store.passwords.check(
        ctx.tenant, ctx.caller.address, params.username, params.password.get_secret_value(), weak=True
    )


async def _log_out(ctx: Context, _: NoParams, __: None) -> None:
    """Nothing: a classic login has left nothing behind."""


CREATE_USER = Operation(
    name="classicCreateUser",
    tag="Classic",
    summary="Make a user, or replace the one of that name",
    params=NoParams,
    body=UserByName,
    prepare=_prepare_one,
    handler=_create_user,
    result=UserView,
    anonymous=True,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.CONFLICT}),
)
CREATE_USERS = Operation(
    name="classicCreateUsersWithListInput",
    tag="Classic",
    summary="Make several users, or replace those of these names",
    params=NoParams,
    body=UsersByName,
    prepare=_prepare_all,
    handler=_create_users,
    result=list[UserView],
    anonymous=True,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.CONFLICT}),
)
LOG_IN = Operation(
    name="classicLoginUser",
    tag="Classic",
    summary="Check a user name and a password",
    params=Credentials,
    handler=_log_in,
    anonymous=True,
    classic=True,
    errors=frozenset({ErrorCode.UNAUTHORIZED}),
)
LOG_OUT = Operation(
    name="classicLogoutUser",
    tag="Classic",
    summary="End a classic login",
    params=NoParams,
    handler=_log_out,
    anonymous=True,
    classic=True,
)
GET_USER = Operation(
    name="classicGetUserByName",
    tag="Classic",
    summary="Get the user of a name",
    params=ByName,
    handler=_get_user,
    result=UserView,
    scope=Scope.READ_USER,
    classic=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
)
UPDATE_USER = Operation(
    name="classicUpdateUser",
    tag="Classic",
    summary="Replace the user of a name",
    params=ByName,
    body=UserByName,
    prepare=_prepare_one,
    handler=_update_user,
    result=UserView,
    scope=Scope.WRITE_USER,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
)
DELETE_USER = Operation(
    name="classicDeleteUser",
    tag="Classic",
    summary="Remove the user of a name, if there is one",
    params=ByName,
    handler=_delete_user,
    scope=Scope.WRITE_USER,
    classic=True,
    writes=True,
)

OPERATIONS: tuple[AnyOperation, ...] = (
    CREATE_USER,
    CREATE_USERS,
    LOG_IN,
    LOG_OUT,
    GET_USER,
    UPDATE_USER,
    DELETE_USER,
)
