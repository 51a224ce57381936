"""What the server says of itself (RFC 8414)."""

from core.kernel.caller import Scope
from core.services.oauth.authorization import RESPONSE_TYPES
from core.services.oauth.grant_types import GRANT_TYPES

WELL_KNOWN = "/.well-known/oauth-authorization-server"
AUTHORIZE, TOKEN, REVOKE, INTROSPECT, REGISTER = (
    f"/v1/oauth/{name}" for name in ("authorize", "token", "revoke", "introspect", "register")
)
DEVICE_AUTHORIZATION, DEVICE = (f"/v1/oauth/{name}" for name in ("device_authorization", "device"))
SECRET_METHODS = ("client_secret_basic", "client_secret_post")


def metadata(issuer: str, *, registration: bool) -> dict[str, object]:
    """The document of a gateway found under ``issuer``. ``registration``: clients may register themselves."""
    document: dict[str, object] = {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "device_authorization_endpoint": issuer + DEVICE_AUTHORIZATION,
        "token_endpoint": issuer + TOKEN,
        "revocation_endpoint": issuer + REVOKE,
        "introspection_endpoint": issuer + INTROSPECT,
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": [scope.value for scope in Scope],
        "response_types_supported": list(RESPONSE_TYPES),
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": [*GRANT_TYPES, "implicit"],
        "token_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "revocation_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "introspection_endpoint_auth_methods_supported": list(SECRET_METHODS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "ui_locales_supported": ["en"],
    }
    if registration:
        document["registration_endpoint"] = issuer + REGISTER
    return document
