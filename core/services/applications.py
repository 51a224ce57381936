"""Applications announced, and ended when what they were for is gone: the pet, the applicant, or both."""

from core.kernel.events import EventKind, personal_to
from core.models.adoptions import ADOPTION_STATUS_CHANGED, Adoption, AdoptionEvent, AdoptionStatus
from core.ports.records import Condition, Equal, OneOf, Query
from core.services.quotas import uncount
from core.store.context import Context

#: The statuses of applications that are yet to be decided.
OPEN = (AdoptionStatus.SUBMITTED, AdoptionStatus.UNDER_REVIEW)
#: Those of applications that came to nothing.
_ENDED = (AdoptionStatus.REJECTED, AdoptionStatus.WITHDRAWN)
#: Records that one request removes beside what it is about.
_BATCH_RECORDS = 100


def announce(ctx: Context, kind: EventKind, adoption: Adoption) -> None:
    """Announce that an application has come to its present status, to STAFF and its applicant alone."""
    ctx.emit(kind, AdoptionEvent(adoption=adoption), personal_to(adoption.user_id), adoption_id=adoption.id)


async def move_application(ctx: Context, adoption: Adoption, status: AdoptionStatus) -> Adoption:
    """Give a locked application another status and announce it."""
    moved = adoption.model_copy(update={"status": status, "updated_at": ctx.now})
    await (await ctx.tx()).update(moved)
    announce(ctx, ADOPTION_STATUS_CHANGED, moved)
    return moved


async def count_open(ctx: Context, *where: Condition) -> int:
    """How many open applications the conditions select."""
    return await (await ctx.tx()).count(Query(Adoption, (*where, OneOf("status", OPEN))))


async def reject_all(ctx: Context, pet_id: str) -> None:
    """Reject the open applications for a locked pet that nobody can adopt any more.

    They are bounded in number (``Limits.open_adoptions_per_pet``), and nobody can add to them while the pet is locked.
    """
    await _end(ctx, Equal("pet_id", pet_id), AdoptionStatus.REJECTED)


async def remove_all(ctx: Context, user_id: str) -> None:
    """Remove the applications of a locked user; those that are open end as WITHDRAWN for who follows them."""
    await _end(ctx, Equal("user_id", user_id), AdoptionStatus.WITHDRAWN)
    removed = await (await ctx.tx()).delete_all(Adoption, (Equal("user_id", user_id),))
    await uncount(ctx, Adoption, removed)


async def remove_oldest(ctx: Context, user_id: str) -> None:
    """Of a locked user who has many applications that came to nothing the oldest go."""
    tx = await ctx.tx()
    ended = (Equal("user_id", user_id), OneOf("status", _ENDED))
    beyond = await tx.count(Query(Adoption, ended)) - ctx.store.limits.ended_adoptions_per_applicant
    if beyond > 0:
        found = await tx.find(Query(Adoption, ended, limit=min(beyond, _BATCH_RECORDS)))
        removed = await tx.delete_all(Adoption, (OneOf("id", tuple(one.id for one in found)),))
        await uncount(ctx, Adoption, removed)


async def _end(ctx: Context, of: Condition, status: AdoptionStatus) -> None:
    """End open applications. Whoever ends several locks them in the order of their pets, and then of their ids."""
    tx = await ctx.tx()
    found = await tx.find(Query(Adoption, (of, OneOf("status", OPEN)), "pet_id"))
    for adoption_id in [adoption.id for adoption in found]:
        adoption = await tx.get(Adoption, adoption_id, lock=True)
        if adoption is not None and adoption.status in OPEN:
            await move_application(ctx, adoption, status)
