"""What the original does and clients rely on: each fact of its public tests that holds here."""

import re
from typing import Any

import httpx
import pytest

PET = {"id": 10, "name": "doggie", "category": {"id": 1, "name": "Dogs"}, "photoUrls": ["string"],
       "tags": [{"id": 0, "name": "string"}], "status": "available"}  # fmt: skip
ORDER = {"id": 10, "petId": 198772, "quantity": 7, "shipDate": "2021-02-03T19:43:55.849Z", "status": "approved",
         "complete": True}  # fmt: skip
USER = {"id": 10, "username": "theUser", "firstName": "John", "lastName": "James", "email": "john@email.com",
        "password": "12345", "phone": "12345", "userStatus": 1}  # fmt: skip
NO_PET = "unable to convert input to io.swagger.petstore.model.Pet"
STATUS = "query parameter `status value `{}` is not in the allowable values `[available, pending, sold]`"

#: Method, path, body; status; and a text (a controller's sentence) or the message of the framework.
REFUSALS: list[tuple[str, str, Any, int, str | None, str | None]] = [
    ("GET", "/nothing", None, 404, None, "HTTP 404 Not Found"),
    ("GET", "//pet", None, 404, None, "HTTP 404 Not Found"),
    ("GET", "/pet", None, 405, None, "HTTP 405 Method Not Allowed"),
    ("GET", "/pet/", None, 405, None, "HTTP 405 Method Not Allowed"),
    ("PATCH", "/pet/1", None, 405, None, "HTTP 405 Method Not Allowed"),
    ("GET", "/pet/abc", None, 400, None, "Input error: couldn't convert `abc` to type `class java.lang.Long`"),
    ("GET", "/pet/9223372036854775808", None, 400, None,
     "Input error: couldn't convert `9223372036854775808` to type `class java.lang.Long`"),
    ("DELETE", "/pet/1.5", None, 400, None, "Input error: couldn't convert `1.5` to type `class java.lang.Long`"),
    ("GET", "/store/order/x", None, 400, None, "Input error: couldn't convert `x` to type `class java.lang.Long`"),
    ("GET", "/pet/4242", None, 404, "Pet not found", None),
    ("PUT", "/pet", {**PET, "id": 4242}, 404, "Pet not found", None),
    ("POST", "/pet/4242?name=a", None, 404, "Pet not found", None),
    ("POST", "/pet/4242", None, 400, "No Name provided. Try again?", None),
    ("POST", "/pet/4242/uploadImage", None, 400, "No file uploaded", None),
    ("GET", "/pet/findByStatus", None, 400, None, "Input error: missing required query parameter `status`"),
    ("GET", "/pet/findByStatus?status=x", None, 400, None, f"Input error: {STATUS.format('x')}"),
    ("GET", "/pet/findByStatus?status=", None, 400, None, f"Input error: {STATUS.format('')}"),
    ("GET", "/pet/findByTags?tags=", None, 400, "No tags provided. Try again?", None),
    ("GET", "/store/order/4242", None, 404, "Order not found", None),
    ("POST", "/store/order", "", 400, "No Order provided. Try again?", None),
    ("POST", "/user/createWithList", [], 400, "No User provided. Try again?", None),
    ("GET", "/user/nobody", None, 404, "User not found", None),
    ("PUT", "/user/nobody", USER, 404, "User not found", None),
    ("POST", "/pet", {**PET, "id": "abc"}, 400, None, f"Input error: {NO_PET}"),
    ("POST", "/pet", {**PET, "id": 2**63}, 400, None, f"Input error: {NO_PET}"),
    ("POST", "/pet", {**PET, "tags": {}}, 400, None, f"Input error: {NO_PET}"),
    ("POST", "/pet", {**PET, "category": []}, 400, None, f"Input error: {NO_PET}"),
    ("POST", "/pet", {**PET, "photoUrls": "url"}, 400, None, f"Input error: {NO_PET}"),
    ("POST", "/pet", "{", 400, None, f"Input error: {NO_PET}"),
    ("POST", "/pet", "null", 400, None, f"Input error: {NO_PET}"),
    ("POST", "/store/order", {"petId": "x"}, 400, None,
     "Input error: unable to convert input to io.swagger.petstore.model.Order"),
    ("POST", "/user", {"id": {}}, 400, None,
     "Input error: unable to convert input to io.swagger.petstore.model.User"),
    ("POST", "/user/createWithList", USER, 400, None,
     "Input error: unable to convert input to io.swagger.petstore.model.User[]"),
]  # fmt: skip


