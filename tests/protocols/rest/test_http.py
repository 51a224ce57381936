"""What HTTP adds to the operations: conditions, repetitions, pages, images, other origins, documents."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import OpenAPIV32SpecValidator

from core.kernel.limits import Limits
from core.models import examples
from core.ports.payments import Charge
from gateway.contracts import documents
from gateway.contracts.documents import DOCUMENTS, http_document
from protocols.rest.pages import dump_yaml
from tests.core.stores import PUBLIC_URL
from tests.pictures import PNG
from tests.protocols.rest.shop import Door, Shop
from tests.waiting import within


async def test_a_resource_that_is_known_is_not_sent_again(shop: Shop) -> None:
    path = f"/v1/pets/{await shop.add_pet()}"
    tag = (await shop.visitor.get(path)).headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]+"', tag)
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        answer = await shop.visitor.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    changed = await shop.staff.patch(path, json={"name": "Rex"})
    assert changed.headers["etag"] != tag
    answer = await shop.visitor.get(path, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] == changed.headers["etag"]


async def test_a_change_of_something_that_changed_meanwhile_is_refused(shop: Shop) -> None:
    path = f"/v1/pets/{await shop.add_pet()}"
    first = (await shop.visitor.get(path)).headers["etag"]
    second = (await shop.staff.patch(path, json={"name": "Rex"}, headers={"If-Match": first})).headers["etag"]
    for stale in (first, f"W/{second}", "unquoted", ""):
        for method, body in (("PUT", examples.PET_DRAFT), ("PATCH", {"name": "Ben"}), ("DELETE", None)):
            answer = await shop.staff.request(method, path, json=body, headers={"If-Match": stale})
            assert answer.status_code == 412, (stale, method, answer.text)
    for fresh in (f'"other", {second}', "*"):
        assert (await shop.staff.patch(path, json={}, headers={"If-Match": fresh})).status_code == 200
    assert (await shop.staff.delete(path, headers={"If-Match": second})).status_code == 204


async def test_a_change_of_what_the_client_excludes_is_refused(shop: Shop) -> None:
    path = f"/v1/pets/{await shop.add_pet()}"
    tag = (await shop.visitor.get(path)).headers["etag"]
    for excluded in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        for method, body in (("PUT", examples.PET_DRAFT), ("PATCH", {"name": "Ben"}), ("DELETE", None)):
            answer = await shop.staff.request(method, path, json=body, headers={"If-None-Match": excluded})
            assert answer.status_code == 412, (excluded, method, answer.text)
    changed = await shop.staff.patch(path, json={"name": "Rex"}, headers={"If-None-Match": '"other"'})
    assert changed.status_code == 200
    answer = await shop.staff.delete(
        path, headers={"If-Match": changed.headers["etag"], "If-None-Match": tag}
    )
    assert answer.status_code == 204


async def test_reading_changing_and_writing_back_works(shop: Shop) -> None:
    path = f"/v1/pets/{await shop.add_pet()}"
    pet = (await shop.visitor.get(path)).json()
    answer = await shop.staff.put(path, json={**pet, "name": "Rex"})
    assert answer.status_code == 200, answer.text
    assert {**answer.json(), "updatedAt": None} == {**pet, "name": "Rex", "updatedAt": None}


async def test_a_merge_patch_removes_with_null(shop: Shop) -> None:
    path = f"/v1/pets/{await shop.add_pet()}"
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = await shop.staff.patch(
        path, content=b'{"breed": null, "medicalInfo": {"vaccinated": false}}', headers=headers
    )
    assert "breed" not in answer.json()
    assert answer.json()["medicalInfo"]["vaccinated"] is False
    assert answer.json()["medicalInfo"]["microchipped"] is True


async def test_a_repeated_request_has_one_effect_and_the_first_answer(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await shop.staff.post("/v1/pets", json=examples.PET_DRAFT, headers=headers)
    second = await shop.staff.post("/v1/pets", json=examples.PET_DRAFT, headers=headers)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    for name in ("location", "etag"):
        assert second.headers[name] == first.headers[name]
    assert (second.status_code, second.json()) == (201, first.json())
    other = await shop.staff.post("/v1/pets", json={**examples.PET_DRAFT, "name": "Rex"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert (await shop.visitor.get("/v1/pets")).json()["pagination"]["totalItems"] == 1


async def test_who_repeats_a_request_that_still_runs_is_told_when_to_come_again(
    shop: Shop, door: Door
) -> None:
    begun, over = asyncio.Event(), asyncio.Event()
    charge = door.store.processor.charge

    async def slowly(*arguments: Any) -> Charge:
        begun.set()
        await over.wait()
        return await charge(*arguments)

    door.store.processor.charge = slowly  # type: ignore[assignment,method-assign]
    path, headers = f"/v1/orders/{await shop.add_order()}/payment", {"Idempotency-Key": "k-1"}

    def pay() -> Awaitable[httpx.Response]:
        return shop.customer.post(path, json=examples.PAYMENT_DRAFT, headers=headers)

    first = asyncio.ensure_future(pay())
    await within(begun.wait())
    second = await pay()
    assert (second.status_code, second.headers["retry-after"]) == (409, "1")
    over.set()
    assert (await within(first)).status_code == 201
    assert (await pay()).json() == (await first).json()


def links(header: str) -> dict[str, str]:
    return {rel: target for target, rel in re.findall(r'<([^>]*)>; rel="(\w+)"', header)}


async def test_pages_lead_to_one_another_and_keep_the_question(shop: Shop) -> None:
    made = [await shop.add_pet(species="CAT") for _ in range(5)]
    await shop.add_pet(species="DOG")
    seen, walked = [], 0
    found = {"next": "/v1/pets?species=CAT,RABBIT&limit=2&ageMin=3"}
    pagination: dict[str, int] = {}
    while "next" in found:
        answer = await shop.visitor.get(found["next"])
        found = links(answer.headers["link"])
        pagination = answer.json()["pagination"]
        seen += [pet["id"] for pet in answer.json()["data"]]
        assert all("species=CAT%2CRABBIT" in target and "ageMin=3" in target for target in found.values())
        assert ("prev" in found) is (walked > 0)
        walked += 1
    assert (seen, walked) == (made, 3)
    assert "page=3&" in found["last"]
    assert "after=" in found["self"]
    assert pagination == {"page": 3, "limit": 2, "totalItems": 5, "totalPages": 3}
    beyond = await shop.visitor.get("/v1/pets?page=99&limit=2")
    assert "page=3&" in links(beyond.headers["link"])["prev"]
    assert beyond.json()["data"] == []


async def test_lists_may_be_repeated_or_apart_by_commas(shop: Shop) -> None:
    for species in ("CAT", "DOG", "BIRD"):
        await shop.add_pet(species=species)
    for query in ("species=cat,dog", "species=CAT&species=DOG", "species=CAT%2CDOG"):
        found = (await shop.visitor.get(f"/v1/pets?{query}")).json()["data"]
        assert [pet["species"] for pet in found] == ["CAT", "DOG"]


@pytest.mark.parametrize(
    ("method", "path"), [("QUERY", "/v1/pets"), ("QUERY", "/v1/pets/search"), ("POST", "/v1/pets/search")]
)
async def test_a_search_answers_alike_by_each_way(shop: Shop, method: str, path: str) -> None:
    await shop.add_pet(species="CAT")
    rabbit = await shop.add_pet(species="RABBIT")
    answer = await shop.visitor.request(method, path, json={"criteria": {"species": ["rabbit"]}})
    assert [pet["id"] for pet in answer.json()["data"]] == [rabbit]
    assert answer.headers["accept-query"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path"), [("QUERY", "/v1/pets"), ("QUERY", "/v1/pets/search"), ("POST", "/v1/pets/search")]
)
async def test_the_pages_of_a_search_lead_to_one_another(shop: Shop, method: str, path: str) -> None:
    made = [await shop.add_pet(species="CAT") for _ in range(5)]
    await shop.add_pet(species="DOG")
    search = {"criteria": {"species": ["CAT"]}, "pagination": {"page": 1, "limit": 2}}
    seen, target = [], path
    found: dict[str, str] = {}
    while target:
        answer = await shop.visitor.request(method, target, json=search)
        found = links(answer.headers["link"])
        seen += [pet["id"] for pet in answer.json()["data"]]
        assert found["first"] == f"{path}?page=1&limit=2"
        target = found.get("next", "")
    assert (seen, found["last"], found["prev"]) == (made, f"{path}?page=3&limit=2", f"{path}?page=2&limit=2")
    second = await shop.visitor.request(method, path, json={**search, "pagination": {"page": 2, "limit": 2}})
    # With the same body, which names a page.
    third = links(second.headers["link"])["next"]
    last = await shop.visitor.request(method, third, json={**search, "pagination": {"page": 2}})
    assert ([pet["id"] for pet in last.json()["data"]], last.json()["pagination"]["page"]) == (made[4:], 3)
    bare = await shop.visitor.request(method, f"{path}?limit=4", json={})
    assert bare.json()["pagination"] == {"page": 1, "limit": 4, "totalItems": 6, "totalPages": 2}
    assert (await shop.visitor.request(method, f"{path}?limit=x", json=search)).status_code == 400
    wrong = await shop.visitor.request(method, f"{path}?page=1", json={"pagination": "first"})
    assert wrong.status_code == 422


async def test_links_repeat_each_value_once(shop: Shop) -> None:
    many = "&".join(["species=CAT,DOG"] * 100)
    link = (await shop.visitor.get(f"/v1/pets?{many}&limit=2")).headers["link"]
    assert links(link)["self"] == "/v1/pets?species=CAT%2CDOG&page=1&limit=2"


async def test_head_says_what_get_would_without_a_body(shop: Shop) -> None:
    path = f"/v1/pets/{await shop.add_pet()}"
    got, head = await shop.visitor.get(path), await shop.visitor.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("my-request.1", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("", False)],
)
async def test_a_sane_request_id_is_taken_over(shop: Shop, sent: str, kept: bool) -> None:
    answer = await shop.visitor.get("/v1/pets", headers={"X-Request-ID": sent})
    assert (answer.headers["x-request-id"] == sent) is kept
    again = await shop.visitor.get("/v1/pets", headers={"X-Request-ID": sent})
    assert (answer.headers["x-request-id"] == again.headers["x-request-id"]) is kept


async def test_secrets_are_kept_nowhere(shop: Shop) -> None:
    made = await shop.staff.post("/v1/api-keys", json={"name": "Key", "scopes": ["read:pets"]})
    assert made.headers["cache-control"] == "no-store"
    assert "etag" not in made.headers


async def test_an_image_is_served_as_what_it_is_for_ever(shop: Shop) -> None:
    pet = await shop.add_pet()
    files = {"file": ("evil.html", PNG, "text/html")}
    made = await shop.staff.post(f"/v1/pets/{pet}/images", files=files)
    assert made.status_code == 201
    photos = (await shop.visitor.get(f"/v1/pets/{pet}")).json()["photos"]
    assert made.headers["location"] == photos[-1]
    assert photos[-1].startswith(f"{PUBLIC_URL}/v1/pets/{pet}/images/")
    photos = [photo.removeprefix(PUBLIC_URL) for photo in photos]
    image = await shop.visitor.get(photos[-1])
    assert (image.content, image.headers["content-type"]) == (PNG, "image/png")
    assert image.headers["x-content-type-options"] == "nosniff"
    assert image.headers["cache-control"] == "private, max-age=31536000, immutable"  # its tenant is private
    known = await shop.visitor.get(photos[-1], headers={"If-None-Match": image.headers["etag"]})
    assert known.status_code == 304
    refused = await shop.visitor.get(photos[-1], headers={"Accept": "application/json"})
    assert refused.status_code == 406


async def test_a_receipt_is_at_the_address_that_it_names(door: Door, shop: Shop) -> None:
    browser, orders = door.client(), {}
    for buyer in (shop.visitor, shop.customer):
        order = await shop.add_order(buyer)
        paid = await buyer.post(f"/v1/orders/{order}/payment", json=examples.PAYMENT_DRAFT)
        receipt = await buyer.get(paid.headers["location"])
        assert receipt.json()["url"].startswith(f"{PUBLIC_URL}/v1/receipts/")
        orders[buyer] = receipt.json()["url"].removeprefix(PUBLIC_URL)
    assert (await browser.get(orders[shop.visitor])).json()["source"]["number"] == "************4242"
    assert (await browser.get(orders[shop.customer])).status_code == 404
    assert (await shop.customer.get(orders[shop.customer])).status_code == 200


async def test_nobody_shares_what_a_caller_was_shown_of_an_application(shop: Shop) -> None:
    body = {**examples.ADOPTION_DRAFT, "petId": await shop.add_pet()}
    made = await shop.customer.post("/v1/adoptions", json=body, headers={"Idempotency-Key": "k"})
    assert (made.status_code, made.headers["location"]) == (201, f"/v1/adoptions/{made.json()['id']}")
    assert made.headers["cache-control"] == "no-store"
    shown = await shop.customer.get(made.headers["location"])
    assert shown.headers["cache-control"] == "private, no-cache"
    known = {"If-None-Match": shown.headers["etag"]}
    assert (await shop.customer.get(made.headers["location"], headers=known)).status_code == 304
    assert (await shop.visitor.get(made.headers["location"], headers=known)).status_code == 401
    # The same key in another's hands is another key.
    theirs = await shop.staff.post("/v1/adoptions", json=body, headers={"Idempotency-Key": "k"})
    assert "idempotent-replayed" not in theirs.headers
    assert theirs.json()["userId"] == shop.ids["owner"]


async def test_a_page_shows_an_image_of_a_private_tenant_without_a_header(door: Door, shop: Shop) -> None:
    pet = await shop.add_pet()
    made = await shop.staff.post(f"/v1/pets/{pet}/images", files={"file": ("a.png", PNG)})
    there = made.json()["url"].removeprefix(PUBLIC_URL)
    browser = door.client()
    assert (await browser.get(there)).content == PNG
    assert (await browser.get(there.partition("?")[0])).status_code == 404
    # It is for what resources name: elsewhere the address names no tenant.
    assert (await browser.get(f"/v1/pets/{pet}?tenant={shop.tenant}")).status_code == 400


async def test_images_beyond_what_a_tenant_may_hold_are_a_conflict(door: Door, shop: Shop) -> None:
    path, form = f"/v1/pets/{await shop.add_pet()}/images", {"file": ("a.png", PNG)}
    assert (await shop.staff.post(path, files=form)).status_code == 201
    door.store.limits = replace(door.store.limits, tenant_image_bytes=len(PNG))
    refused = await shop.staff.post(path, files=form)
    assert (refused.status_code, refused.json()["title"]) == (409, "Conflict")
    assert "more than" in refused.json()["detail"]


def multipart(*parts: tuple[str, bytes], before: bytes = b"") -> dict[str, Any]:
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (head.encode(), content)
        for head, content in parts
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return {"content": before + body + b"--x--\r\nAnd an epilogue.", "headers": headers}


@pytest.mark.parametrize(
    "before", [b"", b"This is a message in several parts.\r\n", b"--\r\n--y\r\n", b"\r\n"]
)
async def test_what_stands_around_the_parts_of_a_form_is_ignored(shop: Shop, before: bytes) -> None:
    path = f"/v1/pets/{await shop.add_pet()}/images"
    form = multipart(
        ('file"; filename="own.png', PNG),
        ("filename", b"said.png"),
        ("additionalMetadata", b"front"),
        before=before,
    )
    made = await shop.staff.post(path, **form)
    assert made.status_code == 201, made.text
    assert made.json()["additionalMetadata"] == "front"


async def test_a_part_that_is_there_twice_is_refused(shop: Shop) -> None:
    path = f"/v1/pets/{await shop.add_pet()}/images"
    form = multipart(('file"; filename="own.png', PNG), ("filename", b"a.png"), ("filename", b"b.png"))
    assert (await shop.staff.post(path, **form)).status_code == 400


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"data": {"additionalMetadata": "x"}, "files": {"picture": ("a.png", PNG)}}, 422),
        ({"files": {"file": ("a.png", b"")}}, 422),
        ({"files": {"file": ("a.png", b"#!/bin/sh")}}, 415),
        ({"files": [("file", ("a.png", PNG)), ("file", ("b.png", PNG))]}, 400),
        ({"files": {"file": ("a.png", PNG + bytes(2000))}}, 413),
        ({"files": {"file": ("a.png", PNG + bytes(200_000))}}, 413),
        ({"content": b"--x\r\ngarbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"\x89PNG", "headers": {"Content-Type": "image/png"}}, 415),
        (
            {
                "content": b"--x--",
                "headers": {"Content-Type": "multipart/form-data; boundary=x; charset=latin-1"},
            },
            415,
        ),
    ],
)
@pytest.mark.parametrize("limits", [Limits(requests_per_minute=0, image_bytes=1000)])
async def test_what_is_no_image_is_refused(shop: Shop, form: dict[str, Any], status: int) -> None:
    answer = await shop.staff.post(f"/v1/pets/{await shop.add_pet()}/images", **form)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("origins", [("https://shop.example",)])
async def test_pages_of_named_origins_may_use_the_door(shop: Shop) -> None:
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "QUERY"}
    allowed = await shop.visitor.options("/v1/pets", headers=preflight)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "QUERY" in allowed.headers["access-control-allow-methods"]
    assert "X-Tenant-ID" in allowed.headers["access-control-allow-headers"]
    answer = await shop.visitor.get("/v1/dragons", headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
    other = await shop.visitor.get("/v1/pets", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


async def test_without_named_origins_no_page_may(shop: Shop) -> None:
    answer = await shop.visitor.get("/v1/pets", headers={"Origin": "https://shop.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_document_is_served_in_both_spellings(door: Door, name: str) -> None:
    client = door.client()
    as_json, as_yaml = await client.get(f"/v1/{name}.json"), await client.get(f"/v1/{name}.yaml")
    assert as_json.json() == yaml.safe_load(as_yaml.text)
    assert as_yaml.text == dump_yaml(DOCUMENTS[name]())
    kinds = [answer.headers["content-type"] for answer in (as_json, as_yaml)]
    assert kinds == ["application/json", "application/yaml"]
    known = await client.get(f"/v1/{name}.json", headers={"If-None-Match": as_json.headers["etag"]})
    assert known.status_code == 304


def test_the_document_is_openapi_3_2() -> None:
    assert list(OpenAPIV32SpecValidator(http_document()).iter_errors()) == []


def test_the_committed_document_is_what_the_code_says() -> None:
    assert documents.main(["--check"]) == 0


def test_names_of_operations_are_unique_in_the_document() -> None:
    names = [
        operation["operationId"] for item in http_document()["paths"].values() for operation in item.values()
    ]
    assert len(names) == len(set(names))


async def test_swagger_ui_needs_nothing_from_elsewhere(door: Door) -> None:
    client = door.client()
    page = await client.get("/v1/swagger-ui.html")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "//" not in page.text
    for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        part = await client.get(f"/v1/{name}")
        assert part.status_code == 200, name
        assert part.content
    assert (await client.post("/v1/swagger-ui.html")).status_code == 405


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v1", "/v1/swagger-ui.html"),
        ("/pets", "/v1/swagger-ui.html"),
        ("/v1/oauth", "/.well-known/oauth-authorization-server"),
    ],
)
async def test_a_wrong_path_is_told_where_to_look(door: Door, path: str, place: str) -> None:
    answer = await door.client().get(path)
    assert answer.status_code == 404
    assert place in answer.json()["detail"]


async def test_an_unknown_parameter_is_named(door: Door) -> None:
    answer = await door.client().get("/v1/pets?colour=red")
    assert (answer.status_code, answer.json()["detail"]) == (400, "unknown parameter 'colour'")
