"""Bodies and parameters: what is ignored in them, which numbers are integers, and what must be there or must not."""

import json
from typing import Any

import pytest

from core.models import examples
from protocols.rest.bindings import BINDINGS, Binding
from tests.protocols.rest.shop import Door, Shop, caller_for, request_for

READ_ONLY = {
    "id": examples.PET_ID,
    "number": 1,
    "createdAt": "2026-03-02T09:30:00.125Z",
    "updatedAt": None,
    "tenantId": {"any": "thing"},
}
WITH_BODY = [binding for binding in BINDINGS if binding.operation.body is not None]
JSON_BODIES = [binding for binding in WITH_BODY if not binding.upload]


def name_of(binding: Binding) -> str:
    return f"{binding.method} {binding.path}"


@pytest.mark.parametrize("binding", WITH_BODY, ids=name_of)
async def test_read_only_members_are_ignored_in_every_body(door: Door, binding: Binding) -> None:
    shop = await door.open_full_shop()
    request = request_for(binding, shop)
    part = "data" if binding.upload else "json"
    ignored = {name: str(value) for name, value in READ_ONLY.items()} if binding.upload else READ_ONLY
    answer = await caller_for(binding, shop).request(**{**request, part: {**request[part], **ignored}})
    assert answer.status_code == binding.status, answer.text
    if answer.headers["content-type"] == "application/json" and "id" in (made := answer.json()):
        assert made["id"] != READ_ONLY["id"]
        assert made["createdAt" if "createdAt" in made else "sentAt"] != READ_ONLY["createdAt"]


async def test_an_unknown_member_is_refused_in_every_body(door: Door) -> None:
    shop = await door.open_full_shop()
    for binding in JSON_BODIES:
        request = request_for(binding, shop)
        answer = await caller_for(binding, shop).request(
            **{**request, "json": {**request["json"], "nmae": 1}}
        )
        assert answer.status_code == 422, name_of(binding)
        assert {"field": "nmae", "code": "UNKNOWN_FIELD"}.items() <= answer.json()["errors"][0].items()


async def test_the_store_decides_what_clients_of_the_published_contract_send_along(shop: Shop) -> None:
    pet = await shop.add_pet()
    order = {"petId": pet, "status": "DELIVERED", "totalAmount": "0.01", "currency": "GBP", **READ_ONLY}
    made = await shop.customer.post("/v1/orders", json=order)
    assert made.status_code == 201, made.text
    told = made.json()
    assert (told["status"], told["totalAmount"], told["currency"]) == ("PLACED", "350.00", "USD")
    source = {**examples.PAYMENT_DRAFT["source"], "brand": "AMEX", "last4": "0000"}
    paid = await shop.customer.post(
        f"/v1/orders/{told['id']}/payment", json={**examples.PAYMENT_DRAFT, "source": source}
    )
    assert paid.status_code == 201, paid.text


@pytest.mark.parametrize("number", ["14.0", "1.4e1", "14e0", "140E-1"])
async def test_numbers_without_a_fraction_are_integers(shop: Shop, number: str) -> None:
    draft = json.dumps({**examples.PET_DRAFT, "ageMonths": "N", "price": 12}).replace('"N"', number)
    headers = {"Content-Type": "application/json"}
    made = await shop.staff.post("/v1/pets", content=draft, headers=headers)
    assert made.status_code == 201, made.text
    assert made.json()["ageMonths"] == 14
    search = '{"criteria": {"ageRange": {"min": N, "max": N}}, "pagination": {"page": 1.0, "limit": 1e1}}'
    found = await shop.visitor.post("/v1/pets/search", content=search.replace("N", number), headers=headers)
    assert found.json()["pagination"] == {"page": 1, "limit": 10, "totalItems": 1, "totalPages": 1}


@pytest.mark.parametrize("number", ["14.5", "1e400", '"14"', "true"])
async def test_other_numbers_are_no_integers(shop: Shop, number: str) -> None:
    draft = json.dumps({**examples.PET_DRAFT, "ageMonths": "N"}).replace('"N"', number)
    answer = await shop.staff.post("/v1/pets", content=draft, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["ageMonths"]


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", None])
async def test_a_body_that_is_needed_is_asked_for(door: Door, content_type: str | None) -> None:
    shop = await door.open_full_shop()
    headers = {} if content_type is None else {"Content-Type": content_type}
    for binding in WITH_BODY:
        request = request_for(binding, shop)
        answer = await caller_for(binding, shop).request(
            request["method"], request["url"], params=request.get("params"), headers=headers
        )
        if binding.operation.body_required or binding.upload:
            assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request"), name_of(binding)
        else:
            assert answer.status_code == binding.status, name_of(binding)


def test_what_may_be_left_out() -> None:
    optional = {binding.operation.name for binding in JSON_BODIES if not binding.operation.body_required}
    assert optional == {"searchPets", "openChat", "assignChat"}


async def test_an_unknown_parameter_is_a_bad_request(door: Door) -> None:
    shop = await door.open_full_shop()
    for binding in BINDINGS:
        request: dict[str, Any] = request_for(binding, shop)
        request["params"] = {**request.get("params", {}), "limt": "1"}
        answer = await caller_for(binding, shop).request(**request)
        assert answer.status_code == 400, name_of(binding)
        assert "limt" in answer.json()["detail"]


async def test_the_order_of_members_makes_no_other_request_of_a_repeated_key(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k-1", "Content-Type": "application/json"}
    first = await shop.staff.post("/v1/pets", content=json.dumps(examples.PET_DRAFT), headers=headers)
    turned = {**dict(reversed(examples.PET_DRAFT.items())), "ageMonths": 14.0}
    turned["medicalInfo"] = dict(reversed(turned["medicalInfo"].items()))
    again = await shop.staff.post("/v1/pets", content=json.dumps(turned, indent=2), headers=headers)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first.json()


@pytest.mark.parametrize("part", ["[],", "{},", "0,"])
async def test_a_body_of_very_many_parts_is_not_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr("protocols.http.json_body.from_json", None)
    headers = {"Content-Type": "application/json"}
    answer = await shop.staff.post("/v1/pets", content="[" + part * 300_000 + "0]", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "has more than 2000 members and items"
