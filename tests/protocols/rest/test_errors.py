"""Errors: each row of the table as a client sees it."""

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest

from core.kernel.errors import CursorExpired, ErrorCode, Internal
from core.kernel.ids import new_id
from core.kernel.limits import Limits
from core.models import examples
from protocols.http.problems import PROBLEMS, problem_response
from tests.protocols.rest.shop import Door, Shop
from tests.waiting import eventually


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that an answer is a whole problem, and give it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    found: dict[str, Any] = answer.json()
    assert found["type"] == f"https://petstoreapi.com/errors/{slug}"
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    assert found["instance"] == answer.request.url.path
    return found


def test_every_error_of_the_store_has_a_row() -> None:
    assert set(PROBLEMS) == set(ErrorCode)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/pets/not-an-id", {}),
        ("/v1/pets", {"page": "0"}),
        ("/v1/pets", {"page": "first"}),
        ("/v1/pets", {"limit": "101"}),
        ("/v1/pets", {"page": ["1", "2"]}),
        ("/v1/pets", {"species": "DRAGON"}),
        ("/v1/pets", {"goodWithKids": "perhaps"}),
        ("/v1/pets", {"page": "1" * 5000}),
        ("/v1/orders/" + "0" * 36, {}),
    ],
)
async def test_a_bad_parameter_is_a_bad_request(shop: Shop, path: str, query: dict[str, Any]) -> None:
    problem(await shop.staff.get(path, params=query), 400, "bad-request")


@pytest.mark.parametrize("query", ["page=%ff", "species=%c3%28", "&".join(["x=1"] * 300)])
async def test_a_broken_query_is_a_bad_request(shop: Shop, query: str) -> None:
    problem(await shop.visitor.get(f"/v1/pets?{query}"), 400, "bad-request")


async def test_parameters_of_the_path_do_not_come_from_the_query(shop: Shop) -> None:
    pet = await shop.add_pet()
    answer = await shop.visitor.get(f"/v1/pets/{pet}", params={"id": new_id()})
    problem(answer, 400, "bad-request")


@pytest.mark.parametrize(
    "tenant",
    ["", "x", "00000000-0000-0000-0000-000000000001", "c232ab00-9414-11ec-b3c8-9f6bdeced846"],
)
async def test_a_bad_tenant_is_a_bad_request(door: Door, tenant: str) -> None:
    problem(await door.client(**{"X-Tenant-ID": tenant}).get("/v1/pets"), 400, "bad-request")


async def test_tenants_named_twice_are_none(door: Door, shop: Shop) -> None:
    headers = [("X-Tenant-ID", shop.tenant), ("X-Tenant-ID", shop.tenant)]
    problem(await door.client().get("/v1/pets", headers=headers), 400, "bad-request")


async def test_no_credentials_are_asked_for(shop: Shop) -> None:
    answer = await shop.visitor.get("/v1/users/me")
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
        {"X-API-Key": "nonsense"},
    ],
)
async def test_bad_credentials_are_refused_even_where_none_are_needed(
    door: Door, headers: dict[str, str]
) -> None:
    answer = await door.client().get("/v1/pets", headers=headers)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_wrong_password_is_unauthorized(shop: Shop) -> None:
    answer = await shop.visitor.post("/v1/login", json={"username": "owner", "password": "wrong-password"})
    problem(answer, 401, "unauthorized")


async def test_a_known_caller_without_the_right_is_forbidden(shop: Shop) -> None:
    problem(await shop.customer.post("/v1/pets", json=examples.PET_DRAFT), 403, "forbidden")


async def test_what_is_not_there_is_not_found(shop: Shop) -> None:
    problem(await shop.staff.get(f"/v1/pets/{new_id()}"), 404, "not-found")


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/dragons", "/v1/pets/", "/v1/pets/x/y/z", "/v1/%00", "/v1//pets"]
)
async def test_a_path_that_leads_nowhere_is_not_found(shop: Shop, path: str) -> None:
    answer = await shop.visitor.get(path)
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/not-found")


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "TRACE"])
async def test_another_method_is_told_which_there_are(shop: Shop, method: str) -> None:
    answer = await shop.visitor.request(method, "/v1/pets")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, QUERY, POST, OPTIONS"


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/xml, image/*", "application/json;q=0", "*/*;q=0", "application/json;q=0, */*"],
)
async def test_a_client_that_takes_no_json_is_told(shop: Shop, accept: str) -> None:
    problem(await shop.visitor.get("/v1/pets", headers={"Accept": accept}), 406, "not-acceptable")


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/*", "text/html, */*;q=0.1", "APPLICATION/JSON", "application/json; charset=utf-8"],
)
async def test_a_client_that_takes_json_gets_it(shop: Shop, accept: str) -> None:
    assert (await shop.visitor.get("/v1/pets", headers={"Accept": accept})).status_code == 200


async def test_a_state_that_forbids_it_is_a_conflict(shop: Shop) -> None:
    pet = await shop.add_pet()
    first = await shop.customer.post("/v1/orders", json={"petId": pet})
    second = await shop.visitor.post("/v1/orders", json={"petId": pet})
    assert first.status_code == 201
    problem(second, 409, "conflict")


def test_an_expired_cursor_is_told_with_the_oldest_one() -> None:
    answer = problem_response(CursorExpired("oldest"), "/v1/events")
    assert answer.status == 410
    assert json.loads(answer.body)["oldestCursor"] == "oldest"


def test_an_internal_error_tells_nothing_of_it() -> None:
    answer = problem_response(Internal(), "/v1/pets")
    assert answer.status == 500
    assert json.loads(answer.body)["detail"] == "Something went wrong on our side."


