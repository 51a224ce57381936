"""Demo data: the same pets, orders, applications and chats whenever a tenant is filled."""

import json
from importlib import resources
from typing import Any

from core.kernel.caller import Role
from core.kernel.events import visible_to
from core.kernel.ids import new_id
from core.models.adoptions import AdoptionDraft, AdoptionStatus, HouseholdType
from core.models.chats import (
    CHAT_ASSIGNED,
    CHAT_MESSAGE,
    CHAT_OPENED,
    Chat,
    ChatEvent,
    ChatStatus,
    Message,
    MessageEvent,
    SenderRole,
)
from core.models.orders import OrderStatus
from core.models.payments import PaymentDraft
from core.models.pets import Pet, PetDraft
from core.models.tenant import Seeded
from core.models.users import User
from core.ports.payments import Charge
from core.ports.records import Equal, Query, Transaction
from core.services.adoptions import decide, submit
from core.services.classic.seed import leave_low_numbers, seed_classic
from core.services.orders import advance, cancel, place
from core.services.payments import begin_payment, settle_payment
from core.services.pets import add_pet
from core.services.quotas import count_one
from core.store.context import Context

#: The pets of each order, and its status.
_ORDERS: tuple[tuple[tuple[str, ...], OrderStatus], ...] = (
    (("Stella",), OrderStatus.DELIVERED),
    (("Smokey",), OrderStatus.DELIVERED),
    (("Nibbles", "Truffle"), OrderStatus.DELIVERED),
    (("Sunny", "Pip"), OrderStatus.DELIVERED),
    (("Oreo",), OrderStatus.DELIVERED),
    (("Ziggy",), OrderStatus.DELIVERED),
    (("Hugo",), OrderStatus.SHIPPED),
    (("Willow",), OrderStatus.APPROVED),
    (("Clover", "Hazelnut"), OrderStatus.APPROVED),
    (("Daisy",), OrderStatus.PLACED),
    (("Captain",), OrderStatus.PLACED),
    (("Tiger",), OrderStatus.CANCELLED),
)
#: The pet of each application, the kind of home, what its applicant says, and the statuses that it comes to.
_ADOPTIONS: tuple[tuple[str, HouseholdType, str, tuple[AdoptionStatus, ...]], ...] = (
    ("Luna", HouseholdType.APARTMENT, "Two old cats already share their sofa with us.", ()),
    (
        "Rocky",
        HouseholdType.HOUSE,
        "The garden has a fence, and somebody is always at home.",
        (AdoptionStatus.UNDER_REVIEW,),
    ),
    (
        "Bella",
        HouseholdType.TOWNHOUSE,
        "We are away on most days.",
        (AdoptionStatus.UNDER_REVIEW, AdoptionStatus.REJECTED),
    ),
    ("Max", HouseholdType.FARM, "There is plenty of room here.", (AdoptionStatus.WITHDRAWN,)),
)
#: Subjects of chats with their messages, customer and agent in turn.
_CHATS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Does Luna get along with cats?", ("We have two old cats at home. Would that go well?",)),
    (
        "When does Hugo arrive?",
        (
            "My order was shipped yesterday. When will Hugo be here?",
            "He is on his way and had a good breakfast. Expect him tomorrow before noon.",
            "Wonderful, his basket is ready.",
        ),
    ),
)


def _demo_pets() -> list[PetDraft]:
    text = resources.files("core.services").joinpath("demo_pets.json").read_text(encoding="utf-8")
    return [PetDraft.model_validate(item) for item in json.loads(text)]


async def is_seeded(tx: Transaction) -> bool:
    """Whether the tenant holds the demo data: looks for its first pet."""
    first = _demo_pets()[0]
    where = (Equal("name", first.name), Equal("description", first.description))
    return await tx.count(Query(Pet, where), 1) > 0


