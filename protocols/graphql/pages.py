"""GraphiQL for browsers, with assets that are installed with the gateway; and the schema as text."""

import asyncio
import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from protocols.graphql.schema import schema_text
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.response import Response

_ASSETS = {
    "graphiql.min.css": b"text/css; charset=utf-8",
    "graphiql.min.js": b"text/javascript; charset=utf-8",
    "graphql-ws.min.js": b"text/javascript; charset=utf-8",
    "react.production.min.js": b"text/javascript; charset=utf-8",
    "react-dom.production.min.js": b"text/javascript; charset=utf-8",
}
_FOLDER = "/v1/graphiql/"
PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Petstore Gateway: GraphQL</title>
<link rel="stylesheet" href="graphiql/graphiql.min.css">
<link rel="stylesheet" href="graphiql/page.css">
</head>
<body>
<div id="graphiql">Loading GraphiQL. It needs JavaScript.</div>
<script src="graphiql/react.production.min.js"></script>
<script src="graphiql/react-dom.production.min.js"></script>
<script src="graphiql/graphql-ws.min.js"></script>
<script src="graphiql/graphiql.min.js"></script>
<script src="graphiql/start.js"></script>
</body>
</html>
"""
_STYLE = b"html, body, #graphiql { height: 100%; margin: 0; }\n"
# Headers that are written in the page go with subscriptions too, as the connection's payload.
_START = b"""const address = location.origin + location.pathname;
const fetcher = (request, options) => {
  const headers = (options && options.headers) || {};
  const wsClient = graphqlWs.createClient({
    url: address.replace(/^http/, "ws"),
    connectionParams: {
      Authorization: headers.Authorization || headers.authorization,
      tenantId: headers["X-Tenant-ID"] || headers["x-tenant-id"],
    },
  });
  return GraphiQL.createFetcher({ url: address, wsClient })(request, options);
};
ReactDOM.render(
  React.createElement(GraphiQL, {
    fetcher,
    shouldPersistHeaders: true,
    defaultQuery: "{\\n  pets(limit: 5) {\\n    id\\n    name\\n    species\\n    price\\n  }\\n}\\n",
  }),
  document.getElementById("graphiql"),
);
"""
#: The editor writes styles into its elements; scripts come from files of ours alone, and nothing from elsewhere.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: tuple[Header, ...] = ((b"content-security-policy", _POLICY),)
PAGE_CACHE = b"no-cache"
_METHODS = ("GET", "HEAD", "OPTIONS")


def wants_page(method: str, headers: Mapping[bytes, bytes], query_string: bytes) -> bool:
    """Whether a browser asks for the page: it names HTML itself, and no query."""
    if method == "POST" or b"text/html" not in headers.get(b"accept", b""):
        return False
    return "query" not in parse_qs(query_string.decode("latin-1"))


class GraphqlPages:
    """Serves GraphiQL's assets and ``/v1/schema.graphql``. ``origins``: whose web pages may read them."""

    def __init__(self, *, origins: Sequence[str] = ()) -> None:
        self._cors = Cors(origins)
        folder = _assets()
        self._content: dict[str, tuple[Callable[[], bytes], bytes]] = {
            "/v1/schema.graphql": (lambda: schema_text().encode(), b"text/plain; charset=utf-8"),
            f"{_FOLDER}start.js": (lambda: _START, b"text/javascript; charset=utf-8"),
            f"{_FOLDER}page.css": (lambda: _STYLE, b"text/css; charset=utf-8"),
            **{
                f"{_FOLDER}{name}": ((folder / name).read_bytes, media_type)
                for name, media_type in _ASSETS.items()
            },
        }
        self._made: dict[str, tuple[bytes, bytes]] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """Where they are."""
        return tuple(self._content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give one file."""
        await Exchange(scope, receive, send, self._cors).run(self._answer, methods=_METHODS)

    async def _answer(self, exchange: Exchange) -> Response:
        make, media_type = self._content[exchange.path]
        made = self._made.get(exchange.path)
        if made is None:
            body = await asyncio.to_thread(make)
            tag = b'"%b"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
            made = self._made[exchange.path] = (body, tag)
        body, tag = made
        headers: tuple[Header, ...] = ((b"etag", tag),)
        if tag in exchange.headers.get(b"if-none-match", b""):
            return Response(304, headers=headers, cache=PAGE_CACHE)
        return Response(200, body, media_type, headers, PAGE_CACHE)


def _assets() -> Path:
    """Where the installed package keeps its files; it is not imported, for its code needs Django."""
    spec = importlib.util.find_spec("graphene_django_graphiql_static")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "static" / "graphene_django_graphiql_static"
