"""How much a tenant may hold: records of each kind, and the bytes of its images.

What there is of each is a number beside the records, changed in the transaction that adds or removes some: whoever
comes at the same time waits for it, so that the bounds are exact, and nothing is ever counted.
"""

from collections.abc import Iterable

from core.kernel.errors import Conflict
from core.kernel.ids import SHARED_TENANT
from core.models.adoptions import Adoption
from core.models.api_keys import ApiKey
from core.models.chats import Chat
from core.models.devices import Device
from core.models.images import Image
from core.models.orders import Order
from core.models.pets import Pet
from core.models.users import User
from core.models.webhooks import Webhook
from core.store.context import Context

#: What a private tenant may hold only so many of, as people call them.
_COUNTED: dict[type, str] = {
    Pet: "pets",
    Order: "orders",
    User: "users",
    Adoption: "applications",
    Chat: "chats",
    Device: "devices",
    ApiKey: "API keys",
    Webhook: "webhooks",
}
_IMAGE_BYTES = "image bytes"


async def count_one(ctx: Context, kind: type) -> None:
    """One more record of a kind. The shared pool has no bound: strangers could reach it, and keep others out.

    Raises:
        Conflict: a private tenant holds as many as it may.
    """
    if ctx.tenant == SHARED_TENANT:
        return
    most = ctx.store.limits.tenant_records
    held = await (await ctx.tx()).add_number(_series(kind), 1)
    if most and held > most:
        raise Conflict(f"The tenant has {most} {_COUNTED[kind]}, which is as many as it may have.")


async def uncount(ctx: Context, kind: type, removed: int = 1) -> None:
    """So many records of a kind were removed."""
    if removed and ctx.tenant != SHARED_TENANT:
        await (await ctx.tx()).add_number(_series(kind), -removed)


def _series(kind: type) -> str:
    return f"{_COUNTED[kind]} kept"


async def hold_image(ctx: Context, image: Image) -> None:
    """One more image, of the shared pool too: there only STAFF add any.

    Raises:
        Conflict: the tenant's images would have more bytes than they may.
    """
    most = ctx.store.limits.tenant_image_bytes
    held = await (await ctx.tx()).add_number(_IMAGE_BYTES, image.size)
    if most and held > most:
        raise Conflict(
            f"The tenant's images have {held - image.size} bytes, and with this one they would have more than {most}."
        )


async def release_images(ctx: Context, images: Iterable[Image]) -> None:
    """These images were removed."""
    if size := sum(image.size for image in images):
        await (await ctx.tx()).add_number(_IMAGE_BYTES, -size)