async def seed(ctx: Context, *, classic: bool = False) -> Seeded:
    """Fill the tenant with the demo data, once; all of it is announced as if customers and staff had made it.

    ``classic``: with what a classic store holds at its start. Its pets come after the store's own and its orders
    before them, since lists begin with the oldest pets and the newest orders.

    All of the rest but the pets is of the user ``demo``, if there is one, else of the caller; without either, orders
    are anonymous and there are neither chats nor applications.
    """
    tx = await ctx.tx()
    # Taking a number serialises concurrent seeds, so that only one of them finds the data missing.
    await tx.next_number("seeds")
    if await is_seeded(tx):
        return Seeded(pets=0, orders=0, chats=0, adoptions=0)
    if classic:
        await leave_low_numbers(ctx)
    pets = {pet.name: pet for pet in [await add_pet(ctx, draft) for draft in _demo_pets()]}
    if classic:
        await seed_classic(ctx)
    users = await tx.find(Query(User, (Equal("username", "demo"),)))
    customer = users[0].id if users else ctx.caller.user_id
    for names, status in _ORDERS:
        await _order(ctx, tuple(pets[name].id for name in names), customer, status)
    chats = 0
    if customer is not None:
        # Two, for one of them may be the customer.
        staff = await tx.find(Query(User, (Equal("roles", (Role.STAFF,)),), limit=2))
        agents = [user.id for user in staff if user.id != customer]
        for subject, texts in _CHATS:
            await _chat(ctx, subject, texts, customer, agents[0] if agents else None)
        chats = len(_CHATS)
    applicant = None if customer is None else await tx.get(User, customer)
    adoptions = _ADOPTIONS if applicant is not None else ()
    for name, home, message, statuses in adoptions:
        assert applicant is not None
        await _adoption(ctx, pets[name].id, applicant, home, message, statuses)
    return Seeded(pets=len(pets), orders=len(_ORDERS), chats=chats, adoptions=len(adoptions))


async def _order(ctx: Context, pet_ids: tuple[str, ...], user_id: str | None, status: OrderStatus) -> None:
    order = await place(ctx, pet_ids, user_id)
    if status is OrderStatus.PLACED:
        return
    if status is OrderStatus.CANCELLED:
        await cancel(ctx, order)
        return
    source: dict[str, Any] = {
        "object": "card",
        "name": "Demo Customer",
        "number": "4242424242424242",
        "cvc": "123",
        "expMonth": 12,
        "expYear": 2099,
    }
    draft = {"amount": order.total_amount, "currency": order.currency, "source": source}
    payment = await begin_payment(ctx, order, PaymentDraft.model_validate(draft))
    _, order = await settle_payment(ctx, payment, Charge())  # no money moves for demo data
    while order.status is not status:
        order = await advance(
            ctx, order, OrderStatus.SHIPPED if order.status is OrderStatus.APPROVED else status
        )


async def _adoption(
    ctx: Context,
    pet_id: str,
    user: User,
    home: HouseholdType,
    message: str,
    statuses: tuple[AdoptionStatus, ...],
) -> None:
    draft = {
        "petId": pet_id,
        "applicant": {"name": f"{user.first_name} {user.last_name}", "email": user.email},
        "householdType": home,
        "hasYard": home is not HouseholdType.APARTMENT,
        "message": message,
    }
    adoption = await submit(ctx, user.id, AdoptionDraft.model_validate(draft))
    for status in statuses:
        adoption = await decide(ctx, adoption, status)


async def _chat(ctx: Context, subject: str, texts: tuple[str, ...], customer: str, agent: str | None) -> None:
    """A chat that is waiting with one message, and assigned to an agent with more."""
    tx = await ctx.tx()
    chat = Chat(
        id=new_id(),
        tenant_id=ctx.tenant,
        subject=subject,
        customer_id=customer,
        status=ChatStatus.WAITING,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    seen = visible_to(customer)
    ctx.emit(CHAT_OPENED, ChatEvent(chat=chat), seen, chat_id=chat.id)
    if len(texts) > 1 and agent is not None:
        chat = chat.model_copy(update={"status": ChatStatus.ASSIGNED, "agent_id": agent})
        ctx.emit(CHAT_ASSIGNED, ChatEvent(chat=chat), seen, chat_id=chat.id)
    await count_one(ctx, Chat)
    await tx.insert(chat)
    for place_in_chat, text in enumerate(texts if chat.agent_id is not None else texts[:1]):
        by_customer = place_in_chat % 2 == 0
        message = Message(
            id=new_id(),
            tenant_id=ctx.tenant,
            chat_id=chat.id,
            sender_id=customer if by_customer else agent,
            sender_role=SenderRole.CUSTOMER if by_customer else SenderRole.AGENT,
            text=text,
            sent_at=ctx.now,
        )
        await tx.insert(message)
        ctx.emit(CHAT_MESSAGE, MessageEvent(message=message), seen, chat_id=chat.id)
