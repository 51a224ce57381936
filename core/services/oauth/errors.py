"""Errors as OAuth 2.0 has them: a code for programs and a description (RFC 6749, sections 4.1.2.1 and 5.2)."""

from enum import StrEnum

from core.kernel.errors import BadRequest


class OAuthErrorCode(StrEnum):
    """The codes of errors."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    ACCESS_DENIED = "access_denied"
    AUTHORIZATION_PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of an error
    INVALID_REDIRECT_URI = "invalid_redirect_uri"
    INVALID_CLIENT_METADATA = "invalid_client_metadata"


class OAuthError(BadRequest):
    """A request of the protocol that is refused. ``detail`` is ASCII without quotes and backslashes."""

    def __init__(self, error: OAuthErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.error = error


class RefusedAuthorization(OAuthError):
    """An authorization request that is refused, which the client is told by way of the browser.

    ``redirect_uri`` is the client's own and verified; ``state`` is what it sent. ``trusted``: the store knows whose
    client it is, so that nobody is sent astray by an address that begins with the store's. ``in_fragment``: the client
    looks for the answer behind the ``#``.
    """

    def __init__(
        self,
        error: OAuthErrorCode,
        detail: str,
        redirect_uri: str,
        state: str | None,
        *,
        trusted: bool,
        in_fragment: bool = False,
    ) -> None:
        super().__init__(error, detail)
        self.in_fragment = in_fragment
        self.redirect_uri = redirect_uri
        self.state = state
        self.trusted = trusted
