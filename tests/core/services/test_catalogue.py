"""What the store can do is declared once, whole, and so that documents can be made of it."""

import json
import string
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from core.kernel.caller import Scope, operator, visitor
from core.kernel.errors import Forbidden
from core.kernel.events import EventKind
from core.kernel.ids import TenantId, new_id
from core.kernel.validation import check_body
from core.models.catalogue import EVENTS
from core.services.catalogue import OPERATIONS
from core.store.operation import AnyOperation

NAMES = [operation.name for operation in OPERATIONS]
DESCRIBED = [operation for operation in OPERATIONS if operation.result_example is not None]
#: The word that a placeholder of a topic stands for in the data of an event.
PLACES = {"pet_id", "order_id", "payment_id", "species", "chat_id", "adoption_id", "webhook_id"}


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_an_operation_says_what_it_is(operation: AnyOperation) -> None:
    assert operation.name.isidentifier()
    assert operation.summary
    assert not operation.summary.endswith(".")
    assert operation.writes or not (operation.creates or operation.idempotent)


@pytest.mark.parametrize("operation", DESCRIBED, ids=[operation.name for operation in DESCRIBED])
def test_the_example_of_a_result_is_a_whole_result(operation: AnyOperation) -> None:
    adapter = TypeAdapter(operation.result)
    value = adapter.validate_json(json.dumps(operation.result_example))
    shown = adapter.dump_python(value, mode="json", by_alias=True, exclude_none=True)
    assert shown == operation.result_example


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_the_example_of_a_body_is_a_good_body(operation: AnyOperation) -> None:
    if operation.body is None or operation.body_example is None:
        return
    known = {field.alias for field in operation.body.model_fields.values()}
    assert set(operation.body_example) <= known
    if not operation.patch:
        check_body(operation.body, dict(operation.body_example))


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_an_event_says_what_it_is(kind: EventKind) -> None:
    assert kind.description.endswith(".")
    for topic in kind.topics:
        assert {name for _, name, _, _ in string.Formatter().parse(topic) if name} <= PLACES


@pytest.mark.parametrize(
    ("write", "read"), [(Scope.WRITE_USER, Scope.READ_USER), (Scope.WRITE_ORDERS, Scope.READ_ORDERS)]
)
def test_who_may_write_and_not_read_is_answered_with_nothing(write: Scope, read: Scope) -> None:
    tenant = new_id()
    writer = replace(operator(TenantId(tenant)), key="user:1", scopes=frozenset({write}))
    found = [operation for operation in OPERATIONS if operation.scope is write]
    assert any(operation.result is None for operation in found)
    for operation in found:
        operation.authorise(replace(writer, scopes=frozenset({write, read})))
        if operation.anonymous:
            operation.authorise(visitor(TenantId(tenant), ""))
        if operation.result is None:
            operation.authorise(writer)
            continue
        with pytest.raises(Forbidden) as caught:
            operation.authorise(writer)
        assert caught.value.scope == read


def test_every_event_of_the_vocabulary_is_there() -> None:
    assert set(EVENTS) == {
        "pet.created",
        "pet.updated",
        "pet.deleted",
        "pet.status_changed",
        "pet.availability_changed",
        "pet.adopted",
        "pet.health_reported",
        "order.created",
        "order.status_changed",
        "payment.processing",
        "payment.succeeded",
        "payment.failed",
        "payment.refunded",
        "inventory.changed",
        "adoption.submitted",
        "adoption.status_changed",
        "webhook.disabled",
        "chat.opened",
        "chat.assigned",
        "chat.closed",
        "chat.message",
        "chat.message_delivered",
        "chat.message_read",
        "chat.typing",
        "presence.changed",
    }