def send(client: httpx.Client, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
    if isinstance(body, str):
        headers.setdefault("Content-Type", "application/json")
        return client.request(method, path, content=body, headers=headers)
    return client.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text", "message"),
    REFUSALS,
    ids=[f"{row[0]} {row[1]} {str(row[2])[-20:]}" for row in REFUSALS],
)
def test_a_refusal(
    client: httpx.Client,
    method: str,
    path: str,
    body: Any,
    status: int,
    text: str | None,
    message: str | None,
) -> None:
    answer = send(client, method, path, body)
    assert answer.status_code == status
    if text is not None:
        assert (answer.text, answer.headers["content-type"]) == (text, "text/plain")
        return
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"code": status, "message": message}
    told = send(client, method, path, body, Accept="application/xml")
    assert told.headers["content-type"] == "application/xml"
    assert told.text.startswith(f"<ApiError><code>{status}</code><message>")


def test_the_seeds(public: httpx.Client) -> None:
    assert public.get("/pet/1").json() == {
        "id": 1,
        "category": {"id": 2, "name": "Cats"},
        "name": "Cat 1",
        "photoUrls": ["url1", "url2"],
        "tags": [{"id": 1, "name": "tag1"}, {"id": 2, "name": "tag2"}],
        "status": "available",
    }
    statuses = [public.get(f"/pet/{number}").json()["status"] for number in range(1, 11)]
    assert [number for number, status in enumerate(statuses, 1) if status == "pending"] == [3, 6]
    assert [number for number, status in enumerate(statuses, 1) if status == "sold"] == [5]
    assert public.get("/pet/10").json()["name"] == "Rabbit 1"
    orders = [public.get(f"/store/order/{number}").json() for number in (1, 2, 3)]
    assert [(order["petId"], order["quantity"], order["status"]) for order in orders] == [
        (1, 100, "placed"), (1, 50, "approved"), (1, 50, "delivered"),
    ]  # fmt: skip
    assert public.get("/user/user1").json() == {
        "id": 1,
        "username": "user1",
        "firstName": "first name 1",
        "lastName": "last name 1",
        "email": "email1@test.com",
        "password": "XXXXXXXXXXX",
        "phone": "123-456-7890",
        "userStatus": 1,
    }
    assert public.get("/user/user%3F10").json()["email"] == "email101@test.com"


def test_a_pet_is_written_whole_by_its_number(client: httpx.Client) -> None:
    assert client.post("/pet", json=PET).json() == PET
    assert list(client.get("/pet/10").json()) == ["id", "category", "name", "photoUrls", "tags", "status"]
    again = {"id": 10, "name": "b", "photoUrls": [], "tags": [], "status": "sold"}
    assert client.post("/pet", json=again).json() == again
    assert client.put("/pet", json=PET).json() == PET
    assert client.get("/pet/10").json() == PET
    changed = client.post("/pet/10", params={"name": "c", "status": "pending"}).json()
    assert changed == {**PET, "name": "c", "status": "pending"}
    assert client.post("/pet/10?name=d").json()["status"] == "pending"
    for _ in range(2):
        gone = client.delete("/pet/10", headers={"api_key": "special-key"})
        assert (gone.status_code, gone.text) == (200, "Pet deleted")
    assert client.get("/pet/10").status_code == 404


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63), 9007199254740993])
def test_any_number_of_64_bits_is_one(client: httpx.Client, number: int) -> None:
    assert client.post("/pet", json={"id": number, "name": "a", "photoUrls": []}).json()["id"] == number
    assert client.post("/pet", json={"id": number, "name": "b", "photoUrls": []}).json()["name"] == "b"
    assert client.get(f"/pet/{number}").json()["name"] == "b"
    assert client.post("/store/order", json={"id": number}).json()["id"] == number
    assert client.get(f"/store/order/{number}").json()["id"] == number
    assert client.delete(f"/pet/{number}").status_code == 200
    assert client.get(f"/pet/{number}").status_code == 404


def test_without_a_number_there_is_a_new_one(client: httpx.Client) -> None:
    client.post("/pet", json={"id": 1, "name": "chosen"})
    client.post("/store/order", json={"id": 1})
    pets = [client.post("/pet", json={"name": "a"}).json()["id"] for _ in range(2)]
    orders = [client.post("/store/order", json={"petId": 1}).json()["id"] for _ in range(2)]
    assert pets == orders == [2, 3]


