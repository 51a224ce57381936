"""Several resources at once by their ids, for doors that show one resource inside another.

They are read in one go however many are asked for. What is missing, or not for the caller, is left out: a link to it
then leads nowhere.
"""

from pydantic import Field

from core.kernel.caller import Scope
from core.kernel.model import Params
from core.models.pets import Pet
from core.models.users import User
from core.ports.records import OneOf, Query
from core.store.context import Context
from core.store.operation import Operation


class ByIds(Params):
    """The ids of several resources."""

    ids: tuple[str, ...] = Field(max_length=10_000)


async def _pets(ctx: Context, params: ByIds, _: None) -> dict[str, Pet]:
    cached = {pet_id: ctx.store.cache.get(ctx.tenant, Pet, pet_id) for pet_id in params.ids}
    found = {pet_id: pet for pet_id, pet in cached.items() if pet is not None}
    if missing := tuple(pet_id for pet_id in params.ids if pet_id not in found):
        found |= {pet.id: pet for pet in await (await ctx.tx()).find(Query(Pet, (OneOf("id", missing),)))}
    return found


async def _users(ctx: Context, params: ByIds, _: None) -> dict[str, User]:
    caller = ctx.caller
    wanted = params.ids if caller.is_staff else tuple(i for i in params.ids if i == caller.user_id)
    if not wanted or Scope.READ_USER not in caller.scopes:
        return {}
    return {user.id: user for user in await (await ctx.tx()).find(Query(User, (OneOf("id", wanted),)))}


LOOK_UP_PETS = Operation(
    name="lookUpPets",
    tag="Pets",
    summary="Get several pets",
    params=ByIds,
    result=dict[str, Pet],
    handler=_pets,
    scope=Scope.READ_PETS,
    anonymous=True,
)
LOOK_UP_USERS = Operation(
    name="lookUpUsers",
    tag="Users",
    summary="Get several users",
    description="STAFF sees all of them, anybody else only their own account.",
    params=ByIds,
    result=dict[str, User],
    handler=_users,
    anonymous=True,
)
