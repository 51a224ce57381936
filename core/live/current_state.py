"""The current state of the resources that topics are about, for doors that send it to new subscribers.

Nothing is kept for it: it is read from the store, as far as the subscriber may see it, and looks like the event that
would have led to it. It gets the cursor at which the subscription begins, but has no sequence of its own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from core.auth.authorization import viewer_of
from core.hub import Viewer
from core.kernel.caller import Caller
from core.kernel.events import PUBLIC, Draft, Event, personal_to
from core.kernel.topics import matches
from core.models.adoptions import (
    ADOPTION_STATUS_CHANGED,
    ADOPTION_SUBMITTED,
    Adoption,
    AdoptionEvent,
    AdoptionStatus,
)
from core.models.inventory import INVENTORY_CHANGED, InventoryEvent
from core.models.orders import ORDER_CREATED, ORDER_STATUS_CHANGED, Order, OrderEvent, OrderStatus
from core.models.payments import (
    PAYMENT_FAILED,
    PAYMENT_PROCESSING,
    PAYMENT_REFUNDED,
    PAYMENT_SUCCEEDED,
    Payment,
    PaymentEvent,
    PaymentStatus,
    Receipt,
)
from core.models.pets import (
    PET_AVAILABILITY_CHANGED,
    PET_STATUS_CHANGED,
    Pet,
    PetAvailabilityEvent,
    PetStatus,
    PetStatusEvent,
    Species,
    StatusReason,
)
from core.ports.records import Between, Condition, Equal, OneOf, Query, Record, Transaction
from core.services.inventory import stock_of
from core.services.orders import STORE, audience_of
from core.store.store import Store

R = TypeVar("R", bound=Record)

#: Last levels of the topics that have a state.
_STATEFUL_LEVELS = frozenset({"status", "availability", "stock", "payment"})
_PAGE_RECORDS = 100


def has_state(topic: str) -> bool:
    """Whether the last event of a topic is the state of its resource."""
    return topic.rpartition("/")[2] in _STATEFUL_LEVELS


async def current_state(
    store: Store, caller: Caller, event_filter: str, after: str | None = None
) -> AsyncIterator[list[Event]]:
    """The current state under the topics that match a filter, as far as the caller may see it, a page at a time.

    ``after``: the topic of an event that this has given before, to go on behind it.

    Raises:
        Unavailable: the database is away.
    """
    viewer = viewer_of(caller)
    for collection, pages in _COLLECTIONS.items():
        if after is not None and not any(matches(form, after) for form in collection):
            continue
        if any(_may_match(event_filter, topic) for topic in collection):
            async for drafts in pages(store, caller, event_filter, (after and _subject(after)) or ""):
                events = _behind(after, [_event(store, caller, draft) for draft in drafts])
                found = [event for event in events if _is_visible(event, viewer, event_filter)]
                if found:
                    yield found
        after = None


def _behind(after: str | None, events: list[Event]) -> list[Event]:
    """The events behind the one of a topic; all of them when it is not among them."""
    places = [place for place, event in enumerate(events) if event.topic == after]
    return events[places[0] + 1 :] if places else events


def _event(store: Store, caller: Caller, draft: Draft) -> Event:
    return draft.to_event(caller.tenant, store.clock(), None)


def _is_visible(event: Event, viewer: Viewer, event_filter: str) -> bool:
    return any(matches(event_filter, topic) for topic in event.topics) and viewer.sees(event, (event_filter,))


def _may_match(event_filter: str, form: str) -> bool:
    """Whether an event filter can match any topic of a form such as ``pets/+/status``."""
    wanted, levels = event_filter.split("/"), form.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or ("+" not in (level, levels[place]) and level != levels[place]):
            return False
    return len(wanted) == len(levels)


def _subject(event_filter: str) -> str | None:
    """The id that a filter names at its second level, or None."""
    levels = event_filter.split("/")
    return levels[1] if len(levels) > 1 and levels[1] not in ("+", "#") else None


async def _pages(
    store: Store,
    caller: Caller,
    kind: type[R],
    where: tuple[Condition, ...],
    first: str,
    state_of: Callable[[Transaction, list[R]], Awaitable[list[Draft]]],
) -> AsyncIterator[list[Draft]]:
    """The state of all records of a kind, by id, from ``first`` on, a page in each transaction.

    No transaction is open while a page is used, which takes as long as a slow client likes.
    """
    behind: str | None = None
    while True:
        place = Between("id", first if behind is None else behind)
        async with store.storage.read(caller.tenant) as tx:
            found = await tx.find(Query(kind, (*where, place), limit=_PAGE_RECORDS + 1))
            page = [record for record in found if record.id != behind][:_PAGE_RECORDS]
            drafts = await state_of(tx, page)
        yield drafts
        if len(page) < _PAGE_RECORDS:
            return
        behind = page[-1].id


def _pets(store: Store, caller: Caller, event_filter: str, first: str) -> AsyncIterator[list[Draft]]:
    subject = _subject(event_filter)
    where = () if subject is None else (Equal("id", subject),)

    async def state_of(_: Transaction, pets: list[Pet]) -> list[Draft]:
        return [draft for pet in pets for draft in _pet_state(pet)]

    return _pages(store, caller, Pet, where, first, state_of)


def _pet_state(pet: Pet) -> Iterable[Draft]:
    keys = {"pet_id": pet.id}
    status = PetStatusEvent(
        pet_id=pet.id, old_status=pet.status, new_status=pet.status, reason=StatusReason.UPDATED, pet=pet
    )
    yield Draft(PET_STATUS_CHANGED, status, PUBLIC, keys)
    available = PetAvailabilityEvent(pet_id=pet.id, available=pet.status is PetStatus.AVAILABLE)
    yield Draft(PET_AVAILABILITY_CHANGED, available, PUBLIC, keys)


async def _stock(store: Store, caller: Caller, event_filter: str, _: str) -> AsyncIterator[list[Draft]]:
    subject = _subject(event_filter)
    async with store.storage.read(caller.tenant) as tx:
        stocks = [await stock_of(tx, species) for species in Species if subject in (None, species.value)]
    yield [_stock_state(stock) for stock in stocks]


def _stock_state(stock: InventoryEvent) -> Draft:
    return Draft(INVENTORY_CHANGED, stock, PUBLIC, {"species": stock.species})


async def _orders(store: Store, caller: Caller, event_filter: str, first: str) -> AsyncIterator[list[Draft]]:
    where = _of_viewer(caller, _subject(event_filter) if event_filter.startswith("orders/") else None)
    if where is None:
        return
    if event_filter.startswith("payments/") and (payment_id := _subject(event_filter)) is not None:
        async with store.storage.read(caller.tenant) as tx:
            payment = await tx.get(Payment, payment_id)
        if payment is None:
            return
        where = (Equal("id", payment.order_id),)
    async for drafts in _pages(store, caller, Order, where, first, _order_states):
        yield drafts


def _of_viewer(caller: Caller, subject: str | None) -> tuple[Condition, ...] | None:
    """The orders that may be visible; whether each one is, its event decides. None: no order is."""
    if subject is not None:
        return (Equal("id", subject),)
    viewer = viewer_of(caller)
    if viewer.kind == "user":
        return (Equal("user_id", viewer.user_id),)
    if viewer.kind == "device":
        named = [_subject(grant) for grant in viewer.grants if grant.startswith("orders/")]
        return () if None in named else (OneOf("id", tuple(named)),)
    return () if viewer.kind == "staff" else None


def _order_state(order: Order) -> Draft:
    # Its previous status, and who changed it last, are in the log alone.
    placed = order.status is OrderStatus.PLACED
    data = OrderEvent(
        order=order,
        previous_status=None,
        new_status=order.status,
        changed_at=order.updated_at,
        changed_by=(order.user_id or "visitor") if placed else STORE,
    )
    kind = ORDER_CREATED if placed else ORDER_STATUS_CHANGED
    return Draft(kind, data, audience_of(order), {"order_id": order.id})


_PAYMENT_KINDS = {
    PaymentStatus.PROCESSING: PAYMENT_PROCESSING,
    PaymentStatus.SUCCEEDED: PAYMENT_SUCCEEDED,
    PaymentStatus.FAILED: PAYMENT_FAILED,
    PaymentStatus.REFUNDED: PAYMENT_REFUNDED,
}


async def _order_states(tx: Transaction, orders: list[Order]) -> list[Draft]:
    """Each order with its last payment, if it has one."""
    where = (OneOf("order_id", tuple(order.id for order in orders)),)
    last = {payment.order_id: payment for payment in await tx.find(Query(Payment, where))}
    receipts = {receipt.payment_id: receipt for receipt in await tx.find(Query(Receipt, where))}
    drafts = []
    for order in orders:
        drafts.append(_order_state(order))
        if order.id in last:
            payment = last[order.id]
            drafts.append(_payment_state(order, payment, receipts.get(payment.id)))
    return drafts


def _payment_state(order: Order, payment: Payment, receipt: Receipt | None) -> Draft:
    return Draft(
        _PAYMENT_KINDS[payment.status],
        PaymentEvent(payment=payment, order=order, receipt=receipt),
        audience_of(order),
        {"order_id": order.id, "payment_id": payment.id},
    )


async def _adoptions(
    store: Store, caller: Caller, event_filter: str, first: str
) -> AsyncIterator[list[Draft]]:
    viewer, subject = viewer_of(caller), _subject(event_filter)
    if viewer.kind not in ("user", "staff"):
        return
    where: list[Condition] = [] if viewer.kind == "staff" else [Equal("user_id", viewer.user_id)]
    if subject is not None:
        where.append(Equal("id", subject))

    async def state_of(_: Transaction, adoptions: list[Adoption]) -> list[Draft]:
        return [_adoption_state(adoption) for adoption in adoptions]

    async for drafts in _pages(store, caller, Adoption, tuple(where), first, state_of):
        yield drafts


def _adoption_state(adoption: Adoption) -> Draft:
    submitted = adoption.status is AdoptionStatus.SUBMITTED
    kind = ADOPTION_SUBMITTED if submitted else ADOPTION_STATUS_CHANGED
    seen = personal_to(adoption.user_id)
    return Draft(kind, AdoptionEvent(adoption=adoption), seen, {"adoption_id": adoption.id})


#: The topics that have a state, by form, and what reads it, from a record on.
_COLLECTIONS: dict[tuple[str, ...], Callable[[Store, Caller, str, str], AsyncIterator[list[Draft]]]] = {
    ("pets/+/status", "pets/+/availability"): _pets,
    ("inventory/+/stock",): _stock,
    ("orders/+/status", "orders/+/payment", "payments/+/status"): _orders,
    ("adoptions/+/status",): _adoptions,
}
