"""Pets: listed, searched, written, and moved between statuses."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from core.kernel.caller import Scope
from core.kernel.errors import Conflict, ErrorCode
from core.kernel.events import PUBLIC, personal_to
from core.kernel.ids import new_id
from core.kernel.model import ById, NoParams, Page, Paged
from core.kernel.validation import MergePatch
from core.models import examples
from core.models.images import Image
from core.models.pet_search import PetFilter, PetSearch, SortOrder, StatusFilter
from core.models.pets import (
    PET_ADOPTED,
    PET_AVAILABILITY_CHANGED,
    PET_CREATED,
    PET_DELETED,
    PET_STATUS_CHANGED,
    PET_UPDATED,
    AdoptedPet,
    Adopter,
    MedicalInfo,
    Pet,
    PetAdoptedEvent,
    PetAvailabilityEvent,
    PetDeletedEvent,
    PetDraft,
    PetEvent,
    PetStatus,
    PetStatusEvent,
    Reservation,
    StatusReason,
)
from core.ports.records import Between, Condition, Contains, Equal, OneOf, Query
from core.services.applications import reject_all
from core.services.inventory import count_pets, pets_counted
from core.services.numbers import free_number, insert_numbered
from core.services.paging import page_of
from core.services.quotas import count_one, release_images, uncount
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

#: Ids rise with the time at which they were made.
_SORT_FIELDS = {"ageMonths": "age_months", "price": "price", "name": "name", "createdAt": "id"}


async def move_pet(
    ctx: Context, pet: Pet, status: PetStatus, reason: StatusReason, owner_id: str | None = None
) -> Pet:
    """Change the status of a locked pet, and announce it with all that follows from it.

    Only an ADOPTED pet has an owner: ``owner_id``, or none. Nobody else can adopt it then.
    """
    moved = pet.model_copy(update={"status": status, "owner_id": owner_id, "updated_at": ctx.now})
    await (await ctx.tx()).update(moved)
    if status is PetStatus.ADOPTED:
        await reject_all(ctx, pet.id)
    _announce_status(ctx, pet.status, moved, reason)
    _count_moved(ctx, pet, moved)
    return moved


def _count_moved(ctx: Context, before: Pet, after: Pet) -> None:
    count_pets(ctx, before, -1)
    count_pets(ctx, after, 1)


def _announce_status(ctx: Context, old: PetStatus, pet: Pet, reason: StatusReason) -> None:
    data = PetStatusEvent(pet_id=pet.id, old_status=old, new_status=pet.status, reason=reason, pet=pet)
    ctx.emit(PET_STATUS_CHANGED, data, PUBLIC, pet_id=pet.id)
    available = pet.status is PetStatus.AVAILABLE
    if available is not (old is PetStatus.AVAILABLE):
        flipped = PetAvailabilityEvent(pet_id=pet.id, available=available)
        ctx.emit(PET_AVAILABILITY_CHANGED, flipped, PUBLIC, pet_id=pet.id)


def announce_adopted(ctx: Context, pet: Pet, adopter: Adopter | None) -> None:
    """Announce to its owner and STAFF who has adopted a pet."""
    data = PetAdoptedEvent(
        pet=AdoptedPet(id=pet.id, name=pet.name, species=pet.species, status=pet.status),
        adopter=adopter,
        adoption_date=ctx.now,
    )
    ctx.emit(PET_ADOPTED, data, personal_to(pet.owner_id), pet_id=pet.id)


async def add_pet(ctx: Context, draft: PetDraft) -> Pet:
    """Add a pet to the store and announce it."""
    pet = Pet(
        id=new_id(),
        tenant_id=ctx.tenant,
        number=await free_number(await ctx.tx(), Pet, "pets"),
        status=draft.status or PetStatus.AVAILABLE,
        created_at=ctx.now,
        updated_at=ctx.now,
        **_written(draft),
    )
    return await insert_pet(ctx, pet)


async def insert_pet(ctx: Context, pet: Pet) -> Pet:
    """Add a pet as it is and announce it."""
    await count_one(ctx, Pet)
    await insert_numbered(await ctx.tx(), pet)
    ctx.emit(PET_CREATED, PetEvent(pet=pet), PUBLIC, pet_id=pet.id)
    count_pets(ctx, pet, 1)
    return pet


def _written(draft: PetDraft) -> dict[str, Any]:
    """The members of a pet that a draft sets, all but its status."""
    members = {name: getattr(draft, name) for name in PetDraft.model_fields if name != "status"}
    if draft.medical_info is not None:
        members["medical_info"] = MedicalInfo(**draft.medical_info.model_dump())
    return members


async def _list_pets(ctx: Context, params: PetFilter, body: None) -> Page[Pet]:  # noqa: ARG001
    where = [
        *_one_of("species", params.species),
        *(() if StatusFilter.ALL in params.status else _one_of("status", params.status)),
        *_one_of("size", params.size),
        *_between("age_months", params.age_min, params.age_max),
        *_equal("good_with_kids", params.good_with_kids),
    ]
    return await page_of(ctx, Pet, where, params, known=partial(_counted, ctx, where))


async def _counted(ctx: Context, where: Sequence[Condition]) -> int | None:
    """How many pets meet the conditions, where that is kept."""
    kept: dict[str, Any] = {}
    for condition in where:
        match condition:
            case OneOf("species" | "status" | "size" as field, values):
                kept[field] = values
            case Equal("good_with_kids" as field, value):
                kept[field] = value
            case _:
                return None
    return await pets_counted(await ctx.tx(), **kept)


async def _search_pets(ctx: Context, params: NoParams, body: PetSearch) -> Page[Pet]:  # noqa: ARG001
    asked = body.criteria
    where = [
        *_one_of("species", asked.species),
        *_one_of("status", asked.status),
        *_one_of("size", asked.size),
    ]
    if asked.age_range is not None:
        where += _between("age_months", asked.age_range.min, asked.age_range.max)
    if asked.price_range is not None:
        where += _between("price", asked.price_range.min, asked.price_range.max)
    if asked.compatibility is not None:
        for name, wanted in asked.compatibility:
            where += _equal(name, wanted)
    if asked.medical is not None:
        for name, wanted in asked.medical:
            where += _equal(f"medical_info.{name}", wanted)
    where += [
        Contains(("name", "breed", "description", "color"), word) for word in (asked.text or "").split()
    ]
    order = _SORT_FIELDS[body.sort.field]
    paged = Paged(**dict(body.pagination))
    if body.sort.order is SortOrder.DESC:
        order = f"-{order}"
    return await page_of(ctx, Pet, where, paged, order, known=partial(_counted, ctx, where))


def _one_of(field: str, values: tuple[object, ...] | None) -> list[Condition]:
    return [OneOf(field, values)] if values else []


def _between(field: str, low: object | None, high: object | None) -> list[Condition]:
    return [] if low is None and high is None else [Between(field, low, high)]


def _equal(field: str, value: object | None) -> list[Condition]:
    return [] if value is None else [Equal(field, value)]


async def _get_pet(ctx: Context, params: ById, body: None) -> Pet:  # noqa: ARG001
    return await ctx.get(Pet, params.id)


async def _create_pet(ctx: Context, params: NoParams, body: PetDraft) -> Pet:  # noqa: ARG001
    return await add_pet(ctx, body)


async def _replace_pet(ctx: Context, params: ById, body: PetDraft) -> Pet:
    pet = await ctx.get(Pet, params.id)
    ctx.check_match(pet)
    return await _rewrite(ctx, pet, body)


async def _update_pet(ctx: Context, params: ById, body: MergePatch[PetDraft]) -> Pet:
    pet = await ctx.get(Pet, params.id)
    ctx.check_match(pet)
    present = PetDraft.model_validate(pet.model_dump(mode="json"))
    patch = MergePatch[PetDraft](PetDraft.with_present_names(dict(body.patch)), body.context)
    return await _rewrite(ctx, pet, patch.apply(PetDraft, present))


async def _rewrite(ctx: Context, pet: Pet, draft: PetDraft) -> Pet:
    return await change_pet(ctx, pet, pet.model_copy(update=_written(draft)), draft.status or pet.status)


async def change_pet(ctx: Context, pet: Pet, written: Pet, status: PetStatus) -> Pet:
    """Put a locked pet in the form that was written, with a status; nothing happens when that changes nothing.

    Raises:
        Conflict: an open order has reserved it, and its status would change.
    """
    changed = written.model_copy(update={"status": status})
    if changed == pet:
        return pet
    if status is not pet.status:
        await refuse_reserved(ctx, pet, "changes its status with the order")
        if status is PetStatus.ADOPTED:
            await reject_all(ctx, pet.id)
        else:
            changed = changed.model_copy(update={"owner_id": None})
    changed = changed.model_copy(update={"updated_at": ctx.now})
    await (await ctx.tx()).update(changed)
    if changed.photos != pet.photos:
        await _remove_images(ctx, pet.id, kept=changed.photos)
    if written != pet:
        ctx.emit(PET_UPDATED, PetEvent(pet=changed), PUBLIC, pet_id=pet.id)
    if status is not pet.status:
        _announce_status(ctx, pet.status, changed, StatusReason.UPDATED)
    _count_moved(ctx, pet, changed)
    return changed


async def refuse_reserved(ctx: Context, pet: Pet, why: str) -> None:
    """Pass when no open order has reserved a locked pet.

    Raises:
        Conflict: one has.
    """
    if await (await ctx.tx()).get(Reservation, pet.id) is not None:
        # Not by which: who knows the id of a visitor's order may read and cancel it.
        raise Conflict(f"The pet is reserved by an order and {why}.")


async def _remove_images(ctx: Context, pet_id: str, kept: tuple[str, ...] = ()) -> None:
    """Remove the images of a locked pet that its photos do not name any more, with their bytes."""
    tx = await ctx.tx()
    found = await tx.find(Query(Image, (Equal("pet_id", pet_id),)))
    removed = [image for image in found if image.url not in kept]
    for image in removed:
        await tx.delete(Image, image.id)
        ctx.after_commit(partial(ctx.store.images.delete, ctx.tenant, image.id))
    await release_images(ctx, removed)


async def _delete_pet(ctx: Context, params: ById, body: None) -> None:  # noqa: ARG001
    pet = await ctx.get(Pet, params.id)
    ctx.check_match(pet)
    await remove_pet(ctx, pet)


async def remove_pet(ctx: Context, pet: Pet) -> None:
    """Remove a locked pet with its images.

    Raises:
        Conflict: an open order has reserved it.
    """
    await refuse_reserved(ctx, pet, "cannot be removed before that is delivered or cancelled")
    tx = await ctx.tx()
    await _remove_images(ctx, pet.id)
    await reject_all(ctx, pet.id)
    await tx.delete(Pet, pet.id)
    await uncount(ctx, Pet)
    ctx.emit(PET_DELETED, PetDeletedEvent(pet_id=pet.id), PUBLIC, pet_id=pet.id)
    count_pets(ctx, pet, -1)


LIST_PETS = Operation(
    name="listPets",
    tag="Pets",
    summary="List pets",
    description="Oldest first. Without `status` only AVAILABLE pets are listed; ALL lists every one.",
    params=PetFilter,
    handler=_list_pets,
    result=Page[Pet],
    scope=Scope.READ_PETS,
    anonymous=True,
    result_example=examples.page(examples.PET),
)

SEARCH_PETS = Operation(
    name="searchPets",
    tag="Pets",
    summary="Search pets",
    description=(
        "A pet must meet all criteria, and one value of each list. Without a `status` it finds pets of every status, "
        "unlike listPets."
    ),
    params=NoParams,
    body=PetSearch,
    handler=_search_pets,
    result=Page[Pet],
    scope=Scope.READ_PETS,
    anonymous=True,
    body_example=examples.PET_SEARCH,
    result_example=examples.page(examples.PET),
)

GET_PET = Operation(
    name="getPet",
    tag="Pets",
    summary="Get a pet",
    description="Whatever its status; everybody may read it.",
    params=ById,
    handler=_get_pet,
    result=Pet,
    scope=Scope.READ_PETS,
    anonymous=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=examples.PET,
)

CREATE_PET = Operation(
    name="createPet",
    tag="Pets",
    summary="Add a pet",
    description="A pet without a `status` is AVAILABLE.",
    params=NoParams,
    body=PetDraft,
    handler=_create_pet,
    result=Pet,
    scope=Scope.WRITE_PETS,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.CONFLICT}),
    body_example=examples.PET_DRAFT,
    result_example=examples.PET,
)

_WRITE_ERRORS = frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED})

REPLACE_PET = Operation(
    name="replacePet",
    tag="Pets",
    summary="Replace a pet",
    description=(
        "Members that are left out return to their defaults, except `status`: it stays, since an order may depend on "
        "it. The status of a pet that an open order has reserved cannot be changed."
    ),
    params=ById,
    body=PetDraft,
    handler=_replace_pet,
    result=Pet,
    scope=Scope.WRITE_PETS,
    writes=True,
    errors=_WRITE_ERRORS,
    body_example=examples.PET_DRAFT,
    result_example=examples.PET,
)

UPDATE_PET = Operation(
    name="updatePet",
    tag="Pets",
    summary="Change a pet",
    description=(
        "A JSON merge patch (RFC 7396): null removes a member. The status of a pet that an open order has reserved "
        "cannot be changed."
    ),
    params=ById,
    body=PetDraft,
    patch=True,
    handler=_update_pet,
    result=Pet,
    scope=Scope.WRITE_PETS,
    writes=True,
    errors=_WRITE_ERRORS,
    body_example=examples.PET_PATCH,
    result_example=examples.PET,
)

DELETE_PET = Operation(
    name="deletePet",
    tag="Pets",
    summary="Remove a pet",
    description="Its images go with it, and open applications for it are rejected. A pet that an open order has "
    "reserved cannot be removed.",
    params=ById,
    handler=_delete_pet,
    scope=Scope.WRITE_PETS,
    writes=True,
    errors=_WRITE_ERRORS,
)

OPERATIONS: tuple[AnyOperation, ...] = (
    LIST_PETS,
    SEARCH_PETS,
    GET_PET,
    CREATE_PET,
    REPLACE_PET,
    UPDATE_PET,
    DELETE_PET,
)