@pytest.mark.parametrize("limits", [Limits(requests_per_minute=0, body_bytes=1000)])
async def test_a_body_too_large_is_refused_by_its_announced_length(shop: Shop) -> None:
    problem(await shop.staff.post("/v1/pets", json={"name": "x" * 1000}), 413, "payload-too-large")


@pytest.mark.parametrize("limits", [Limits(requests_per_minute=0, body_bytes=1000)])
async def test_a_body_too_large_is_refused_while_it_streams(shop: Shop) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 100

    headers = {"Content-Type": "application/json"}
    answer = await shop.staff.post("/v1/pets", content=endless(), headers=headers)
    problem(answer, 413, "payload-too-large")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_a_body_of_another_media_type_is_refused(shop: Shop, media_type: str) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await shop.staff.post("/v1/pets", content=json.dumps(examples.PET_DRAFT), headers=headers)
    problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "fields",
    [
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": 'application/json; a="b"; Charset = "UTF-16"'},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "identity, br"},
    ],
)
async def test_a_body_in_another_charset_or_compressed_is_refused(shop: Shop, fields: dict[str, str]) -> None:
    pet = f"/v1/pets/{await shop.add_pet()}"
    for method, path in (("POST", "/v1/pets"), ("QUERY", "/v1/pets"), ("PUT", pet), ("PATCH", pet)):
        answer = await shop.staff.request(method, path, content=b"{}", headers=fields)
        problem(answer, 415, "unsupported-media-type")
        assert answer.headers.get("accept-encoding") == ("identity" if "Content-Encoding" in fields else None)


async def test_a_body_in_utf_8_and_as_it_is_is_taken(shop: Shop) -> None:
    headers = {"Content-Type": 'application/json; Charset="utf-8"', "Content-Encoding": "identity"}
    answer = await shop.staff.post("/v1/pets", content=json.dumps(examples.PET_DRAFT), headers=headers)
    assert answer.status_code == 201


async def test_a_patch_of_another_kind_is_told_which_there_are(shop: Shop) -> None:
    pet = await shop.add_pet()
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await shop.staff.patch(f"/v1/pets/{pet}", content="[]", headers=headers)
    problem(answer, 415, "unsupported-media-type")
    assert "application/merge-patch+json" in answer.headers["accept-patch"]
    options = await shop.staff.options(f"/v1/pets/{pet}")
    assert "application/merge-patch+json" in options.headers["accept-patch"]


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "application/vnd.pet+json", "Application/JSON"]
)
async def test_json_by_any_of_its_names_is_taken(shop: Shop, media_type: str) -> None:
    body = json.dumps(examples.PET_DRAFT)
    answer = await shop.staff.post("/v1/pets", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 201


async def test_a_body_is_answered_with_all_its_violations(shop: Shop) -> None:
    draft = {"species": "DRAGON", "ageMonths": -1, "price": "x", "wings": 2}
    found = problem(await shop.staff.post("/v1/pets", json=draft), 422, "validation-error")
    assert {(violation["field"], violation["code"]) for violation in found["errors"]} == {
        ("name", "REQUIRED_FIELD"),
        ("species", "INVALID_ENUM_VALUE"),
        ("ageMonths", "OUT_OF_RANGE"),
        ("price", "INVALID_FORMAT"),
        ("wings", "UNKNOWN_FIELD"),
    }


async def test_every_member_that_is_missing_is_told(shop: Shop) -> None:
    found = problem(await shop.staff.post("/v1/pets", json={}), 422, "validation-error")
    assert {violation["field"] for violation in found["errors"]} >= {"name", "species", "price"}


@pytest.mark.parametrize("limits", [Limits(requests_per_minute=12)])
async def test_too_many_requests_are_told_when_to_come_back(shop: Shop) -> None:
    answers = [await shop.visitor.get("/v1/pets") for _ in range(13)]
    allowed = [answer for answer in answers if answer.status_code == 200]
    refused = answers[-1]
    problem(refused, 429, "rate-limit-exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["ratelimit-limit"] == "12"
    left = [int(answer.headers["ratelimit-remaining"]) for answer in allowed]
    assert left == sorted(left, reverse=True)
    assert allowed[-1].headers["ratelimit-policy"] == '"default";q=12;w=60'
    reset = allowed[-1].headers["ratelimit-reset"]
    assert allowed[-1].headers["ratelimit"] == f'"default";r={left[-1]};t={reset}'
    nowhere = await shop.visitor.get("/v1/dragons")
    assert nowhere.status_code == 429
    assert (await shop.visitor.options("/v1/pets")).status_code == 204
    assert (await shop.visitor.get("/v1/openapi.json")).status_code == 200


async def test_a_draining_node_sends_writers_elsewhere(door: Door, shop: Shop) -> None:
    door.store.draining = True
    answer = await shop.staff.post("/v1/pets", json=examples.PET_DRAFT)
    problem(answer, 503, "service-unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_client_that_leaves_half_way_ends_nothing_else(door: Door, shop: Shop) -> None:
    host, port = door.url.removeprefix("http://").split(":")
    token = shop.staff.headers["authorization"]
    half = (
        f"POST /v1/pets HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Type: application/json\r\n"
        'Content-Length: 500\r\n\r\n{"name": "Ha'
    )
    for _ in range(3):
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(half.encode())
    assert (await shop.visitor.get("/v1/pets")).json()["pagination"]["totalItems"] == 0
    # This test's own requests are over, so what still runs would be a leftover.
    await eventually(
        lambda: not [task for task in asyncio.all_tasks() if "run_asgi" in repr(task.get_coro())]
    )
