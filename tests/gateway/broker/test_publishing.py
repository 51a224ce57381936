"""Events as messages."""

from core.kernel.events import Event, personal_to
from core.kernel.ids import SHARED_TENANT, TenantId
from core.models.pets import PET_DELETED
from gateway.broker.publishing import messages_of
from tests.gateway.storage.records import a_tenant, an_event


def _event(tenant: TenantId, topic: str, *aliases: str, event_type: str = "thing.happened") -> Event:
    from dataclasses import replace

    return replace(an_event(tenant), topic=topic, aliases=aliases, event_type=event_type).at(1, 2)


def test_a_message_is_the_envelope_under_each_topic_retained_where_it_is_a_state() -> None:
    event = _event(SHARED_TENANT, "orders/1/payment", "payments/2/status", "orders/1/more")
    messages = list(messages_of(event))
    assert [(message.topic, message.retain) for message in messages] == [
        ("orders/1/payment", True),
        ("payments/2/status", True),
        ("orders/1/more", False),
    ]
    assert {message.payload for message in messages} == {event.envelope}
    assert dict(messages[0].properties) == {
        "eventId": event.id, "eventType": "thing.happened", "cursor": event.cursor,
    }  # fmt: skip


def test_the_broker_retains_nothing_that_tells_of_a_person() -> None:
    from dataclasses import replace

    event = replace(_event(SHARED_TENANT, "adoptions/1/status"), audience=personal_to("u"))
    assert [message.retain for message in messages_of(event)] == [False]


def test_a_deleted_pet_takes_its_retained_messages_with_it() -> None:
    tenant = a_tenant()
    told, *cleared = messages_of(_event(tenant, "pets/1", event_type=PET_DELETED.event_type))
    assert (told.topic, told.retain) == (f"tenants/{tenant}/pets/1", False)
    assert [(message.topic, message.payload, message.retain) for message in cleared] == [
        (f"tenants/{tenant}/pets/1/status", b"", True),
        (f"tenants/{tenant}/pets/1/availability", b"", True),
    ]
