"""Adoptions: who applies for a pet, and who decides.

Locks are taken in one order: the applicant's account, the pet, then applications by their pets and ids.
"""

from core.auth.authorization import applicant_id_of, decides_on_adoptions, may_read_adoption
from core.kernel.caller import Scope
from core.kernel.errors import Conflict, ErrorCode, Forbidden, NotFound, Unauthorized
from core.kernel.ids import new_id
from core.kernel.limits import Limits
from core.kernel.model import ById, NoParams, Page
from core.kernel.validation import MergePatch, check_body
from core.models import examples
from core.models.adoptions import (
    ADOPTION_SUBMITTED,
    Adoption,
    AdoptionChange,
    AdoptionDraft,
    AdoptionFilter,
    AdoptionStatus,
    Applicant,
)
from core.models.pets import Adopter, Pet, PetStatus, StatusReason
from core.models.users import User
from core.ports.records import Condition, Equal, OneOf
from core.services.applications import announce, count_open, move_application, remove_oldest
from core.services.paging import page_of
from core.services.pets import announce_adopted, move_pet, refuse_reserved
from core.services.quotas import count_one
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

_STAFF_MOVES = {
    AdoptionStatus.SUBMITTED: frozenset({AdoptionStatus.UNDER_REVIEW, AdoptionStatus.REJECTED}),
    AdoptionStatus.UNDER_REVIEW: frozenset({AdoptionStatus.APPROVED, AdoptionStatus.REJECTED}),
}
_LIMITS = Limits()
_APPLICANT_MOVES = dict.fromkeys(_STAFF_MOVES, frozenset({AdoptionStatus.WITHDRAWN}))


