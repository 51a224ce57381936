"""What all models share."""

import json

from core.models import examples
from core.models.payments import Payment
from core.models.pets import Pet


def test_a_changed_copy_has_a_json_and_a_tag_of_its_own() -> None:
    pet = Pet.model_validate(examples.PET)
    tag, encoded = pet.etag, pet.encoded
    copy = pet.model_copy(update={"name": "Rex"})
    assert copy.etag != tag
    assert b'"Rex"' in copy.encoded
    assert (pet.etag, pet.encoded) == (tag, encoded)
    assert pet.model_copy().etag == tag


def test_what_has_no_value_is_left_out_of_the_json() -> None:
    bare = {name: value for name, value in examples.PET.items() if name not in ("breed", "medicalInfo")}
    shown = json.loads(Pet.model_validate({**bare, "medicalInfo": {"vaccinated": True}}).encoded)
    assert "breed" not in shown
    assert shown["medicalInfo"] == {"vaccinated": True}


def test_what_was_kept_under_older_names_is_read() -> None:
    source = {**examples.PAYMENT["source"], "billingAddress": {"street": "Lindenstraße 5", "city": "Berlin"}}
    payment = Payment.model_validate({**examples.PAYMENT, "source": source})
    assert json.loads(payment.encoded)["source"]["billingAddress"] == {
        "line1": "Lindenstraße 5",
        "city": "Berlin",
    }
