"""What all models share."""

from core.models import examples
from core.models.pets import Pet


def test_a_changed_copy_has_a_json_and_a_tag_of_its_own() -> None:
    pet = Pet.model_validate(examples.PET)
    tag, encoded = pet.etag, pet.encoded
    copy = pet.model_copy(update={"name": "Rex"})
    assert copy.etag != tag
    assert b'"Rex"' in copy.encoded
    assert (pet.etag, pet.encoded) == (tag, encoded)
    assert pet.model_copy().etag == tag
