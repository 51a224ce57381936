"""What the OpenAPI document says of the door: its path items, and the schemas of what clients get there."""

from typing import Any

from core.services.oauth.grant_types import GRANT_TYPES
from protocols.oauth.metadata import (
    AUTHORIZE,
    DEVICE,
    DEVICE_AUTHORIZATION,
    INTROSPECT,
    REVOKE,
    TOKEN,
    WELL_KNOWN,
)
from protocols.oauth.wire import FORM

_TEXT = {"type": "string"}
_CLIENT = {
    "client_id": {**_TEXT, "description": "Who the client is, where it does not say so by HTTP Basic."},
    "client_secret": {**_TEXT, "format": "password", "description": "The secret of a confidential client."},
}


def _parameter(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": description,
        "schema": _TEXT | schema,
    }


def _json(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _endpoint(
    name: str, summary: str, description: str, form: dict[str, Any], required: list[str], good: dict[str, Any]
) -> dict[str, Any]:
    """A path item of requests that are forms."""
    schema = {"type": "object", "properties": {**form, **_CLIENT}, "required": required}
    errors = {
        400: "The request is refused.",
        401: "The client is unknown or its secret is wrong.",
        413: "The form is too large.",
        415: "The body is no form.",
        429: "Too many requests, or too many wrong secrets.",
        500: "Something went wrong on our side.",
        503: "Come again later.",
    }
    return {
        "post": {
            "operationId": name,
            "tags": ["OAuth"],
            "summary": summary,
            "description": description,
            "security": [{}],
            "requestBody": {"required": True, "content": {FORM.decode(): {"schema": schema}}},
            "responses": {
                "200": good,
                **{str(status): _json(text, "OAuthError") for status, text in errors.items()},
            },
        }
    }


_TOKEN_FORM = {"token": {**_TEXT, "description": "An access or refresh token."}}
PATHS: dict[str, Any] = {
    AUTHORIZE: {
        "get": {
            "operationId": "authorize",
            "tags": ["OAuth"],
            "summary": "Ask a user, in their browser, to allow an application",
            "description": "The page for login and consent (RFC 6749, section 4.1; PKCE, RFC 7636, is required). It "
            "leads the browser back to `redirect_uri` with `code`, `state` and `iss` (RFC 9207), or with `error`.",
            "security": [{}],
            "parameters": [
                _parameter("response_type", "What the client gets.", required=True, enum=["code", "token"]),
                _parameter("client_id", "The id of the OAuth client.", required=True),
                _parameter(
                    "redirect_uri", "One that is registered; it may be left out where it is the only one."
                ),
                _parameter(
                    "scope", "The scopes asked for, separated by spaces; without it all of the client's."
                ),
                _parameter("state", "Comes back as it is."),
                _parameter(
                    "code_challenge", "The SHA-256 of the verifier, in base64url: for a code it is required."
                ),
                _parameter("code_challenge_method", "How it was made.", enum=["S256"]),
            ],
            "responses": {
                "200": {"description": "The page.", "content": {"text/html": {"schema": _TEXT}}},
                "303": {"description": "Back to the client."},
                "400": {
                    "description": "Nobody can be asked; the browser stays here.",
                    "content": {"text/html": {"schema": _TEXT}},
                },
            },
        }
    },
    TOKEN: _endpoint(
        "getTokens",
        "Get tokens",
        "RFC 6749, section 3.2. A code can be redeemed once, within a minute; a refresh token can be used once.",
        {
            "grant_type": {
                **_TEXT,
                "examples": list(GRANT_TYPES),
            },
            "code": {**_TEXT, "description": "The code to redeem."},
            "redirect_uri": {
                **_TEXT,
                "description": "That of the authorization request, where it named one.",
            },
            "code_verifier": {**_TEXT, "description": "What the code challenge was made of."},
            "refresh_token": {**_TEXT, "description": "The refresh token of the last response."},
            "device_code": {**_TEXT, "description": "The code that a device polls with."},
            "scope": {
                **_TEXT,
                "description": "Fewer scopes than the client could have, separated by spaces.",
            },
        },
        ["grant_type"],
        _json("The tokens.", "OAuthTokens"),
    ),
    DEVICE_AUTHORIZATION: _endpoint(
        "authorizeDevice",
        "Get codes for a device without a browser",
        "RFC 8628. The device shows `user_code`, which its user enters at `verification_uri`, and polls for tokens "
        "with `device_code`, no more often than every `interval` seconds. The codes count for ten minutes, and once.",
        {
            "scope": {
                **_TEXT,
                "description": "The scopes asked for, separated by spaces; without it all of the client's.",
            },
        },
        [],
        _json("The codes.", "OAuthDeviceCodes"),
    ),
    DEVICE: {
        "get": {
            "operationId": "allowDevice",
            "tags": ["OAuth"],
            "summary": "Enter the code of a device and allow it, in a browser",
            "description": "The page for code, login and consent (RFC 8628, section 3.3).",
            "security": [{}],
            "parameters": [_parameter("user_code", "The code that the device shows.")],
            "responses": {
                "200": {"description": "The page.", "content": {"text/html": {"schema": _TEXT}}},
                "404": {
                    "description": "No device waits with this code.",
                    "content": {"text/html": {"schema": _TEXT}},
                },
                "429": {
                    "description": "Too many wrong codes.",
                    "content": {"text/html": {"schema": _TEXT}},
                },
            },
        }
    },
    REVOKE: _endpoint(
        "revokeToken",
        "End a token",
        "RFC 7009. All that came of the same code ends, at once and on every node. A token that is no longer good is "
        "no error.",
        _TOKEN_FORM,
        ["token"],
        {"description": "It has ended."},
    ),
    INTROSPECT: _endpoint(
        "introspectToken",
        "Look into a token",
        "RFC 7662. For confidential clients: their own tokens, and all of the tenant for those that may read accounts "
        "of their own accord.",
        _TOKEN_FORM,
        ["token"],
        _json("What it says.", "OAuthIntrospection"),
    ),
    WELL_KNOWN: {
        "get": {
            "operationId": "describeAuthorizationServer",
            "tags": ["OAuth"],
            "summary": "What the authorization server can do",
            "description": "RFC 8414.",
            "security": [{}],
            "responses": {
                "200": {
                    "description": "The metadata.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    },
}

SCHEMAS: dict[str, Any] = {
    "OAuthTokens": {
        "type": "object",
        "description": "Tokens of an OAuth client (RFC 6749, section 5.1).",
        "properties": {
            "access_token": _TEXT,
            "token_type": {"type": "string", "enum": ["Bearer"]},
            "expires_in": {"type": "integer", "description": "Seconds until the access token expires."},
            "scope": {**_TEXT, "description": "The scopes of the access token, separated by spaces."},
            "refresh_token": {**_TEXT, "description": "Gets the next tokens; it can be used once."},
        },
        "required": ["access_token", "token_type", "expires_in", "scope"],
    },
    "OAuthDeviceCodes": {
        "type": "object",
        "description": "What a device without a browser gets (RFC 8628, section 3.2).",
        "properties": {
            "device_code": {**_TEXT, "description": "What the device polls with."},
            "user_code": {**_TEXT, "description": "What its user enters."},
            "verification_uri": {**_TEXT, "format": "uri", "description": "Where they enter it."},
            "verification_uri_complete": {
                **_TEXT,
                "format": "uri",
                "description": "The same with the code, to be shown as a picture or opened.",
            },
            "expires_in": {"type": "integer", "description": "Seconds for which the codes count."},
            "interval": {"type": "integer", "description": "Seconds between two polls."},
        },
        "required": ["device_code", "user_code", "verification_uri", "expires_in", "interval"],
    },
    "OAuthError": {
        "type": "object",
        "description": "Why a request of an OAuth client is refused (RFC 6749, section 5.2).",
        "properties": {"error": _TEXT, "error_description": _TEXT},
        "required": ["error"],
    },
    "OAuthIntrospection": {
        "type": "object",
        "description": "What a token says (RFC 7662, section 2.2).",
        "properties": {"active": {"type": "boolean"}},
        "required": ["active"],
        "additionalProperties": True,
    },
}
