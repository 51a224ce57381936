"""Documents of a door that are made once: the same for everybody, and read by programs."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from starlette.types import Receive, Scope, Send

from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.response import Response


class Download:
    """Serves a document at ``path``, which is made when somebody first asks for it. ``origins``: whose web pages may
    read it."""

    def __init__(
        self, path: str, media_type: bytes, make: Callable[[], bytes], *, origins: Sequence[str] = ()
    ) -> None:
        self.path = path
        self._media_type = media_type
        self._make = make
        self._made: tuple[bytes, bytes] | None = None
        #: Many may ask for it before it is made.
        self._making = asyncio.Lock()
        self._cors = Cors(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the document."""
        await Exchange(scope, receive, send, self._cors).run(self._answer, methods=("GET", "HEAD", "OPTIONS"))

    async def _answer(self, exchange: Exchange) -> Response:
        content, tag = self._made or await self._make_once()
        headers = ((b"etag", tag),)
        if tag in exchange.headers.get(b"if-none-match", b""):
            return Response(304, headers=headers, cache=b"no-cache")
        return Response(200, content, self._media_type, headers, b"no-cache")

    async def _make_once(self) -> tuple[bytes, bytes]:
        async with self._making:
            if self._made is None:
                content = await asyncio.to_thread(self._make)
                self._made = content, b'"%b"' % hashlib.blake2b(content, digest_size=12).hexdigest().encode()
            return self._made
