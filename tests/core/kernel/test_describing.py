"""What members of models and values of enumerations mean."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from core.kernel.caller import Scope
from core.kernel.describing import Described, DescribedEnum, member_text, texts_of
from core.kernel.model import Page
from core.models import catalogue
from core.models.pets import Pet, PetDraft, PetStatus
from core.services.catalogue import OPERATIONS


def test_a_body_means_by_a_member_what_the_resource_means() -> None:
    assert member_text(PetDraft, "name") == member_text(Pet, "name") == "What the pet is called."
    assert member_text(Page[Pet], "data") == "The items of this page."
    assert member_text(Pet, "nothing") == ""


def test_texts_are_in_the_schemas_of_models_and_enumerations() -> None:
    schema = TypeAdapter(Pet).json_schema()
    assert schema["properties"]["ageMonths"]["description"] == "The age in months."
    assert "- `PENDING`: Reserved by an order." in schema["$defs"]["PetStatus"]["description"]
    assert "- `read:pets`: Read pets and the stock." in TypeAdapter(Scope).json_schema()["description"]


def _kinds(annotation: Any) -> set[type]:
    """All models and enumerations within a type."""
    found: set[type] = set()
    rest = [annotation]
    while rest:
        one = rest.pop()
        rest += getattr(one, "__args__", ())
        if isinstance(one, type) and issubclass(one, Described | DescribedEnum) and one not in found:
            found.add(one)
            if issubclass(one, Described):
                rest += [field.annotation for field in one.model_fields.values()]
    return found


@pytest.mark.parametrize(
    "kind",
    sorted(
        {
            kind
            for shown in (
                *(operation.params for operation in OPERATIONS),
                *(operation.body for operation in OPERATIONS),
                *(operation.result for operation in OPERATIONS),
                *(event.data for event in catalogue.EVENTS.values()),
            )
            for kind in _kinds(shown)
        },
        key=str,
    ),
)
def test_everything_that_is_shown_says_what_it_is(kind: type) -> None:
    assert any(one.__doc__ for one in kind.__mro__[:2])
    if issubclass(kind, DescribedEnum):
        assert list(texts_of(kind)) == list(kind.__members__)
    elif issubclass(kind, Described):
        assert [name for name in kind.model_fields if not member_text(kind, name)] == []


def test_there_is_a_text_for_each_value() -> None:
    assert texts_of(PetStatus)["NOT_AVAILABLE"] == "Not for sale."
