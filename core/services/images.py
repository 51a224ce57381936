"""Images of pets: recognised by their content, stored before the pet shows them."""

from core.kernel.caller import Scope
from core.kernel.errors import (
    Conflict,
    ErrorCode,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.events import PUBLIC
from core.kernel.ids import new_id
from core.kernel.model import ById
from core.models import examples
from core.models.images import Image, ImageOfPet, ImageUpload
from core.models.pets import MAX_PHOTOS, PET_UPDATED, Pet, PetEvent
from core.ports.images import StoredImage
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

_MAGIC_NUMBERS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def media_type_of(content: bytes) -> str | None:
    """The media type of an image by its first bytes (the "magic numbers" of its format); None for all others."""
    for beginning, media_type in _MAGIC_NUMBERS:
        if content.startswith(beginning):
            return media_type
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


async def _keep(ctx: Context, params: ById, body: ImageUpload) -> Image:
    """Check an image and store its bytes, before the transaction: a pet must never show a missing image."""
    size, most = len(body.content), ctx.store.limits.image_bytes
    if size > most:
        raise PayloadTooLarge(f"An image has at most {most} bytes.")
    if size == 0:
        raise ValidationFailed((Violation("file", "must not be empty", ViolationCode.INVALID_LENGTH),))
    media_type = media_type_of(body.content)
    if media_type is None:
        raise UnsupportedMediaType("An image is PNG, JPEG, WebP or GIF by its content.")
    if await (await ctx.tx()).get(Pet, params.id) is None:
        raise NotFound(f"There is no pet '{params.id}'.")
    image_id = new_id()
    await ctx.store.images.put(ctx.tenant, image_id, body.content)
    return Image(
        id=image_id,
        tenant_id=ctx.tenant,
        pet_id=params.id,
        url=f"/v1/pets/{params.id}/images/{image_id}",
        media_type=media_type,
        size=size,
        additional_metadata=body.additional_metadata,
        created_at=ctx.now,
    )


async def _upload_image(ctx: Context, params: ById, body: ImageUpload) -> Image:  # noqa: ARG001
    image = ctx.prepared
    assert isinstance(image, Image)
    pet = await ctx.get(Pet, params.id)
    if len(pet.photos) >= MAX_PHOTOS:
        raise Conflict(f"The pet has {MAX_PHOTOS} photos already.")
    shown = pet.model_copy(update={"photos": (*pet.photos, image.url), "updated_at": ctx.now})
    tx = await ctx.tx()
    await tx.insert(image)
    await tx.update(shown)
    ctx.emit(PET_UPDATED, PetEvent(pet=shown), PUBLIC, pet_id=pet.id)
    return image


async def _get_image(ctx: Context, params: ImageOfPet, body: None) -> StoredImage:  # noqa: ARG001
    image = await (await ctx.tx()).get(Image, params.image_id)
    if image is not None and image.pet_id == params.id:
        await ctx.close()  # no transaction waits for the bytes
        content = await ctx.store.images.get(ctx.tenant, image.id)
        if content is not None:
            return StoredImage(content, image.media_type)
    raise NotFound(f"The pet has no image '{params.image_id}'.")


UPLOAD_IMAGE = Operation(
    name="uploadPetImage",
    tag="Pets",
    summary="Add an image to a pet",
    description=(
        "PNG, JPEG, WebP or GIF, known by its content and not by its name. The image is served at the URL that is "
        "added to the pet's `photos`."
    ),
    params=ById,
    body=ImageUpload,
    prepare=_keep,
    handler=_upload_image,
    result=Image,
    scope=Scope.WRITE_PETS,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset(
        {
            ErrorCode.NOT_FOUND,
            ErrorCode.CONFLICT,
            ErrorCode.PAYLOAD_TOO_LARGE,
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        }
    ),
    result_example=examples.IMAGE,
)

GET_IMAGE = Operation(
    name="getPetImage",
    tag="Pets",
    summary="Get an image of a pet",
    description="The bytes as they were uploaded.",
    params=ImageOfPet,
    handler=_get_image,
    result=StoredImage,
    scope=Scope.READ_PETS,
    anonymous=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
)

OPERATIONS: tuple[AnyOperation, ...] = (UPLOAD_IMAGE, GET_IMAGE)
