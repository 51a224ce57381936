"""Images: their bytes, and what is in them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from core.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The bytes of an image and its media type."""

    content: bytes = field(repr=False)
    media_type: str


class UnreadableImage(Exception):
    """The bytes are no whole image."""


class ImageTooLarge(Exception):
    """The image has more pixels than the store takes, or is made to take very long."""


class ImageDecoder(Protocol):
    """Looks into images, beside the event loop and in bounded time and memory."""

    async def media_type(self, content: bytes, most_megapixels: int, network: str) -> str:
        """Decode an image (an animation: its first picture); gives its media type.

        Raises:
            UnreadableImage: it cannot be decoded.
            ImageTooLarge: it has more pixels, which is found out before it is decoded.
            Unavailable: many others wait to be decoded, of this network or of all. Networks take turns.
        """
        ...


class ImageStore(Protocol):
    """Keeps images by tenant and name."""

    async def put(self, tenant: TenantId, name: str, content: bytes) -> None:
        """Keep an image, durably.

        Raises:
            Unavailable: there is no room.
        """

    async def get(self, tenant: TenantId, name: str) -> bytes | None:
        """The bytes of an image, or None."""

    async def delete(self, tenant: TenantId, name: str) -> None:
        """Remove an image; a missing one is no error."""

    def pages(self) -> AsyncIterator[tuple[TenantId, list[str]]]:
        """The names of all that is kept, a few hundred of one tenant at a time, what is half written among it."""
