"""Who may listen to what."""

import json
import re
from dataclasses import replace

import pytest

from core.auth.authorization import check_filters, may_grant, may_read_order, viewer_of
from core.hub.index import Index
from core.hub.selection import Selection
from core.kernel.caller import CUSTOMER_SCOPES, STAFF_SCOPES, Caller, Role, Scope, visitor
from core.kernel.clock import utc_now
from core.kernel.errors import BadRequest, Forbidden, Unauthorized
from core.kernel.events import PUBLIC, Audience, Draft, Event, EventKind, personal_to, visible_to
from core.kernel.ids import new_id
from core.kernel.model import NoParams
from core.models import examples
from core.models.catalogue import EVENTS
from core.models.payments import Payment
from core.services.adoptions import CREATE_ADOPTION
from core.services.chats import OPEN_CHAT
from core.services.orders import GET_ORDER, PLACE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import CREATE_PET
from core.store.store import Store
from tests.core.stores import Shop, customer_of, user_in

PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}
CARD = {
    "object": "card",
    "name": "A",
    "number": "4242424242424242",
    "cvc": "123",
    "expMonth": 12,
    "expYear": 2099,
}


def device_of(shop: Shop, *topics: str) -> Caller:
    device_id = new_id()
    return Caller(
        shop.tenant, Role.DEVICE, f"device:{device_id}", frozenset({Scope.READ_PETS}), device_id=device_id,
        topics=frozenset(topics),
    )  # fmt: skip


def program_of(shop: Shop, *scopes: Scope) -> Caller:
    """STAFF with rights cut down, as an API key has them."""
    return replace(shop.staff, scopes=frozenset(scopes))


async def order_of(shop: Shop, caller: Caller) -> str:
    pet = await shop.call(CREATE_PET, body=PET)
    order = await shop.call(PLACE_ORDER, caller, {"petId": pet.id})
    return str(order.id)


async def payment_of(shop: Shop, order_id: str, caller: Caller) -> str:
    paid: Payment = await shop.call(
        PAY_ORDER, caller, {"amount": "350.00", "currency": "USD", "source": CARD}, id=order_id
    )
    return paid.id


async def application_of(shop: Shop, caller: Caller) -> str:
    await shop.add(user_in(shop.tenant, user_id=caller.user_id))
    pet = await shop.call(CREATE_PET, body=PET)
    adoption = await shop.call(CREATE_ADOPTION, caller, {**examples.ADOPTION_DRAFT, "petId": pet.id})
    return str(adoption.id)


# --- wide filters ---

PRIVATE = [
    "orders",
    "orders/#",
    "orders/+",
    "orders/+/status",
    "payments/#",
    "adoptions/+/status",
    "chats/+",
    "chats/#",
]
OPEN = [
    "#",
    "+/+/status",
    "+/#",
    "pets/#",
    "pets/+/status",
    "pets/x/adoption",
    "inventory/#",
    "inventory/DOG/stock",
    "a/b",
]


@pytest.mark.parametrize("pattern", PRIVATE)
async def test_visitors_may_not_listen_where_they_see_nothing(shop: Shop, pattern: str) -> None:
    with pytest.raises(Unauthorized):
        await check_filters(shop.store.storage, shop.store.limits, shop.visitor, ["pets/#", pattern])
    await check_filters(shop.store.storage, shop.store.limits, shop.customer, [pattern])
    await check_filters(shop.store.storage, shop.store.limits, shop.staff, [pattern])


@pytest.mark.parametrize("pattern", OPEN)
async def test_what_reaches_beyond_is_for_everybody(shop: Shop, pattern: str) -> None:
    for caller in (shop.visitor, shop.customer, shop.staff, program_of(shop)):
        await check_filters(shop.store.storage, shop.store.limits, caller, [pattern])


