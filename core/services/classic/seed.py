"""What a classic store holds at its start: ten pets, three orders, and eleven users."""

from decimal import Decimal

from core.models.classic_calls import OrderByNumber, PetByNumber, UserByName
from core.models.orders import Order
from core.models.pets import Pet
from core.services.classic.orders import write_order
from core.services.classic.pets import add_pet
from core.services.classic.users import find_user, write_user
from core.store.context import Context

#: What the store numbers by itself begins behind this, so that the low numbers are left to classic clients.
_LOW_NUMBERS = 20_000
_CATEGORIES = ("Dogs", "Cats", "Rabbits", "Lions")
_PETS = (
    *((f"Cat {number}", "Cats") for number in (1, 2, 3)),
    *((f"Dog {number}", "Dogs") for number in (1, 2, 3)),
    *((f"Lion {number}", "Lions") for number in (1, 2, 3)),
    ("Rabbit 1", "Rabbits"),
)
#: What classic clients neither give nor see: the age in months and the price, by category.
_AGES_AND_PRICES = {
    "Cats": (18, Decimal("60.00")),
    "Dogs": (30, Decimal("180.00")),
    "Lions": (48, Decimal("900.00")),
    "Rabbits": (9, Decimal("25.00")),
}
_TAGS = {1: (1, 2), 4: (1, 2), 7: (1, 2), 2: (2, 3), 5: (2, 3), 8: (2, 3)}
_STATUSES = {3: "pending", 5: "sold", 6: "pending"}
_ORDERS = ((100, "placed"), (50, "approved"), (50, "delivered"))


async def leave_low_numbers(ctx: Context) -> None:
    """Let the store's own numbers begin behind the low ones, which are left to classic clients."""
    tx = await ctx.tx()
    for series in ("pets", "orders"):
        await tx.raise_number(series, _LOW_NUMBERS)


async def seed_classic(ctx: Context) -> None:
    """Add what a classic store holds at its start, as far as nothing has its numbers and names."""
    await leave_low_numbers(ctx)
    for number, (name, category) in enumerate(_PETS, start=1):
        if await ctx.by_number(Pet, number) is None:
            age_months, price = _AGES_AND_PRICES[category]
            await add_pet(ctx, _pet(number, name, category), age_months, price)
    for number, (quantity, status) in enumerate(_ORDERS, start=1):
        if await ctx.by_number(Order, number) is None:
            draft = {"id": number, "petId": 1, "quantity": quantity, "status": status, "complete": True}
            await write_order(ctx, OrderByNumber.model_validate({**draft, "shipDate": ctx.now}), None)
    for number in range(1, 12):
        user = _user(number)
        if await find_user(ctx, user.username) is None:
            await write_user(ctx, user, None)


def _pet(number: int, name: str, category: str) -> PetByNumber:
    tags = [
        {"id": place, "name": f"tag{tag}"} for place, tag in enumerate(_TAGS.get(number, (3, 4)), start=1)
    ]
    return PetByNumber.model_validate(
        {
            "id": number,
            "name": name,
            "category": {"id": _CATEGORIES.index(category) + 1, "name": category},
            "photoUrls": ["url1", "url2"],
            "tags": tags,
            "status": _STATUSES.get(number, "available"),
        }
    )


def _user(number: int) -> UserByName:
    return UserByName.model_validate(
        {
            "id": number,
            "username": f"user{number}" if number < 11 else "user?10",
            "firstName": f"first name {number}",
            "lastName": f"last name {number}",
            "email": f"email{number}@test.com" if number < 11 else "email101@test.com",
            "phone": "123-456-7890",
            "userStatus": (number - 1) % 3 + 1,
        }
    )
