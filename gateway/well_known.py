"""/.well-known/…: what clients find out by themselves: which keys sign tokens, and who issues them."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from starlette.types import Receive, Scope, Send

from core.kernel.caller import Scope as Permission
from gateway.security.keys import KEY_SET_SECONDS
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.response import Response

_KEYS = "/.well-known/jwks.json"
_RESOURCE = "/.well-known/oauth-protected-resource"
_KEY_SET_TYPE = "application/jwk-set+json"
NO_PARTS: Mapping[str, Iterable[str]] = MappingProxyType({})
_METHODS = ("GET", "HEAD", "OPTIONS")
_CACHE = b"public, max-age=%d" % KEY_SET_SECONDS


def _document(name: str, summary: str, description: str, media_type: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "object"}}}
    return {
        "get": {
            "operationId": name,
            "tags": ["OAuth"],
            "summary": summary,
            "description": description,
            "security": [{}],
            "responses": {"200": {"description": "The document.", "content": content}},
        }
    }


#: What the OpenAPI document says of them.
PATHS: dict[str, Any] = {
    _KEYS: _document(
        "getKeySet",
        "The public keys that check access tokens",
        "RFC 7517. Empty where a secret signs them. It may be kept for five minutes.",
        _KEY_SET_TYPE,
    ),
    _RESOURCE: _document(
        "describeResource",
        "Who issues access tokens for this store",
        "RFC 9728. `WWW-Authenticate` of a 401 leads here by `resource_metadata`.",
        "application/json",
    ),
}


class Keys(Protocol):
    """Who has keys for others to check tokens with."""

    @property
    def key_set(self) -> bytes:
        """The keys as a document (RFC 7517, section 5)."""


class WellKnown:
    """The key set (RFC 7517) and the metadata of the resource (RFC 9728). Nothing in them is for some web pages only.

    ``public_url`` is the resource; ``issuers`` are the others whose tokens count here. ``parts`` are paths under it
    that clients take for resources of their own, each with the scopes that are of use there: they look for metadata
    that name it, and ask their user for all of these.
    """

    def __init__(
        self,
        keys: Keys,
        public_url: str,
        issuers: Sequence[str] = (),
        *,
        parts: Mapping[str, Iterable[str]] = NO_PARTS,
    ) -> None:
        self._keys = keys
        self._cors = Cors(("*",))
        url = urlsplit(public_url)
        #: The metadata by their paths.
        self._metadata: dict[str, bytes] = {}
        for part, scopes in {"": Permission, **parts}.items():
            metadata = orjson.dumps(
                {
                    "resource": public_url + part,
                    "authorization_servers": [public_url, *issuers],
                    "scopes_supported": sorted(scopes),
                    "bearer_methods_supported": ["header"],
                    "resource_name": "Petstore",
                    "resource_documentation": f"{public_url}/v1/swagger-ui.html",
                }
            )
            # Where the resource has a path, the metadata has it behind its own (RFC 9728, section 3.1).
            self._metadata |= dict.fromkeys((_RESOURCE + part, _RESOURCE + url.path + part), metadata)
        #: Where the metadata are; of a part with its path behind.
        self.metadata_url = url._replace(path=_RESOURCE + url.path).geturl()
        self.paths = (_KEYS, *self._metadata)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await Exchange(scope, receive, send, self._cors).run(self._answer, methods=_METHODS)

    async def _answer(self, exchange: Exchange) -> Response:
        if exchange.path == _KEYS:
            return Response(200, self._keys.key_set, _KEY_SET_TYPE.encode(), cache=_CACHE)
        return Response(200, self._metadata[exchange.path], b"application/json", cache=_CACHE)
