"""What is told of violations."""

import pytest
from pydantic import BaseModel

from core.kernel.errors import ValidationFailed
from core.kernel.validation import check_body
from core.models.chats import MessageDraft
from core.models.pets import PetDraft
from core.models.users import UserChange

PROFILE = {"username": "maria", "email": "m@example.com", "firstName": "M", "lastName": "L"}
PET = {"name": "Cleo", "species": "CAT", "ageMonths": 36, "price": "290.00"}


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (MessageDraft, {"text": ""}, "must have at least 1 character"),
        (MessageDraft, {"text": "x" * 4001}, "must have at most 4000 characters"),
        (UserChange, {**PROFILE, "password": "x"}, "must have at least 8 characters"),
        (PetDraft, {**PET, "photos": "x"}, "must be a list"),
    ],
)
def test_a_text_is_told_to_be_one_and_a_list_to_be_a_list(
    model: type[BaseModel], body: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_body(model, body)
    assert [violation.message for violation in caught.value.violations] == [message]


def test_of_very_many_violations_the_last_says_how_many_more() -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_body(PetDraft, {**PET, **{f"x{number}": 0 for number in range(150)}})
    *told, last = caught.value.violations
    assert (len(told), last.field, last.message) == (100, "", "and 50 more")


@pytest.mark.parametrize(
    "body",
    [
        {f"x{number}": 0 for number in range(2001)},
        {"photos": [0] * 2001},
        {"medicalInfo": [[{"a": [1] * 100}] * 20] * 10},
    ],
)
def test_a_body_of_very_many_values_is_refused_before_it_is_checked(body: dict[str, object]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_body(PetDraft, body)
    [violation] = caught.value.violations
    assert (violation.field, violation.code) == ("", "INVALID_LENGTH")
