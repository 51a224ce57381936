"""Images of pets: decoded, and stored before the pet shows them."""

from functools import partial

from core.kernel.addresses import network_of
from core.kernel.caller import Scope
from core.kernel.errors import (
    Conflict,
    ErrorCode,
    NotFound,
    PayloadTooLarge,
    StoreError,
    UnsupportedMediaType,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.events import PUBLIC
from core.kernel.ids import new_id
from core.kernel.limits import Limits
from core.kernel.model import ById
from core.models import examples
from core.models.images import Image, ImageOfPet, ImageUpload
from core.models.pets import MAX_PHOTOS, PET_UPDATED, Pet, PetEvent
from core.ports.images import ImageTooLarge, StoredImage, UnreadableImage
from core.services.quotas import hold_image, release_images
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


async def keep_image(ctx: Context, params: ById, body: ImageUpload) -> Image:
    """Check an image and store its bytes, before the transaction: a pet must never show a missing image."""
    size, limits = len(body.content), ctx.store.limits
    if size > limits.image_bytes:
        raise PayloadTooLarge(f"An image has at most {limits.image_bytes} bytes.")
    if size == 0:
        raise _refused("must not be empty", ViolationCode.INVALID_LENGTH)
    if media_type_of(body.content) is None:
        raise UnsupportedMediaType("An image is PNG, JPEG, WebP or GIF by its content.")
    if await (await ctx.tx()).get(Pet, params.id) is None:
        raise NotFound(f"There is no pet '{params.id}'.")
    await ctx.close()  # no transaction waits for the decoder
    try:
        media_type = await ctx.store.decoder.media_type(
            body.content, limits.image_megapixels, network_of(ctx.caller.address)
        )
    except UnreadableImage:
        raise _refused("is not a whole image", ViolationCode.INVALID_FORMAT) from None
    except ImageTooLarge:
        raise _refused(
            f"has more than {limits.image_megapixels} megapixels", ViolationCode.OUT_OF_RANGE
        ) from None
    image_id = new_id()
    await ctx.store.images.put(ctx.tenant, image_id, body.content)
    return Image(
        id=image_id,
        tenant_id=ctx.tenant,
        pet_id=params.id,
        url=ctx.address_of(f"pets/{params.id}/images/{image_id}"),
        media_type=media_type,
        size=size,
        additional_metadata=body.additional_metadata,
        created_at=ctx.now,
    )


def _refused(message: str, code: ViolationCode) -> ValidationFailed:
    return ValidationFailed((Violation("file", message, code),))


async def add_image(ctx: Context, params: ById, body: ImageUpload) -> Image:  # noqa: ARG001
    """Show an image that `keep_image` has stored at its pet."""
    image = ctx.prepared
    assert isinstance(image, Image)
    try:
        pet = await ctx.get(Pet, params.id)
        if len(pet.photos) >= MAX_PHOTOS:
            raise Conflict(f"The pet has {MAX_PHOTOS} photos already.")
        await hold_image(ctx, image)
    except StoreError:
        await ctx.store.images.delete(ctx.tenant, image.id)
        raise
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
    raise _no_image(params)


async def _delete_image(ctx: Context, params: ImageOfPet, body: None) -> None:  # noqa: ARG001
    pet = await ctx.get(Pet, params.id)
    tx = await ctx.tx()
    image = await tx.get(Image, params.image_id, lock=True)
    if image is None or image.pet_id != pet.id:
        raise _no_image(params)
    ctx.check_match(image)
    await tx.delete(Image, image.id)
    await release_images(ctx, (image,))
    ctx.after_commit(partial(ctx.store.images.delete, ctx.tenant, image.id))
    photos = tuple(photo for photo in pet.photos if photo != image.url)
    if photos != pet.photos:
        shown = pet.model_copy(update={"photos": photos, "updated_at": ctx.now})
        await tx.update(shown)
        ctx.emit(PET_UPDATED, PetEvent(pet=shown), PUBLIC, pet_id=pet.id)


def _no_image(params: ImageOfPet) -> NotFound:
    return NotFound(f"The pet has no image '{params.image_id}'.")


UPLOAD_IMAGE = Operation(
    name="uploadPetImage",
    tag="Pets",
    summary="Add an image to a pet",
    description=(
        f"PNG, JPEG, WebP or GIF of at most {Limits().image_megapixels} megapixels, known by its content and not by "
        "its name: it is decoded. The image is served at the URL that is added to the pet's `photos`, which a web page "
        "can show as it is. Beyond what a tenant's images may have in bytes, or a pet in photos, it is a conflict."
    ),
    params=ById,
    body=ImageUpload,
    prepare=keep_image,
    handler=add_image,
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

DELETE_IMAGE = Operation(
    name="deletePetImage",
    tag="Pets",
    summary="Remove an image of a pet",
    description="Its bytes are gone, and the pet's `photos` name it no more.",
    params=ImageOfPet,
    handler=_delete_image,
    scope=Scope.WRITE_PETS,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
)

OPERATIONS: tuple[AnyOperation, ...] = (UPLOAD_IMAGE, GET_IMAGE, DELETE_IMAGE)
