"""Clients that register themselves (RFC 7591), where the settings let them.

They may ask users, who decide, and never act of their own accord; of scopes they get those that every user has.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.auth.authentication import hash_key
from core.kernel.caller import CUSTOMER_SCOPES, Caller, Scope
from core.kernel.ids import new_id
from core.models.oauth import MAX_REDIRECT_URIS, GrantType, OAuthClient, RedirectUri
from core.services.oauth.clients import add_client, new_secret, violations_of
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.oauth.grant_types import GRANT_TYPES
from core.services.users import count_registrations
from core.store.context import Context
from core.store.store import Store

_URIS: TypeAdapter[list[RedirectUri]] = TypeAdapter(list[RedirectUri])
_MAX_NAME_CHARACTERS = 100
_METHODS = {"none": False, "client_secret_basic": True, "client_secret_post": True}


def _wrong(detail: str) -> OAuthError:
    return OAuthError(OAuthErrorCode.INVALID_CLIENT_METADATA, detail)


async def register(store: Store, caller: Caller, metadata: Mapping[str, Any]) -> dict[str, object]:
    """Register a client; gives the response (RFC 7591, section 3.2.1). Unknown members are ignored.

    Raises:
        OAuthError: the metadata is no good.
        RateLimited: too many registrations from this network.
        Conflict: the tenant has as many clients as it may have.
    """
    await count_registrations(store, caller.address)
    method = metadata.get("token_endpoint_auth_method", "client_secret_basic")
    if not isinstance(method, str) or method not in _METHODS:
        raise _wrong("This token_endpoint_auth_method is not supported.")
    secret = new_secret() if _METHODS[method] else None
    client = OAuthClient(
        id=new_id(),
        tenant_id=caller.tenant,
        name=_name(metadata),
        redirect_uris=_redirect_uris(metadata),
        grant_types=_grant_types(metadata),
        scopes=_scopes(metadata),
        secret_hash=None if secret is None else hash_key(secret),
        dynamic=True,
        created_at=store.clock(),
    )
    found = violations_of(
        frozenset(client.grant_types),
        client.redirect_uris,
        frozenset(client.scopes),
        secret=secret is not None,
    )
    if found:
        raise _wrong(f"{found[0].field} {found[0].message}.")

    async def work(ctx: Context) -> None:
        await add_client(ctx, client)

    await store.write(caller, work)
    response: dict[str, object] = {
        "client_id": client.id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": [name for name, row in GRANT_TYPES.items() if row.grant_type in client.grant_types],
        "response_types": ["code"] if GrantType.AUTHORIZATION_CODE in client.grant_types else [],
        "token_endpoint_auth_method": method,
        "scope": " ".join(client.scopes),
    }
    if secret is not None:
        response |= {"client_secret": secret, "client_secret_expires_at": 0}
    return response


def _name(metadata: Mapping[str, Any]) -> str:
    name = metadata.get("client_name", "An application without a name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise _wrong("client_name must be a text on one line.")
    return name.strip()[:_MAX_NAME_CHARACTERS]


def _redirect_uris(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    given = metadata.get("redirect_uris", [])
    try:
        uris = _URIS.validate_python(given, strict=True)
    except ValidationError:
        uris = None
    if uris is None or len(uris) > MAX_REDIRECT_URIS:
        raise OAuthError(
            OAuthErrorCode.INVALID_REDIRECT_URI,
            f"redirect_uris are at most {MAX_REDIRECT_URIS} URIs: https, loopback, or of a scheme with a dot.",
        )
    return tuple(dict.fromkeys(uris))


def _grant_types(metadata: Mapping[str, Any]) -> tuple[GrantType, ...]:
    wanted = metadata.get("grant_types", ["authorization_code"])
    rows = (
        [GRANT_TYPES.get(name) for name in wanted]
        if isinstance(wanted, list) and all(isinstance(name, str) for name in wanted)
        else [None]
    )
    types = {None if row is None else row.grant_type for row in rows}
    if not types or None in types or GrantType.CLIENT_CREDENTIALS in types:
        raise _wrong("These grant_types are not to be had by registration.")
    if metadata.get("response_types", ["code"]) not in (["code"], []):
        raise _wrong("response_types must be code.")
    return tuple(sorted(kind for kind in types if kind is not None))


def _scopes(metadata: Mapping[str, Any]) -> tuple[Scope, ...]:
    if "scope" not in metadata:
        return tuple(sorted(CUSTOMER_SCOPES))
    wanted = metadata["scope"]
    names = frozenset(wanted.split()) if isinstance(wanted, str) else frozenset()
    if not names or not names <= CUSTOMER_SCOPES:
        raise _wrong("scope holds some that are not to be had by registration.")
    return tuple(sorted(map(Scope, names)))
