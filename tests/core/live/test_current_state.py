"""The current state under topics: what a new subscriber is told, in their rights."""

from core.kernel.caller import STAFF_SCOPES, Caller, visitor
from core.kernel.events import Event
from core.live.current_state import current_state
from core.models import examples
from core.services.adoptions import CREATE_ADOPTION, UPDATE_ADOPTION
from core.services.pets import CREATE_PET
from core.store.store import Store
from tests.core.stores import Shop, customer_of, user_in


async def told(store: Store, caller: Caller, event_filter: str, after: str | None = None) -> list[Event]:
    return [event async for page in current_state(store, caller, event_filter, after) for event in page]


async def application_of(shop: Shop, caller: Caller) -> str:
    await shop.add(user_in(shop.tenant, user_id=caller.user_id))
    pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    adoption = await shop.call(CREATE_ADOPTION, caller, {**examples.ADOPTION_DRAFT, "petId": pet.id})
    return str(adoption.id)


async def test_an_application_is_told_to_its_applicant_and_staff_alone(store: Store, shop: Shop) -> None:
    other = customer_of(shop.tenant)
    mine, theirs = await application_of(shop, shop.customer), await application_of(shop, other)
    await shop.call(UPDATE_ADOPTION, body={"status": "UNDER_REVIEW"}, id=mine)
    topics = [f"adoptions/{adoption}/status" for adoption in (mine, theirs)]
    for event_filter in ("adoptions/+/status", "adoptions/#", "#"):

        def of_adoptions(events: list[Event]) -> list[str]:
            return [event.topic for event in events if event.topic.startswith("adoptions/")]

        assert of_adoptions(await told(store, shop.staff, event_filter)) == topics
        assert of_adoptions(await told(store, shop.customer, event_filter)) == topics[:1]
        assert of_adoptions(await told(store, other, event_filter)) == topics[1:]
        key = Caller(shop.tenant, shop.staff.role, "key:1", STAFF_SCOPES, user_id=shop.staff.user_id)
        device = Caller(
            shop.tenant, shop.staff.role.DEVICE, "device:1", frozenset(), topics=frozenset({event_filter})
        )
        for stranger in (visitor(shop.tenant, "192.0.2.1"), customer_of(shop.tenant), key, device):
            assert of_adoptions(await told(store, stranger, event_filter)) == []
    assert await told(store, other, topics[0]) == []
    [event] = await told(store, shop.customer, topics[0])
    assert event.event_type == "adoption.status_changed"
    assert event.payload["adoption"]["status"] == "UNDER_REVIEW"
    [last] = await told(store, shop.staff, "adoptions/+/status", after=topics[0])
    assert (last.topic, last.event_type) == (topics[1], "adoption.submitted")