@pytest.mark.parametrize("pattern", ["telemetry/#", "telemetry/pets/x/health", "telemetry"])
async def test_nobody_listens_to_telemetry(shop: Shop, pattern: str) -> None:
    for caller in (shop.customer, shop.staff, device_of(shop, "#"), device_of(shop, "telemetry/#")):
        with pytest.raises(Forbidden):
            await check_filters(shop.store.storage, shop.store.limits, caller, [pattern])
    with pytest.raises(Unauthorized):
        await check_filters(shop.store.storage, shop.store.limits, shop.visitor, [pattern])


@pytest.mark.parametrize("pattern", ["", "a/#/b", "a+", "#a", "a" * 600, "\0"])
async def test_a_malformed_filter_is_a_bad_request(shop: Shop, pattern: str) -> None:
    with pytest.raises(BadRequest):
        await check_filters(shop.store.storage, shop.store.limits, shop.staff, [pattern])


async def test_too_many_filters_are_a_bad_request(shop: Shop) -> None:
    filters = [f"pets/{number}" for number in range(100)]
    await check_filters(shop.store.storage, shop.store.limits, shop.visitor, [*filters, filters[0]])
    with pytest.raises(BadRequest):
        await check_filters(shop.store.storage, shop.store.limits, shop.visitor, [*filters, "pets/100"])


# --- literal ids ---


async def may(shop: Shop, caller: Caller, *filters: str) -> str | None:
    """What the caller is answered; None: they may."""
    try:
        await check_filters(shop.store.storage, shop.store.limits, caller, filters)
    except (Forbidden, Unauthorized) as error:
        detail = error.detail
        for pattern in filters:
            detail = detail.replace(pattern, "…")
        return f"{type(error).__name__}: {detail}"
    return None


async def test_an_order_is_heard_by_its_owner_and_staff(shop: Shop) -> None:
    order_id = await order_of(shop, shop.customer)
    for topic in (f"orders/{order_id}/status", f"orders/{order_id}/#", f"orders/{order_id}"):
        missing = topic.replace(order_id, new_id())
        assert await may(shop, shop.customer, topic) is None
        assert await may(shop, shop.staff, topic) is None
        for stranger in (shop.visitor, customer_of(shop.tenant)):
            refused = await may(shop, stranger, topic)
            assert refused is not None
            assert refused == await may(shop, stranger, missing)


async def test_an_anonymous_order_is_heard_by_whoever_names_it(shop: Shop) -> None:
    order_id = await order_of(shop, shop.visitor)
    payment_id = await payment_of(shop, order_id, shop.visitor)
    for caller in (shop.visitor, shop.customer, shop.staff):
        assert await may(shop, caller, f"orders/{order_id}/status", f"payments/{payment_id}/status") is None


async def test_a_payment_is_heard_by_who_may_hear_its_order(shop: Shop) -> None:
    order_id = await order_of(shop, shop.customer)
    topic = f"payments/{await payment_of(shop, order_id, shop.customer)}/status"
    assert await may(shop, shop.customer, topic) is None
    stranger = customer_of(shop.tenant)
    assert (
        await may(shop, stranger, topic)
        == await may(shop, stranger, f"payments/{new_id()}/status")
        is not None
    )


async def test_an_application_is_heard_by_its_applicant_and_staff_and_by_no_grant(shop: Shop) -> None:
    adoption = await application_of(shop, shop.customer)
    for topic in (f"adoptions/{adoption}/status", f"adoptions/{adoption}/#"):
        assert await may(shop, shop.customer, topic) is None
        assert await may(shop, shop.staff, topic) is None
        for stranger in (
            shop.visitor,
            customer_of(shop.tenant),
            key_of(shop, *STAFF_SCOPES),
            device_of(shop),
        ):
            missing = await may(shop, stranger, topic.replace(adoption, new_id()))
            assert await may(shop, stranger, topic) == missing is not None
    for wide in ("adoptions/#", "adoptions/+/status"):
        assert await may(shop, key_of(shop, *STAFF_SCOPES), wide) is not None
    other = Shop(shop.store)
    assert await may(other, other.customer, f"adoptions/{adoption}/status") is not None


