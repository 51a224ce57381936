"""Pets of classic clients: found by number, written whole, and seen with category and tags."""

import re
from collections.abc import Container, Iterable
from decimal import Decimal
from heapq import nlargest

from core.kernel.caller import Scope
from core.kernel.errors import ErrorCode, NotFound, ValidationFailed, Violation, ViolationCode
from core.kernel.ids import new_id
from core.kernel.model import ById, NoParams
from core.models.classic import Label, PetLabels
from core.models.classic_calls import (
    SALE_STATUS,
    ByNumber,
    ByStatus,
    ByTags,
    PetByNumber,
    PetChange,
    PetView,
    PhotoOfNumber,
    SaleStatus,
)
from core.models.images import Image
from core.models.pets import Pet, PetStatus, Species
from core.ports.records import AnyOf, Between, Condition, Contains, Equal, Query
from core.services.images import add_image, keep_image
from core.services.numbers import free_number
from core.services.pets import change_pet, insert_pet, remove_pet
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

#: Pets that one answer holds; of more than that the newest.
MAX_FOUND = 1000
_PAGE = 100
_NO_PRICE = Decimal("0.00")
#: Pets that have tags: an index has these alone.
TAGGED = Between("tag_names", low="")
#: Categories that are species, and their numbers where a pet was given none.
CATEGORIES = {
    Species.DOG: Label(id=1, name="Dogs"),
    Species.CAT: Label(id=2, name="Cats"),
    Species.RABBIT: Label(id=3, name="Rabbits"),
    Species.BIRD: Label(id=5, name="Birds"),
    Species.REPTILE: Label(id=6, name="Reptiles"),
}
_SPECIES = {
    name: species
    for species, label in CATEGORIES.items()
    for name in ((label.name or "").lower(), species.value.lower())
}
_ON_THE_WEB = re.compile(r"https?://[^\s\u0000]+")


def species_of(category: Label | None) -> Species:
    """The species that a category names, ignoring case; any other is OTHER."""
    name = "" if category is None else category.name or ""
    return _SPECIES.get(name.strip().lower(), Species.OTHER)


def view_of(pet: Pet) -> PetView:
    """A pet as classic clients see it; what another door has changed meanwhile counts."""
    labels = pet.labels or PetLabels()
    as_given = pet.labels is not None and species_of(labels.category) is pet.species
    kept = [url for url in labels.photo_urls if url in pet.photos or not _ON_THE_WEB.fullmatch(url)]
    return PetView(
        id=pet.number,
        category=labels.category if as_given else CATEGORIES.get(pet.species),
        name=pet.name,
        photo_urls=(*kept, *(url for url in pet.photos if url not in kept)),
        tags=labels.tags,
        status=SALE_STATUS[pet.status],
    )


async def find_pet(ctx: Context, number: int) -> Pet:
    """The pet with a number.

    Raises:
        NotFound: there is none.
    """
    pet = await ctx.by_number(Pet, number)
    if pet is None:
        raise NotFound("Pet not found")
    return pet


async def write_pet(ctx: Context, body: PetByNumber) -> Pet:
    """Write a whole pet: the one with its number when there is one, else a new one."""
    pet = None if body.number is None else await ctx.by_number(Pet, body.number)
    return await (add_pet(ctx, body) if pet is None else _replace(ctx, pet, body))


