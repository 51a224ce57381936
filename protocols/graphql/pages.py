"""GraphiQL for browsers."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from protocols.http.pages import Page

#: Monaco, its editor, places each line of text by a style attribute within markup. Attributes can style their own
#: element and load nothing that the policy does not admit; style elements stay those that bear the nonce.
GRAPHIQL = Page("v1/graphql.html", more=b"style-src-attr 'unsafe-inline'; worker-src 'self'")


def wants_page(method: str, headers: Mapping[bytes, bytes], query_string: bytes) -> bool:
    """Whether a browser asks for the page: it names HTML itself, and no query."""
    if method == "POST" or b"text/html" not in headers.get(b"accept", b""):
        return False
    return "query" not in parse_qs(query_string.decode("latin-1"))
