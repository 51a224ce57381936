"""A response over HTTP that ends."""

from typing import NamedTuple

from protocols.http.headers import Header


class Response(NamedTuple):
    """``headers`` are those beside the common ones, Content-Type, Content-Length and Cache-Control (``cache``).

    A tuple, because a frozen dataclass is slow to make.
    """

    status: int
    body: bytes = b""
    media_type: bytes | None = None
    headers: tuple[Header, ...] = ()
    cache: bytes = b"no-store"