async def test_a_chat_is_heard_by_its_customer_and_agents(shop: Shop) -> None:
    topic = f"chats/{(await shop.call(OPEN_CHAT, shop.customer)).id}"
    assert await may(shop, shop.customer, topic) is None
    assert await may(shop, shop.staff, topic) is None
    for stranger in (
        shop.visitor,
        customer_of(shop.tenant),
        program_of(shop, Scope.READ_ORDERS, Scope.CHAT_WRITE),
    ):
        assert await may(shop, stranger, topic) == await may(shop, stranger, f"chats/{new_id()}") is not None


@pytest.mark.parametrize("subject", ["x", "\ud800", "", "0" * 36])
async def test_an_odd_id_is_refused_like_a_missing_one(shop: Shop, subject: str) -> None:
    for root in ("orders", "payments", "chats", "adoptions"):
        answer = await may(shop, shop.visitor, f"{root}/{subject}/status")
        assert answer == "Unauthorized: You may not subscribe to '…'."


async def test_an_order_of_another_tenant_is_not_there(store: Store, shop: Shop) -> None:
    order_id, other = await order_of(shop, shop.visitor), Shop(store)
    assert await may(other, other.visitor, f"orders/{order_id}/status") is not None


# --- devices and programs ---


async def test_a_device_listens_to_pets_stock_and_what_it_was_given(shop: Shop) -> None:
    order_id = new_id()
    device = device_of(shop, f"orders/{order_id}/#", "chats/+", "a/b")
    given = (
        "pets/#",
        "pets/x/status",
        "inventory/+/stock",
        f"orders/{order_id}/status",
        "chats/x",
        "chats/+",
        "a/b",
    )
    assert await may(shop, device, *given) is None
    for pattern in (
        "#",
        "+/+/status",
        "orders/#",
        f"orders/{new_id()}/status",
        "chats/#",
        "a/c",
        f"payments/{new_id()}",
    ):
        assert await may(shop, device, pattern) is not None


async def test_a_device_hears_no_anonymous_order_unless_given(shop: Shop) -> None:
    order_id = await order_of(shop, shop.visitor)
    assert await may(shop, device_of(shop), f"orders/{order_id}/status") is not None


async def test_a_program_listens_to_what_its_scopes_are_about(shop: Shop) -> None:
    orders, chats = program_of(shop, Scope.READ_ORDERS), program_of(shop, Scope.CHAT_AGENT)
    assert await may(shop, orders, "orders/#", "payments/+/status", f"orders/{new_id()}/status") is None
    assert await may(shop, chats, "chats/#", f"chats/{new_id()}") is None
    assert await may(shop, orders, "chats/#") is not None
    assert await may(shop, chats, "orders/#") is not None
    assert await may(shop, chats, f"orders/{new_id()}/status") is not None


def test_the_hub_sees_each_caller_as_he_is(shop: Shop) -> None:
    assert viewer_of(shop.visitor).kind == "visitor"
    assert (viewer_of(shop.customer).kind, viewer_of(shop.customer).user_id) == (
        "user",
        shop.customer.user_id,
    )
    assert viewer_of(shop.staff).kind == "staff"
    assert viewer_of(device_of(shop, "a/b")).grants == {"a/b"}
    assert viewer_of(program_of(shop, Scope.CHAT_AGENT)).grants == {"chats/#"}
    assert viewer_of(program_of(shop)).grants == frozenset()
    cut = replace(shop.customer, scopes=CUSTOMER_SCOPES - {Scope.READ_ORDERS})
    assert (viewer_of(cut).user_id, viewer_of(cut).roots) == (shop.customer.user_id, frozenset({"chats"}))
    assert viewer_of(replace(cut, scopes=cut.scopes - {Scope.CHAT_WRITE})).kind == "visitor"


def test_staff_gives_only_what_it_hears(shop: Shop) -> None:
    assert may_grant(shop.staff, "#")
    assert may_grant(program_of(shop, Scope.READ_ORDERS), "orders/+/status")
    assert may_grant(program_of(shop), "pets/+/status")
    assert not may_grant(program_of(shop), "orders/+/status")
    assert not may_grant(program_of(shop, Scope.READ_ORDERS), "+/+/status")