async def submit(ctx: Context, user_id: str, draft: AdoptionDraft) -> Adoption:
    """Apply for a pet in the name of a user.

    Raises:
        Unauthorized: the user's account has been deleted meanwhile.
        NotFound: there is no such pet.
        Conflict: the pet is not AVAILABLE, the user has an open application for it, or there are too many.
    """
    tx = await ctx.tx()
    if await tx.get(User, user_id, lock=True) is None:
        raise Unauthorized("The account is gone.")
    pet = await ctx.get(Pet, draft.pet_id)
    if pet.status is not PetStatus.AVAILABLE:
        raise Conflict(f"A pet that is {pet.status} cannot be applied for.")
    of_pet, of_user = Equal("pet_id", pet.id), Equal("user_id", user_id)
    if await count_open(ctx, of_pet, of_user):
        raise Conflict("You have applied for this pet already.")
    limits = ctx.store.limits
    if await count_open(ctx, of_user) >= (most := limits.open_adoptions_per_applicant):
        raise Conflict(f"You have {most} open applications: withdraw one of them.")
    if await count_open(ctx, of_pet) >= (most := limits.open_adoptions_per_pet):
        raise Conflict(f"The pet has {most} open applications, which is as many as it may have.")
    await remove_oldest(ctx, user_id)
    adoption = Adoption(
        id=new_id(),
        tenant_id=ctx.tenant,
        number=await tx.next_number("adoptions"),
        pet_id=pet.id,
        user_id=user_id,
        applicant=Applicant(**draft.applicant.model_dump(by_alias=False)),
        household_type=draft.household_type,
        has_yard=draft.has_yard,
        message=draft.message,
        status=AdoptionStatus.SUBMITTED,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    await count_one(ctx, Adoption)
    await tx.insert(adoption)
    announce(ctx, ADOPTION_SUBMITTED, adoption)
    return adoption


async def decide(ctx: Context, adoption: Adoption, status: AdoptionStatus) -> Adoption:
    """Move a locked application, whose pet is locked too if it is approved.

    Raises:
        Conflict: an application does not come to that status from where it is, or its pet cannot be adopted.
    """
    moves = _APPLICANT_MOVES if status is AdoptionStatus.WITHDRAWN else _STAFF_MOVES
    if status not in moves.get(adoption.status, ()):
        raise Conflict(f"An application that is {adoption.status} cannot become {status}.")
    if status is AdoptionStatus.APPROVED:
        return await _approve(ctx, adoption)
    return await move_application(ctx, adoption, status)


async def _approve(ctx: Context, adoption: Adoption) -> Adoption:
    pet = await (await ctx.tx()).get(Pet, adoption.pet_id, lock=True)
    if pet is None or pet.status is PetStatus.ADOPTED:
        raise Conflict("The pet cannot be adopted any more.")
    await refuse_reserved(ctx, pet, "cannot be adopted before that is cancelled")
    approved = await move_application(ctx, adoption, AdoptionStatus.APPROVED)
    owned = await move_pet(ctx, pet, PetStatus.ADOPTED, StatusReason.ADOPTION_APPROVED, adoption.user_id)
    applicant = adoption.applicant
    announce_adopted(ctx, owned, Adopter(id=adoption.user_id, name=applicant.name, email=applicant.email))
    return approved


def _applicant_id(ctx: Context) -> str:
    """The user whose applications the caller may make and see.

    Raises:
        Forbidden: the caller is a program that acts for no person.
    """
    user_id = applicant_id_of(ctx.caller)
    if user_id is None:
        raise Forbidden("Applications tell of people: this is for users, and for no API key.")
    return user_id


async def _create_adoption(ctx: Context, params: NoParams, body: AdoptionDraft) -> Adoption:  # noqa: ARG001
    return await submit(ctx, _applicant_id(ctx), body)


async def _list_adoptions(ctx: Context, params: AdoptionFilter, body: None) -> Page[Adoption]:  # noqa: ARG001
    everyones = decides_on_adoptions(ctx.caller)
    where: list[Condition] = [] if everyones else [Equal("user_id", _applicant_id(ctx))]
    if params.status is not None:
        where.append(OneOf("status", params.status))
    if params.pet_id is not None:
        where.append(Equal("pet_id", params.pet_id))
    return await page_of(ctx, Adoption, where, params, "-id")


async def _get_adoption(ctx: Context, params: ById, body: None) -> Adoption:  # noqa: ARG001
    _applicant_id(ctx)
    return _readable(ctx, await ctx.get(Adoption, params.id))


def _readable(ctx: Context, adoption: Adoption) -> Adoption:
    """The application, if the caller may read it; to others it does not exist."""
    if not may_read_adoption(ctx.caller, adoption):
        raise NotFound(f"There is no adoption '{adoption.id}'.")
    return adoption


async def _update_adoption(ctx: Context, params: ById, body: MergePatch[AdoptionChange]) -> Adoption:
    # The status is all that can be patched, so it is asked for: a patch without it would mean nothing.
    change = check_body(AdoptionChange, dict(body.patch))
    user_id = _applicant_id(ctx)
    tx = await ctx.tx()
    if change.status is AdoptionStatus.APPROVED and (seen := await tx.get(Adoption, params.id)) is not None:
        await tx.get(Pet, _readable(ctx, seen).pet_id, lock=True)
    adoption = _readable(ctx, await ctx.get(Adoption, params.id))
    if change.status is AdoptionStatus.WITHDRAWN:
        if adoption.user_id != user_id:
            raise Forbidden("Only the applicant withdraws an application.")
    elif not decides_on_adoptions(ctx.caller):
        raise Forbidden("Only the store's STAFF decides on applications; you may withdraw yours.")
    ctx.check_match(adoption)
    return await decide(ctx, adoption, change.status)


CREATE_ADOPTION = Operation(
    name="createAdoption",
    tag="Adoptions",
    summary="Apply for a pet",
    description=(
        "For users, each for themselves: a visitor could not read or withdraw what they have sent, and an API key is "
        "nobody; an OAuth client applies for the user who allowed it. The pet must be AVAILABLE; it stays so, and may "
        "be ordered, until STAFF approves an application. A user has at most one open application for a pet and "
        f"{_LIMITS.open_adoptions_per_applicant} in all, a pet has at most {_LIMITS.open_adoptions_per_pet}."
    ),
    params=NoParams,
    body=AdoptionDraft,
    handler=_create_adoption,
    result=Adoption,
    scope=Scope.WRITE_ORDERS,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    body_example=examples.ADOPTION_DRAFT,
    result_example=examples.ADOPTION,
)

LIST_ADOPTIONS = Operation(
    name="listAdoptions",
    tag="Adoptions",
    summary="List applications",
    description="Newest first: the caller's own applications, or all of them for STAFF in person.",
    params=AdoptionFilter,
    handler=_list_adoptions,
    result=Page[Adoption],
    scope=Scope.READ_ORDERS,
    result_example=examples.page(examples.ADOPTION),
)

GET_ADOPTION = Operation(
    name="getAdoption",
    tag="Adoptions",
    summary="Get an application",
    description="Applicants see their own applications, STAFF in person sees any; to anybody else they do not exist.",
    params=ById,
    handler=_get_adoption,
    result=Adoption,
    scope=Scope.READ_ORDERS,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=examples.ADOPTION,
)

UPDATE_ADOPTION = Operation(
    name="updateAdoption",
    tag="Adoptions",
    summary="Decide on an application, or withdraw it",
    description=(
        "STAFF in person moves an application from SUBMITTED to UNDER_REVIEW and then to APPROVED, or to REJECTED at "
        "any time before; its applicant may withdraw it until then. Approving makes the pet ADOPTED and rejects all "
        "other open applications for it: of those that are approved at once exactly one is. A pet that an order has "
        "reserved, that is adopted or removed cannot be adopted."
    ),
    params=ById,
    body=AdoptionChange,
    patch=True,
    handler=_update_adoption,
    result=Adoption,
    scope=Scope.WRITE_ORDERS,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED}),
    body_example={"status": "UNDER_REVIEW"},
    result_example={**examples.ADOPTION, "status": "UNDER_REVIEW"},
)

OPERATIONS: tuple[AnyOperation, ...] = (CREATE_ADOPTION, LIST_ADOPTIONS, GET_ADOPTION, UPDATE_ADOPTION)
