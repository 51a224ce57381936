"""Cursors are opaque, of fixed length, and cannot be made up."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.cursor import Cursor
from core.kernel.errors import BadRequest
from core.kernel.ids import SHARED_TENANT, TenantId, new_id

TENANTS = st.uuids().map(lambda value: TenantId(str(value)))
EPOCHS = st.integers(0, 2**32 - 1)
SEQUENCES = st.integers(0, 2**63 - 1)


@given(EPOCHS, TENANTS, SEQUENCES)
def test_a_cursor_says_what_went_into_it(epoch: int, tenant: TenantId, sequence: int) -> None:
    cursor = Cursor(epoch, tenant, sequence)
    text = cursor.encode()
    assert Cursor.decode(text, tenant) == cursor
    assert len(text) == 40
    assert text.isascii()
    assert not set(text) & set("+/= &?#%")


@given(EPOCHS, TENANTS, TENANTS, SEQUENCES)
def test_another_tenants_cursor_is_a_bad_request(
    epoch: int, tenant: TenantId, other: TenantId, sequence: int
) -> None:
    text = Cursor(epoch, tenant, sequence).encode()
    if tenant != other:
        with pytest.raises(BadRequest, match="not of this tenant"):
            Cursor.decode(text, other)


@given(st.text(max_size=60))
def test_what_nobody_made_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        Cursor.decode(text, SHARED_TENANT)


@given(SEQUENCES, st.integers(0, 39), st.sampled_from("ABCxyz019-_"))
def test_a_changed_character_is_noticed_almost_always(sequence: int, place: int, char: str) -> None:
    text = Cursor(7, SHARED_TENANT, sequence).encode()
    changed = text[:place] + char + text[place + 1 :]
    try:
        cursor = Cursor.decode(changed, SHARED_TENANT)
    except BadRequest:
        return
    # One byte of check sum lets a few pass; they name another place, and do no harm.
    assert changed == text or cursor != Cursor(7, SHARED_TENANT, sequence)


@pytest.mark.parametrize("cut", [0, 1, 20, 39])
def test_a_cut_off_cursor_is_a_bad_request(cut: int) -> None:
    with pytest.raises(BadRequest):
        Cursor.decode(Cursor(1, SHARED_TENANT, 1).encode()[:cut], SHARED_TENANT)


def test_ids_are_version_7_and_rise() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(
        uuid.UUID(text).version == 7 and uuid.UUID(text).variant == uuid.RFC_4122 for text in made[:100]
    )
