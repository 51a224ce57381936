"""Forms, how a client says who it is, and the tokens that it gets."""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_plus

from core.kernel.errors import UnsupportedMediaType
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.oauth.grant_types import Form, TokenResponse
from protocols.http.content import check_charset, media_type_of
from protocols.http.exchange import Exchange

FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"
#: The longest parameter is a token of 8 KiB.
MAX_BODY_BYTES = 64 * 1024
_MAX_PARAMETERS = 50


class ClientCredentials(NamedTuple):
    """What a client says who it is; ``secret`` is None where it shows none."""

    client_id: str
    secret: str | None


def token_members(tokens: TokenResponse) -> dict[str, object]:
    """Tokens as a client gets them (RFC 6749, section 5.1)."""
    members: dict[str, object] = {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "scope": " ".join(sorted(tokens.scopes)),
    }
    if tokens.refresh_token is not None:
        members["refresh_token"] = tokens.refresh_token
    return members


def invalid(detail: str) -> OAuthError:
    """A request that is malformed."""
    return OAuthError(OAuthErrorCode.INVALID_REQUEST, detail)


def read_pairs(text: bytes) -> list[tuple[str, str]]:
    """The parameters of a query or a form; those without a value count as left out (RFC 6749, section 3.1).

    Raises:
        OAuthError: they are not URL-encoded UTF-8, or too many.
    """
    try:
        return parse_qsl(text.decode("ascii"), errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise invalid("The parameters are not URL-encoded UTF-8, or too many.") from None


async def read_form(exchange: Exchange) -> Form:
    """The parameters of a form.

    Raises:
        OAuthError: they are malformed, or one is given more than once.
        StoreError, HttpError: the body is something else, or too large.
    """
    if media_type_of(exchange.headers) != FORM:
        raise UnsupportedMediaType(f"The body must be {FORM.decode()}.")
    check_charset(exchange.headers)
    pairs = read_pairs(await exchange.body(MAX_BODY_BYTES))
    form = dict(pairs)
    if len(form) != len(pairs):
        raise invalid("A parameter is given more than once.")
    return form


def read_client(exchange: Exchange, form: Form) -> ClientCredentials:
    """Who the client says that it is: by HTTP Basic, or in the form (RFC 6749, section 2.3.1).

    Raises:
        OAuthError: it does not say, or in two ways.
    """
    authorization = exchange.headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        if "client_id" not in form:
            raise OAuthError(OAuthErrorCode.INVALID_CLIENT, "The client does not say who it is.")
        return ClientCredentials(form["client_id"], form.get("client_secret"))
    if "client_secret" in form:
        raise invalid("The client shows its secret in two ways.")
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("ascii")
        client_id, mark, secret = text.partition(":")
        credentials = ClientCredentials(
            unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
        )
    except (binascii.Error, ValueError):
        mark, credentials = "", ClientCredentials("", None)
    if not mark:
        raise OAuthError(OAuthErrorCode.INVALID_CLIENT, "The Authorization header is malformed.")
    if form.get("client_id", credentials.client_id) != credentials.client_id:
        raise invalid("The client names itself in two ways.")
    # An empty password is how a client without a secret may come this way.
    return credentials if credentials.secret else credentials._replace(secret=None)
