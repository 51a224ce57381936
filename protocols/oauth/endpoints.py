"""Requests of clients: for tokens, to end one, to look into one, to register."""

import orjson

from core.kernel.errors import BadRequest
from core.models.oauth import OAuthClient
from core.services.oauth.clients import authenticate
from core.services.oauth.device import begin
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.oauth.grant_types import Form, get_tokens
from core.services.oauth.inspection import introspect, revoke
from core.services.oauth.registration import register
from core.store.store import Store
from protocols.http.content import media_type_of
from protocols.http.credentials import address_of
from protocols.http.exchange import Exchange
from protocols.http.json_text import MAX_PARTS, has_more_parts, read_json
from protocols.http.response import Response
from protocols.oauth.metadata import DEVICE
from protocols.oauth.wire import JSON, MAX_BODY_BYTES, invalid, read_client, read_form, token_members


class Endpoints:
    """Answers clients; each answer is for no cache (RFC 6749, section 5.1)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def _client(self, exchange: Exchange) -> tuple[OAuthClient, Form]:
        caller = await exchange.admit(self._store)
        form = await read_form(exchange)
        shown = read_client(exchange, form)
        client = await authenticate(self._store, address_of(exchange.scope), *shown, caller.tenant)
        assert exchange.credentials is not None
        if exchange.credentials.tenant is not None and caller.tenant != client.tenant_id:
            # As if it did not exist: it does not, in the tenant that is named.
            raise OAuthError(OAuthErrorCode.INVALID_CLIENT, "The client is unknown or its secret is wrong.")
        exchange.state["tenant"] = client.tenant_id
        return client, form

    async def token(self, exchange: Exchange) -> Response:
        """Tokens (RFC 6749, section 3.2)."""
        client, form = await self._client(exchange)
        tokens = await get_tokens(self._store, client, form, address_of(exchange.scope))
        return Response(200, orjson.dumps(token_members(tokens)), JSON, ((b"pragma", b"no-cache"),))

    async def device_authorization(self, exchange: Exchange) -> Response:
        """The codes of a device without a browser (RFC 8628, section 3.2)."""
        client, form = await self._client(exchange)
        codes = await begin(self._store, client, form.get("scope"), address_of(exchange.scope))
        page = self._store.public_url + DEVICE
        answer = {
            "device_code": codes.device_code,
            "user_code": codes.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={codes.user_code}",
            "expires_in": codes.expires_in,
            "interval": codes.interval,
        }
        return Response(200, orjson.dumps(answer), JSON)

    async def revoke(self, exchange: Exchange) -> Response:
        """The end of a token (RFC 7009)."""
        client, form = await self._client(exchange)
        await revoke(self._store, client, _token(form), address_of(exchange.scope))
        return Response(200)

    async def introspect(self, exchange: Exchange) -> Response:
        """What a token says (RFC 7662)."""
        client, form = await self._client(exchange)
        said = await introspect(self._store, client, _token(form), address_of(exchange.scope))
        return Response(200, orjson.dumps(said), JSON)

    async def register(self, exchange: Exchange) -> Response:
        """A client that registers itself (RFC 7591), in the tenant that it names."""
        caller = await exchange.admit(self._store)
        if media_type_of(exchange.headers) != JSON:
            raise invalid("The body must be application/json.")
        body = await exchange.body(MAX_BODY_BYTES)
        try:
            found = None if has_more_parts(body, MAX_PARTS) else read_json(body.decode())
        except (ValueError, BadRequest):
            found = None
        if not isinstance(found, dict):
            raise OAuthError(OAuthErrorCode.INVALID_CLIENT_METADATA, "The body must be a JSON object.")
        return Response(201, orjson.dumps(await register(self._store, caller, found)), JSON)


def _token(form: Form) -> str:
    if "token" not in form:
        raise invalid("token is missing.")
    return form["token"]
