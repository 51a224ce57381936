"""Callers, made in one place for each kind of credential: a login, an access token, an API key, an OAuth client."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from core.kernel.caller import CLIENT_SCOPES, SCOPES_OF, STAFF_SCOPES, VISITOR_SCOPES, Caller, Role, Scope
from core.kernel.ids import TenantId
from core.models.api_keys import ApiKey
from core.models.auth import LoggedIn, LoginSession
from core.models.users import User
from core.ports.security import ExternalToken

#: How long an access token counts, and a login without one.
ACCESS_LIFE = timedelta(hours=1)


def password_login(account_id: str) -> str:
    """The name under which connections that were opened with an account's password are revoked."""
    return f"password:{account_id}"


def grant_subject(grant_id: str) -> str:
    """The name under which all that a user allowed an OAuth client is revoked."""
    return f"grant:{grant_id}"


def client_subject(client_id: str) -> str:
    """The name under which everything of an OAuth client is revoked."""
    return f"client:{client_id}"


def _of_account(
    tenant: TenantId,
    role: Role,
    account_id: str,
    username: str,
    scopes: frozenset[Scope],
    expires_at: datetime,
    session_id: str | None,
    client_id: str | None,
    grant_id: str | None,
    address: str,
) -> Caller:
    is_device = role is Role.DEVICE
    key = f"{'device' if is_device else 'user'}:{account_id}"
    subjects = [key, f"session:{session_id}" if session_id is not None else password_login(account_id)]
    if client_id is not None:
        subjects.append(client_subject(client_id))
    if grant_id is not None:
        subjects.append(grant_subject(grant_id))
    return Caller(
        tenant=tenant,
        role=role,
        key=key,
        scopes=scopes,
        user_id=None if is_device else account_id,
        device_id=account_id if is_device else None,
        session_id=session_id,
        client_id=client_id,
        grant_id=grant_id,
        username=username,
        expires_at=expires_at,
        subjects=tuple(subjects),
        address=address,
    )


def of_login(
    tenant: TenantId, account: LoggedIn, role: Role, expires_at: datetime, *, address: str = ""
) -> Caller:
    """The user or device with that name and password; a device's topics are not yet among it."""
    return _of_account(
        tenant, role, account.id, account.username, SCOPES_OF[role], expires_at, None, None, None, address
    )


def of_session(
    session: LoginSession, account: LoggedIn, role: Role, scopes: frozenset[Scope], expires_at: datetime
) -> Caller:
    """The user or device of a login, or the OAuth client that acts for them, with some of the role's scopes."""
    return _of_account(
        TenantId(session.tenant_id),
        role,
        account.id,
        account.username,
        scopes & SCOPES_OF[role],
        expires_at,
        session.id,
        session.client_id,
        session.grant_id,
        "",
    )


def of_client(
    tenant: TenantId,
    client_id: str,
    name: str,
    scopes: frozenset[Scope],
    expires_at: datetime,
    session_id: str,
    *,
    address: str = "",
) -> Caller:
    """An OAuth client that acts of its own accord: it holds its scopes as an API key does, and is nobody."""
    return Caller(
        tenant=tenant,
        role=Role.STAFF,
        key=client_subject(client_id),
        scopes=scopes & CLIENT_SCOPES,
        session_id=session_id,
        client_id=client_id,
        username=name,
        expires_at=expires_at,
        subjects=(client_subject(client_id), f"session:{session_id}"),
        address=address,
    )


def of_external(user: User, token: ExternalToken, address: str) -> Caller:
    """The user whom another issuer's token names, with those of its scopes that their role has.

    Which of the issuer's applications has the token, the issuer knows: for the store it is one, and not the person.
    """
    role = Role.STAFF if Role.STAFF in user.roles else Role.CUSTOMER
    # Nobody may do less than a visitor.
    scopes = SCOPES_OF[role].intersection(token.scopes) | VISITOR_SCOPES
    return _of_account(
        token.tenant,
        role,
        user.id,
        user.username,
        scopes,
        token.expires_at,
        None,
        token.issuer,
        None,
        address,
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


def access_claims(caller: Caller, token_id: str, issued_at: datetime, issuer: str) -> dict[str, object]:
    """What an access token says (RFC 9068, section 2.2): all that is needed to know the caller again.

    The subject of a client that acts of its own accord is itself. ``gid`` names what the user allowed the client.

    ``issuer`` is where the store is found, who issues the token and takes it. That is for others who check it with the
    store's public keys: the store itself knows its tokens by its signature, and may move.
    """
    assert caller.expires_at is not None
    claims: dict[str, object] = {
        "iss": issuer,
        "aud": issuer,
        "sub": caller.user_id or caller.device_id or caller.client_id,
        "tid": caller.tenant,
        "roles": [caller.role.value],
        "scope": " ".join(sorted(caller.scopes)),
        "iat": int(issued_at.timestamp()),
        "exp": int(caller.expires_at.timestamp()),
        "jti": token_id,
        "sid": caller.session_id,
        "username": caller.username,
    }
    if caller.client_id is not None:
        claims["client_id"] = caller.client_id
    if caller.grant_id is not None:
        claims["gid"] = caller.grant_id
    return claims


def of_claims(claims: Mapping[str, object], address: str) -> tuple[Caller, datetime]:
    """Read ``access_claims``: the caller, and when the token was issued.

    Raises:
        KeyError, ValueError, TypeError, IndexError, OverflowError: they are not of this store's making.
    """
    subject, tenant, session, username, scope = (
        _text(claims[name]) for name in ("sub", "tid", "sid", "username", "scope")
    )
    client_id, grant_id = (_text(claims[name]) if name in claims else None for name in ("client_id", "gid"))
    roles, issued, expires = (claims[name] for name in ("roles", "iat", "exp"))
    if not isinstance(roles, list) or not isinstance(issued, int) or not isinstance(expires, int):
        raise TypeError
    scopes = frozenset(map(Scope, scope.split()))
    expires_at, issued_at = datetime.fromtimestamp(expires, UTC), datetime.fromtimestamp(issued, UTC)
    if client_id is not None and subject == client_id:
        caller = of_client(
            TenantId(tenant), client_id, username, scopes, expires_at, session, address=address
        )
        return caller, issued_at
    caller = _of_account(
        TenantId(tenant),
        Role(roles[0]),
        subject,
        username,
        scopes,
        expires_at,
        session,
        client_id,
        grant_id,
        address,
    )
    return caller, issued_at


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