async def add_pet(ctx: Context, body: PetByNumber, age_months: int = 0, price: Decimal = _NO_PRICE) -> Pet:
    """Add a pet with its number, or a free one. Classic clients give neither the age nor the price."""
    number = body.number
    if number is None:
        number = await free_number(await ctx.tx(), Pet, "pets")
    blank = Pet(
        id=new_id(),
        tenant_id=ctx.tenant,
        number=number,
        name=body.name,
        species=Species.OTHER,
        age_months=age_months,
        price=price,
        status=_status_of(body.status, PetStatus.AVAILABLE),
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    return await insert_pet(ctx, _written(blank, body))


async def _replace(ctx: Context, pet: Pet, body: PetByNumber) -> Pet:
    return await change_pet(ctx, pet, _written(pet, body), _status_of(body.status, pet.status))


def _written(pet: Pet, body: PetByNumber) -> Pet:
    """The pet with what the body gives. What only other doors know of it stays."""
    category = None if body.category is None else Label(**dict(body.category))
    tags = tuple(Label(**dict(tag)) for tag in body.tags)
    labels = PetLabels(category=category, tags=tags, photo_urls=body.photo_urls)
    photos = dict.fromkeys(url for url in body.photo_urls if _ON_THE_WEB.fullmatch(url))
    names = "".join(f"{tag.name}\n" for tag in tags if tag.name is not None)
    return pet.model_copy(
        update={
            "name": body.name,
            "species": species_of(category),
            "photos": tuple(photos),
            "labels": labels,
            "tag_names": f"\n{names}" if names else None,
        }
    )


def _status_of(given: SaleStatus | None, present: PetStatus) -> PetStatus:
    """The status that is meant: one that is seen as the word that was given stays as it is."""
    if given is None or SALE_STATUS[present] is given:
        return present
    return next(status for status, word in SALE_STATUS.items() if word is given)


async def _add_pet(ctx: Context, _: NoParams, body: PetByNumber) -> Pet:
    return await write_pet(ctx, body)


async def _update_pet(ctx: Context, _: NoParams, body: PetByNumber) -> Pet:
    if body.number is None:
        raise ValidationFailed((Violation("id", "is required", ViolationCode.REQUIRED_FIELD),))
    return await _replace(ctx, await find_pet(ctx, body.number), body)


async def _get_pet(ctx: Context, params: ByNumber, _: None) -> Pet:
    return await find_pet(ctx, params.number)


async def _change_pet(ctx: Context, params: PetChange, _: None) -> Pet:
    pet = await find_pet(ctx, params.number)
    return await change_pet(
        ctx, pet, pet.model_copy(update={"name": params.name}), _status_of(params.status, pet.status)
    )


async def _delete_pet(ctx: Context, params: ByNumber, _: None) -> None:
    pet = await ctx.by_number(Pet, params.number)
    if pet is not None:
        await remove_pet(ctx, pet)


async def _newest(ctx: Context, *where: Condition) -> list[Pet]:
    """The newest pets that meet the conditions, the newest first."""
    tx = await ctx.tx()
    found: dict[str, Pet] = {}
    behind: str | None = None
    while len(found) < MAX_FOUND:
        # In pages, so that others have their turns between them; the bound is one of the page.
        limit = min(_PAGE, MAX_FOUND - len(found)) + (behind is not None)
        page = await tx.find(Query(Pet, (*where, Between("id", high=behind)), "-id", limit))
        found.update((pet.id, pet) for pet in page)
        if len(page) < limit:
            break
        behind = page[-1].id
    return list(found.values())[:MAX_FOUND]


def _by_change(found: Iterable[Pet]) -> list[Pet]:
    """Pets in the order of an answer: the one that was changed last at the end."""
    return sorted(found, key=lambda pet: (pet.updated_at, pet.id))


async def _find_by_status(ctx: Context, params: ByStatus, _: None) -> list[Pet]:
    found: list[Pet] = []
    for status, word in SALE_STATUS.items():
        if word in params.status:
            # Of one status an index has the newest; of several together it has not.
            found += await _newest(ctx, Equal("status", status))
    return _by_change(nlargest(MAX_FOUND, found, key=lambda pet: pet.id))


async def _find_by_tags(ctx: Context, params: ByTags, _: None) -> list[Pet]:
    wanted = frozenset(params.tags)
    # All tags at once, and only where there are any: each pet that has some is looked at.
    found = await _newest(ctx, TAGGED, AnyOf(tuple(Contains(("tag_names",), f"\n{tag}\n") for tag in wanted)))
    return _by_change(pet for pet in found if _has_tag(pet, wanted))


def _has_tag(pet: Pet, wanted: Container[str | None]) -> bool:
    return pet.labels is not None and any(tag.name in wanted for tag in pet.labels.tags)


async def _keep_photo(ctx: Context, params: ByNumber, body: PhotoOfNumber) -> Image:
    pet = await find_pet(ctx, params.number)
    await ctx.close()
    return await keep_image(ctx, ById(id=pet.id), body)


async def _add_photo(ctx: Context, params: ByNumber, body: PhotoOfNumber) -> Image:  # noqa: ARG001
    image = ctx.prepared
    assert isinstance(image, Image)
    return await add_image(ctx, ById(id=image.pet_id), body)


ADD_PET = Operation(
    name="classicAddPet",
    tag="Classic",
    summary="Add a pet, or replace the one with its number",
    params=NoParams,
    body=PetByNumber,
    handler=_add_pet,
    result=Pet,
    scope=Scope.WRITE_PETS,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.CONFLICT}),
)
UPDATE_PET = Operation(
    name="classicUpdatePet",
    tag="Classic",
    summary="Replace the pet with a number",
    params=NoParams,
    body=PetByNumber,
    handler=_update_pet,
    result=Pet,
    scope=Scope.WRITE_PETS,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
)
FIND_BY_STATUS = Operation(
    name="classicFindPetsByStatus",
    tag="Classic",
    summary="List the pets of some statuses",
    description=f"At most {MAX_FOUND}: of more than that the newest.",
    params=ByStatus,
    handler=_find_by_status,
    result=list[Pet],
    scope=Scope.READ_PETS,
    anonymous=True,
    classic=True,
)
FIND_BY_TAGS = Operation(
    name="classicFindPetsByTags",
    tag="Classic",
    summary="List the pets that have some tags",
    description=f"At most {MAX_FOUND}: of more than that the newest.",
    params=ByTags,
    handler=_find_by_tags,
    result=list[Pet],
    scope=Scope.READ_PETS,
    anonymous=True,
    classic=True,
)
GET_PET = Operation(
    name="classicGetPet",
    tag="Classic",
    summary="Get the pet with a number",
    params=ByNumber,
    handler=_get_pet,
    result=Pet,
    scope=Scope.READ_PETS,
    anonymous=True,
    classic=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
)
CHANGE_PET = Operation(
    name="classicUpdatePetWithForm",
    tag="Classic",
    summary="Give the pet with a number another name and status",
    params=PetChange,
    handler=_change_pet,
    result=Pet,
    scope=Scope.WRITE_PETS,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
)
DELETE_PET = Operation(
    name="classicDeletePet",
    tag="Classic",
    summary="Remove the pet with a number, if there is one",
    params=ByNumber,
    handler=_delete_pet,
    scope=Scope.WRITE_PETS,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.CONFLICT}),
)
UPLOAD_PHOTO = Operation(
    name="classicUploadFile",
    tag="Classic",
    summary="Add an image to the pet with a number",
    params=ByNumber,
    body=PhotoOfNumber,
    prepare=_keep_photo,
    handler=_add_photo,
    result=Image,
    scope=Scope.WRITE_PETS,
    classic=True,
    writes=True,
    errors=frozenset(
        {
            ErrorCode.NOT_FOUND,
            ErrorCode.CONFLICT,
            ErrorCode.PAYLOAD_TOO_LARGE,
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        }
    ),
)

OPERATIONS: tuple[AnyOperation, ...] = (
    ADD_PET,
    UPDATE_PET,
    FIND_BY_STATUS,
    FIND_BY_TAGS,
    GET_PET,
    CHANGE_PET,
    DELETE_PET,
    UPLOAD_PHOTO,
)
