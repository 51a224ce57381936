"""The bytes of images."""

from dataclasses import dataclass, field
from typing import Protocol

from core.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The bytes of an image and its media type."""

    content: bytes = field(repr=False)
    media_type: str


class ImageStore(Protocol):
    """Keeps images by tenant and name."""

    async def put(self, tenant: TenantId, name: str, content: bytes) -> None:
        """Keep an image, durably."""

    async def get(self, tenant: TenantId, name: str) -> bytes | None:
        """The bytes of an image, or None."""

    async def delete(self, tenant: TenantId, name: str) -> None:
        """Remove an image; a missing one is no error."""

    async def delete_all(self, tenant: TenantId) -> None:
        """Remove every image of a tenant."""
