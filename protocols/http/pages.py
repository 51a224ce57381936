"""The pages that `web/` builds, the policy under which browsers show them, and the files that they load."""

import asyncio
import secrets
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from starlette.types import Receive, Scope, Send

from core.models.catalogue import EVENTS
from protocols.http.cors import NO_PAGES
from protocols.http.exchange import Exchange
from protocols.http.headers import accepts
from protocols.http.response import Response

#: Laid out as it is addressed: what is at /v1/assets/ is in v1/assets.
_BUILT = Path(__file__).with_name("built")
_FOLDER = "/v1/assets/"
_MEDIA_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".ttf": b"font/ttf",
    ".woff2": b"font/woff2",
}
#: For a year, the longest that caches take: what changes gets another name.
_FOR_EVER = b"public, max-age=31536000, immutable"
#: What stands in pages where each response puts a nonce of its own (web/vite.config.ts).
_NONCE = b"NONCE"
#: Files of ours alone. Style elements that libraries make while they run bear the nonce (web/src/nonce.ts).
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src-elem 'self' 'nonce-%b'; img-src 'self' data:; "
    b"font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NOT_BUILT = b"This gateway was installed without its pages: `make pages` builds them.\n"


class Page:
    """A page: ``file`` is where it was built. ``more``: what it needs of its policy beside what all pages have.

    ``values``: what is put in the place of words of the page, within attributes.
    """

    def __init__(
        self, file: str, *, more: bytes = b"", values: Mapping[bytes, str] = MappingProxyType({})
    ) -> None:
        self._file = _BUILT / file
        self._policy = _POLICY + (b"; " + more if more else b"")
        self._values = tuple((word, escape(value).encode()) for word, value in values.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the page, at a path of its own."""
        await Exchange(scope, receive, send, NO_PAGES).run(self._answer, methods=("GET", "HEAD", "OPTIONS"))

    async def _answer(self, exchange: Exchange) -> Response:  # noqa: ARG002 - for everybody
        return self.response()

    def response(self) -> Response:
        """The page, with a nonce of its own."""
        content = _page(self._file)
        if content is None:
            return Response(503, _NOT_BUILT, b"text/plain; charset=utf-8")
        for word, value in self._values:
            content = content.replace(word, value)
        nonce = secrets.token_urlsafe(16).encode()
        headers = ((b"content-security-policy", self._policy % nonce),)
        return Response(
            200, content.replace(_NONCE, nonce), b"text/html; charset=utf-8", headers, b"no-cache"
        )


def console(*, demo: bool) -> Page:
    """The live console. ``demo``: whether it offers the demo's accounts."""
    values = {
        b"PETSTORE_DEMO": "true" if demo else "false",
        b"PETSTORE_EVENTS": " ".join(EVENTS),
        b"PETSTORE_VERSION": version("petstore-gateway"),
    }
    return Page("index.html", values=values)


class Assets:
    """Serves what pages load. Each file's name tells its content, so that browsers need not ask again."""

    #: The route, for logs and metrics: names change with every build.
    route = f"{_FOLDER}{{name}}"

    def __init__(self) -> None:
        files = (_BUILT / "v1" / "assets").glob("*")
        self._files = {f"{_FOLDER}{file.name}": file for file in files if file.suffix != ".gz"}
        # Kept, so that many slow readers share one copy.
        self._content: dict[Path, bytes] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """Where they are."""
        return tuple(self._files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give one file."""
        scope.setdefault("state", {})["route"] = self.route
        await Exchange(scope, receive, send, NO_PAGES).run(self._answer, methods=("GET", "HEAD", "OPTIONS"))

    async def _answer(self, exchange: Exchange) -> Response:
        file, headers = self._files[exchange.path], [(b"vary", b"Accept-Encoding")]
        media_type, read = _MEDIA_TYPES[file.suffix], file
        if accepts(exchange.headers.get(b"accept-encoding", b""), b"gzip"):
            headers.append((b"content-encoding", b"gzip"))
            read = file.with_name(f"{file.name}.gz")
        tag = f'"{read.name}"'.encode()
        headers.append((b"etag", tag))
        if tag in exchange.headers.get(b"if-none-match", b""):
            return Response(304, headers=tuple(headers), cache=_FOR_EVER)
        content = self._content.get(read)
        if content is None:
            content = self._content[read] = await asyncio.to_thread(read.read_bytes)
        return Response(200, content, media_type, tuple(headers), _FOR_EVER)


@cache
def _page(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