async def test_an_order_is_read_by_its_owner_staff_and_its_device(shop: Shop) -> None:
    order_id = await order_of(shop, shop.customer)
    order = await shop.call(GET_ORDER, shop.customer, id=order_id)
    assert may_read_order(shop.customer, order.id, order.user_id)
    assert may_read_order(shop.staff, order.id, order.user_id)
    assert may_read_order(device_of(shop, f"orders/{order_id}/#"), order.id, order.user_id)
    for stranger in (shop.visitor, customer_of(shop.tenant), device_of(shop, "orders/#")):
        assert not may_read_order(stranger, order.id, order.user_id)
    assert may_read_order(shop.visitor, order.id, None)


# --- every event, every kind of caller ---

OWNER = "019e2d15-51aa-7c36-9e02-7d4b6f8a0c12"
#: Which scope shows an API key what is not public, by the first level of the topic.
SCOPE_OF_ROOT = {
    "orders": Scope.READ_ORDERS,
    "payments": Scope.READ_ORDERS,
    "chats": Scope.CHAT_AGENT,
    "webhooks": Scope.WRITE_WEBHOOKS,
}


def event_of(kind: EventKind, shop: Shop) -> Event:
    audience = PUBLIC if kind.public else personal_to(OWNER) if kind.personal else visible_to(OWNER)
    names = ("pet_id", "order_id", "payment_id", "species", "chat_id", "adoption_id", "webhook_id")
    # What an event tells doesn't matter for who may see it.
    draft = Draft(kind, NoParams(), audience, dict.fromkeys(names, "some"))
    return draft.to_event(shop.tenant, utc_now(), None).at(1, 1)


def key_of(shop: Shop, *scopes: Scope) -> Caller:
    return replace(shop.staff, key="key:1", scopes=frozenset(scopes))


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.event_type)
def test_who_sees_an_event(shop: Shop, kind: EventKind) -> None:
    event = event_of(kind, shop)
    assert Audience.decode(event.audience.encode()) == event.audience
    root = event.topic.partition("/")[0]
    everybody = {
        "visitor": visitor(shop.tenant, "127.0.0.1"),
        "owner": customer_of(shop.tenant, OWNER),
        "another customer": customer_of(shop.tenant),
        "staff": shop.staff,
        "device of everything": device_of(shop, "#"),
        "device of this": device_of(shop, event.topic),
        "device of something else": device_of(shop, "pets/other/#"),
        "key of everything": key_of(shop, *STAFF_SCOPES),
        **{f"key of {scope}": key_of(shop, scope) for scope in Scope},
        **{
            f"owner with {scope}": replace(customer_of(shop.tenant, OWNER), scopes=frozenset({scope}))
            for scope in Scope
        },
    }
    entitled = {"owner", "staff", f"owner with {Scope.CHAT_WRITE if root == 'chats' else Scope.READ_ORDERS}"}
    if root == "webhooks":
        entitled = {"owner", "staff"}
    if kind.public:
        entitled = set(everybody)
    elif not kind.personal:
        entitled |= {"device of everything", "device of this", "key of everything"}
        entitled |= {f"key of {SCOPE_OF_ROOT[root]}"}
    seen = {name for name, caller in everybody.items() if viewer_of(caller).sees(event, ("#",))}
    assert seen == entitled
    index = Index()
    selections = {name: Selection(frozenset({"#"}), viewer_of(caller)) for name, caller in everybody.items()}
    for selection in selections.values():
        index.add(selection)
    told = list(index.find(event))
    assert {name for name, selection in selections.items() if selection in told} == entitled


def test_what_tells_of_a_person_is_personal() -> None:
    """An event whose data names somebody is public to nobody and opened by no grant, unless it is about their order
    or chat, which a grant names."""
    telling = {
        kind.event_type
        for kind in EVENTS.values()
        if re.search(r'"(email|phone|username)"', json.dumps(kind.data.model_json_schema()))
    }
    assert (
        telling
        == {kind.event_type for kind in EVENTS.values() if kind.personal}
        == {
            "pet.adopted",
            "adoption.submitted",
            "adoption.status_changed",
        }
    )
