"""Callers, made in one place for each kind of credential: an account's login or access token, and an API key."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from core.kernel.caller import SCOPES_OF, STAFF_SCOPES, Caller, Role, Scope
from core.kernel.ids import TenantId
from core.models.api_keys import ApiKey
from core.models.auth import LoggedIn
from core.models.users import User

#: How long an access token counts, and a login without one.
ACCESS_LIFE = timedelta(hours=1)


def password_login(account_id: str) -> str:
    """The name under which connections that were opened with an account's password are revoked."""
    return f"password:{account_id}"


def _of_account(
    tenant: TenantId,
    role: Role,
    account_id: str,
    username: str,
    scopes: frozenset[Scope],
    expires_at: datetime,
    session_id: str | None,
    address: str,
) -> Caller:
    is_device = role is Role.DEVICE
    key = f"{'device' if is_device else 'user'}:{account_id}"
    return Caller(
        tenant=tenant,
        role=role,
        key=key,
        scopes=scopes,
        user_id=None if is_device else account_id,
        device_id=account_id if is_device else None,
        session_id=session_id,
        username=username,
        expires_at=expires_at,
        subjects=(key, f"session:{session_id}" if session_id is not None else password_login(account_id)),
        address=address,
    )


def of_login(
    tenant: TenantId,
    account: LoggedIn,
    role: Role,
    expires_at: datetime,
    *,
    session_id: str | None = None,
    address: str = "",
) -> Caller:
    """The user or device that has logged in; a device's topics are not yet among it."""
    return _of_account(
        tenant, role, account.id, account.username, SCOPES_OF[role], expires_at, session_id, address
    )


def of_key(record: ApiKey, owner: User, address: str) -> Caller:
    """The member of STAFF for whom an API key acts, with the key's scopes."""
    return Caller(
        tenant=TenantId(record.tenant_id),
        role=Role.STAFF,
        key=f"key:{record.id}",
        scopes=STAFF_SCOPES.intersection(record.scopes),
        user_id=owner.id,
        username=owner.username,
        expires_at=record.expires_at,
        subjects=(f"key:{record.id}", f"user:{owner.id}"),
        address=address,
    )


def access_claims(caller: Caller, token_id: str, issued_at: datetime) -> dict[str, object]:
    """What an access token says (RFC 9068, section 2.2): all that is needed to know the caller again."""
    assert caller.expires_at is not None
    return {
        "sub": caller.user_id or caller.device_id,
        "tid": caller.tenant,
        "roles": [caller.role.value],
        "scope": " ".join(sorted(caller.scopes)),
        "iat": int(issued_at.timestamp()),
        "exp": int(caller.expires_at.timestamp()),
        "jti": token_id,
        "sid": caller.session_id,
        "username": caller.username,
    }


def of_claims(claims: Mapping[str, object], address: str) -> tuple[Caller, datetime]:
    """Read ``access_claims``: the caller, and when the token was issued.

    Raises:
        KeyError, ValueError, TypeError, IndexError, OverflowError: they are not of this store's making.
    """
    subject, tenant, session, username, roles, scope, issued, expires = (
        claims[name] for name in ("sub", "tid", "sid", "username", "roles", "scope", "iat", "exp")
    )
    texts = (subject, tenant, session, username, scope)
    if not all(isinstance(text, str) for text in texts) or not isinstance(roles, list):
        raise TypeError
    if not isinstance(issued, int) or not isinstance(expires, int):
        raise TypeError
    caller = _of_account(
        TenantId(str(tenant)),
        Role(roles[0]),
        str(subject),
        str(username),
        frozenset(map(Scope, str(scope).split())),
        datetime.fromtimestamp(expires, UTC),
        str(session),
        address,
    )
    return caller, datetime.fromtimestamp(issued, UTC)