def test_pets_are_found_by_status_and_tags(client: httpx.Client) -> None:
    for number, (status, tags) in enumerate(
        [("available", "ab"), ("pending", "b"), ("sold", "c"), ("available", "")], start=1
    ):
        pet = {"id": number, "name": "a", "tags": [{"name": tag} for tag in tags], "status": status}
        assert client.post("/pet", json=pet).status_code == 200

    def found(path: str) -> list[int]:
        return [pet["id"] for pet in client.get(path).json()]

    assert found("/pet/findByStatus?status=available") == [1, 4]
    assert found("/pet/findByStatus?status=available&status=sold") == [1, 3, 4]
    assert found("/pet/findByStatus?status=pending,sold") == [2, 3]
    assert found("/pet/findByTags?tags=a&tags=b") == [1, 2]
    assert found("/pet/findByTags?tags=b,c") == [1, 2, 3]
    assert found("/pet/findByTags?tags=B") == found("/pet/findByTags?tags=unknown") == []
    client.put("/pet", json={"id": 1, "name": "changed", "status": "available"})
    assert found("/pet/findByStatus?status=available") == [4, 1]
    assert client.get("/store/inventory").json() == {"available": 2, "pending": 1, "sold": 1}


def test_an_order_is_written_whole_by_its_number(client: httpx.Client) -> None:
    shown = {**ORDER, "shipDate": "2021-02-03T19:43:55.849+00:00"}
    assert client.post("/store/order", json=ORDER).json() == shown
    assert client.get("/store/order/10").json() == shown
    assert client.post("/store/order", json={"id": 10, "quantity": -1}).json() == {
        "id": 10, "petId": 0, "quantity": -1, "status": "placed", "complete": False,
    }  # fmt: skip
    for _ in range(2):
        gone = client.delete("/store/order/10")
        assert (gone.status_code, gone.content, gone.headers.get("content-type")) == (200, b"", None)
    assert client.get("/store/order/10").status_code == 404
    assert client.post("/store/order", json=ORDER).json() == shown


def test_users_are_written_whole_by_their_names(client: httpx.Client) -> None:
    shown = {**USER, "password": "XXXXXXXXXXX"}
    assert client.post("/user", json=USER).json() == shown
    assert client.get("/user/theUser").json() == shown
    assert client.put("/user/theUser", json={**USER, "username": "other"}).json()["username"] == "other"
    assert client.get("/user/theUser").status_code == 404
    listed = client.post("/user/createWithList", json=[USER, {**USER, "username": "second"}])
    assert [user["username"] for user in listed.json()] == ["theUser", "second"]
    for _ in range(2):
        gone = client.delete("/user/second")
        assert (gone.status_code, gone.content) == (200, b"")
    assert client.get("/user/second").status_code == 404
    # A user without a name makes nothing fail for anybody.
    assert client.post("/user", json={"id": 1}).status_code == 400
    assert client.get("/user/theUser").status_code == 200


def test_a_login_has_its_two_headers(client: httpx.Client) -> None:
    answer = client.get("/user/login", params={"username": "theUser", "password": "12345"})
    assert re.fullmatch(r"Logged in user session: \d+", answer.text)
    assert answer.headers["x-rate-limit"] == "5000"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer.headers["x-expires-after"])
    assert client.get("/user/login").status_code == 200
    out = client.get("/user/logout")
    assert (out.text, out.headers["content-type"]) == ("User logged out", "text/plain")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("application/xml", "application/xml"),
        ("application/xml, */*", "application/json"),
        ("application/xml;q=1", "application/json"),
        ("application/yaml", "application/yaml"),
        ("application/yaml, application/json", "application/json"),
    ],
)
def test_what_is_accepted(public: httpx.Client, accept: str | None, kind: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    assert public.get("/pet/2", headers=headers).headers["content-type"] == kind


def test_pages_of_all_origins_may_call(public: httpx.Client) -> None:
    for answer in (public.get("/pet/1"), public.get("/pet/0"), public.options("/pet/1"), public.get("/x")):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE, PUT"
        allowed = answer.headers["access-control-allow-headers"].split(", ")
        assert allowed == ["Content-Type", "api_key", "Authorization", "X-Tenant-ID"]
        assert "Content-Disposition" in answer.headers["access-control-expose-headers"]
    options = public.options("/pet")
    assert options.status_code == 200
    assert {"POST", "PUT", "OPTIONS"} == set(options.headers["allow"].split(", "))


def test_credentials_do_not_matter_where_the_door_is_open(public: httpx.Client) -> None:
    for headers in ({"api_key": "wrong"}, {"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}):
        assert public.get("/pet/1", headers=headers).status_code == 200
    assert public.get("/pet/1", headers={"X-Tenant-ID": "x"}).status_code == 400


def test_what_is_better(client: httpx.Client) -> None:
    refused = [
        {"id": 1, "photoUrls": []},
        {"id": 1, "name": "", "photoUrls": []},
        {"id": 1, "name": "a", "status": "x"},
        {"id": 1, "name": "a", "status": "AVAILABLE"},
    ]
    for body in refused:
        assert client.post("/pet", json=body).json() == {"code": 400, "message": f"Input error: {NO_PET}"}
    assert client.post("/store/order", json={"id": 1, "status": "lost"}).status_code == 400
    assert client.put("/pet", json={"name": "a"}).status_code == 400
