"""GraphiQL for browsers, and the schema as text."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from protocols.graphql.schema import schema_text
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.pages import Page
from protocols.http.response import Response

#: Monaco, its editor, places each line of text by a style attribute within markup. Attributes can style their own
#: element and load nothing that the policy does not admit; style elements stay those that bear the nonce.
GRAPHIQL = Page("v1/graphql.html", more=b"style-src-attr 'unsafe-inline'; worker-src 'self'")


def wants_page(method: str, headers: Mapping[bytes, bytes], query_string: bytes) -> bool:
    """Whether a browser asks for the page: it names HTML itself, and no query."""
    if method == "POST" or b"text/html" not in headers.get(b"accept", b""):
        return False
    return "query" not in parse_qs(query_string.decode("latin-1"))


class SchemaText:
    """Serves the schema. ``origins``: whose web pages may read it."""

    path = "/v1/schema.graphql"

    def __init__(self, *, origins: Sequence[str] = ()) -> None:
        self._cors = Cors(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the schema."""
        await Exchange(scope, receive, send, self._cors).run(_schema, methods=("GET", "HEAD", "OPTIONS"))


async def _schema(exchange: Exchange) -> Response:
    body, tag = await asyncio.to_thread(_text_and_tag)
    headers = ((b"etag", tag),)
    if tag in exchange.headers.get(b"if-none-match", b""):
        return Response(304, headers=headers, cache=b"no-cache")
    return Response(200, body, b"text/plain; charset=utf-8", headers, b"no-cache")


@cache
def _text_and_tag() -> tuple[bytes, bytes]:
    text = schema_text().encode()
    return text, b'"%b"' % hashlib.blake2b(text, digest_size=12).hexdigest().encode()
