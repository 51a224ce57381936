"""Whatever is sent, the answer is what the table says, and never an internal error."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.models import examples
from protocols.rest.bindings import BINDINGS, Binding
from tests.protocols.rest.shop import Door, Shop, request_for

WITH_BODY = [binding for binding in BINDINGS if binding.operation.body is not None and not binding.upload]
JSON = {"Content-Type": "application/json"}

BROKEN = {
    "cut off": b'{"name": "Bi',
    "trailing comma": b'{"name": "Biscuit",}',
    "single quotes": b"{'name': 1}",
    "not a number": b'{"ageMonths": NaN}',
    "infinite": b'{"ageMonths": Infinity}',
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "raw control character": b'{"name": "a\x00b"}',
    "deep arrays": b"[" * 10_000,
    "deep arrays, closed": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"medicalInfo":' * 10_000,
    "a number of 100,000 digits": b'{"ageMonths": ' + b"9" * 100_000 + b"}",
    "two values": b"{} {}",
    "white space": b"  ",
}
FAULTY = {
    "null": b"null",
    "an array": b"[]",
    "a text": b'"text"',
    "a number": b"7",
    "an infinite number": b'{"ageMonths": 1e999, "price": 1e999}',
    "a long number": b'{"ageMonths": 123456789012345678901234567890}',
    "null characters": b'{"name": "a\\u0000b", "\\u0000": 1}',
    "a long text": b'{"name": "' + b"x" * 500_000 + b'"}',
    "many members": b"{" + b",".join(b'"m%d": 1' % number for number in range(20_000)) + b"}",
    "fairly deep": b'{"medicalInfo":' * 150 + b"1" + b"}" * 150,
}


async def sent(shop: Shop, binding: Binding, body: bytes) -> httpx.Response:
    request = request_for(binding, shop)
    request.pop("json")
    return await shop.staff.request(**request, content=body, headers=JSON)


@pytest.fixture
async def full_shop(door: Door) -> Shop:
    return await door.open_full_shop()


@pytest.mark.parametrize("binding", WITH_BODY, ids=lambda binding: f"{binding.method} {binding.path}")
async def test_broken_json_is_a_bad_request(full_shop: Shop, binding: Binding) -> None:
    for name, body in BROKEN.items():
        answer = await sent(full_shop, binding, body)
        assert answer.status_code == 400, (name, answer.text[:200])
        assert answer.json()["type"].endswith("/bad-request")


@pytest.mark.parametrize("binding", WITH_BODY, ids=lambda binding: f"{binding.method} {binding.path}")
async def test_json_of_another_shape_has_violations(full_shop: Shop, binding: Binding) -> None:
    for name, body in FAULTY.items():
        answer = await sent(full_shop, binding, body)
        assert answer.status_code == 422, (name, answer.text[:200])
        assert answer.json()["errors"]


async def test_the_price_of_a_pet_is_exact_however_it_is_written(shop: Shop) -> None:
    draft = {name: value for name, value in examples.PET_DRAFT.items() if name != "price"}
    for body in ({"price": "75.10"}, {"price": 75.1}, {"adoptionFee": 75.10}):
        answer = await shop.staff.post("/v1/pets", json={**draft, **body})
        assert answer.json()["price"] == "75.10"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["DOG", "75.00", "2026-01-01T00:00:00Z", "-1", "\0", "%", "'", "a@b.de", "+4930901820", "#"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@st.composite
def distorted(draw: st.DrawFn, value: Any) -> Any:
    """A good value with something in it replaced, left out or added."""
    if draw(st.integers(0, 3)) == 0 or not isinstance(value, dict | list) or not value:
        return draw(values)
    if isinstance(value, list):
        return [draw(distorted(item)) for item in value]
    name = draw(st.sampled_from(sorted(value)))
    changed = {**value, name: draw(distorted(value[name]))}
    if draw(st.booleans()):
        changed.pop(draw(st.sampled_from(sorted(value))))
    return {**changed, **draw(st.dictionaries(st.text(max_size=5), scalars, max_size=1))}


@pytest.mark.slow
@pytest.mark.parametrize("binding", WITH_BODY, ids=lambda binding: f"{binding.method} {binding.path}")
async def test_no_body_is_an_internal_error(full_shop: Shop, binding: Binding) -> None:
    example = request_for(binding, full_shop)["json"]
    bodies: list[Any] = []

    @settings(max_examples=25, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(distorted(example))
    def collect(body: Any) -> None:
        bodies.append(body)

    collect()
    for body in bodies:
        answer = await full_shop.staff.request(**{**request_for(binding, full_shop), "json": body})
        assert answer.status_code < 500, (body, answer.text)


@pytest.mark.slow
async def test_no_parameter_is_an_internal_error(full_shop: Shop) -> None:
    texts = ["", "\0", "-1", "9" * 30, "٣", "💥", ",,,"]
    for binding in BINDINGS:
        if binding.operation.name == "resetTenant":
            continue
        for name in binding.query_names:
            for text in texts:
                request = request_for(binding, full_shop)
                answer = await full_shop.staff.request(**{**request, "params": {name: text}})
                assert answer.status_code < 500, (binding.path, name, text, answer.text)
        if "{" in binding.path:
            for text in ("%00", "%2e%2e", "%ff", "a" * 4000):
                answer = await full_shop.staff.request(binding.method, binding.path.replace("{id}", text))
                assert answer.status_code < 500, (binding.path, text, answer.text)
